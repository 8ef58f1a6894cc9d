"""Tiny image-text generators of every family, saved as folders with tokenizers and picture processors of their own.

As with the texts, weights are large, so that attention is sharp and a mistake is far above rounding. A picture is cut,
tiled, packed or padded as in the family's real checkpoints, only smaller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_images import picture
from models.tiny_models import save_tokenizer

_TEXT: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "max_position_embeddings": 512,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
_VISION: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
}
_QWEN_VISION: dict[str, Any] = {
    "depth": 2,
    "num_heads": 2,
    "hidden_size": 16,
    "intermediate_size": 48,
    "out_hidden_size": 32,
    "patch_size": 4,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
_ROPE: dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
_PIXELS: dict[str, Any] = {
    "do_resize": True,
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}
_SQUARE: dict[str, Any] = {**_PIXELS, "size": {"height": 32, "width": 32}}
_GRID = [[32, 32], [32, 64], [64, 32], [64, 64]]
_QWEN_PIXELS: dict[str, Any] = {
    **_PIXELS,
    "patch_size": 4,
    "merge_size": 2,
    "temporal_patch_size": 2,
    "size": {"shortest_edge": 4 * 64, "longest_edge": 24 * 64},
}
_IDEFICS_PIXELS: dict[str, Any] = {
    **_PIXELS,
    "do_convert_rgb": True,
    "do_image_splitting": True,
    "do_pad": True,
    "size": {"longest_edge": 64},
    "max_image_size": {"longest_edge": 32},
}
_IDEFICS_TOKENS = {
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
    **{f"tile_{i}_{j}_token": f"<row_{i}_col_{j}>" for i in (1, 2) for j in (1, 2)},
}


@dataclass(frozen=True)
class Recipe:
    """One tiny model: `kind` is its model_type in transformers, the rest its settings, by the names of its files."""

    kind: str
    image_token: str
    text: Mapping[str, Any]
    vision: Mapping[str, Any]
    pixels: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    processor: Mapping[str, Any] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    tokenizer: str = "bytes"


_QWEN_TOKENS = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
}
_GEMMA_TOKENS = {
    "image_token": "<image_soft_token>",
    "boi_token": "<start_of_image>",
    "eoi_token": "<end_of_image>",
}
_LLAMA = {**_TEXT, "model_type": "llama"}

RECIPES: dict[str, Recipe] = {
    "llava": Recipe(
        "llava",
        "<image>",
        _LLAMA,
        {**_VISION, "model_type": "clip_vision_model"},
        {
            **_PIXELS,
            "image_processor_type": "CLIPImageProcessor",
            "size": {"shortest_edge": 32},
            "do_center_crop": True,
            "crop_size": {"height": 32, "width": 32},
        },
        {"vision_feature_layer": -2, "vision_feature_select_strategy": "default", "image_seq_length": 16},
        {"patch_size": 8, "num_additional_image_tokens": 1, "vision_feature_select_strategy": "default"},
        {"image_token": "<image>"},
        "bos",
    ),
    "llava_onevision": Recipe(
        "llava_onevision",
        "<image>",
        {**_TEXT, "model_type": "qwen2"},
        {**_VISION, "model_type": "siglip_vision_model", "vision_use_head": False},
        {**_SQUARE, "image_processor_type": "LlavaOnevisionImageProcessor", "image_grid_pinpoints": _GRID},
        {
            "image_grid_pinpoints": _GRID,
            "vision_feature_layer": -1,
            "vision_feature_select_strategy": "full",
            "vision_aspect_ratio": "anyres_max_9",
        },
        {"num_image_tokens": 16, "vision_feature_select_strategy": "full", "vision_aspect_ratio": "anyres_max_9"},
        {"image_token": "<image>", "video_token": "<video>"},
    ),
    "qwen2_vl": Recipe(
        "qwen2_vl",
        "<|image_pad|>",
        {**_TEXT, "rope_parameters": _ROPE},
        {
            **{k: v for k, v in _QWEN_VISION.items() if k not in ("out_hidden_size", "intermediate_size")},
            "embed_dim": 16,
            "hidden_size": 32,
            "mlp_ratio": 2,
        },
        {**_QWEN_PIXELS, "image_processor_type": "Qwen2VLImageProcessor"},
        tokens=_QWEN_TOKENS,
    ),
    "qwen2_5_vl": Recipe(
        "qwen2_5_vl",
        "<|image_pad|>",
        {**_TEXT, "rope_parameters": _ROPE},
        {**_QWEN_VISION, "window_size": 16, "fullatt_block_indexes": [1]},
        {**_QWEN_PIXELS, "image_processor_type": "Qwen2VLImageProcessor"},
        tokens=_QWEN_TOKENS,
    ),
    "qwen3_vl": Recipe(
        "qwen3_vl",
        "<|image_pad|>",
        {**_TEXT, "rope_parameters": _ROPE},
        {**_QWEN_VISION, "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1]},
        {**_QWEN_PIXELS, "image_processor_type": "Qwen2VLImageProcessor"},
        tokens=_QWEN_TOKENS,
    ),
    "gemma3": Recipe(
        "gemma3",
        "<image_soft_token>",
        {
            **_TEXT,
            "model_type": "gemma3_text",
            "sliding_window": 6,
            "layer_types": ["sliding_attention"] * 2 + ["full_attention"],
        },
        {**_VISION, "model_type": "siglip_vision_model", "vision_use_head": False},
        {**_SQUARE, "image_processor_type": "Gemma3ImageProcessor", "image_seq_length": 4},
        {"mm_tokens_per_image": 4},
        {"image_seq_length": 4},
        _GEMMA_TOKENS,
        "bos",
    ),
    "idefics3": Recipe(
        "idefics3",
        "<image>",
        _LLAMA,
        _VISION,
        {**_IDEFICS_PIXELS, "image_processor_type": "Idefics3ImageProcessor"},
        {"scale_factor": 2},
        {"image_seq_len": 4},
        _IDEFICS_TOKENS,
        "bos",
    ),
    "smolvlm": Recipe(
        "smolvlm",
        "<image>",
        _LLAMA,
        _VISION,
        {**_IDEFICS_PIXELS, "image_processor_type": "SmolVLMImageProcessor"},
        {"scale_factor": 2},
        {"image_seq_len": 4},
        _IDEFICS_TOKENS,
    ),
    "paligemma": Recipe(
        "paligemma",
        "<image>",
        {**_TEXT, "model_type": "gemma"},
        {**_VISION, "model_type": "siglip_vision_model", "vision_use_head": False, "projection_dim": 32},
        {**_SQUARE, "image_processor_type": "SiglipImageProcessor", "image_seq_length": 16},
        {"projection_dim": 32, "hidden_size": 32},
        {},
        {"image_token": "<image>"},
    ),
    "paligemma2": Recipe(
        "paligemma",
        "<image>",
        {**_TEXT, "model_type": "gemma2", "sliding_window": 6},
        {**_VISION, "model_type": "siglip_vision_model", "vision_use_head": False, "projection_dim": 32},
        {**_SQUARE, "image_processor_type": "SiglipImageProcessor", "image_seq_length": 16},
        {"projection_dim": 32, "hidden_size": 32},
        {},
        {"image_token": "<image>"},
    ),
}
"""By name: most are the only one of their model_type."""


def save_vlm(folder: Path, name: str, *, seed: int = 0) -> Any:
    """The tiny model of that name in `folder`, with tokenizer and processor settings; the network."""
    import torch
    import transformers

    recipe = RECIPES[name]
    tokenizer = _save_tokenizer(folder, recipe)
    ids = {
        f"{key.removesuffix('_token')}_token_id": tokenizer.convert_tokens_to_ids(t) for key, t in recipe.tokens.items()
    }
    wanted = {"vision_start": "vision_bos_token", "vision_end": "vision_eos_token"}
    named = {f"{key}_token_id": ids[f"{token}_id"] for key, token in wanted.items() if f"{token}_id" in ids}
    index = {"image_token_index": ids["image_token_id"], "video_token_index": ids.get("video_token_id")}
    index |= {f"{key}_index": ids[f"{key}_id"] for key in ("boi_token", "eoi_token") if f"{key}_id" in ids}
    by_index = recipe.kind in ("llava", "llava_onevision", "gemma3", "paligemma")
    where = {k: v for k, v in index.items() if v is not None} if by_index else {**ids, **named}
    where = {k: v for k, v in where.items() if k.endswith("_index") or k.split("_")[0] in ("image", "video", "vision")}
    config = transformers.AutoConfig.for_model(
        recipe.kind, text_config=dict(recipe.text), vision_config=dict(recipe.vision), **where, **recipe.config
    )
    torch.manual_seed(seed)
    net = transformers.AutoModelForImageTextToText.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = 0.3 * noise if parameter.dim() > 1 else parameter.data + 0.05 * noise
    net.tie_weights()
    net.eval().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(dict(recipe.pixels)))
    if recipe.processor:
        (folder / "processor_config.json").write_text(json.dumps(dict(recipe.processor)))
    return net


def _save_tokenizer(folder: Path, recipe: Recipe) -> Any:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    save_tokenizer(folder, recipe.tokenizer)
    plain = AutoTokenizer.from_pretrained(folder)
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    made = PreTrainedTokenizerFast(
        tokenizer_object=plain.backend_tokenizer, extra_special_tokens=dict(recipe.tokens), **names
    )
    made.save_pretrained(folder)
    return made


def shown(folder: Path, seed: int = 0) -> list[Stimulus]:
    """Pictures alone and with a text beside them, in sizes and lengths of which some are alike."""
    rng = np.random.default_rng(seed)
    sizes = ((40, 30), (40, 30), (30, 60), (64, 64), (40, 30), (64, 64), (90, 20))
    texts = ("", "", "", "Her soul was quiet.", "his soul again", "the inner light of her soul", "a soul shines")
    made = []
    for i, ((width, height), text) in enumerate(zip(sizes, texts, strict=True)):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        path = folder / f"v{seed}-{i}.png"
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(path)
        start = text.find("soul")
        made.append(replace(picture(path), text=text, span=(start, start + 4) if text else None))
    # Texts of equal length beside pictures of equal size: these share a batch.
    twin = replace(made[3], id="twin", content=made[5].content, file=made[5].file)
    return [*made, twin]
