"""What rows about agreement hold, which pairs of models count, and when nothing can be said. Verdicts: test_shared_planted."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from functools import cache
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.calibration.spaces import SITES, SharedWorld
from conceptprobe.evidence.carry import TRAIN_UNITS, Carry, Side
from conceptprobe.evidence.context import Answer, RunContext, Subject
from conceptprobe.evidence.control_concepts import SETS
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.pool_words import RULER, PoolWords
from conceptprobe.evidence.shared import LEAST_TESTED, shared
from conceptprobe.evidence.site_choice import chosen_sites
from conceptprobe.evidence.transferred import (
    GATE,
    METRIC,
    Between,
    Exchanges,
    Transfer,
    measured,
    needed,
    transfer,
    transfer_row,
)
from conceptprobe.stats.auroc import Z95, auroc_interval
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.stimuli.stimulus import StimulusSet

SMALL = SharedWorld(meaning=1.0, words=160, positives=12, twins=1)
"""A world that is asked quickly, for whatever does not hang on its numbers."""
STRESSED = SharedWorld(meaning=1.0, stressed=3.0, words=160)


class FewDraws(RunContext):
    """A run whose nulls have 199 draws: enough for a p of 0.005, and for many runs in a test."""

    def draws(self) -> int:
        return 199


def planted(world: SharedWorld, seed: int = 0) -> RunContext:
    run = world.run(("shared",), "planted", seed=seed)
    return FewDraws(**{f.name: getattr(run, f.name) for f in fields(run)})


@cache
def asked(world: SharedWorld, seed: int = 0) -> Answer:
    """What `shared` says of a world."""
    return shared(planted(world, seed))


def headline(answer: Answer) -> Finding:
    (row,) = [f for f in answer.findings if f.headline]
    return row


def carried_rows(answer: Answer) -> list[Finding]:
    """Rows of concept transfer between two models, headline or not."""
    return [f for f in answer.findings if f.metric == METRIC]


def described(run: RunContext, **kinds: dict) -> RunContext:
    """The same run with other things said of its models, by name."""
    subjects = tuple(replace(s, info=replace(s.info, **kinds.get(s.name, {}))) for s in run.subjects)
    return replace(run, subjects=subjects, memo={})


def with_third(run: RunContext, **said: object) -> RunContext:
    """A third model beside the two, with the vectors of the first and noise of its own."""
    first = run.subjects[0]
    third = Subject(replace(first.info, name="third", sha256="third", **said), SITES)

    def read(model, set_name, site, pooling):
        if model != "third":
            return run.read(model, set_name, site, pooling)
        rows = run.read(first.name, set_name, site, pooling)
        noise = np.random.default_rng(len(set_name)).standard_normal(rows.shape)
        return (rows + noise).astype(np.float32)

    return replace(run, subjects=(*run.subjects, third), read=read, memo={})


# Rows


def test_the_headline_is_what_was_measured_and_says_all_three_p():
    row = headline(asked(STRESSED))
    assert row.effect == pytest.approx(row.estimate - row.reference)
    assert row.ci_low <= row.effect <= row.ci_high
    assert row.reference >= 0.5
    assert row.null_mean < row.null_q95 < row.estimate
    assert (row.model_a, row.model_b, row.site_a, row.site_b) == ("one", "other", SITES[0], SITES[0])
    assert (row.n, row.units) == (40, 20)
    said = re.search(
        r"exchanged labels (\S+), shuffled maps (\S+), control concepts (\S+); the largest counts", row.note
    )
    assert said
    assert max(float(p) for p in said.groups()) == pytest.approx(row.p, abs=5e-4)
    ways = [float(v) for v in re.match(r"(\S+) there, (\S+) back", row.note).groups()]
    assert np.mean(ways) == pytest.approx(row.estimate, abs=0.01)
    assert row.q == row.p  # the only headline


def test_the_p_of_the_excess_counts_control_concepts_that_carry_as_well():
    answer = asked(STRESSED)
    row = headline(answer)
    controls = np.array([r["auroc"] for r in answer.series["control_aurocs"]])
    assert len(controls) == SETS
    beaten = int(re.search(r"better than (\d+) of 99", row.note)[1])
    assert beaten == (controls < row.estimate).sum()
    assert f"control concepts {(1 + (controls >= row.estimate).sum()) / 100:.3f}" in row.note
    assert row.reference == pytest.approx(controls.mean())
    assert row.reference_kind == "control concepts (mean of 99)"


def test_the_series_hold_the_null_the_sets_and_their_balance():
    run = planted(SMALL)
    series = asked(SMALL).series
    assert len(series["null"]) == run.draws()
    words = PoolWords(run)
    drawn = words.control_concepts
    assert [r["words"].split() for r in series["control_concepts"]] == [
        [words.pool[i] for i in own] for own in drawn.positives
    ]
    assert {r["property"] for r in series["control_balance"]} == {"frequency", "length", "concreteness", "coherence"}


def test_an_inconclusive_row_says_what_would_have_been_enough():
    row = next(r for seed in range(10) if (r := headline(asked(SMALL, seed))).verdict == "inconclusive")
    said = float(re.search(r"To be supported it would have to carry over above (\S+) at least", row.note)[1])
    assert said >= row.reference + row.smallest_effect - 0.005
    assert said > row.estimate


def test_what_would_have_been_enough_would_have_been_enough(rng):
    """A score as high as the note says, but for its rounding, has an excess that counts."""
    found = replace(made(rng, 0.6, 0.0, 0.5), controls=np.linspace(0.0, 0.98, SETS))
    said = float(re.search(r"carry over above (\S+) at least", needed(found, 0.05))[1])
    assert replace(found, auroc=said + 0.005).excess_p < 0.05
    assert replace(found, auroc=said - 0.02).excess_p >= 0.05  # and no more is asked for than that


def test_the_same_seed_gives_the_same_rows_and_the_order_of_models_changes_no_number():
    run = planted(SMALL, 3)
    one, same = (shared(replace(run, memo={})) for _ in range(2))
    assert repr(one) == repr(same)
    turned = headline(shared(replace(run, subjects=run.subjects[::-1], memo={})))
    row = headline(one)
    assert (turned.model_a, turned.model_b) == (row.model_b, row.model_a)
    for name in ("estimate", "reference", "ci_low", "ci_high", "null_mean", "null_q95", "p"):
        assert getattr(turned, name) == pytest.approx(getattr(row, name), abs=1e-9), name


# Who counts


@pytest.mark.parametrize(
    ("said", "why"),
    [({"lineage": ("data:books",)}, "data:books"), ({"sha256": "one"}, "same weights")],
)
def test_relatives_are_details_however_well_they_agree(said, why):
    run = planted(STRESSED)
    answer = shared(described(run, one=said, other=said))
    (row,) = carried_rows(answer)
    assert row.estimate > 0.9
    assert (row.headline, row.verdict) == (False, "detail")
    assert why in row.note
    assert "not convergence" in row.note
    assert not any(f.headline for f in answer.findings)
    assert "two trained models" in answer.not_asked


def test_a_static_model_is_a_detail_however_well_it_agrees():
    run = planted(STRESSED)
    answer = shared(described(run, other={"kind": "static"}))
    (row,) = carried_rows(answer)
    assert row.estimate > 0.9
    assert (row.headline, row.verdict, row.kind_b) == (False, "detail", "static")
    assert "other is a static model" in row.note
    assert "two trained models" in answer.not_asked


def test_static_models_are_not_compared_with_each_other():
    run = planted(SMALL)
    assert not carried_rows(shared(described(run, one={"kind": "static"}, other={"kind": "static"})))


def test_of_three_models_only_unrelated_pairs_count():
    run = described(planted(SMALL), one={"lineage": ("data:books",)})
    answer = shared(with_third(run, lineage=("data:books",)))
    counted = {(f.model_a, f.model_b): f.headline for f in carried_rows(answer)}
    assert counted == {("one", "other"): True, ("one", "third"): False, ("other", "third"): True}
    rows = [f for f in answer.findings if f.headline]
    # Benjamini-Hochberg over the two: the detail row is none of its family
    low, high = sorted(rows, key=lambda f: f.p)
    assert (low.q, high.q) == pytest.approx((min(2 * low.p, high.p), high.p))
    assert not answer.not_asked


def test_one_model_alone_has_nothing_to_share():
    run = planted(SMALL)
    answer = shared(replace(run, subjects=run.subjects[:1], memo={}))
    assert not [f for f in answer.findings if f.model_b]
    assert "two trained models" in answer.not_asked


# When nothing can be said


def test_too_few_control_concepts_leave_it_open():
    """However well it is carried, and better than all there are."""
    row = headline(asked(replace(STRESSED, words=70, stressed=4.0)))
    assert row.estimate > 0.9
    assert row.p < 0.05
    assert row.verdict == "inconclusive"
    assert re.search(rf"Only \d+ of {SETS} matched control concepts", row.note)


@pytest.mark.parametrize("words", [12, 39, 40, 45])
def test_a_pool_of_a_few_words_gives_no_verdict_and_no_crash(words):
    """What is nearest to the concept is left out of its map: of 40 words nothing remains."""
    answer = asked(replace(SMALL, words=words))
    assert answer.not_asked or headline(answer).verdict == "inconclusive"


def test_too_few_kinds_of_words_leave_it_open():
    row = headline(asked(replace(STRESSED, words=100, stressed=4.0)))
    assert row.estimate > 0.9
    assert row.verdict == "inconclusive"
    assert "kinds of words are too few in this pool" in row.note


def test_a_concept_that_hangs_together_more_than_its_controls_leaves_it_open():
    row = headline(asked(replace(SMALL, gathered=8.0)))
    assert row.verdict == "inconclusive"
    assert "hang together more" in row.note


def test_two_models_that_carry_nothing_over_refute_nothing():
    run = planted(replace(SMALL, meaning=0.0))
    (chosen,) = chosen_sites(Carry(PoolWords(run)), [run.subjects])
    assert chosen.ordinary < GATE
    row = headline(shared(run))
    assert row.verdict == "inconclusive"
    assert "could not show agreement on any concept" in row.note
    assert f"mean AUROC of {chosen.ordinary:.2f} only" in row.note


def test_without_a_pool_it_is_not_asked():
    run = planted(SMALL)
    for name in ("background", "terms_in_pool"):
        answer = shared(replace(run, sets={k: v for k, v in run.sets.items() if k != name}, memo={}))
        assert answer.findings == []
        assert "no background pool" in answer.not_asked


def test_with_too_few_units_it_is_not_asked():
    least = TRAIN_UNITS + LEAST_TESTED
    answer = asked(replace(SMALL, positives=least - 1))
    assert answer.findings == []
    assert f"fewer than {least} independent pairs" in answer.not_asked
    assert not asked(replace(SMALL, positives=least)).not_asked


def test_where_a_verdict_is_ruled_out_no_score_is_said_to_have_been_enough():
    for world in (replace(STRESSED, words=70, stressed=4.0), replace(SMALL, gathered=8.0)):
        row = headline(asked(world))
        assert row.verdict == "inconclusive"
        assert "To be supported" not in row.note


# What was measured, from its parts


def made(rng: np.random.Generator, value: float, twins: float, center: float, units: int = 20) -> Transfer:
    """Any transfer; twins of 0 are no twins."""
    return Transfer(
        auroc=value,
        ways=(value, value),
        label_null=0.5 + 0.12 * rng.standard_normal(199),
        map_null=0.5 + 0.08 * rng.standard_normal(199),
        controls=np.clip(center + 0.1 * rng.standard_normal(SETS), 0, 1),
        twins=twins,
        twins_error=0.0,
        whose="2 twins of one" if twins else "none",
        without=value + 0.01 * rng.standard_normal(units),
        without_twins=twins + 0.01 * rng.standard_normal(units),
    )


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.floats(0.0, 1.0), st.sampled_from([0.0, 0.3, 0.6, 0.9]), st.floats(0.2, 0.9))
def test_the_reference_is_the_largest_and_the_p_the_largest(seed, value, twins, center):
    found = made(np.random.default_rng(seed), value, twins, center)
    told = measured(found, 20, 40)
    mean = float(found.controls.mean())
    assert told.reference == max(0.5, twins, mean)
    expected = "chance" if told.reference == 0.5 else "twins" if told.reference == twins else "control concepts"
    assert expected in told.reference_kind
    assert told.estimate == value
    assert told.p == max(add_one_p(value, null) for null in (found.label_null, found.map_null, found.controls))
    assert told.p >= 1 / (SETS + 1)
    assert told.ci_low <= told.estimate - told.reference + 1e-9
    low, _ = auroc_interval(value, 20, 20, told.c)
    # Any of three gains may fall short: each upper end is at a third of the level.
    _, high = auroc_interval(value, 20, 20, told.c * NormalDist().inv_cdf(1 - 0.025 / 3) / Z95)
    assert told.ci_low <= low - 0.5
    assert told.ci_high <= high - 0.5


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_transfer_is_the_mean_of_both_ways_and_its_twins_are_those_that_carry_more(order):
    """Every part by a call of its own: draws of labels one by one, and the twins of either model in its place."""
    run = planted(replace(SMALL, letters=1.0, twins=2))
    carry = Carry(PoolWords(run))
    a, b = (Side(run.subjects[i], SITES[0]) for i in order)
    exchanges, windows = Exchanges(carry, 5), carry.windows
    found = transfer(carry, Between(a, b, True, ""), exchanges, 5)

    def both_ways(one: Side, other: Side, label: np.ndarray, pairing: np.ndarray | None = None) -> list[np.ndarray]:
        pairings = None if pairing is None else pairing[None]
        return [carry.target(*way, label[None].astype(float), pairings)[-1] for way in ((one, other), (other, one))]

    def mean_auroc(scores: list[np.ndarray], label: np.ndarray) -> float:
        return float(np.mean([windows.auroc(s[None], label[None])[0] for s in scores]))

    own = both_ways(a, b, windows.label)
    assert found.auroc == pytest.approx(mean_auroc(own, windows.label))
    assert np.mean(found.ways) == pytest.approx(found.auroc)
    np.testing.assert_allclose(found.without, np.mean([windows.auroc_without_each_unit(s) for s in own], axis=0))
    under = [mean_auroc(both_ways(a, b, label), label) for label in exchanges.labels[1:]]
    over = [mean_auroc(both_ways(a, b, windows.label, p), windows.label) for p in exchanges.pairings]
    np.testing.assert_allclose(found.label_null, under)
    np.testing.assert_allclose(found.map_null, over)
    stand_in = {
        a.subject.name: [(replace(a, subject=t), b) for t in a.subject.twins],
        b.subject.name: [(a, replace(b, subject=t)) for t in b.subject.twins],
    }
    scores = {name: [s for pair in pairs for s in both_ways(*pair, windows.label)] for name, pairs in stand_in.items()}
    carried_by = {name: mean_auroc(each, windows.label) for name, each in scores.items()}
    best = max(carried_by, key=lambda name: carried_by[name])
    assert len({round(v, 6) for v in carried_by.values()}) == 2
    assert found.twins == pytest.approx(carried_by[best])
    assert found.whose == f"2 twins of {best}"
    without = np.mean([windows.auroc_without_each_unit(s) for s in scores[best]], axis=0)
    np.testing.assert_allclose(found.without_twins, without)
    np.testing.assert_allclose(found.controls, (carry.controls(a, b) + carry.controls(b, a)) / 2.0)


def test_without_twins_chance_and_control_concepts_are_what_is_left():
    run = planted(replace(SMALL, twins=0))
    row = headline(shared(run))
    assert "twin" not in row.reference_kind
    assert row.effect == pytest.approx(row.estimate - row.reference)


def test_each_rival_alone_can_take_the_lower_end_below_zero(rng):
    """Chance, twins and control concepts: an effect must clear all of them."""
    assert measured(made(rng, 0.95, 0.4, 0.4), 20, 40).ci_low > 0
    assert measured(made(rng, 0.95, 0.95, 0.4), 20, 40).ci_low < 0
    assert measured(made(rng, 0.95, 0.4, 0.93), 20, 40).ci_low < 0
    assert measured(made(rng, 0.55, 0.4, 0.4), 20, 40).ci_low < 0


def test_a_wider_null_of_labels_widens_the_interval(rng):
    found = made(rng, 0.8, 0.0, 0.6)
    wider = replace(found, label_null=0.5 + 3.0 * (found.label_null - 0.5))
    narrow, wide = (measured(f, 20, 40) for f in (found, wider))
    assert wide.c > narrow.c
    assert wide.ci_low < narrow.ci_low
    assert wide.ci_high > narrow.ci_high


def test_twins_that_differ_among_themselves_widen_the_interval(rng):
    """Other seeds would have given other twins."""
    found = made(rng, 0.8, 0.75, 0.4)
    alike, apart = (measured(replace(found, twins_error=error), 20, 40) for error in (0.0, 0.1))
    assert apart.ci_low < alike.ci_low - 0.1
    assert apart.estimate - apart.reference == alike.estimate - alike.reference


def test_a_pair_without_control_concepts_is_measured_against_chance_and_twins(rng):
    run = planted(SMALL)
    found = replace(made(rng, 0.9, 0.6, 0.5, 12), controls=np.zeros(0))
    told = measured(found, 12, 24)
    assert told.reference == 0.6
    assert told.p == 1.0  # no set was drawn, so none was beaten
    between = Between(*(Side(s, SITES[0]) for s in run.subjects), True, "")
    row = transfer_row(Carry(PoolWords(run)), between, found, headline=True)
    assert np.isfinite([row.estimate, row.reference, row.ci_low, row.ci_high, row.p]).all()


# The words


def framed(rng: np.random.Generator) -> tuple[RunContext, dict[tuple[str, str], np.ndarray]]:
    """Words in three frames in a mixed order; `both` is a positive and a control. With every row by word and frame."""
    run = SMALL.run(("shared",), "frames", seed=0)
    sets, rows = {}, {}
    for name in ("background", "terms_in_pool"):
        stimuli = []
        for s in run.sets[name].stimuli[:8] if name == "background" else run.sets[name].stimuli:
            if s.group("unit") == "u3":
                s = replace(s, groups=tuple((k, "both" if k == "term" else v) for k, v in s.groups))
            for frame in ("a", "b", "c"):
                groups = tuple((k, frame if k == "template" else v) for k, v in s.groups)
                stimuli.append(replace(s, id=f"{s.id}/{s.role}/{frame}", groups=groups))
        sets[name] = StimulusSet(name, tuple(stimuli[i] for i in rng.permutation(len(stimuli))))
        rows[name] = rng.standard_normal((len(stimuli), 5))
    return replace(run, sets=sets, read=lambda model, name, site, pooling: rows[name], memo={}), rows


def test_words_are_means_over_frames_and_a_string_may_be_positive_and_control(rng):
    run, rows = framed(rng)
    words = PoolWords(run)
    assert len(words.pool) == 8
    assert len(words.terms) == len(words.positive) == len(words.unit) == 24
    assert words.terms.count("both") == 2
    assert sorted(words.positive[[t == "both" for t in words.terms]]) == [False, True]
    assert len(set(words.unit[[t == "both" for t in words.terms]])) == 1
    assert [words.ground, words.n, words.focus.sum(), words.focus[:8].sum()] == [8, 32, 12, 0]
    assert sorted(words.frames) == ["a", "b", "c"]
    for frames in ((), ("a",), ("c", "b")):
        found = words.vectors(run.subjects[0], SITES[0], frames)
        said = [("background", w, "") for w in words.pool]
        said += [
            ("terms_in_pool", t, "positive" if p else "near") for t, p in zip(words.terms, words.positive, strict=True)
        ]
        for row, (name, word, tier) in zip(found, said, strict=True):
            own = [
                x
                for s, x in zip(run.sets[name], rows[name], strict=True)
                if (s.group("word") or s.group("term")) == word
                and (s.group("tier") or "") == tier
                and s.group("template") in (frames or ("a", "b", "c"))
            ]
            assert len(own) == len(frames or "abc")
            np.testing.assert_allclose(row, np.mean(own, axis=0))


def test_properties_of_words_are_their_length_frequency_and_concreteness():
    run = SMALL.run(("shared",), "properties", seed=0)

    def renamed(stimulus, name):
        return replace(stimulus, groups=tuple((k, name if k == "word" else v) for k, v in stimulus.groups))

    background = run.sets["background"].stimuli
    named = (renamed(background[0], "house"), renamed(background[1], "steam engine"), *background[2:])

    def read(model, set_name, site, pooling):
        rows = run.read(model, set_name, site, pooling).copy()
        if set_name == "background" and site == "proxies":
            rows[2] = 0.0
        return rows

    changed = replace(run, sets={**run.sets, "background": StimulusSet("background", named)}, read=read, memo={})
    properties = PoolWords(changed).properties
    assert properties[:3, 1].tolist() == [5.0, 5.5, 7.0]
    assert properties[0, 0] > 4.0  # Zipf: more often than ten times in a million words
    concrete = run.read(RULER, "background", "proxies", "concept_span")[:, 1]
    np.testing.assert_allclose(properties[[0, 1, 3], 2], concrete[[0, 1, 3]])
    assert np.isnan(properties[2, 2])
