"""Tiny audio models of every family, saved as folders with feature extractors; sounds of several lengths.

As with the texts, weights are large, so that attention is sharp and a mistake is far above rounding; the statistics of
batch norms are not those of a fresh network. Windows are 1 s long, and all models read 16,000 samples a second.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conceptprobe.models.families.audio import AUDIO_FAMILIES
from conceptprobe.stimuli.stimulus import Stimulus
from models.tiny_models import save_tokenizer

RATE = 16_000
MELS, PATCH, STRIDE, FRAMES = 32, 8, 6, 98
"""Of the spectrogram transformer: 98 frames of 400 samples, 160 apart, are a window of a little less than 1 s."""

_TRANSFORMER: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.3,
}
_WAVEFORM: dict[str, Any] = {
    **_TRANSFORMER,
    "conv_dim": [16, 16, 16],
    "conv_kernel": [10, 5, 4],
    "conv_stride": [8, 5, 4],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
_CLAP_AUDIO: dict[str, Any] = {
    "hidden_size": 32,
    "patch_embeds_hidden_size": 16,
    "depths": [2, 2],
    "num_attention_heads": [2, 4],
    "spec_size": 64,
    "num_mel_bins": 16,
    "window_size": 4,
    "projection_dim": 24,
    "initializer_factor": 3.0,
}
SPECIFIC: dict[str, dict[str, Any]] = {
    "whisper": {
        "d_model": 32,
        "encoder_layers": 3,
        "decoder_layers": 1,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "num_mel_bins": 20,
        "max_source_positions": 50,
        "max_target_positions": 8,
        "vocab_size": 60,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
        "init_std": 0.3,
    },
    **dict.fromkeys(("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat"), _WAVEFORM),
    "audio-spectrogram-transformer": {
        **_TRANSFORMER,
        "max_length": FRAMES,
        "num_mel_bins": MELS,
        "patch_size": PATCH,
        "frequency_stride": STRIDE,
        "time_stride": STRIDE,
    },
    "clap_audio_model": _CLAP_AUDIO,
}
"""What the tests of a family build."""

_STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{model_type: (model_type, {}) for model_type in SPECIFIC},
    **{f"{m}, pre-norm": (m, _STABLE) for m in ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")},
    "wav2vec2, adapters in blocks": ("wav2vec2", {**_STABLE, "adapter_attn_dim": 8}),
    "wav2vec2, adapter behind": ("wav2vec2", {"add_adapter": True, "output_hidden_size": 24, "num_adapter_layers": 1}),
    "hubert, batch norm": ("hubert", {"conv_pos_batch_norm": True}),
    "clap_audio_model, fused": ("clap_audio_model", {"enable_fusion": True, "fusion_type": "aff_2d"}),
}
"""Name -> (model_type, what of its configuration differs): the ways a family's checkpoints were published."""

EXTRACTORS: dict[str, dict[str, Any]] = {
    "WhisperFeatureExtractor": {"feature_size": 20, "chunk_length": 1},
    "Wav2Vec2FeatureExtractor": {"do_normalize": True},
    "ASTFeatureExtractor": {"num_mel_bins": MELS, "max_length": FRAMES},
    "ClapFeatureExtractor": {
        "feature_size": 16,
        "hop_length": 160,
        "fft_window_size": 256,
        "max_length_s": 1,
        "frequency_max": 8_000,
        "truncation": "rand_trunc",
    },
}
CLASSES = {"clap_audio_model": "ClapAudioModelWithProjection"}
"""model_type -> the class of transformers that is saved, where AutoModel knows none."""

_CLAP_TEXT: dict[str, Any] = {
    "vocab_size": 340,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 30,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "initializer_factor": 12.0,
}


def save_audio_model(folder: Path, model_type: str, *, kind: str = "", seed: int = 0, **config: Any) -> Any:
    """A tiny model of that family with a feature extractor in `folder`; `kind` names a class of transformers."""
    from transformers import AutoConfig

    settings = AutoConfig.for_model(model_type, **{**SPECIFIC[model_type], **config})
    net = _drawn(kind or CLASSES.get(model_type, "AutoModel"), settings, seed)
    net.save_pretrained(folder)
    fused = {"truncation": "fusion"} if config.get("enable_fusion") else {}
    save_extractor(folder, AUDIO_FAMILIES[model_type].extractor, **fused)
    return net


def save_clap(folder: Path, *, seed: int = 0, **audio: Any) -> Any:
    """A tiny CLAP with tokenizer and feature extractor in `folder`; `audio` changes its audio tower. The network."""
    from transformers import ClapConfig

    net = _drawn(
        "ClapModel",
        ClapConfig(text_config=_CLAP_TEXT, audio_config={**_CLAP_AUDIO, **audio}, projection_dim=24),
        seed,
    )
    net.save_pretrained(folder)
    save_extractor(folder, "ClapFeatureExtractor", **({"truncation": "fusion"} if audio.get("enable_fusion") else {}))
    save_tokenizer(folder, "encoder")
    return net


def save_extractor(folder: Path, kind: str, **settings: Any) -> None:
    """preprocessor_config.json."""
    values = {"feature_extractor_type": kind, "sampling_rate": RATE, **EXTRACTORS[kind], **settings}
    (folder / "preprocessor_config.json").write_text(json.dumps(values))


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
        if name.endswith("running_mean"):  # of decibels, which lie far below zero
            buffer.data += (-30 if name.endswith("encoder.batch_norm.running_mean") else 0.1) + 0.1 * torch.randn(
                buffer.shape, generator=generator
            )
        if name.endswith("running_var"):
            buffer.data *= (100 if name.endswith("encoder.batch_norm.running_var") else 1) * (
                0.5 + torch.rand(buffer.shape, generator=generator)
            )
    return net.eval()


def write_sound(path: Path, samples: Any, rate: int = RATE) -> Path:
    """A WAV file of 32-bit floats, so that nothing is rounded."""
    import soundfile

    soundfile.write(path, np.asarray(samples, dtype=np.float32), rate, subtype="FLOAT")
    return path


def sound(path: Path, name: str | None = None) -> Stimulus:
    """The stimulus of a sound file."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Stimulus(name or path.stem, "c", "s", "positive", "audio", digest, file=str(path))


def sounds(folder: Path, n: int = 7, seed: int = 0, *, seconds: Sequence[float] = ()) -> list[Stimulus]:
    """Chords of gliding tones in noise, 0.12 to 0.97 s long where `seconds` does not say otherwise."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        length = seconds[i % len(seconds)] if seconds else rng.uniform(0.12, 0.97)
        t = np.arange(round(length * RATE)) / RATE
        tones = [np.sin(2 * np.pi * (f * t + g * t * t)) for f, g in rng.uniform(80, 3_000, (3, 2))]
        noise = rng.standard_normal(len(t)) * np.exp(-t * rng.uniform(0, 8))
        samples = 0.12 * sum(tones) + 0.1 * noise
        made.append(sound(write_sound(folder / f"s{seed}-{i}.wav", samples)))
    return made
