"""Families of image models, without a classification head.

Paths are attributes of the base model. Hidden states are either a sequence (class token, registers, patches) or a
feature map, whose places in space are its positions. A new family is one row here; its shapes are checked when a model
loads, and its positions are counted in every batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from conceptprobe.models.families.base import Family, Projection


@dataclass(frozen=True)
class ImageFamily(Family):
    """One row: how to read an image model of this model_type. `norm` is the path of the final norm where the model
    applies it only to what it pools: `final` is it at every position."""

    _: KW_ONLY
    width: str
    """What says the width of `final`: a tensor (its last dimension), or an entry of config.json (its last number).
    Families that merge patches or halve their maps have narrower blocks before it."""
    stored: str = ""
    """`blocks` as files name it, where transformers renames a family while it loads it."""
    layout: Literal["btd", "bchw"] = "btd"
    """Hidden states are sequences [batch, position, width], or maps [batch, width, height, width in space], which have
    no attention and no patches."""
    specials: tuple[str, ...] = ()
    """Tensors of what stands before the patches, the class token first; each counts as many as it has rows."""
    scales: tuple[str, str] = ("", "")
    """Parameters of a block that what `attn` and `mlp` lead to is multiplied by before it is added to the residual
    stream, where no module does that."""
    pooled: bool = True
    """Has an output of its own for the whole picture."""
    merges: bool = False
    """Merges patches on the way, so that `embed` alone has one position for each."""
    one_size: bool = False
    """Takes pictures of its configured size only: what it sees first changes how it reads what comes after (Swin
    shrinks its windows for good)."""
    inputs: tuple[str, ...] = ("pixel_values",)
    """What the network takes of what the processor makes."""
    mask: str = ""
    """The one of `inputs` that tells patches from padding, where pictures come cut into patches and padded to one
    number of them."""
    order: str = ""
    """An input that says in which order patches are read, where they are shuffled at random without it (MAE)."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Entries of the configuration that reading sets: what training alone wants."""
    summaries: int = 0
    """Positions that stand before the places of the last map in what the model returns (the mean over them)."""
    default_processor: Mapping[str, Any] | None = None
    """Settings for a folder without a preprocessor_config.json; None where one is required, because checkpoints of the
    family were made with different ones."""


def both(side: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) of what a configuration gives as one number or two."""
    height, width = (side, side) if isinstance(side, int) else side
    return int(height), int(width)


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

_DINOV3_PROCESSOR: Mapping[str, Any] = {
    "image_processor_type": "DINOv3ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 224, "width": 224},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
"""What the DINOv3 trained on web pictures were published with, and the default of transformers."""

_CLASS = ("embeddings.cls_token",)


def _vit(model_type: str, example: str, **columns: Any) -> ImageFamily:
    """A row of the many that are built like ViT: a class token, then patches; pre-norm blocks."""
    usual: dict[str, Any] = {
        "attn": "attention",
        "mlp": "mlp",
        "stored": "encoder.layer",
        "prefix": model_type,
        "width": _CLASS[0],
        "specials": _CLASS,
    }
    return ImageFamily(model_type, columns.pop("blocks", "layers"), example=example, **{**usual, **columns})


def _tower(model_type: str, example: str, **columns: Any) -> ImageFamily:
    """A row of the image towers that are built like CLIP's."""
    return ImageFamily(
        model_type,
        "encoder.layers",
        attn="self_attn",
        mlp="mlp",
        prefix="vision_model",
        example=example,
        **columns,
    )


def _convnet(model_type: str, example: str, **columns: Any) -> ImageFamily:
    """A row of the networks of convolutions: feature maps, no attention."""
    usual: dict[str, Any] = {"prefix": model_type, "layout": "bchw", "sdpa": False}
    blocks = columns.pop("blocks", "encoder.stages.*.layers")
    return ImageFamily(model_type, blocks, example=example, **{**usual, **columns})


