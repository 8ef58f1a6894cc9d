"""What stands beside the headline of question 3, on planted pairs of models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conceptprobe.calibration.spaces import SITES, SharedWorld
from conceptprobe.evidence.carry import Carry, Side
from conceptprobe.evidence.local import geometry
from conceptprobe.evidence.pool_words import PoolWords
from conceptprobe.evidence.transfer_details import are_siblings, over_siblings, transfer_details
from conceptprobe.evidence.transfer_maps import SHARES, SUBSAMPLES, against_n, site_map
from conceptprobe.evidence.transferred import METRIC, Between, Exchanges, transfer

LOUD = SharedWorld(meaning=3.0, gathered=3.0)
SILENT = SharedWorld()


def begin(world: SharedWorld, seed: int = 0):
    run = world.run(("shared",), "details", str(seed), seed=seed)
    carry = Carry(PoolWords(run))
    a, b = (Side(subject, SITES[0]) for subject in run.subjects)
    pair = Between(a, b, True, "")
    exchanges = Exchanges(carry, 199)
    return carry, pair, transfer(carry, pair, exchanges, 199), exchanges


@pytest.fixture(scope="module")
def loud():
    return begin(LOUD)


@pytest.fixture(scope="module")
def silent():
    return begin(SILENT)


def row(begun, metric):
    (found,) = [f for f in transfer_details(*begun) if f.metric == metric]
    return found


@pytest.mark.parametrize("metric", ["auroc (carried probe, orthogonal map)", "auroc (carried probe, one map for all)"])
def test_other_maps_carry_what_is_shared_and_nothing_else(loud, silent, metric):
    assert row(loud, metric).estimate > 0.9
    assert 0.2 < row(silent, metric).estimate < 0.8
    assert row(loud, metric).model_b == "other"
    assert not row(loud, metric).headline


def test_over_an_orthogonal_map_shuffled_pairs_carry_nothing(loud):
    found = row(loud, "auroc (carried probe, orthogonal map)")
    assert found.null_mean == pytest.approx(0.5, abs=0.05)
    assert found.p == pytest.approx(0.01)


def test_a_direction_lands_where_the_other_model_has_its_own(loud, silent):
    found = row(loud, "cosine (mapped direction)")
    assert found.estimate > 0.5
    assert found.null_mean == pytest.approx(0.0, abs=0.05)
    assert abs(row(silent, "cosine (mapped direction)").estimate) < 0.35


def test_a_share_of_the_ceiling_is_shown_only_over_a_clear_ceiling(loud, silent):
    carry, pair, found, _ = loud
    ceiling = replace(
        pair, a=replace(pair.a, subject=replace(pair.a.subject, info=replace(pair.a.subject.info, name="kin")))
    )
    (shown,) = over_siblings(carry, pair, found, [(ceiling, found)])
    assert shown.estimate == pytest.approx(1.0)
    assert shown.ci_low <= 1.0 <= shown.ci_high
    assert np.isnan(shown.p)
    weak = replace(found, auroc=0.52, without=np.full_like(found.without, 0.52) + 0.01 * np.arange(len(found.without)))
    assert over_siblings(carry, pair, found, [(ceiling, weak)]) == []
    assert over_siblings(carry, pair, found, [(pair, found)]) == []


def test_siblings_have_one_architecture_and_other_weights(loud):
    _, pair, _, _ = loud
    a, b = pair.a.subject, pair.b.subject
    assert are_siblings(a, b)
    assert not are_siblings(a, a)
    assert not are_siblings(a, replace(b, info=replace(b.info, n_layers=7)))


def test_the_map_of_sites_has_the_headline_in_it_and_is_judged_as_a_whole(loud, silent):
    carry, pair, found, exchanges = loud
    (cell,) = site_map(carry, pair, exchanges)
    assert cell["value"] == pytest.approx(found.auroc)
    assert cell["survives"]
    carry, pair, _, exchanges = silent
    (cell,) = site_map(carry, pair, exchanges)
    assert cell["null_mean"] == pytest.approx(0.5, abs=0.06)


def test_scores_against_n_end_with_the_score_itself(loud):
    carry, pair, found, _ = loud
    records = against_n(carry, pair, found)
    own = [r for r in records if r["metric"] == METRIC]
    assert [r["n"] for r in own] == sorted({*(len(carry.kept) // share for share in SHARES), len(carry.kept)})
    assert own[-1]["mean"] == pytest.approx(found.auroc)
    assert all(abs(r["null_mean"] - 0.5) < 0.1 for r in own)
    assert np.isnan(own[-1]["sd"])
    assert not any(np.isnan(r["sd"]) for r in own[:-1])
    assert {r["metric"] for r in records} == {METRIC, "mutual_knn"}
    assert SUBSAMPLES > 1


def test_neighbours_of_the_concept_stand_beside_those_of_control_concepts(loud):
    carry, pair, _, _ = loud
    words = replace(carry.words, run=replace(carry.words.run, settings=replace(carry.words.run.settings, details=True)))
    rows = {f.metric: f for f in geometry(words, [pair])}
    assert set(rows) == {
        "cka",
        "mutual_knn",
        "mutual_knn beside control concepts",
        "rsa",
        "1 - information_imbalance",
        "1 - information_imbalance beside control concepts",
    }
    beside, own = rows["mutual_knn beside control concepts"], rows["mutual_knn"]
    assert beside.estimate == own.estimate
    assert beside.ci_high - beside.ci_low == pytest.approx(own.ci_high - own.ci_low)
    assert beside.p >= 1 / 100
    assert rows["1 - information_imbalance"].estimate > 0.5
    assert rows["1 - information_imbalance"].null_mean == pytest.approx(0.0, abs=0.1)
