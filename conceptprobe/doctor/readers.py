"""One row per kind of ModelSpec: what it is shown, how the reference shows it, and how batches of it may be arranged.

A new modality is one row here, one function in `shown` and one `plain_<modality>` file.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conceptprobe.doctor.plain import Show
from conceptprobe.errors import UsageError
from conceptprobe.models.base import Pooling


@dataclass(frozen=True)
class Reading:
    """How specs of one kind are proved."""

    modality: str
    show: str
    """`module:class` of the `Show`."""
    arrangements: Mapping[str, Mapping[str, str]]
    """Name of a check -> attributes the loaded model has while its batches are compared with single stimuli."""
    tokenizer: bool = False
    """Has a tokenizer, which is asked as well."""
    poolings: tuple[Pooling, ...] = ()
    """Of the model's, those that what it is shown has; empty for all."""

    def arrangements_of(self, row: Any) -> Mapping[str, Mapping[str, str]]:
        """`arrangements`; of a family that takes no padding, batches of equal length."""
        return self.arrangements if self.tokenizer and row.pads else _BATCHES

    def shower(self) -> type[Show]:
        """The class that shows stimuli to the reference."""
        module, _, name = self.show.partition(":")
        found: type[Show] = getattr(importlib.import_module(module), name)
        return found


_BATCHES: Mapping[str, Mapping[str, str]] = {"batching": {}}
_PADDED: Mapping[str, Mapping[str, str]] = {f"padding_{side}": {"padding_side": side} for side in ("right", "left")}

READINGS: Mapping[str, Reading] = {
    "TextSpec": Reading("text", "conceptprobe.doctor.plain_text:ShowText", _PADDED, tokenizer=True),
    "ImageSpec": Reading("image", "conceptprobe.doctor.plain_image:ShowImage", _BATCHES),
    "AudioSpec": Reading("audio", "conceptprobe.doctor.plain_audio:ShowAudio", _BATCHES),
    "VlmSpec": Reading(
        "image", "conceptprobe.doctor.plain_vlm:ShowGenerator", _BATCHES, poolings=("mean", "image_tokens")
    ),
}
"""Name of the class of a spec -> how it is proved."""


def reading_of(spec: Any) -> Reading:
    """The row of a spec. Raises UsageError for what has no network on this machine, and for a random twin."""
    reading = READINGS.get(type(spec).__name__)
    name = spec.info.name
    if reading is None:
        raise UsageError(
            f"'{name}' ({spec.info.family}) is no network on this machine, so there is nothing to prove",
            hint="doctor --model takes a model of transformers: a folder, a hub id, or one of the zoo",
        )
    if spec.seed is not None:
        raise UsageError(
            f"'{name}' is a random twin: everything but its weights is that of the model it is a twin of",
            hint=f"conceptprobe doctor --model {name.removeprefix('random:').partition('#')[0]}",
        )
    return reading
