"""Families of models with several towers trained into one space: which part of config.json is which tower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Tower:
    """One tower: what it reads, the part of config.json that describes it, and its own family."""

    modality: Literal["text", "image", "audio"]
    part: str
    model_type: str


@dataclass(frozen=True)
class JointFamily:
    """One row: the towers of a model of this model_type, the text tower first."""

    model_type: str
    towers: tuple[Tower, ...]
    example: str = ""
    """A model of the family on the hub."""


_ROWS = (
    JointFamily(
        "clip",
        (Tower("text", "text_config", "clip_text_model"), Tower("image", "vision_config", "clip_vision_model")),
        "openai/clip-vit-base-patch32",
    ),
    JointFamily(
        "siglip",
        (Tower("text", "text_config", "siglip_text_model"), Tower("image", "vision_config", "siglip_vision_model")),
        "google/siglip-base-patch16-224",
    ),
    JointFamily(
        "siglip2",
        (Tower("text", "text_config", "siglip2_text_model"), Tower("image", "vision_config", "siglip2_vision_model")),
        "google/siglip2-base-patch16-naflex",
    ),
    JointFamily(
        "clap",
        (Tower("text", "text_config", "clap_text_model"), Tower("audio", "audio_config", "clap_audio_model")),
        "laion/clap-htsat-unfused",
    ),
)
JOINT_FAMILIES: dict[str, JointFamily] = {row.model_type: row for row in _ROWS}
