"""Families of image models, without a classification head.

Paths are attributes of the base model, without a classification head. Hidden states are either a sequence (class
token, registers, patches) or a feature map, whose places in space are its positions. A new family is one row here; its
shapes are checked when a model loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from conceptprobe.models.families.base import Family, Projection


@dataclass(frozen=True)
class ImageFamily(Family):
    """One row: how to read an image model of this model_type. `norm` is the path of the final norm where the model
    applies it only to what it pools: `final` is it at every position."""

    _: KW_ONLY
    stored: str
    """`blocks` as files name it: transformers renames some families while it loads them."""
    width: str
    """What says the width of `final`: a tensor (its last dimension), or an entry of config.json (its last number)."""
    specials: tuple[str, ...] = ()
    """Tensors of what stands before the patches, the class token first; each counts as many as it has rows."""
    feature_map: bool = False
    """Hidden states are maps of channels, height and width: no attention, no patches."""
    default_processor: Mapping[str, Any] | None = None
    """Settings for a folder without a preprocessor_config.json; None where one is required, because checkpoints of the
    family were made with different ones."""


_MOBILENET_PROCESSOR: Mapping[str, Any] = {
    "image_processor_type": "MobileNetV2ImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 2,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
"""What all of Google's MobileNetV2 were published with, and the default of transformers."""

_CLASS = ("embeddings.cls_token",)
_ROWS = (
    *(
        ImageFamily(
            name,
            "layers",
            stored="encoder.layer",
            prefix=name,
            width=_CLASS[0],
            specials=(*_CLASS, *more),
            head="pooler",
            switch=True,
        )
        for name, more in (("vit", ()), ("deit", ("embeddings.distillation_token",)), ("beit", ()))
    ),
    ImageFamily("dinov2", "encoder.layer", stored="encoder.layer", prefix="dinov2", width=_CLASS[0], specials=_CLASS),
    ImageFamily(
        "dinov2_with_registers",
        "encoder.layer",
        stored="encoder.layer",
        prefix="dinov2_with_registers",
        width=_CLASS[0],
        specials=(*_CLASS, "embeddings.register_tokens"),
    ),
    ImageFamily(
        "clip_vision_model",
        "encoder.layers",
        stored="encoder.layers",
        prefix="vision_model",
        width="embeddings.class_embedding",
        specials=("embeddings.class_embedding",),
        norm="post_layernorm",
        projection=Projection("CLIPVisionModelWithProjection", "vision_model", "visual_projection"),
    ),
    ImageFamily(
        "siglip_vision_model",
        "encoder.layers",
        stored="encoder.layers",
        prefix="vision_model",
        width="embeddings.position_embedding.weight",
        head="head",
    ),
    ImageFamily(
        "mobilenet_v2",
        "layer",
        stored="layer",
        prefix="mobilenet_v2",
        width="conv_1x1.normalization.weight",
        feature_map=True,
        sdpa=False,
        default_processor=_MOBILENET_PROCESSOR,
    ),
    ImageFamily(
        "resnet",
        "encoder.stages.*.layers",
        stored="encoder.stages.*.layers",
        prefix="resnet",
        width="hidden_sizes",
        feature_map=True,
        sdpa=False,
    ),
    ImageFamily(
        "convnext",
        "encoder.stages.*.layers",
        stored="encoder.stages.*.layers",
        prefix="convnext",
        width="layernorm.weight",
        feature_map=True,
        sdpa=False,
        norm="layernorm",
    ),
    ImageFamily(
        "convnextv2",
        "encoder.stages.*.layers",
        stored="encoder.stages.*.layers",
        prefix="convnextv2",
        width="layernorm.weight",
        feature_map=True,
        sdpa=False,
        norm="layernorm",
    ),
)
IMAGE_FAMILIES: dict[str, ImageFamily] = {row.model_type: row for row in _ROWS}
