"""Families of audio models, without a classification head, a decoder or a head for transcription.

Hidden states are a sequence: frames in the order of time, or patches of a spectrogram. A new family is one row here; its
shapes are checked when a model loads.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from conceptprobe.models.families.base import Family, Projection

Layout = Literal["waveform", "window", "patches", "folded"]
"""Where in time positions stand. `waveform`: one after the other over the sound, however long it is. `window`: one after
the other over a window of fixed length, whose rest is padding. `patches`: of such a window, frequency by frequency.
`folded`: a window cut into stretches of time that lie on top of each other like the rows of a picture (HTS-AT)."""


@dataclass(frozen=True)
class AudioFamily(Family):
    """One row: how to read an audio model of this model_type."""

    _: KW_ONLY
    width: str
    """A tensor as wide as what leaves the last block."""
    extractor: str
    """The class of transformers that makes the network's input of a sound."""
    inputs: tuple[str, ...]
    """What of its output the network is given."""
    layout: Layout
    stored: str = ""
    """`blocks` as files name it, where transformers renames the family while it loads it."""
    specials: tuple[str, ...] = ()
    """Tensors of what stands before the patches, the class token first; each counts as many as it has rows."""
    pooled: bool = False
    """The network gives a pooled output of its own."""


_MASK = ("masked_spec_embed",)
"""What training puts in place of frames that are to be guessed."""
_EXAMPLES = {
    "wav2vec2": "facebook/wav2vec2-base-960h",
    "hubert": "facebook/hubert-base-ls960",
    "wavlm": "microsoft/wavlm-base-plus",
    "data2vec-audio": "facebook/data2vec-audio-base-960h",
    "unispeech": "microsoft/unispeech-large-1500h-cv",
    "unispeech-sat": "microsoft/unispeech-sat-base-plus",
}
_ROWS = (
    AudioFamily(
        "whisper",
        "layers",
        attn="self_attn",
        mlp="fc2",
        prefix="model",
        trunk="encoder",
        net="WhisperModel",
        unread=("decoder.",),
        width="layer_norm.weight",
        extractor="WhisperFeatureExtractor",
        inputs=("input_features",),
        layout="window",
        example="openai/whisper-tiny",
    ),
    *(
        AudioFamily(
            model_type,
            "encoder.layers",
            attn="attention",
            mlp="feed_forward",
            prefix=model_type.replace("-", "_"),
            sdpa=model_type != "wavlm",
            unread=_MASK,
            width="encoder.layer_norm.weight",
            extractor="Wav2Vec2FeatureExtractor",
            inputs=("input_values",),
            layout="waveform",
            example=example,
        )
        for model_type, example in _EXAMPLES.items()
    ),
    AudioFamily(
        "audio-spectrogram-transformer",
        "layers",
        stored="encoder.layer",
        attn="attention",
        mlp="mlp",
        prefix="audio_spectrogram_transformer",
        width="layernorm.weight",
        extractor="ASTFeatureExtractor",
        inputs=("input_values",),
        layout="patches",
        specials=("embeddings.cls_token", "embeddings.distillation_token"),
        pooled=True,
        example="MIT/ast-finetuned-audioset-10-10-0.4593",
    ),
    AudioFamily(
        "clap_audio_model",
        "audio_encoder.layers.*.blocks",
        mlp="output",  # attention gives its output window by window, not position by position
        prefix="audio_model",
        net="ClapAudioModel",
        sdpa=False,
        projection=Projection("ClapAudioModelWithProjection", "audio_model", "audio_projection"),
        width="audio_encoder.norm.weight",
        extractor="ClapFeatureExtractor",
        inputs=("input_features", "is_longer"),
        layout="folded",
        pooled=True,
        example="laion/clap-htsat-unfused",
    ),
)
AUDIO_FAMILIES: dict[str, AudioFamily] = {row.model_type: row for row in _ROWS}
