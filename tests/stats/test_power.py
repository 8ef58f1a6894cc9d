"""Power by simulation: what it must obey, and that what is simulated is the rule that evidence uses."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.evidence.rows import Rival, against_baselines, against_chance, guard_of
from conceptprobe.stats.auroc import auroc_interval
from conceptprobe.stats.design import Design
from conceptprobe.stats.exchange import rank_swap_null
from conceptprobe.stats.multiplicity import benjamini_hochberg
from conceptprobe.stats.power import (
    Rule,
    about,
    auroc_power,
    power_curve,
    power_sentence,
    rule_power,
    units_needed,
)
from conceptprobe.stats.ranked import Ranked
from conceptprobe.stats.simulation import Simulation, replications
from conceptprobe.stats.verdict import units_guard, verdict

KINDS = {
    "pooled against chance": Rule(24, 0.1),
    "four models": Rule(24, 0.1, rows=4),
    "sentences against a baseline": Rule(40, 0.05, folds=5, scorers=1, swap=True, rows=2),
    "three twins": Rule(29, 0.05, scorers=3),
    "wide null": Rule(30, 0.1, c=1.4),
}
kinds = pytest.mark.parametrize("rule", KINDS.values(), ids=KINDS)


def pairs(n: int, folds: int) -> Design:
    unit = np.tile(np.arange(n), 2)
    nothing = np.zeros(2 * n, dtype=int)
    return Design(np.arange(2 * n), nothing, np.repeat([1, -1], n), unit, unit % folds, pooled=folds == 1)


def shares(answers: list[str]) -> np.ndarray:
    return np.array([answers.count(a) / len(answers) for a in ("supported", "absent", "inconclusive")])


@given(
    n=st.integers(6, 30),
    folds=st.integers(1, 3),
    apart=st.floats(-1, 3),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None)
def test_ranks_of_pairs_agree_with_the_general_forms(n, folds, apart, seed):
    rng = np.random.default_rng(seed)
    design = pairs(n, folds)
    a, b = rng.standard_normal((2, 3, 2 * n)) + apart * (design.label > 0)
    x, y = Ranked(a, np.arange(n) % folds), Ranked(b, np.arange(n) % folds)
    np.testing.assert_allclose(x.auroc(), design.auroc(a), atol=1e-12)
    np.testing.assert_allclose(x.without_each(), design.auroc_without_each_unit(a), atol=1e-12)
    weights = x.swap_weights(y)
    for i in range(3):
        observed, null = rank_swap_null(a[i], b[i], design, 20, np.random.default_rng(seed))
        signs = 1 - 2 * np.random.default_rng(seed).integers(0, 2, size=(20, n))
        assert weights[i].sum() == pytest.approx(observed, abs=1e-12)
        np.testing.assert_allclose(signs @ weights[i], null, atol=1e-12)


@pytest.mark.parametrize(
    ("rule", "effect"),
    [
        (Rule(24, 0.1, rows=2), 0.0),
        (Rule(24, 0.1, rows=2), 0.22),
        (Rule(40, 0.05, folds=5, scorers=1, swap=True, rows=2), 0.25),
        (Rule(40, 0.05, reference=0.7, scorers=1, swap=True, folds=4), 0.2),
        (Rule(60, 0.25, folds=5, scorers=1, swap=True), 0.0),
    ],
)
def test_the_simulation_agrees_with_the_rule_taken_one_row_at_a_time(rule, effect):
    """The oracle is the code that makes headline rows: `against_baselines`, BH, guards and `verdict`, on scores of its
    own and with a null that is fresh noise through the same AUROC."""
    rng = np.random.default_rng(7)
    design, draws, questions = pairs(rule.units, rule.folds), 299, 120 // rule.rows
    normal = NormalDist()

    def scores(auroc: float, n: int = 1) -> np.ndarray:
        apart = math.sqrt(2) * normal.inv_cdf(auroc)
        return rng.standard_normal((n, design.n_items)) + apart * (design.label > 0)

    answers = []
    for _ in range(questions):
        rows = []
        for _ in range(rule.rows):
            own = np.vstack([scores(rule.reference + effect), scores(0.5, draws)])
            aurocs = np.asarray(design.auroc(own))
            if rule.scorers:
                rival = Rival("b", scores(rule.reference)[0])
                rows.append(against_baselines(own, aurocs, [rival], design, rng))
            else:
                rows.append(against_chance(aurocs, design))
        q = benjamini_hochberg(np.array([row.p for row in rows]))
        answers += [
            verdict(
                estimate=row.estimate,
                reference=row.reference,
                ci_low=row.ci_low,
                ci_high=row.ci_high,
                q=float(value),
                smallest_effect=rule.smallest_effect,
                guard=guard_of(row, rule.smallest_effect) or units_guard(row.units),
            )
            for row, value in zip(rows, q, strict=True)
        ]
    found = shares(list(Simulation(rule).answers(effect)))
    error = np.sqrt(0.25 * (1 / len(answers) + 1 / replications(rule)))
    assert np.abs(shares(answers) - found).max() < 3.5 * error, (shares(answers), found)


@kinds
def test_an_absent_effect_is_hardly_ever_called_supported(rule):
    assert rule_power(rule).p_supported_if_none <= 0.05


@kinds
def test_power_grows_with_the_effect_and_the_curve_tells_where_it_passes_80_percent(rule):
    curve = dict(power_curve(rule))
    values = list(curve.values())
    assert all(b >= a - 0.01 for a, b in itertools.pairwise(values))
    power = rule_power(rule)
    assert curve[0.0] == power.p_supported_if_none
    below = [share for effect, share in curve.items() if effect < power.detectable - 0.01]
    above = [share for effect, share in curve.items() if effect >= power.detectable]
    assert max(below) < 0.8 <= min(above)


@kinds
def test_power_grows_with_units(rule):
    some = [rule_power(replace(rule, units=n)) for n in (20, 60, 180)]
    assert some[0].detectable > some[1].detectable > some[2].detectable
    assert some[0].p_absent_if_none < some[1].p_absent_if_none < some[2].p_absent_if_none


def test_an_effect_of_the_smallest_size_is_found_in_half_of_all_cases_at_most():
    """Its estimate must reach it: no number of units changes that, so none is named."""
    assert rule_power(Rule(400, 0.1)).p_supported_at_smallest == pytest.approx(0.5, abs=0.12)
    assert units_needed(0.1, Rule(24, 0.1)) is None
    assert units_needed(0.1 + 1e-12, Rule(24, 0.1)) is None


@pytest.mark.parametrize("effect", [0.0, 0.2, 0.3])
@pytest.mark.parametrize("rule", [Rule(24, 0.1), Rule(40, 0.1, folds=5, scorers=1, swap=True)])
def test_the_units_needed_are_enough_and_a_quarter_fewer_are_not(effect, rule):
    n = units_needed(effect, rule)
    answer = "supported" if effect else "absent"
    # Fresh noise: of another number of replications' worth of rows.
    enough = Simulation(replace(rule, units=n, permutations=1999)).answers(effect)
    fewer = Simulation(replace(rule, units=round(0.7 * n), permutations=1999)).answers(effect)
    assert enough.count(answer) / len(enough) > 0.74
    assert fewer.count(answer) / len(fewer) < 0.8


def test_where_the_search_begins_hardly_matters():
    found = {units_needed(0.2, Rule(n, 0.1)) for n in (10, 24, 100, 900)}
    assert max(found) <= 1.25 * min(found)


def test_a_wider_null_a_measured_reference_and_folds_all_cost_power():
    plain = dict(power_curve(Rule(30, 0.1)))[0.2]
    for dearer in (Rule(30, 0.1, c=1.5), Rule(30, 0.1, scorers=1, swap=True), Rule(30, 0.1, folds=10)):
        assert dict(power_curve(dearer))[0.2] < plain - 0.05
    twins, baseline = Rule(30, 0.1, scorers=5), Rule(30, 0.1, scorers=1)
    assert rule_power(twins).detectable < rule_power(baseline).detectable


def test_spread_and_inflation_are_those_of_the_null_that_was_asked_for():
    """c is the spread of the simulated null over Hanley-McNeil, whether folds or a shared luck of the draw make it."""
    for rule in (Rule(30, 0.1), Rule(30, 0.1, folds=6), Rule(30, 0.1, c=1.6), Rule(30, 0.1, c=1.6, folds=6)):
        simulation = Simulation(rule)
        null = simulation.ranked(0, 0.5).auroc()
        assert null.std() == pytest.approx(simulation.spread, rel=0.07)
        assert null.mean() == pytest.approx(0.5, abs=0.02)
        assert simulation.ranked(0, 0.8).auroc().mean() == pytest.approx(0.8, abs=0.02)
        assert simulation.c >= max(1.0, rule.c)


def test_the_interval_between_grid_points_is_the_interval():
    simulation = Simulation(Rule(17, 0.1, c=1.3))
    grid, lows, highs = simulation._interval
    for value in np.random.default_rng(0).uniform(size=20):
        low, high = auroc_interval(value, 17, 17, simulation.c)
        assert np.interp(value, grid, lows) == pytest.approx(low, abs=1e-3)
        assert np.interp(value, grid, highs) == pytest.approx(high, abs=1e-3)


@pytest.mark.parametrize("units", [0, 1, 2, 9])
def test_with_too_few_units_nothing_can_be_found(units):
    power = auroc_power(units, 0.1)
    assert math.isnan(power.detectable)
    assert (power.p_absent_if_none, power.p_supported_at_smallest, power.p_supported_if_none) == (0.0, 0.0, 0.0)
    assert set(dict(power_curve(Rule(units, 0.1))).values()) == {0.0}
    assert "no effect up to the ceiling" in power_sentence(Rule(units, 0.1))
    assert units_needed(0.2, Rule(units, 0.1)) >= 10


def test_a_baseline_at_the_ceiling_leaves_nothing_to_find():
    for rule in (Rule(50, 0.1, 0.95), Rule(50, 0.05, 0.97, scorers=1, swap=True, folds=5)):
        power = rule_power(rule)
        assert math.isnan(power.detectable)
        assert power.p_supported_if_none < 0.05
        assert units_needed(2 * rule.smallest_effect, rule) is None


def test_the_sentence_of_an_inconclusive_row_names_what_is_out_of_reach():
    said = power_sentence(Rule(24, 0.1))
    power, twice, none = rule_power(Rule(24, 0.1)), units_needed(0.2, Rule(24, 0.1)), units_needed(0.0, Rule(24, 0.1))
    assert said == (
        f"With 24 units per class, effects from {power.detectable:.2f} up are found in 80% of cases; finding an effect of "
        f"0.20 takes {about(twice)} units, calling none absent {about(none)}."
    )
    assert power_sentence(Rule(220, 0.1)).count(";") == 0
    assert "calling none absent takes about" in power_sentence(Rule(60, 0.1))
    assert (about(None), about(137), about(33)) == ("more than 1000", "about 140", "about 33")


@given(
    rule=st.builds(
        Rule,
        units=st.integers(10, 40),
        smallest_effect=st.sampled_from([0.05, 0.1, 0.2]),
        reference=st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.9, 1.0]),
        c=st.floats(0.5, 4.0),
        folds=st.integers(1, 10),
        scorers=st.integers(0, 2),
        swap=st.booleans(),
        rows=st.integers(1, 7),
    )
)
@settings(max_examples=15, deadline=None)
def test_figures_are_shares_and_nothing_is_found_below_the_smallest_effect(rule):
    power = rule_power(rule)
    for share in (power.p_absent_if_none, power.p_supported_at_smallest, power.p_supported_if_none):
        assert 0.0 <= share <= 1.0
    assert power.p_supported_if_none <= 0.06
    assert math.isnan(power.detectable) or power.detectable >= rule.smallest_effect


def test_the_same_rule_gives_the_same_figures():
    rule = Rule(26, 0.1, c=1.1)
    first = rule_power(rule)
    rule_power.cache_clear()
    assert rule_power(rule) == first
