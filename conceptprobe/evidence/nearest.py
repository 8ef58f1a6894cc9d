"""Which pictures lie nearest to the direction of a concept, and which farthest: something to look at, not a result.

The site is fixed beforehand, two thirds up. Scores are ridge predictions of the label (+1 the concept, -1 its controls),
so that those of different fits are on one scale: the concept's own pictures are scored by the fold that holds them and
their unit out, the background by the fit on all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.designs import design_of
from conceptprobe.evidence.geometry import site_at
from conceptprobe.probes.ridge import RidgeProbe

if TYPE_CHECKING:
    from jaxtyping import Float

MANY = 8
"""Pictures at either end."""
_LABELS = {"positive": "concept", "control": "control", "background": "background"}


def nearest_pictures(run: RunContext, subject: Subject) -> list[dict[str, Any]]:
    """Records of the pictures at both ends, `nearest` first, each end from its extreme inwards."""
    site = site_at(subject)
    own, ground = run.sets["pictures"], run.sets.get("background_pictures")
    x = run.read(subject.name, own.name, site, "mean").astype(np.float64)
    stimuli, scores = list(own), held_out_scores(run, x)
    if ground is not None:
        probe = RidgeProbe().fit(x, np.array(own.labels))
        rows = run.read(subject.name, ground.name, site, "mean").astype(np.float64)
        stimuli += list(ground)
        scores = np.concatenate([scores, probe.decision_function(rows)])
    order = np.argsort(-scores, kind="stable")
    many = min(MANY, len(order) // 2)
    return [
        {
            "model": subject.label,
            "site": site,
            "end": end,
            "rank": rank,
            "id": stimuli[i].id,
            "label": _LABELS[stimuli[i].role],
            "score": float(scores[i]),
            "ranked": len(order),
        }
        for end, rows_ in (("nearest", order[:many]), ("farthest", order[::-1][:many]))
        for rank, i in enumerate(rows_, start=1)
    ]


def held_out_scores(run: RunContext, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """The score of each of the concept's pictures, by a probe that saw neither it nor its unit."""
    stimuli = run.sets["pictures"]
    design = design_of(run, stimuli)
    labels = np.array(stimuli.labels)
    scores = np.zeros(len(x))
    for cell in design.cells:
        train, test = design.train_rows(cell), design.test_rows(cell)
        scores[test] = RidgeProbe().fit(x[train], labels[train]).decision_function(x[test])
    return scores
