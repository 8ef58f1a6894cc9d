"""Joint models: one folder, two towers, text and image, trained into one space. Each tower is a model of its own.

A new family is one row of the table: which part of config.json is which tower.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NoReturn

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models.base import ModelInfo, ModelSpec, Pooling
from conceptprobe.models.checkpoint import TOKENIZER_FILES, Checkpoint
from conceptprobe.models.formats import count_parameters
from conceptprobe.models.hashing import combined
from conceptprobe.models.image_blocks import IMAGE_FAMILIES
from conceptprobe.models.image_folder import image_spec
from conceptprobe.models.processor import processor_settings
from conceptprobe.models.text_folder import text_spec


@dataclass(frozen=True)
class JointFamily:
    """One row: the parts of config.json that describe the towers, and the families of these."""

    model_type: str
    text_part: str
    text_type: str
    image_part: str
    image_type: str


_ROWS = (
    JointFamily("clip", "text_config", "clip_text_model", "vision_config", "clip_vision_model"),
    JointFamily("siglip", "text_config", "siglip_text_model", "vision_config", "siglip_vision_model"),
)
JOINT_FAMILIES: dict[str, JointFamily] = {row.model_type: row for row in _ROWS}


@dataclass(frozen=True)
class JointSpec:
    """A model with a text tower and an image tower. It has no rows of its own: its towers have."""

    info: ModelInfo
    """Of both; `n_layers` and `d_model` are those of the deeper and of the wider tower."""
    towers: tuple[ModelSpec, ...]

    sites: ClassVar[tuple[str, ...]] = ()
    poolings: ClassVar[tuple[Pooling, ...]] = ()

    def load(self) -> NoReturn:
        """Raises UsageError: a tower is what is loaded."""
        raise _several(self)

    def twin(self, seed: int) -> JointSpec:
        """The twins of both towers, from the same seed."""
        drawn = tuple(tower.twin(seed) for tower in self.towers)
        info = replace(
            self.info,
            name=drawn[0].info.name,
            sha256=combined({tower.info.modalities[0]: tower.info.sha256 for tower in drawn}),
            revision=drawn[0].info.revision,
            lineage=(),
            kind="twin",
        )
        return JointSpec(info, drawn)


def towers(spec: ModelSpec) -> tuple[ModelSpec, ...]:
    """The models activations can be taken from: both towers of a joint model, any other model itself."""
    return spec.towers if isinstance(spec, JointSpec) else (spec,)


def one_tower(spec: ModelSpec) -> ModelSpec:
    """The spec itself; UsageError where it has several towers, because rows come from one of them."""
    if isinstance(spec, JointSpec):
        raise _several(spec)
    return spec


def _several(spec: JointSpec) -> UsageError:
    names = ", ".join(tower.info.modalities[0] for tower in spec.towers)
    return UsageError(
        f"'{spec.info.name}' has {len(spec.towers)} towers ({names}), and activations come from one of them",
        hint="conceptprobe.models.towers(spec) gives each as a model of its own",
    )


def joint_spec(checkpoint: Checkpoint) -> JointSpec:
    """The checked spec of a joint model and of its towers.

    Raises what text_spec and image_spec raise, and CorruptError where config.json does not describe a tower.
    """
    row = JOINT_FAMILIES[checkpoint.model_type]
    for part in (row.text_part, row.image_part):
        if not isinstance(checkpoint.config.get(part), dict):
            raise CorruptError(
                f"config.json of '{checkpoint.name}' ({row.model_type}) has no {part}", hint="save the model again"
            )
    _ = checkpoint.weights  # without weights nothing else is worth saying
    settings = processor_settings(checkpoint, IMAGE_FAMILIES[row.image_type])
    whole = combined({**checkpoint.hashes(TOKENIZER_FILES), "processor": settings.sha256})
    text = text_spec(checkpoint.tower(row.text_part, row.text_type, whole))
    image = image_spec(checkpoint.tower(row.image_part, row.image_type, whole))
    info = checkpoint.info(
        sha256=whole,
        modality="text",
        n_layers=max(text.info.n_layers, image.info.n_layers),
        d_model=max(text.info.d_model, image.info.d_model),
        n_params=count_parameters(checkpoint.shapes),
    )
    lineage = text.info.lineage
    return JointSpec(replace(info, modalities=("text", "image"), lineage=lineage), (text, image))
