"""Carry probes from one space into another over a map fitted on other items: concept transfer.

A probe is a ridge regression of +-1 labels in the source space, a map a ridge regression from target rows to source rows on
ground items, all of them standardised by the ground. Both are linear, so the map is needed along the probe's direction only:
regressing the probe's scores of the ground's source rows on its target rows gives the numbers of the whole map, and concepts,
relabellings and shuffled pairings are columns of one product (Hoerl & Kennard 1970). The penalty of the map is chosen for each
column by generalised cross-validation (Golub, Heath & Wahba 1979) on the ground items it is fitted to, and on them alone.

A concept whose items are themselves ground items must not be in its map. A smoother without some of its items is the smoother
in which their values are replaced by what the others predict for them (Cook & Weisberg 1982), so leaving out a group costs a
system of the group's size and no new fit, penalty by penalty; hundreds of concepts share one decomposition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import TooFewRows

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

PROBE_PENALTY = 1.0
"""Of a probe, in units of the mean squared length of its training rows about their mean."""
PENALTIES: tuple[float, ...] = (100.0, 10.0, 3.0, 1.0, 0.3, 0.1)
"""Of a map, in units of the mean squared length of its ground rows, falling; the first of equals is taken."""


@dataclass(frozen=True)
class TransferSpace:
    """n items in one space, standardised by the ground items, which stand first. rows [n, d]; ground: how many."""

    rows: Float[np.ndarray, "n d"]
    ground: int

    @cached_property
    def gram(self) -> Float[np.ndarray, "n n"]:
        """Inner products of all items."""
        return self.rows @ self.rows.T

    @cached_property
    def whole(self) -> RidgeMap:
        """The map out of this space that rests on all ground items: probes of ground items leave their own out."""
        return RidgeMap(self, np.arange(self.ground))


def transfer_space(x: Float[np.ndarray, "n d"], ground: int) -> TransferSpace:
    """Standardise by the first `ground` rows; features constant among them become zero. TooFewRows below 10 ground items.

    Of more dimensions than items, n axes are kept that hold all items: memory grows with n^2 per space, whatever d.
    """
    if ground < 10:
        raise TooFewRows(f"a map fitted on {ground} items means nothing: at least 10 are needed")
    x = np.asarray(x, dtype=np.float64)
    mean, spread = x[:ground].mean(axis=0), x[:ground].std(axis=0)
    scale = np.where(
        spread > 1e-12 * max(float(spread.max(initial=0.0)), 1e-300), 1.0 / np.maximum(spread, 1e-300), 0.0
    )
    rows = (x - mean) * scale
    rows = rows / np.sqrt(max(float((rows[:ground] ** 2).sum()) / ground, 1e-300))
    return TransferSpace(_turned(rows) if rows.shape[1] > len(rows) else rows, ground)


def _turned(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """The same items along as many axes as there are items: inner products are all that a ridge regression sees."""
    turned: Float[np.ndarray, "n n"] = np.asarray(np.linalg.qr(rows.T, mode="r")).T
    return turned


def probe_weights(
    space: TransferSpace,
    items: Int[np.ndarray, " i"],
    train: Bool[np.ndarray, "cells i"],
    labels: Float[np.ndarray, "draws i"],
) -> Float[np.ndarray, "i draws*cells"]:
    """Ridge probes as weights of their items: one column per labelling and cell, cells fastest, zeros off the training.

    The direction of a probe is `space.rows[items].T @ column`, its scores of all items `space.gram[:, items] @ column`, up to a
    constant per column, which no comparison within a cell sees.
    """
    out = np.zeros((len(items), len(labels), len(train)))
    gram = space.gram[np.ix_(items, items)]
    for cell, rows in enumerate(train):
        own = gram[np.ix_(rows, rows)]
        wanted = labels[:, rows] - labels[:, rows].mean(axis=1, keepdims=True)
        out[rows, :, cell] = _probe(own[None], wanted.T[None])[0]
    return out.reshape(len(items), -1)


def probe_weights_of_many(
    space: TransferSpace,
    items: Int[np.ndarray, "s i"],
    train: Bool[np.ndarray, "s cells i"],
    label: Int[np.ndarray, " i"],
) -> Float[np.ndarray, "s cells n"]:
    """Probes of s concepts of the same shape, every cell trained on as many items: weights of all n items."""
    concepts, cells, _ = train.shape
    rows = np.nonzero(train)[2].reshape(concepts, cells, -1)
    own = items[np.arange(concepts)[:, None, None], rows]
    gram = space.gram[own[..., :, None], own[..., None, :]]
    wanted = label[rows].astype(np.float64)
    wanted -= wanted.mean(axis=-1, keepdims=True)
    flat = _probe(gram.reshape(-1, *gram.shape[2:]), wanted.reshape(-1, wanted.shape[-1], 1))[..., 0]
    out = np.zeros((concepts, cells, len(space.rows)))
    np.put_along_axis(out, own, flat.reshape(own.shape), axis=-1)
    return out


def _probe(gram: Float[np.ndarray, "b k k"], wanted: Float[np.ndarray, "b k c"]) -> Float[np.ndarray, "b k c"]:
    """Centred dual weights of ridge regressions; their sums are zero, so scores need no mean taken off."""
    k = gram.shape[-1]
    centred = gram - gram.mean(axis=-1, keepdims=True)
    centred -= centred.mean(axis=-2, keepdims=True)
    penalty = PROBE_PENALTY * np.trace(centred, axis1=-2, axis2=-1) / k
    silent = penalty <= 0.0
    solved = np.linalg.solve(centred + np.where(silent, 1.0, penalty)[:, None, None] * np.eye(k), wanted)
    solved[silent] = 0.0
    return solved - solved.mean(axis=-2, keepdims=True)


class RidgeMap:
    """The map out of one space, fitted on some of its ground items; what it is to predict comes with each call.

    kept: the m ground items. penalties: in units of their mean squared length.
    """

    def __init__(
        self, space: TransferSpace, kept: Int[np.ndarray, " m"], penalties: Sequence[float] = PENALTIES
    ) -> None:
        self.space, self.kept = space, np.asarray(kept)
        rows = space.rows[self.kept]
        self.mean = rows.mean(axis=0)
        # The smaller of the two Grams has the same spectrum; its square root loses digits far below any penalty.
        centred = rows - self.mean
        if centred.shape[1] < len(centred):
            spectrum, axes = np.linalg.eigh(centred.T @ centred)
        else:
            spectrum, axes = np.linalg.eigh(centred @ centred.T)
        used = spectrum > 1e-10 * max(float(spectrum.max(initial=0.0)), 1e-300)
        self.spectrum = spectrum[used][::-1]
        axes = axes[:, used][:, ::-1]
        lengths = np.sqrt(self.spectrum)
        self.q: Float[np.ndarray, "m r"] = centred @ axes / lengths if centred.shape[1] < len(centred) else axes
        self._axes = axes if centred.shape[1] < len(centred) else centred.T @ axes / lengths
        self.penalties = np.array(penalties) * float(self.spectrum.sum()) / len(rows)

    @cached_property
    def shrunk(self) -> Float[np.ndarray, "p r"]:
        """Share of each direction that a fit keeps, by penalty."""
        return self.spectrum / (self.spectrum + self.penalties[:, None])

    def read(
        self, columns: Float[np.ndarray, "m c"], items: Int[np.ndarray, " i"], penalty: int | None = None
    ) -> Float[np.ndarray, "i c"]:
        """What the map predicts for other items of its space; up to a constant per column.

        penalty: number of the one to be used; by default it is chosen per column.
        """
        return ((self.space.rows[items] - self.mean) @ self._axes) @ self._weighted(columns, penalty)

    def directions(self, columns: Float[np.ndarray, "m c"]) -> Float[np.ndarray, "d c"]:
        """The direction of each mapped probe in this space's standardised coordinates."""
        directions: Float[np.ndarray, "d c"] = self._axes @ self._weighted(columns, None)
        return directions

    def best_for_all(self, columns: Float[np.ndarray, "m c"]) -> int:
        """Number of the penalty of least mean cross-validation error, each column in units of its variance."""
        errors = self._gcv(self.q.T @ columns, columns)
        return int(np.argmin((errors / np.maximum(columns.var(axis=0), 1e-300)).mean(axis=1)))

    def _weighted(self, columns: np.ndarray, penalty: int | None) -> Float[np.ndarray, "r c"]:
        rotated = self.q.T @ columns
        chosen = np.argmin(self._gcv(rotated, columns), axis=0) if penalty is None else penalty
        weights = (self.shrunk / np.sqrt(self.spectrum))[chosen]
        weighted: Float[np.ndarray, "r c"] = np.atleast_2d(weights).T * rotated
        return weighted

    def _gcv(self, rotated: np.ndarray, columns: np.ndarray) -> Float[np.ndarray, "p c"]:
        """Generalised cross-validation error by penalty and column."""
        m = len(self.kept)
        energy = rotated**2
        outside = (columns**2).sum(axis=0) - columns.sum(axis=0) ** 2 / m - energy.sum(axis=0)
        errors = np.maximum(outside, 0.0) + (1.0 - self.shrunk) ** 2 @ energy
        freedom = m - 1 - self.shrunk.sum(axis=1)
        gcv: Float[np.ndarray, "p c"] = errors / freedom[:, None] ** 2
        return gcv

    def read_without(
        self,
        columns: Float[np.ndarray, "s m c"],
        left_out: Int[np.ndarray, "s g"],
        read: int,
        penalties: Sequence[int] | None = None,
    ) -> Float[np.ndarray, "s read c"]:
        """What maps without a group of their items predict for the first `read` items of that group, group by group.

        columns: what concept s asks for, over the kept items; left_out: places among these; penalties: which of them are on
        offer (all by default). Equals new maps fitted to the rest, penalties chosen on the rest (in units of the whole).
        """
        concepts, m, cells = columns.shape
        g = left_out.shape[1]
        rotated = (self.q.T @ columns.transpose(1, 0, 2).reshape(m, -1)).reshape(-1, concepts, cells).transpose(1, 0, 2)
        own = np.take_along_axis(columns, left_out[:, :, None], axis=1)
        total, square = columns.sum(axis=1), np.einsum("smc,smc->sc", columns, columns)
        total_own, square_own = own.sum(axis=1), (own**2).sum(axis=1)
        q_own = self.q[left_out]
        back = np.ascontiguousarray(q_own.transpose(0, 2, 1))
        best = np.full((concepts, cells), np.inf)
        out = np.zeros((concepts, read, cells))
        for kept in self.shrunk if penalties is None else self.shrunk[list(penalties)]:
            scaled = q_own * kept
            inside = scaled @ back + 1.0 / m
            twice = (q_own * kept**2) @ back + 1.0 / m - inside @ inside
            missed = own - total[:, None, :] / m - scaled @ rotated
            solved = np.linalg.solve(np.eye(g) - inside, np.concatenate([missed, twice], axis=2))
            change, beyond = solved[:, :, :cells], solved[:, :, cells:]
            # With the group's values replaced by their predictions, the smoother of all items gives that of the rest.
            predicted = own - change
            turned = rotated - back @ change
            turned *= turned
            length = square - square_own + (predicted**2).sum(axis=1)
            length -= (total - total_own + predicted.sum(axis=1)) ** 2 / m
            # Beyond the map's reach everything is missed, within it the share that the penalty takes away.
            errors = length - np.einsum("r,src->sc", 1.0 - (1.0 - kept) ** 2, turned)
            trace = kept.sum() + 1.0 - np.trace(inside, axis1=1, axis2=2) + np.trace(beyond, axis1=1, axis2=2)
            gcv = np.maximum(errors, 0.0) / ((m - g) - trace)[:, None] ** 2
            better = gcv < best
            best = np.where(better, gcv, best)
            out = np.where(better[:, None, :], predicted[:, :read], out)
        return out
