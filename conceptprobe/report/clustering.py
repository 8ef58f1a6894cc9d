"""The order in which the leaves of a tree are drawn: neighbours as near to each other as the tree allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

_Best = dict[tuple[int, int], tuple[float, tuple[int, ...]]]
"""For the first and the last leaf of a branch: the least sum of neighbours' distances between them, and the leaves."""


def arranged(tree: Float[np.ndarray, "joins 4"], away: Float[np.ndarray, "m m"]) -> tuple[int, ...]:
    """The order of leaves with the least sum of neighbours' distances that the tree allows; of equals, the first.

    Bar-Joseph, Gifford & Jaakkola (2001), exactly; `scipy.cluster.hierarchy.optimal_leaf_ordering` often misses it
    (its issue 11227).
    """
    branches: list[_Best] = [{(i, i): (0.0, (i,))} for i in range(len(away))]
    nothing: tuple[float, tuple[int, ...]] = (float("inf"), ())
    for a, b, *_ in tree:
        left, right = branches[int(a)], branches[int(b)]
        firsts = {first for first, _ in right}
        reached: _Best = {}  # (first of the left, first of the right)
        for (first, last), (cost, leaves) in left.items():
            for after in firsts:
                way = (cost + float(away[last, after]), leaves)
                reached[first, after] = min(reached.get((first, after), nothing), way)
        whole: _Best = {}
        for (first, after), (cost, leaves) in reached.items():
            for (start, last), (more, others) in right.items():
                if start == after:
                    whole[first, last] = min(whole.get((first, last), nothing), (cost + more, leaves + others))
        branches.append(whole | {(last, first): (cost, way[::-1]) for (first, last), (cost, way) in whole.items()})
    return min(branches[-1].values())[1]
