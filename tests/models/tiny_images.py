"""Tiny image models and joint models of every family, saved as folders with processors; pictures of every kind.

As with the texts, weights are large, so that attention is sharp and a mistake is far above rounding; the statistics of
batch norms are not those of a fresh network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_models import save_tokenizer

SIDE, PATCH = 32, 8

_TRANSFORMER: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.2,
}
_VISION: dict[str, Any] = {**_TRANSFORMER, "image_size": SIDE, "patch_size": PATCH}
_STAGES: dict[str, Any] = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 2, 1, 1]}
# Windows of 3 fit into none of the grids of 16, 8 and 4 patches, so that every block pads and most are shifted.
_WINDOWS: dict[str, Any] = {
    "image_size": SIDE,
    "patch_size": 2,
    "embed_dim": 8,
    "depths": [2, 2, 1],
    "num_heads": [2, 2, 4],
    "window_size": 3,
    "initializer_range": 0.2,
}

VISION: dict[str, dict[str, Any]] = {
    "vit": _VISION,
    "deit": _VISION,
    "beit": {
        **_VISION,
        "use_mean_pooling": True,
        "use_relative_position_bias": True,
        "layer_scale_init_value": 0.7,
    },
    "data2vec-vision": {
        **_VISION,
        "use_mean_pooling": True,
        "use_relative_position_bias": True,
        "layer_scale_init_value": 0.7,
    },
    "dinov2": {**_VISION, "mlp_ratio": 2, "layerscale_value": 0.7},
    "dinov2_with_registers": {**_VISION, "mlp_ratio": 2, "num_register_tokens": 3, "layerscale_value": 0.7},
    "dinov3_vit": {**_VISION, "num_register_tokens": 3, "layerscale_value": 0.7},
    "vit_mae": _VISION,
    "vit_msn": _VISION,
    "ijepa": _VISION,
    "clip_vision_model": {**_VISION, "projection_dim": 24, "initializer_factor": 3.0},
    "siglip_vision_model": _VISION,
    "siglip2_vision_model": {**_TRANSFORMER, "num_patches": 16, "patch_size": PATCH},
    "swin": _WINDOWS,
    "swinv2": _WINDOWS,
    "mobilenet_v2": {"depth_multiplier": 0.35, "initializer_range": 0.2},
    "resnet": {**_STAGES, "embedding_size": 8, "layer_type": "bottleneck"},
    "convnext": {**_STAGES, "layer_scale_init_value": 1.0, "initializer_range": 0.2},
    "convnextv2": {**_STAGES, "initializer_range": 0.2},
    "dinov3_convnext": {**_STAGES, "layer_scale_init_value": 1.0, "initializer_range": 0.2},
}
"""Configuration of a tiny model of every family of image models."""

_TEXT: dict[str, Any] = {
    **_TRANSFORMER,
    "vocab_size": 340,
    "max_position_embeddings": 24,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
JOINT: dict[str, dict[str, Any]] = {
    "clip": {
        "text_config": {**_TEXT, "initializer_factor": 3.0},
        "vision_config": {**_VISION, "initializer_factor": 3.0},
        "projection_dim": 24,
    },
    "siglip": {"text_config": {**_TEXT, "projection_size": 32}, "vision_config": _VISION},
    "siglip2": {
        "text_config": {**_TEXT, "projection_size": 32},
        "vision_config": {**_TRANSFORMER, "num_patches": 16, "patch_size": PATCH},
    },
}

PROCESSOR: dict[str, Any] = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": SIDE, "width": SIDE},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}
_NAFLEX: dict[str, Any] = {
    "image_processor_type": "Siglip2ImageProcessor",
    "size": None,
    "resample": 2,
    "patch_size": PATCH,
    "max_num_patches": 20,
}
_DINOV3: dict[str, Any] = {"image_processor_type": "DINOv3ViTImageProcessor", "resample": 2}
# Maps are halved five times: of these pictures the last one still has 2 x 3 places.
_LARGER: dict[str, Any] = {"size": {"height": 2 * SIDE, "width": 3 * SIDE}}
PROCESSORS: dict[str, dict[str, Any]] = {
    "siglip2_vision_model": _NAFLEX,
    "siglip2": _NAFLEX,
    "dinov3_vit": _DINOV3,
    "dinov3_convnext": {**_DINOV3, **_LARGER},
    **dict.fromkeys(("mobilenet_v2", "resnet", "convnext", "convnextv2"), _LARGER),
}
"""Where the processor of a family has other settings."""


def save_image_model(folder: Path, model_type: str, *, kind: str = "AutoModel", seed: int = 0, **config: Any) -> Any:
    """A tiny model of that family with a processor in `folder`; `kind` names a class of transformers. The network."""
    from transformers import AutoConfig

    settings = AutoConfig.for_model(model_type, **{**VISION.get(model_type, JOINT.get(model_type, {})), **config})
    net = _drawn(kind, settings, seed)
    net.save_pretrained(folder)
    save_processor(folder, **PROCESSORS.get(model_type, {}))
    return net


def save_joint_model(folder: Path, model_type: str, *, seed: int = 0, **config: Any) -> Any:
    """A tiny joint model with tokenizer and processor in `folder`; the network."""
    net = save_image_model(folder, model_type, seed=seed, **config)
    save_tokenizer(folder, "encoder")
    # As published; SigLIP2 reads its padding, and the class of its tokenizer would put it on the left.
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "padding_side": "right"}))
    return net


def save_processor(folder: Path, **settings: Any) -> None:
    """preprocessor_config.json."""
    (folder / "preprocessor_config.json").write_text(json.dumps({**PROCESSOR, **settings}))


def _drawn(kind: str, config: Any, seed: int) -> Any:
    import torch
    import transformers

    torch.manual_seed(seed)
    loader = getattr(transformers, kind)
    net = loader.from_config(config) if hasattr(loader, "from_config") else loader(config)
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():  # biases too: a fresh model has none to speak of
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.data += 0.1 * torch.randn(buffer.shape, generator=generator)
        if name.endswith("running_var"):
            buffer.data *= 0.5 + torch.rand(buffer.shape, generator=generator)
    return net.eval()


def picture(path: Path, name: str | None = None) -> Stimulus:
    """The stimulus of a picture file."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Stimulus(name or path.stem, "c", "s", "positive", "image", digest, file=str(path))


