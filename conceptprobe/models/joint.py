"""Joint models: one folder, two towers, text and image or text and audio, trained into one space. Each is a model of its own.

A new family is one row in families/joint.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, NoReturn

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models.audio_folder import audio_spec
from conceptprobe.models.base import ModelInfo, ModelSpec, Pooling
from conceptprobe.models.checkpoint import TOKENIZER_FILES, Checkpoint
from conceptprobe.models.families.audio import AUDIO_FAMILIES
from conceptprobe.models.families.image import IMAGE_FAMILIES
from conceptprobe.models.families.joint import JOINT_FAMILIES
from conceptprobe.models.features import feature_settings
from conceptprobe.models.formats import count_parameters
from conceptprobe.models.hashing import combined
from conceptprobe.models.image_folder import image_spec
from conceptprobe.models.processor import ProcessorSettings, processor_settings
from conceptprobe.models.text_folder import text_spec


@dataclass(frozen=True)
class JointSpec:
    """A model with several towers. It has no rows of its own: its towers have."""

    info: ModelInfo
    """Of all; `n_layers` and `d_model` are those of the deepest and of the widest tower."""
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

    Raises what the specs of its towers raise, and CorruptError where config.json does not describe a tower.
    """
    row = JOINT_FAMILIES[checkpoint.model_type]
    for tower in row.towers:
        if not isinstance(checkpoint.config.get(tower.part), dict):
            raise CorruptError(
                f"config.json of '{checkpoint.name}' ({row.model_type}) has no {tower.part}",
                hint="save the model again",
            )
    _ = checkpoint.weights  # without weights nothing else is worth saying
    hashes = checkpoint.hashes(TOKENIZER_FILES)
    for tower in row.towers:
        if tower.modality in _SETTINGS:
            hashes["processor"] = _SETTINGS[tower.modality](checkpoint, tower.model_type).sha256
    whole = combined(hashes)
    specs = tuple(_SPEC[t.modality](checkpoint.tower(t.part, t.model_type, whole)) for t in row.towers)
    info = checkpoint.info(
        sha256=whole,
        modality="text",
        n_layers=max(spec.info.n_layers for spec in specs),
        d_model=max(spec.info.d_model for spec in specs),
        n_params=count_parameters(checkpoint.shapes),
    )
    modalities = tuple(tower.modality for tower in row.towers)
    return JointSpec(replace(info, modalities=modalities, lineage=specs[0].info.lineage), specs)


_SPEC: dict[str, Callable[[Checkpoint], ModelSpec]] = {"text": text_spec, "image": image_spec, "audio": audio_spec}
"""Modality of a tower -> what makes its spec."""
_SETTINGS: dict[str, Callable[[Checkpoint, str], ProcessorSettings]] = {
    "image": lambda checkpoint, model_type: processor_settings(checkpoint, IMAGE_FAMILIES[model_type]),
    "audio": lambda checkpoint, model_type: feature_settings(checkpoint, AUDIO_FAMILIES[model_type]),
}
"""Modality of a tower -> the settings, beside its weights, that decide its numbers."""
