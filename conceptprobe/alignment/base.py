"""What every alignment metric offers: a value, a null by items, and the value with each item left out.

Rows are items (words, pictures), the same in both spaces and in the same order; templated rows are averaged to one vector per
item before anything here sees them. `prepare` does the work of one space once (a Gram, neighbour lists, ranked distances), so
that comparing many pairs, permuting and leaving out cost little.

A metric is a frozen dataclass whose fields are its settings (`k`, `sigma`), and `declare` makes it known under the name of one
variant.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from conceptprobe.errors import TooFewRows, UsageError
from conceptprobe.registry import register

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Metric(ABC):
    """A metric of two spaces."""

    def __call__(self, x: Float[np.ndarray, "n dx"], y: Float[np.ndarray, "n dy"]) -> float:
        """The metric on raw features. Raises UsageError where the rows differ in number, and whatever `check` raises."""
        if len(x) != len(y):
            raise UsageError(f"{len(x)} rows cannot be compared with {len(y)}: they must be the same items")
        self.check(len(x), x.shape[1], y.shape[1])
        return self.compare(self.prepare(x), self.prepare(y))

    def check(self, n: int, dx: int, dy: int) -> None:
        """Raises TooFewRows where n items are too few for the metric, in dx and dy dimensions."""
        least = self.least_rows
        if n < least:
            raise TooFewRows(f"{n} rows are too few: at least {least} are needed")

    @property
    @abstractmethod
    def least_rows(self) -> int:
        """Items below which the metric is not defined, or cannot leave one out."""

    @abstractmethod
    def prepare(self, x: Float[np.ndarray, "n d"]) -> Any:
        """Whatever of one space is used again and again."""

    @abstractmethod
    def compare(self, a: Any, b: Any, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """The metric on two prepared spaces. `focus`: only these items ask, all answer (local metrics; None for others)."""

    @abstractmethod
    def null(
        self, a: Any, b: Any, permutations: Int[np.ndarray, "k n"], focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " k"]:
        """The metric with the items of b renamed by each permutation: equal to preparing y[order] anew."""

    @abstractmethod
    def leave_one_out(self, a: Any, b: Any, focus: Bool[np.ndarray, " n"] | None = None) -> Float[np.ndarray, " n"]:
        """The metric with each item deleted from both spaces, for a jackknife."""


def renamed(
    square: Float[np.ndarray, "n n"], permutations: Int[np.ndarray, "k n"]
) -> Iterator[Float[np.ndarray, "n n"]]:
    """The matrix with its items renamed by each permutation, square[p][:, p]; every one overwrites the one before.

    Rows first, then columns, into memory that is there already: a third of the time of one gather of scattered cells.
    """
    rows, both = np.empty_like(square), np.empty_like(square)
    for order in permutations:
        # "clip" only because "raise" would copy through a buffer of its own; permutations are in range.
        np.take(square, order, axis=0, out=rows, mode="clip")
        np.take(rows, order, axis=1, out=both, mode="clip")
        yield both


def declare(
    name: str,
    metric: Metric,
    *,
    about: str,
    fails: str,
    source: str,
    invariant_to: tuple[str, ...] = ("rotation", "isotropic scale", "translation"),
    closer: Literal["higher", "lower"] = "higher",
    symmetric: bool = True,
    local: bool = False,
    cost: str = "n^2 d",
) -> None:
    """Register a metric under the name of one variant, with what `conceptprobe list metrics` says of it.

    fails: where it is known to mislead. source: the paper. closer: which end means alike. symmetric: False where (a, b) and
    (b, a) are two questions. local: True where `focus` may name the items that ask. cost: multiplications in n items and d
    dimensions. Raises UsageError where the name is taken.
    """
    register(
        "metric",
        name,
        about=about,
        invariant_to=invariant_to,
        closer=closer,
        symmetric=symmetric,
        local=local,
        cost=cost,
        fails=fails,
        source=source,
    )(metric)
