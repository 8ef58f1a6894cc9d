"""Families of decoders and of recurrent language models, without a language-modelling head.

`attn` and `mlp` end where the branch is added to the residual stream: at the norm behind attention in Gemma 2, OLMo 2 and
GLM 4, at the last linear map where a module adds the stream itself (BLOOM, MPT). Paths follow transformers 5.
"""

from __future__ import annotations

from conceptprobe.models.families.text_base import TextFamily

_LIKE_LLAMA = {
    "llama": "meta-llama/Llama-3.2-1B",
    "mistral": "mistralai/Mistral-7B-v0.3",
    "mixtral": "mistralai/Mixtral-8x7B-v0.1",
    "qwen2": "Qwen/Qwen2.5-0.5B",
    "qwen2_moe": "Qwen/Qwen1.5-MoE-A2.7B",
    "qwen3": "Qwen/Qwen3-0.6B",
    "qwen3_moe": "Qwen/Qwen3-30B-A3B",
    "phi3": "microsoft/Phi-3-mini-4k-instruct",
    "olmo": "allenai/OLMo-1B-hf",
    "olmoe": "allenai/OLMoE-1B-7B-0924",
    "stablelm": "stabilityai/stablelm-2-1_6b",
    "smollm3": "HuggingFaceTB/SmolLM3-3B",
    "starcoder2": "bigcode/starcoder2-3b",
    "cohere": "CohereLabs/c4ai-command-r-v01",
    "cohere2": "CohereLabs/c4ai-command-r7b-12-2024",
    "glm": "zai-org/glm-4-9b-chat-hf",
}
"""Families with Llama's module names; whether branches run one after the other or side by side is no matter here."""

_NORM_BEHIND = {
    "gemma3_text": "google/gemma-3-270m",
    "olmo2": "allenai/OLMo-2-0425-1B",
    "olmo3": "allenai/Olmo-3-1025-7B",
}
"""The same, with a norm between each branch and the sum."""

_RECURRENT = {
    "mamba": "state-spaces/mamba-130m-hf",
    "mamba2": "mistralai/Mamba-Codestral-7B-v0.1",
    "falcon_mamba": "tiiuae/falcon-mamba-7b",
}
"""One mixer per block, neither attention nor feed-forward."""

_BESIDE_VISION = {
    "qwen2_vl_text": "Qwen/Qwen2-VL-2B-Instruct",
    "qwen2_5_vl_text": "Qwen/Qwen2.5-VL-3B-Instruct",
    "qwen3_vl_text": "Qwen/Qwen3-VL-2B-Instruct",
}
"""Language models that exist only within an image-text generator (vlm.py). Positions have three axes, alike for texts."""

DECODERS: tuple[TextFamily, ...] = (
    TextFamily("gpt2", "h", attn="attn", mlp="mlp", norm="ln_f", causal=True, example="openai-community/gpt2"),
    TextFamily(
        "gpt_neo", "h", attn="attn", mlp="mlp", norm="ln_f", sdpa=False, causal=True, example="EleutherAI/gpt-neo-125m"
    ),
    TextFamily(
        "gptj", "h", attn="attn", mlp="mlp", norm="ln_f", sdpa=False, causal=True, example="EleutherAI/gpt-j-6b"
    ),
    TextFamily(
        "codegen",
        "h",
        attn="attn",
        mlp="mlp",
        norm="ln_f",
        sdpa=False,
        causal=True,
        example="Salesforce/codegen-350M-mono",
    ),
    TextFamily(
        "gpt_neox",
        "layers",
        attn="attention",
        mlp="mlp",
        norm="final_layer_norm",
        causal=True,
        example="EleutherAI/pythia-70m",
    ),
    TextFamily(
        "opt",
        "decoder.layers",
        attn="self_attn",
        mlp="fc2",
        norm="decoder.final_layer_norm",
        causal=True,
        example="facebook/opt-125m",
    ),
    TextFamily(
        "bloom",
        "h",
        attn="self_attention.dense",
        mlp="mlp.dense_4h_to_h",
        norm="ln_f",
        positions=False,
        sdpa=False,
        causal=True,
        example="bigscience/bloom-560m",
    ),
    TextFamily(
        "mpt",
        "blocks",
        attn="attn",
        mlp="ffn.down_proj",
        norm="norm_f",
        positions=False,
        sdpa=False,
        causal=True,
        example="mosaicml/mpt-7b",
    ),
    TextFamily(
        "falcon",
        "h",
        attn="self_attention",
        mlp="mlp",
        norm="ln_f",
        not_eager="alibi",
        causal=True,
        example="tiiuae/falcon-7b",
    ),
    TextFamily(
        "phi", "layers", attn="self_attn", mlp="mlp", norm="final_layernorm", causal=True, example="microsoft/phi-2"
    ),
    *(
        TextFamily(name, "layers", attn="self_attn", mlp="mlp", norm="norm", causal=True, example=example)
        for name, example in _LIKE_LLAMA.items()
    ),
    *(
        TextFamily(
            name,
            "layers",
            attn="post_attention_layernorm",
            mlp="post_feedforward_layernorm",
            norm="norm",
            causal=True,
            example=example,
        )
        for name, example in _NORM_BEHIND.items()
    ),
    *(
        TextFamily(
            name,
            "layers",
            attn="self_attn",
            mlp="mlp",
            norm="norm",
            prefix="language_model",
            causal=True,
            example=example,
        )
        for name, example in _BESIDE_VISION.items()
    ),
    TextFamily(
        "gemma",
        "layers",
        attn="self_attn",
        mlp="mlp",
        norm="norm",
        both_ways="use_bidirectional_attention",
        causal=True,
        example="google/gemma-2b",
    ),
    TextFamily(
        "gemma2",
        "layers",
        attn="post_attention_layernorm",
        mlp="post_feedforward_layernorm",
        norm="norm",
        sdpa=False,
        both_ways="use_bidirectional_attention",
        causal=True,
        example="google/gemma-2-2b",
    ),
    TextFamily(
        "glm4",
        "layers",
        attn="post_self_attn_layernorm",
        mlp="post_mlp_layernorm",
        norm="norm",
        causal=True,
        example="zai-org/GLM-4-9B-0414",
    ),
    TextFamily(
        "granite",
        "layers",
        attn="self_attn",
        mlp="mlp",
        norm="norm",
        branch_scale="residual_multiplier",
        causal=True,
        example="ibm-granite/granite-3.1-2b-base",
    ),
    TextFamily(
        "gpt_oss",
        "layers",
        attn="self_attn",
        mlp="mlp",
        norm="norm",
        sdpa=False,
        causal=True,
        example="openai/gpt-oss-20b",
    ),
    *(
        TextFamily(name, "layers", norm="norm_f", sdpa=False, positions=False, pads=False, causal=True, example=example)
        for name, example in _RECURRENT.items()
    ),
)