_LAYER_SCALES = {"attn": "layer_scale1", "mlp": "layer_scale2"}
_LAMBDAS = ("lambda_1", "lambda_2")
_POOLER = {"head": "pooler", "switch": True}
_ROWS = (
    _vit("vit", "google/vit-base-patch16-224", **_POOLER),
    _vit(
        "deit",
        "facebook/deit-base-distilled-patch16-224",
        specials=(*_CLASS, "embeddings.distillation_token"),
        **_POOLER,
    ),
    _vit("beit", "microsoft/beit-base-patch16-224", scales=_LAMBDAS, **_POOLER),
    _vit(
        "data2vec-vision",
        "facebook/data2vec-vision-base",
        blocks="encoder.layer",
        prefix="data2vec_vision",
        mlp="output",
        scales=_LAMBDAS,
        **_POOLER,
    ),
    _vit("dinov2", "facebook/dinov2-base", blocks="encoder.layer", **_LAYER_SCALES),
    _vit(
        "dinov2_with_registers",
        "facebook/dinov2-with-registers-base",
        blocks="encoder.layer",
        specials=(*_CLASS, "embeddings.register_tokens"),
        **_LAYER_SCALES,
    ),
    _vit(
        "dinov3_vit",
        "facebook/dinov3-vits16-pretrain-lvd1689m",
        blocks="model.layer",
        stored="layer",
        prefix="",
        specials=(*_CLASS, "embeddings.register_tokens"),
        default_processor=_DINOV3_PROCESSOR,
        **_LAYER_SCALES,
    ),
    _vit(
        "vit_mae",
        "facebook/vit-mae-base",
        prefix="vit",
        pooled=False,
        order="noise",
        config={"mask_ratio": 0.0},
    ),
    _vit("vit_msn", "facebook/vit-msn-small", prefix="vit", pooled=False),
    _vit("ijepa", "facebook/ijepa_vith14_1k", width="layernorm.weight", specials=(), **_POOLER),
    _tower(
        "clip_vision_model",
        "openai/clip-vit-base-patch32",
        width="embeddings.class_embedding",
        specials=("embeddings.class_embedding",),
        norm="post_layernorm",
        projection=Projection("CLIPVisionModelWithProjection", "vision_model", "visual_projection"),
    ),
    _tower(
        "siglip_vision_model",
        "google/siglip-base-patch16-224",
        width="embeddings.position_embedding.weight",
        head="head",
    ),
    _tower(
        "siglip2_vision_model",
        "google/siglip2-base-patch16-naflex",
        width="embeddings.position_embedding.weight",
        head="head",
        inputs=("pixel_values", "pixel_attention_mask", "spatial_shapes"),
        mask="pixel_attention_mask",
    ),
    ImageFamily(
        "swin",
        "encoder.layers.*.blocks",
        attn="drop_path",  # what attention gives is in windows; this is the first module that has it as positions
        mlp="mlp",
        prefix="swin",
        width="layernorm.weight",
        merges=True,
        one_size=True,
        example="microsoft/swin-tiny-patch4-window7-224",
    ),
    ImageFamily(
        "swinv2",
        "encoder.layers.*.blocks",
        attn="layernorm_before",  # norms stand behind both branches
        mlp="layernorm_after",
        prefix="swinv2",
        width="layernorm.weight",
        sdpa=False,
        merges=True,
        example="microsoft/swinv2-tiny-patch4-window8-256",
    ),
    _convnet(
        "mobilenet_v2",
        "google/mobilenet_v2_1.0_224",
        blocks="layer",
        width="conv_1x1.normalization.weight",
        default_processor=_MOBILENET_PROCESSOR,
    ),
    _convnet("resnet", "microsoft/resnet-50", width="hidden_sizes"),
    _convnet("convnext", "facebook/convnext-tiny-224", width="layernorm.weight", norm="layernorm"),
    _convnet("convnextv2", "facebook/convnextv2-tiny-1k-224", width="layernorm.weight", norm="layernorm"),
    _convnet(
        "dinov3_convnext",
        "facebook/dinov3-convnext-tiny-pretrain-lvd1689m",
        blocks="model.stages.*.layers",
        stored="stages.*.layers",
        prefix="",
        width="layer_norm.weight",
        summaries=1,
        default_processor=_DINOV3_PROCESSOR,
    ),
)
IMAGE_FAMILIES: dict[str, ImageFamily] = {row.model_type: row for row in _ROWS}


def unexplored(model_type: str, width: str, specials: tuple[str, ...]) -> ImageFamily:
    """The row of a family that has none, before `explore_images` completes it: eager attention, pictures of one size,
    and no output of its own for the whole picture."""
    return ImageFamily(model_type, "", width=width, specials=specials, sdpa=False, pooled=False, one_size=True)
