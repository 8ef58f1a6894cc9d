"""Promises against counts: by hand where it can be done by hand, and with a statistic that was broken on purpose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from conceptprobe import registry
from conceptprobe.activations import Store
from conceptprobe.calibration.replicate import Outcome, Replicated, outcomes, replicate
from conceptprobe.calibration.rows import ROWS, Asked, rows_named
from conceptprobe.calibration.table import Check, clopper_pearson, tabulate
from conceptprobe.calibration.truth import Truth
from conceptprobe.evidence.context import Answer
from conceptprobe.stats.verdict import verdict

(NOTHING,) = rows_named(("template-only",))


USUAL = Outcome(0, "encoded", "inconclusive", 0.5, 0.0, -0.1, 0.1, p=0.5, units=20, estimate_debiased=float("nan"))


def outcome(i: int, **given: Any) -> Outcome:
    return replace(USUAL, replication=i, **given)


def table_of(made, row=NOTHING, truth=0.0):
    (line,) = tabulate([Replicated(row, {"encoded": Truth(truth)}, tuple(made))])
    return line


def test_the_exact_interval_by_hand():
    low, high = clopper_pearson(0, 20, 0.05)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 20))
    low, high = clopper_pearson(20, 20, 0.05)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    wide, narrow = clopper_pearson(10, 200, 0.05 / 60), clopper_pearson(10, 200, 0.05)
    assert wide[0] < narrow[0] < 0.05 < narrow[1] < wide[1]


def test_counts_are_counts():
    verdicts = ["supported"] * 3 + ["absent"] * 5 + ["inconclusive"] * 92
    line = table_of([outcome(i, verdict=v, p=0.01 if i < 7 else 0.9) for i, v in enumerate(verdicts)])
    assert (line.n, line.supported, line.absent, line.inconclusive, line.small_p) == (100, 3, 5, 92, 7)


def test_coverage_counts_intervals_that_hold_the_truth():
    made = [outcome(i, ci_low=-0.1 if i < 95 else 0.01) for i in range(100)]
    line = table_of(made)
    assert line.covered == 95
    assert not line.failed
    assert table_of(made, truth=0.005).covered == 95
    assert table_of(made, truth=0.05).covered == 100


def test_bias_is_the_mean_estimate_less_the_truth():
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    line = table_of([outcome(i, estimate=float(v)) for i, v in enumerate(values)])
    assert line.biased == "estimate"
    assert line.bias == pytest.approx(values.mean() - 0.5)
    assert line.bias_error == pytest.approx(values.std(ddof=1) / 20)


@pytest.mark.parametrize(
    ("share", "given", "promise"),
    [
        (0.2, {"verdict": "supported"}, "never supported"),
        (0.3, {"ci_low": 0.05}, "coverage"),
        (1.0, {"estimate": 0.53}, "bias"),
    ],
)
def test_each_promise_can_fail(share, given, promise):
    sound = [outcome(i, estimate=0.5 + 0.001 * (-1) ** i, ci_low=0.05 if i % 20 == 0 else -0.1) for i in range(400)]
    assert not table_of(sound).failed
    broken = [replace(o, **given) if i < share * 400 else o for i, o in enumerate(sound)]
    assert [check.promise for check in table_of(broken).failed] == [promise]


def test_a_false_absent_fails_where_there_is_an_effect():
    (row,) = rows_named(("smallest-effect",))
    made = [outcome(i, verdict="absent" if i < 40 else "inconclusive", effect=0.1, estimate=0.6) for i in range(200)]
    assert "never absent" in [check.promise for check in table_of(made, row, truth=0.1).failed]


def test_coverage_of_everything_is_a_failing_too():
    """Intervals that always hold the truth are too wide."""
    assert "coverage" in [check.promise for check in table_of([outcome(i) for i in range(2000)]).failed]


def test_the_level_is_shared_by_all_checks():
    """A share that one check alone would call broken is borne among many."""
    made = tuple(outcome(i, verdict="supported" if i < 20 else "inconclusive") for i in range(200))
    one = replace(NOTHING, asked=(Asked("encoded", ("never supported",)),))
    (alone,) = tabulate([Replicated(one, {"encoded": Truth(0.0)}, made)])
    many = tabulate([Replicated(one, {"encoded": Truth(0.0)}, made)] * 60)
    assert alone.failed
    assert not any(line.failed for line in many)


def test_a_check_fails_only_where_its_interval_excludes_the_promise():
    assert Check("coverage", 0.9, 0.85, 0.921, (0.92, 0.98)).held
    assert not Check("coverage", 0.9, 0.85, 0.919, (0.92, 0.98)).held
    assert not Check("coverage", 1.0, 0.981, 1.0, (0.92, 0.98)).held


def test_a_broken_statistic_is_found_out():
    """The real questions with an estimate that forgets to hold anything out: the table says so."""

    def optimistic(question, run):
        answer = registry.get("question", question)(run)
        rows = []
        for row in answer.findings:
            better = replace(row, estimate=row.estimate + 0.3, effect=row.effect + 0.3, ci_low=row.ci_low + 0.3)
            better = replace(better, ci_high=row.ci_high + 0.3, p=0.001, q=0.001)
            told = verdict(
                estimate=better.estimate,
                reference=better.reference,
                ci_low=better.ci_low,
                ci_high=better.ci_high,
                q=better.q,
                smallest_effect=better.smallest_effect,
            )
            rows.append(replace(better, verdict=told))
        return Answer(rows)

    (row,) = rows_named(("template-only",))
    row = replace(row, world=replace(row.world, templates=3))
    found = {
        name: tabulate([Replicated(row, {"encoded": Truth(0.0)}, tuple(outcomes(row, 0, 24, 0, ask)))])[0]
        for name, ask in (("sound", None), ("broken", optimistic))
    }
    assert not found["sound"].failed
    assert {check.promise for check in found["broken"].failed} == {"never supported", "coverage", "bias"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_replications_keep_every_promise(tmp_path):
    lines = tabulate(replicate(ROWS, 200, 0, Store(tmp_path), workers=2))
    assert {line.row: [(c.promise, c.found, c.low, c.high) for c in line.failed] for line in lines if line.failed} == {}
    strong = {line.question: line.supported / line.n for line in lines if line.row == "strong-direction"}
    assert strong["encoded"] > 0.6
    assert strong["beyond_words"] > 0.5
