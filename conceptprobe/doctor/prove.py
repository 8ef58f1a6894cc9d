"""The proof of one model on this machine: its rows as this project reads them, against the untouched transformers model."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conceptprobe.doctor.course import Course
from conceptprobe.doctor.proof import Proof
from conceptprobe.doctor.readers import reading_of
from conceptprobe.doctor.shown import SHOWN
from conceptprobe.models import towers
from conceptprobe.models.base import ModelSpec

if TYPE_CHECKING:
    from conceptprobe.stimuli.stimulus import Stimulus


def prove_all(spec: ModelSpec, stimuli: Sequence[Stimulus] = ()) -> tuple[Proof, ...]:
    """The proof of every tower of a model that has several, else of the model; each is shown the stimuli it reads."""
    found = towers(spec)
    for tower in found:
        reading_of(tower)
    return tuple(prove(tower, [s for s in stimuli if s.modality in tower.info.modalities]) for tower in found)


def prove(spec: ModelSpec, stimuli: Sequence[Stimulus] | None = None) -> Proof:
    """The proof of one model, or one tower, on stimuli of its modality; without any, on a set of its own.

    A model that is wrong is a failed check, not an error. Raises UsageError for what is no network (or a random twin),
    MissingError for a device, a package or a file that is not here.
    """
    reading = reading_of(spec)
    asked: Any = spec
    with tempfile.TemporaryDirectory() as room:
        shown = list(stimuli or SHOWN[reading.modality](Path(room)))
        course = Course(asked, reading, shown)
        course.run()
    info = spec.info
    return Proof(
        model=info.name,
        family=info.family,
        modality=reading.modality,
        revision=info.revision,
        sha256=info.sha256,
        n_layers=info.n_layers,
        d_model=info.d_model,
        dtype=asked.options.quantization or asked.options.dtype,
        device=course.device,
        kernel=course.kernel,
        checks=course.in_order(),
        sites=course.site_errors(),
    )
