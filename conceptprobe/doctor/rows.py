"""Rows of a model as this project reads it, and how far two sets of rows lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.doctor.plain import Rows
from conceptprobe.models.base import Pooling

if TYPE_CHECKING:
    from conceptprobe.stimuli.stimulus import Stimulus


def together(model: Any, stimuli: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[Pooling]) -> Rows:
    """All rows, in the batches the model makes. Raises what `activations` raises."""
    rows: Rows = {}
    for numbers, batch in model.activations(stimuli, sites, poolings):
        for cell, values in batch.items():
            rows.setdefault(cell, np.full((len(stimuli), values.shape[1]), np.nan))[numbers] = values
    return rows


def alone(model: Any, stimuli: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[Pooling]) -> Rows:
    """The same, every stimulus in a batch of its own: no padding."""
    parts = [together(model, [stimulus], sites, poolings) for stimulus in stimuli]
    return {cell: np.concatenate([part[cell] for part in parts]) for cell in parts[0]}


def site_errors(rows: Rows, reference: Rows) -> dict[str, float]:
    """{site: largest difference over stimuli and poolings, relative to the largest value of the reference there}.

    Infinite where a site is lacking, has another width, or is not finite.
    """
    errors: dict[str, float] = {}
    for site in dict.fromkeys(site for site, _ in reference):
        cells = [cell for cell in reference if cell[0] == site]
        pairs = [(rows.get(cell), reference[cell]) for cell in cells]
        scale = max(float(np.abs(theirs).max()) for _, theirs in pairs)
        gaps = [
            float(np.abs(ours - theirs).max()) if ours is not None and ours.shape == theirs.shape else np.inf
            for ours, theirs in pairs
        ]
        errors[site] = _relative(max(gaps, key=lambda gap: np.inf if np.isnan(gap) else gap), scale)
    return errors


def worst(errors: Mapping[str, float]) -> tuple[str, float]:
    """(site, error) of the largest error."""
    return max(errors.items(), key=lambda item: item[1])


def _relative(gap: float, scale: float) -> float:
    if not np.isfinite(gap) or not np.isfinite(scale):
        return float("inf")
    return gap / scale if scale else gap
