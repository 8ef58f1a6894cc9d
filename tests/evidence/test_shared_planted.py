"""Verdicts on planted agreement: what is carried better than twins and control concepts carry it counts, and nothing else.

How often verdicts are wrong, and intervals miss, is what `conceptprobe calibrate` tells (tests/calibration).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from conceptprobe.evidence.finding import Finding
from evidence.test_shared import SMALL, STRESSED, asked, headline

SEEDS = range(20)


def rows_of(world, seeds=SEEDS) -> list[Finding]:
    return [headline(asked(world, seed)) for seed in seeds]


@pytest.mark.slow
def test_a_concept_carried_better_than_any_ordinary_one_is_supported():
    """Both models have its words nearer to each other than texts tell."""
    rows = rows_of(STRESSED)
    assert Counter(row.verdict for row in rows)["supported"] >= 16
    assert Counter("control concepts" in row.reference_kind for row in rows)[True] >= 16


@pytest.mark.slow
def test_a_concept_carried_as_well_by_twins_is_never_supported():
    """It is carried nearly perfectly, better than control concepts, and the twins carry it as well."""
    rows = rows_of(replace(SMALL, meaning=0.0, letters=1.0, stressed=4.0))
    assert np.mean([row.estimate for row in rows]) > 0.9
    assert np.mean([row.p < 0.05 for row in rows]) > 0.8
    assert not any(row.verdict == "supported" for row in rows)
    assert Counter("twin" in row.reference_kind for row in rows)[True] >= 18
    assert abs(np.mean([row.effect for row in rows])) < 0.03


@pytest.mark.slow
def test_a_concept_carried_as_ordinary_ones_are_is_rarely_supported():
    """In 5 of 100 at the most: of 20, four or more have a probability of 0.016."""
    rows = rows_of(SMALL)
    assert np.mean([row.estimate for row in rows]) > 0.6  # it is carried, and as others are
    assert abs(np.mean([row.effect for row in rows])) < 0.12
    assert Counter(row.verdict for row in rows)["supported"] <= 3
