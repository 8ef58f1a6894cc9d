"""An orthogonal map between two spaces, fitted on ground items: a rotation of principal components, and nothing else.

Both spaces are reduced to as many principal components, few beside the number of items, because between spaces of more
dimensions than items a rotation can be found that fits anything (Schonemann 1966; Smith et al. 2017, "Offline bilingual word
vectors, orthogonal transformations and the inverted softmax"). The components are those of all ground items, which needs no
pairing; the rotation rests on the pairs it is fitted to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.principal import principal_axes
from conceptprobe.alignment.transfer import TransferSpace

if TYPE_CHECKING:
    from jaxtyping import Float, Int

ITEMS_PER_COMPONENT = 5
"""The map rests on at least so many pairs for each of its dimensions."""


class Components:
    """Principal components of one space. items [n, r]: all its items, about the ground's mean."""

    def __init__(self, space: TransferSpace, most: int) -> None:
        """The first `most` components, fewer where the ground has fewer."""
        ground = space.rows[: space.ground]
        axes = principal_axes(ground).directions[:most]
        self.items: Float[np.ndarray, "n r"] = (space.rows - ground.mean(axis=0)) @ axes.T


def orthogonal_maps(
    source: Components,
    target: Components,
    kept: Int[np.ndarray, " m"],
    *,
    without: Int[np.ndarray, "s g"] | None = None,
    pairings: Int[np.ndarray, "p m"] | None = None,
) -> Float[np.ndarray, "k rt rs"]:
    """Rotations R that bring target items, as rows, closest to source items (orthogonal Procrustes on centred pairs).

    The first rests on all of `kept`; then one without each group of `without`, and one for each shuffled pairing of the kept
    source items.
    """
    x, y = source.items[kept], target.items[kept]
    cross = [y.T @ (x - x.mean(axis=0))]
    for group in np.zeros((0, 1), dtype=np.int64) if without is None else without:
        rest = np.ones(len(source.items), dtype=bool)
        rest[group] = False
        rest = rest[kept]
        cross.append(y[rest].T @ (x[rest] - x[rest].mean(axis=0)))
    centred = x - x.mean(axis=0)
    cross += [y.T @ centred[order] for order in (() if pairings is None else pairings)]
    return np.array([_rotation(one) for one in cross])


def _rotation(cross: Float[np.ndarray, "rt rs"]) -> Float[np.ndarray, "rt rs"]:
    left, _, right = np.linalg.svd(cross, full_matrices=False)
    rotation: Float[np.ndarray, "rt rs"] = left @ right
    return rotation