def pictures(folder: Path, n: int = 7, seed: int = 0) -> list[Stimulus]:
    """Noise in soft blobs, in sizes of every shape."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        width, height = (int(s) for s in rng.integers(20, 90, size=2))
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        path = folder / f"p{seed}-{i}.png"
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(path)
        made.append(picture(path))
    return made


def shown(folder: Path, items: Sequence[Stimulus]) -> list[dict[str, Any]]:
    """What transformers' own Pillow processor makes of each picture, opened by Pillow alone; of DINOv3, whose processor
    wants torchvision, what its steps give in torch."""
    import torch
    from transformers import AutoImageProcessor

    settings = json.loads((folder / "preprocessor_config.json").read_text())
    opened = [Image.open(s.file).convert("RGB") for s in items]
    if settings["image_processor_type"] == _DINOV3["image_processor_type"]:
        return [{"pixel_values": _rescaled_first(picture, settings)} for picture in opened]
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    made = [processor(images=p, return_tensors="np") for p in opened]
    return [{name: torch.from_numpy(np.stack(value)) for name, value in one.items()} for one in made]


def _rescaled_first(picture: Image.Image, settings: dict[str, Any]) -> Any:
    import torch

    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() * settings["rescale_factor"]
    side = (settings["size"]["height"], settings["size"]["width"])
    x = torch.nn.functional.interpolate(x, size=side, mode="bilinear", antialias=True, align_corners=False)
    mean, std = (torch.tensor(settings[name])[:, None, None] for name in ("image_mean", "image_std"))
    return (x - mean) / std


def pixels(folder: Path, items: Sequence[Stimulus]) -> Any:
    """Pixel values of pictures that all become of one size."""
    import torch

    return torch.cat([inputs["pixel_values"] for inputs in shown(folder, items)])
