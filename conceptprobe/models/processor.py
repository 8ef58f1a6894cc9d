"""Pictures -> pixel values, as the model's own folder says: scaled, cropped and normalised as in its training.

The settings decide numbers, so they are read when a model is resolved and enter its hash; the processor itself is the
Pillow one of transformers, made of exactly these settings.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from conceptprobe.errors import CorruptError, MissingError, UsageError
from conceptprobe.models.checkpoint import Checkpoint, holding
from conceptprobe.models.formats import read_json
from conceptprobe.models.hashing import combined

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

OWN_FILE = "preprocessor_config.json"
JOINT_FILE = "processor_config.json"

MAX_SCALED_PIXELS = 32 * 2**20
"""Pixels a picture may have after it was scaled by its shorter side: a picture 1 pixel high and 20,000 wide would
otherwise become a thousand times larger than it came."""


@dataclass(frozen=True)
class ProcessorSettings:
    """What a processor is made of, and where that was read."""

    values: Mapping[str, Any]
    origin: str
    """Name of the file, or `default of FAMILY` where the folder has none."""

    @property
    def sha256(self) -> str:
        """What identifies them, wherever they were read."""
        return combined({"processor": json.dumps(self.values, sort_keys=True)})


class ReadsPictures(Protocol):
    """What is asked of a row of a table of families."""

    @property
    def model_type(self) -> str:
        """Name of the family."""
        ...

    @property
    def default_processor(self) -> Mapping[str, Any] | None:
        """Settings for a folder that has none."""
        ...


def processor_settings(checkpoint: Checkpoint, row: ReadsPictures) -> ProcessorSettings:
    """The settings in a model's folder, as transformers looks for them; else its family's documented default.

    Raises MissingError where there is neither, CorruptError for a file that is no JSON object.
    """
    joint = holding(checkpoint.folders, [JOINT_FILE])
    nested = read_json(joint / JOINT_FILE).get("image_processor") if joint else None
    if isinstance(nested, dict):
        return _checked(ProcessorSettings(nested, JOINT_FILE), checkpoint.name)
    own = holding(checkpoint.folders, [OWN_FILE])
    if own is not None:
        return _checked(ProcessorSettings(read_json(own / OWN_FILE), OWN_FILE), checkpoint.name)
    if row.default_processor is not None:
        return ProcessorSettings(row.default_processor, f"default of {row.model_type}")
    raise MissingError(
        f"'{checkpoint.name}' has no {OWN_FILE}, which says how its pictures are scaled and normalised",
        hint="save it there: AutoImageProcessor.from_pretrained(...).save_pretrained(folder)",
    )


def _checked(settings: ProcessorSettings, name: str) -> ProcessorSettings:
    if not any(entry in settings.values for entry in ("size", "image_mean")):
        raise CorruptError(
            f"{settings.origin} of '{name}' says neither size nor mean of pictures",
            hint="save it again: AutoImageProcessor.from_pretrained(...).save_pretrained(folder)",
        )
    return settings


class Processor:
    """Pictures -> pixel values; safe to use from several threads."""

    def __init__(self, settings: ProcessorSettings, config: Any) -> None:
        """`config` names the family where settings of old files name no processor. Imports transformers.

        Raises CorruptError for a processor transformers does not have, and what transformers raises for bad settings.
        """
        from transformers import AutoImageProcessor

        from conceptprobe.models.rescale_first import OURS

        named = _processor_type(settings.values)
        kind = OURS.get(named, AutoImageProcessor)
        extra = {} if named in OURS else {"backend": "pil", "config": config}
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / OWN_FILE).write_text(json.dumps(settings.values), "utf-8")
            self._processor = kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **extra)
        made = type(self._processor).__name__.removesuffix("Pil")
        if named and named != made:
            # transformers falls back to the usual one of the family, whose numbers would be others.
            raise CorruptError(
                f"{settings.origin} names the picture processor {named}, which this version of transformers lacks",
                hint="update transformers, or save the processor of the model again",
            )

    def __call__(self, picture: Image, name: str) -> dict[str, np.ndarray]:
        """What the network is shown of one RGB picture; `name` is what a message calls it.

        `pixel_values` is float32, [c, h, w], or [t, c h w] where the processor cuts patches; it then says which of them
        are padding, and how many are above and beside each other.

        Raises UsageError for a picture too narrow to be scaled by its shorter side, CorruptError for settings that
        make no pixels.
        """
        import numpy as np

        self.check_shape(picture, name)
        try:
            made = self._processor(images=picture, return_tensors="np")
            values = {entry: np.asarray(value[0]) for entry, value in made.items()}
            pixels = np.ascontiguousarray(values["pixel_values"], dtype=np.float32)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            why = str(error).strip().partition("\n")[0]
            raise CorruptError(
                f"the picture processor of the model cannot take {name} ({why})",
                hint=f"{OWN_FILE} of the model is not what its processor expects",
            ) from error
        return {**values, "pixel_values": pixels}

    @property
    def of_transformers(self) -> Any:
        """The Pillow processor of transformers, for a processor that joins it with a tokenizer."""
        return self._processor

    def check_shape(self, picture: Image, name: str) -> None:
        """UsageError for a picture too narrow to be scaled by its shorter side; `name` is what a message calls it."""
        short, long = sorted(picture.size)
        if self._edge and self._edge * self._edge * long > MAX_SCALED_PIXELS * short:
            raise UsageError(
                f"{name} is {picture.width} x {picture.height} pixels, too narrow for a model that scales the shorter"
                f" side to {self._edge}",
                hint="cut the picture to what it is to show",
            )

    @cached_property
    def _edge(self) -> int:
        """The length the shorter side is scaled to; 0 where both sides are given, or nothing is scaled."""
        size = getattr(self._processor, "size", None)
        scaled = bool(getattr(self._processor, "do_resize", True)) and size is not None
        return int(getattr(size, "shortest_edge", None) or 0) if scaled else 0


def _processor_type(values: Mapping[str, Any]) -> str:
    """The class the settings name, as it is called today; empty where they name none."""
    named = str(values.get("image_processor_type") or values.get("feature_extractor_type") or "")
    return named.removesuffix("Fast").removesuffix("Pil").replace("FeatureExtractor", "ImageProcessor")
