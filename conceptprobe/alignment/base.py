"""What every alignment metric offers: a value, a null by words, and the value with each word left out.

Rows are words, the same in both spaces and in the same order; templated rows are averaged to one vector per word
before anything here sees them. `prepare` does the work of one space once (a Gram, neighbour lists, ranked distances),
so that comparing many pairs, permuting and leaving out cost little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Int


class Metric(Protocol):
    """A metric of two spaces; larger means more alike."""

    def __call__(self, x: Float[np.ndarray, "n dx"], y: Float[np.ndarray, "n dy"]) -> float:
        """The metric on raw features."""
        ...

    def prepare(self, x: Float[np.ndarray, "n d"]) -> Any:
        """Whatever of one space is used again and again."""
        ...

    def compare(self, a: Any, b: Any, focus: Bool[np.ndarray, " n"] | None = None) -> float:
        """The metric on two prepared spaces. `focus`: only these words ask, all words answer (local metrics)."""
        ...

    def null(
        self, a: Any, b: Any, permutations: Int[np.ndarray, "k n"], focus: Bool[np.ndarray, " n"] | None = None
    ) -> Float[np.ndarray, " k"]:
        """The metric with the words of b renamed by each permutation."""
        ...

    def leave_one_out(self, a: Any, b: Any, focus: Bool[np.ndarray, " n"] | None = None) -> Float[np.ndarray, " n"]:
        """The metric with each word deleted from both spaces."""
        ...
