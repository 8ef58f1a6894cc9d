"""From scores to rows: everything has to be beaten, hindsight is held against its own luck, no interval without width."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.evidence.rows import Hindsight, Rival, against_baselines, against_chance, guard_of
from conceptprobe.stats.design import Design

PAIRS = 24


def pairs(rng: np.random.Generator, n: int = PAIRS) -> Design:
    unit = np.repeat(np.arange(n), 2)
    fold = rng.permutation(n) % 4
    return Design(np.arange(2 * n), np.zeros(2 * n, int), np.tile([1, -1], n), unit, fold[unit], pooled=False)


def drawn(rng: np.random.Generator, design: Design, shift: float = 0.0, draws: int = 199) -> np.ndarray:
    """Scores of one scorer under the observed labelling and under `draws` others, where they know nothing."""
    scores = rng.standard_normal((1 + draws, design.n_items))
    scores[0] += shift * design.label
    return scores


def measured(rng, design, scores, rivals):
    return against_baselines(scores, np.asarray(design.auroc(scores)), rivals, design, np.random.default_rng(1))


@settings(max_examples=25)
@given(st.integers(0, 500))
def test_one_strong_rival_among_weak_ones_decides(seed):
    rng = np.random.default_rng(seed)
    design = pairs(rng)
    scores = drawn(rng, design, 0.8)
    weak = [Rival(f"weak{i}", rng.standard_normal(design.n_items)) for i in range(3)]
    strong = Rival("strong", 2.0 * design.label + 0.1 * rng.standard_normal(design.n_items))
    alone, among = measured(rng, design, scores, [strong]), measured(rng, design, scores, [*weak, strong])
    assert among.reference == alone.reference == 1.0
    assert "strong" in among.reference_kind
    assert among.p >= alone.p - 0.15  # other draws of the swap
    assert among.ci_low <= alone.ci_low
    assert among.ci_high <= alone.ci_high


def test_rivals_below_chance_leave_chance_as_the_reference(rng):
    design = pairs(rng)
    row = measured(rng, design, drawn(rng, design, 1.5), [Rival("worse", -design.label + 0.0)])
    assert row.reference == 0.5
    assert row.reference_kind == "chance; best lexical baseline below: worse"


@pytest.mark.parametrize("scores", ["tied", "perfect"])
def test_an_interval_has_width_where_a_jackknife_has_none(rng, scores):
    design = pairs(rng)
    own = drawn(rng, design)
    own[0] = 0.0 if scores == "tied" else design.label
    row = measured(rng, design, own, [Rival("a bag of words", np.zeros(design.n_items))])
    assert row.ci_high - row.ci_low > 0.05
    assert row.ci_low <= row.estimate - row.reference <= row.ci_high


def test_the_best_of_many_empty_baselines_is_called_luck_and_a_real_one_is_not():
    luck = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        design = pairs(rng)
        empty = {f"b{i}": np.asarray(design.auroc(drawn(rng, design))) for i in range(12)}
        found = Hindsight.of(empty)
        assert found.value == max(float(v[0]) for v in empty.values())
        assert found.value > 0.55  # what it would look like without its null
        luck += found.is_luck
        real = Hindsight.of(empty | {"real": np.asarray(design.auroc(drawn(rng, design, 1.5)))})
        assert real.name == "real"
        assert not real.is_luck
        assert "has to be beaten" in real.sentence
    assert luck >= 50  # 57 expected


def test_an_auroc_upside_down_is_no_absence(rng):
    design = pairs(rng)
    turned = against_chance(np.asarray(design.auroc(drawn(rng, design, -2.0))), design)
    assert turned.upside_down
    assert guard_of(turned, 0.1).startswith("read upside down")
    level = against_chance(np.asarray(design.auroc(drawn(rng, design))), design)
    assert not level.upside_down
    assert guard_of(level, 0.1) == ""
