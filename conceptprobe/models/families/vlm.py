"""Families of image-text generators: a vision tower, a connector, and a language model that reads pictures as tokens.

Paths are attributes of the model without its language-modelling head, which is loaded with it and let go: only so does
transformers know every layout of files that these families were released in. The language model is a family of its own,
a row of families/text.py named by `text_config.model_type`. A new family is one row here; its shapes are checked when a
model loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

from conceptprobe.models.families.base import Family
from conceptprobe.models.families.text import TextFamily


@dataclass(frozen=True)
class VlmFamily(Family):
    """One row: how to read an image-text generator of this model_type. `blocks` are those of its vision tower."""

    _: KW_ONLY
    net: str = "AutoModelForImageTextToText"
    trunk: str = "model"
    unread: tuple[str, ...] = ("lm_head.",)
    vision: str
    """Path of the vision tower; its last part is also what marks the tower's tensors in every layout of files."""
    text: str = "language_model"
    """Path of the language model."""
    text_type: str
    """model_type of the language model where config.json does not say it."""
    processor: str
    """The class of transformers that makes a prompt of a picture and a text."""
    picture: str
    """How a prompt names its picture; the processor puts as many image tokens there as the picture takes."""
    between: str = ""
    """What stands between the picture and the text beside it."""
    closing: str = ""
    """What the processor itself writes behind the text."""
    zero: str = ""
    """Path of a matrix of the connector that starts at zero: an untrained twin would see no picture, so it is drawn."""
    packed: bool = False
    """The vision tower reads all pictures of a batch as one row of patches, [patches, width]."""

    default_processor: ClassVar[Mapping[str, Any] | None] = None
    """Settings for a folder without a preprocessor_config.json: none, checkpoints were made with different ones."""


def within(generator: VlmFamily, row: TextFamily) -> TextFamily:
    """The row of a language model as a part of this generator: what loads it, and where it lies there."""
    trunk = f"{generator.trunk}.{generator.text}"
    return replace(row, net=generator.net, trunk=trunk, unread=generator.unread, sdpa=generator.sdpa and row.sdpa)


_ROWS = (
    VlmFamily(
        "llava",
        "vision_tower.encoder.layers",
        vision="vision_tower",
        text_type="llama",
        processor="LlavaProcessor",
        picture="<image>",
        between="\n",
        example="llava-hf/llava-1.5-7b-hf",
    ),
    VlmFamily(
        "llava_onevision",
        "vision_tower.encoder.layers",
        vision="vision_tower",
        text_type="qwen2",
        processor="LlavaOnevisionProcessor",
        picture="<image>",
        between="\n",
        example="llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
    ),
    *(
        VlmFamily(
            name,
            "visual.blocks",
            vision="visual",
            text_type=f"{name}_text",
            processor=processor,
            picture="<|vision_start|><|image_pad|><|vision_end|>",
            packed=True,
            example=example,
        )
        for name, processor, example in (
            ("qwen2_vl", "Qwen2VLProcessor", "Qwen/Qwen2-VL-2B-Instruct"),
            ("qwen2_5_vl", "Qwen2_5_VLProcessor", "Qwen/Qwen2.5-VL-3B-Instruct"),
            ("qwen3_vl", "Qwen3VLProcessor", "Qwen/Qwen3-VL-2B-Instruct"),
        )
    ),
    VlmFamily(
        "gemma3",
        "vision_tower.encoder.layers",
        vision="vision_tower",
        text_type="gemma3_text",
        processor="Gemma3Processor",
        picture="<start_of_image>",
        zero="multi_modal_projector.mm_input_projection_weight",
        example="google/gemma-3-4b-pt",
    ),
    *(
        VlmFamily(
            name,
            "vision_model.encoder.layers",
            vision="vision_model",
            text="text_model",
            text_type="llama",
            processor=processor,
            picture="<image>",
            example=example,
        )
        for name, processor, example in (
            ("idefics3", "Idefics3Processor", "HuggingFaceM4/Idefics3-8B-Llama3"),
            ("smolvlm", "SmolVLMProcessor", "HuggingFaceTB/SmolVLM-256M-Instruct"),
        )
    ),
    VlmFamily(
        "paligemma",
        "vision_tower.encoder.layers",
        vision="vision_tower",
        text_type="gemma",
        processor="PaliGemmaProcessor",
        picture="<image>",
        closing="\n",
        example="google/paligemma-3b-pt-224",
    ),
)
VLM_FAMILIES: dict[str, VlmFamily] = {row.model_type: row for row in _ROWS}
