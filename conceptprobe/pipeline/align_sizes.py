"""Score against n (DESIGN rule 11): the same metric on an eighth, a quarter and a half of the items, and on all of them.

A metric that is not debiased changes with n whatever the model, and so does the chance level of neighbour metrics at one k;
so the null is measured at every size beside the score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import ConceptprobeError
from conceptprobe.pipeline.align_config import Chosen
from conceptprobe.stats.seeds import generator

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

SHARES = (8, 4, 2)
"""Parts of the items: 1/8, 1/4, 1/2, and then all."""
DRAWS, DRAWS_OF_MANY, MANY = 10, 3, 2000
"""Subsamples per size; of more than MANY items, which cost most and vary least, only DRAWS_OF_MANY."""
RENAMINGS = 10
"""Permutations per subsample: enough for the mean of a null, not for a p."""


@dataclass(frozen=True)
class Size:
    """A metric at one number of items, for one pair of sites.

    mean, sd: over subsamples without replacement, which overlap, so that sd is no standard error; sd is nan for all items,
    which have the jackknife's interval instead (nan elsewhere). mean is nan, and `note` says why, where n items are too few.
    """

    metric: str
    a: str
    b: str
    site_a: str
    site_b: str
    n: int
    subsamples: int
    mean: float
    sd: float
    null_mean: float
    ci_low: float = math.nan
    ci_high: float = math.nan
    note: str = ""


def score_against_n(
    chosen: Chosen,
    x: Float[np.ndarray, "n dx"],
    y: Float[np.ndarray, "n dy"],
    whole: Size,
    focus: Bool[np.ndarray, " n"] | None,
    seed: int,
) -> list[Size]:
    """The rows of one metric, sizes ascending; the last is `whole`. Every metric sees the same subsamples.

    focus: the items that ask; a subsample has their share, and two of them or more.
    """
    sizes = sorted({len(x) // share for share in SHARES} - {0, len(x)})
    return [*(_at(chosen, x, y, whole, focus, n, seed) for n in sizes), whole]


def _at(
    chosen: Chosen,
    x: Float[np.ndarray, "all dx"],
    y: Float[np.ndarray, "all dy"],
    whole: Size,
    focus: Bool[np.ndarray, " all"] | None,
    n: int,
    seed: int,
) -> Size:
    draws = DRAWS if n <= MANY else DRAWS_OF_MANY
    rng = generator(seed, "align", "subsamples", str(n))
    values, nulls = [], []
    empty = replace(whole, n=n, mean=math.nan, null_mean=math.nan, ci_low=math.nan, ci_high=math.nan, subsamples=0)
    for _ in range(draws):
        rows = _subsample(len(x), n, focus, rng)
        orders = rng.permuted(np.tile(np.arange(n), (RENAMINGS, 1)), axis=1)
        asks = None if focus is None else focus[rows]
        try:
            with np.errstate(all="ignore"):  # a number that is none makes the whole size nan
                chosen.metric.check(n, x.shape[1], y.shape[1])
                a, b = chosen.metric.prepare(np.asarray(x[rows])), chosen.metric.prepare(np.asarray(y[rows]))
                values.append(float(chosen.metric.compare(a, b, asks)))
                nulls.append(float(np.mean(chosen.metric.null(a, b, orders, asks))))
        except (ConceptprobeError, ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
            return replace(empty, note=str(error))
    if not np.isfinite(values).all():
        return replace(empty, note=f"not a number on some subsamples of {n:,} items")
    return replace(
        empty, subsamples=draws, mean=float(np.mean(values)), sd=_sd(values), null_mean=float(np.mean(nulls))
    )


def _sd(values: list[float]) -> float:
    return float(np.std(values, ddof=1))


def _subsample(
    n: int, wanted: int, focus: Bool[np.ndarray, " n"] | None, rng: np.random.Generator
) -> Int[np.ndarray, " wanted"]:
    """Items in ascending order, without replacement."""
    if focus is None:
        return np.sort(rng.permutation(n)[:wanted])
    asking, others = rng.permutation(np.flatnonzero(focus)), rng.permutation(np.flatnonzero(~focus))
    many = min(len(asking), max(2, round(wanted * len(asking) / n)), wanted)
    many = max(many, wanted - len(others))
    return np.sort(np.concatenate([asking[:many], others[: wanted - many]]))
