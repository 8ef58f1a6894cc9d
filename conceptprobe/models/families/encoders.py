"""Families of encoders, the encoders of encoder-decoders, and the text towers of joint models.

Of an encoder-decoder its encoder is read: its two streams have no common depth, and the encoder alone sees a text as
given. In a post-norm family `attn_out.i` and `mlp_out.i` are what is added before the norm.
"""

from __future__ import annotations

from conceptprobe.models.families.base import Projection
from conceptprobe.models.families.text_base import TextFamily

_ATTN, _MLP = "attention.output.dense", "output.dense"
"""Of BERT and what was built like it: the last linear map of a branch, before the sum and its norm."""

_ROBERTAS = {
    "roberta": "FacebookAI/roberta-base",
    "xlm-roberta": "FacebookAI/xlm-roberta-base",
    "camembert": "almanach/camembert-base",
}
_T5S = {"t5": "google-t5/t5-small", "mt5": "google/mt5-small", "umt5": "google/umt5-small"}
_BARTS = {"bart": ("", "facebook/bart-base"), "mbart": ("layer_norm", "facebook/mbart-large-50")}
_ROTARY_BERTS = {"nomic_bert": "nomic-ai/nomic-embed-text-v1.5", "gte": "alibaba-nlp-community/gte-multilingual-base"}

ENCODERS: tuple[TextFamily, ...] = (
    TextFamily(
        "bert",
        "encoder.layer",
        attn=_ATTN,
        mlp=_MLP,
        reads_at="first",
        head="pooler",
        switch=True,
        example="google-bert/bert-base-uncased",
    ),
    *(
        TextFamily(
            name,
            "encoder.layer",
            attn=_ATTN,
            mlp=_MLP,
            positions_after_pad=True,
            reads_at="first",
            head="pooler",
            switch=True,
            example=example,
        )
        for name, example in _ROBERTAS.items()
    ),
    TextFamily(
        "mpnet",
        "encoder.layer",
        attn="attention.attn",
        mlp="output.dense",
        positions_after_pad=True,
        sdpa=False,
        reads_at="first",
        head="pooler",
        switch=True,
        example="sentence-transformers/all-mpnet-base-v2",
    ),
    TextFamily("electra", "encoder.layer", attn=_ATTN, mlp=_MLP, example="google/electra-small-discriminator"),
    TextFamily(
        "distilbert",
        "transformer.layer",
        attn="attention",
        mlp="ffn",
        example="distilbert/distilbert-base-uncased",
    ),
    TextFamily("deberta", "encoder.layer", attn=_ATTN, mlp=_MLP, sdpa=False, example="microsoft/deberta-base"),
    TextFamily(
        "deberta-v2",
        "encoder.layer",
        attn=_ATTN,
        mlp=_MLP,
        behind_first="encoder.conv",
        sdpa=False,
        example="microsoft/deberta-v3-base",
    ),
    TextFamily(
        "modernbert", "layers", attn="attn", mlp="mlp", norm="final_norm", example="answerdotai/ModernBERT-base"
    ),
    *(
        TextFamily(name, "layers", attn="self_attn", mlp="mlp", example=example)
        for name, example in _ROTARY_BERTS.items()
    ),
)

OF_ENCODER_DECODERS: tuple[TextFamily, ...] = (
    *(
        TextFamily(
            name,
            "encoder.block",
            attn="layer.0.SelfAttention",
            mlp="layer.1.DenseReluDense",
            norm="encoder.final_layer_norm",
            positions=False,
            net=f"{name.upper()}EncoderModel",
            example=example,
        )
        for name, example in _T5S.items()
    ),
    *(
        TextFamily(
            name,
            "layers",
            attn="self_attn",
            mlp="fc2",
            norm=norm,
            positions=False,
            pads_left=False,
            trunk="encoder",
            example=example,
        )
        for name, (norm, example) in _BARTS.items()
    ),
)

TOWERS: tuple[TextFamily, ...] = (
    TextFamily(
        "clip_text_model",
        "encoder.layers",
        attn="self_attn",
        mlp="mlp",
        norm="final_layer_norm",
        causal=True,
        reads_at="eos",
        prefix="text_model",
        projection=Projection("CLIPTextModelWithProjection", "text_model", "text_projection"),
    ),
    TextFamily(
        "clap_text_model",
        "encoder.layer",
        attn=_ATTN,
        mlp=_MLP,
        positions_after_pad=True,
        sdpa=False,
        reads_at="first",
        head="pooler",
        prefix="text_model",
        net="ClapTextModel",
        projection=Projection("ClapTextModelWithProjection", "text_model", "text_projection"),
    ),
    TextFamily(
        "siglip_text_model",
        "encoder.layers",
        attn="self_attn",
        mlp="mlp",
        norm="final_layer_norm",
        positions=False,
        reads_at="last",
        head="head",
        full_length=True,
        prefix="text_model",
        net="SiglipTextModel",
    ),
    TextFamily(
        "siglip2_text_model",
        "encoder.layers",
        attn="self_attn",
        mlp="mlp",
        norm="final_layer_norm",
        positions=False,
        reads_at="last",
        head="head",
        full_length=True,
        prefix="text_model",
        net="Siglip2TextModel",
    ),
)
