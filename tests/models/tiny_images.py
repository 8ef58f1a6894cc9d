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

SPECIFIC: dict[str, dict[str, Any]] = {
    "vit": _VISION,
    "deit": _VISION,
    "beit": {**_VISION, "use_mean_pooling": True, "use_relative_position_bias": True},
    "dinov2": {**_VISION, "mlp_ratio": 2},
    "dinov2_with_registers": {**_VISION, "mlp_ratio": 2, "num_register_tokens": 3},
    "clip_vision_model": {**_VISION, "projection_dim": 24, "initializer_factor": 3.0},
    "siglip_vision_model": _VISION,
    "mobilenet_v2": {"depth_multiplier": 0.35, "initializer_range": 0.2},
    "resnet": {**_STAGES, "embedding_size": 8, "layer_type": "bottleneck"},
    "convnext": {**_STAGES, "layer_scale_init_value": 1.0, "initializer_range": 0.2},
    "convnextv2": {**_STAGES, "initializer_range": 0.2},
}
"""What the tests of a family build."""

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


def save_image_model(folder: Path, model_type: str, *, kind: str = "AutoModel", seed: int = 0, **config: Any) -> Any:
    """A tiny model of that family with a processor in `folder`; `kind` names a class of transformers. The network."""
    from transformers import AutoConfig

    settings = AutoConfig.for_model(model_type, **{**SPECIFIC.get(model_type, JOINT.get(model_type, {})), **config})
    net = _drawn(kind, settings, seed)
    net.save_pretrained(folder)
    save_processor(folder)
    return net


def save_joint_model(folder: Path, model_type: str, *, seed: int = 0, **config: Any) -> Any:
    """A tiny joint model with tokenizer and processor in `folder`; the network."""
    net = save_image_model(folder, model_type, seed=seed, **config)
    save_tokenizer(folder, "encoder")
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


def pixels(net_folder: Path, items: Sequence[Stimulus]) -> Any:
    """What transformers' own processor makes of the pictures, opened by Pillow alone."""
    import torch
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(net_folder, backend="pil")
    opened = [Image.open(s.file).convert("RGB") for s in items]
    return torch.cat([processor(images=p, return_tensors="pt")["pixel_values"] for p in opened])
