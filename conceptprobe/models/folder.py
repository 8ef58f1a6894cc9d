"""A folder in the transformers format -> a spec, without loading it: its config.json says which kind of model it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conceptprobe.errors import UsageError
from conceptprobe.models.audio_folder import audio_spec
from conceptprobe.models.base import ModelSpec
from conceptprobe.models.checkpoint import open_checkpoint
from conceptprobe.models.families.audio import AUDIO_FAMILIES
from conceptprobe.models.families.image import IMAGE_FAMILIES
from conceptprobe.models.families.joint import JOINT_FAMILIES
from conceptprobe.models.families.text import FAMILIES, UNSUPPORTED
from conceptprobe.models.families.vlm import VLM_FAMILIES
from conceptprobe.models.image_folder import image_spec
from conceptprobe.models.joint import joint_spec
from conceptprobe.models.text_folder import TextSpec, text_spec
from conceptprobe.models.vlm_folder import vlm_spec

__all__ = ["TextSpec", "folder_spec"]

_KNOWN = {**FAMILIES, **IMAGE_FAMILIES, **AUDIO_FAMILIES, **JOINT_FAMILIES, **VLM_FAMILIES}
"""Families that have a row."""
_OF_PICTURES = ("image_size", "num_channels", "vision_config")
"""Entries of config.json that no model of text alone has."""
_BESIDE_PICTURES = ("vision_config", "text_config", "vocab_size", "is_encoder_decoder")
"""Entries that say that a model has more to it than one network of pictures."""
_OF_SOUNDS = ("num_mel_bins", "conv_kernel", "audio_config", "sampling_rate")
"""The same of models of sounds."""


def folder_spec(*folders: Path, name: str, source: str, revision: str = "", lineage: tuple[str, ...] = ()) -> ModelSpec:
    """The checked spec of the model whose weights lie in the first folder; each thing that is not there has its own message.

    What it shares with other models (configuration, tokenizer, processor) may lie in the folders after it. Raises
    MissingError (no config, weights, tokenizer or processor), UnsafeModelError (only pickled weights), CorruptError
    (unreadable config, truncated or missing shard), UsageError (a kind of model this project cannot read).
    """
    checkpoint = open_checkpoint(folders, name=name, source=source, revision=revision, lineage=lineage)
    _check_kind(name, checkpoint.model_type, checkpoint.config)
    if checkpoint.model_type in JOINT_FAMILIES:
        return joint_spec(checkpoint)
    if checkpoint.model_type in VLM_FAMILIES:
        return vlm_spec(checkpoint)
    if checkpoint.model_type in IMAGE_FAMILIES or _may_be_explored(checkpoint.model_type, checkpoint.config):
        return image_spec(checkpoint)
    if checkpoint.model_type in AUDIO_FAMILIES:
        return audio_spec(checkpoint)
    return text_spec(checkpoint)


def _may_be_explored(model_type: str, config: Mapping[str, Any]) -> bool:
    """Whether it is of no table, and reads pictures and nothing else: then the loaded model is looked into."""
    more = any(config.get(entry) not in (None, False) for entry in _BESIDE_PICTURES)
    return model_type not in _KNOWN and _has_pictures(config) and not more


def _has_pictures(config: Mapping[str, Any]) -> bool:
    return any(entry in config for entry in _OF_PICTURES)


def _check_kind(name: str, model_type: str, config: Mapping[str, Any]) -> None:
    if not model_type:
        raise UsageError(
            f"config.json of '{name}' names no model_type, so it is not a transformers model",
            hint="save the model with transformers' save_pretrained",
        )
    reason, hint = UNSUPPORTED.get(model_type), "use an encoder or a decoder of text"
    if config.get("is_encoder_decoder") and model_type not in _KNOWN:
        reason = "it is an encoder-decoder in no table that says where its encoder is"
        hint = "one row in models/families/encoders.py adds a family"
    if model_type not in _KNOWN and _has_pictures(config) and not _may_be_explored(model_type, config):
        reason = "its family is in none of the tables of models that read pictures"
        there = ", ".join([*IMAGE_FAMILIES, *JOINT_FAMILIES, *VLM_FAMILIES])
        hint = f"one row in models/families/image.py, joint.py or vlm.py adds a family; there is {there}"
    if model_type not in _KNOWN and any(entry in config for entry in _OF_SOUNDS):
        reason = "its family is in none of the tables of models that hear sounds"
        hint = f"one row in models/families/audio.py adds a family; there is {', '.join(AUDIO_FAMILIES)}"
    if reason:
        raise UsageError(f"'{name}' ({model_type}) cannot be read: {reason}", hint=hint)
