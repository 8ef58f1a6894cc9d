"""Tiny models of every family, saved as folders with tokenizers of their own: what the tests load.

Weights have a standard deviation of 0.3, so that attention is sharp and a mistake in positions or masks is far above
rounding; with the usual 0.02 such mistakes hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conceptprobe.models.families.encoders import OF_ENCODER_DECODERS
from conceptprobe.models.families.text import FAMILIES
from conceptprobe.stimuli.stimulus import Stimulus
from conceptprobe.stimuli.words import words

WORDS = words(
    "the a of and her his soul patience hammer river quiet was all that anyone mentioned about letter winter house he"
    " spoke again small every light inner self in not man band played for dying music over without it shines"
)

SMALL: dict[str, Any] = {
    "vocab_size": 340,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
SPECIAL = ["<unk>", "<pad>", "<s>", "</s>", "<mask>"]

_HEADS = {"n_layer": 3, "n_head": 4, "n_embd": 32, "n_inner": 48, "n_positions": 64, "rotary_dim": 8}
_MAMBA = {"state_size": 8, "expand": 2, "conv_kernel": 4, "time_step_rank": 4}
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_heads": 4, "relative_attention_num_buckets": 8} | {
    "relative_attention_max_distance": 12,
    "initializer_factor": 2.0,
}
_BART = {"d_model": 32, "encoder_layers": 3, "decoder_layers": 3, "init_std": 0.3} | {
    f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in (("attention_heads", 4), ("ffn_dim", 48))
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_WINDOWS = ["sliding_attention", "full_attention", "sliding_attention"]

TEXT: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {},
    "xlm-roberta": {},
    "camembert": {},
    "mpnet": {},
    "electra": {"embedding_size": 16},
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48},
    "deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": True},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
    | {"position_buckets": 4, "norm_rel_ebd": "layer_norm", "share_att_key": True},
    "modernbert": {"local_attention": 6, "global_attn_every_n_layers": 2, "cls_token_id": 2, "sep_token_id": 3},
    "nomic_bert": {"head_dim": 8},
    "gte": {"head_dim": 8},
    "t5": _T5,
    "mt5": _T5 | {"feed_forward_proj": "gated-gelu"},
    "umt5": _T5 | {"feed_forward_proj": "gated-gelu"},
    "bart": _BART,
    "mbart": _BART,
    "gpt2": {"pad_token_id": None, "num_key_value_heads": 4},
    "gpt_neo": {"num_layers": 3, "num_heads": 4, "attention_types": [[["global", "local", "global"], 1]]}
    | {"window_size": 4},
    "gptj": _HEADS,
    "codegen": _HEADS,
    "gpt_neox": {"rotary_pct": 0.5, "num_key_value_heads": 4},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 3, "n_head": 4},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 3, "expansion_ratio": 2, "max_seq_len": 64},
    "falcon": {"new_decoder_architecture": False, "multi_query": True, "num_key_value_heads": 4},
    "phi": {},
    "llama": {"pad_token_id": None},
    "mistral": {"sliding_window": 6},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 6},
    "qwen2": {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1},
    "qwen2_moe": _EXPERTS | {"shared_expert_intermediate_size": 24},
    "qwen3": {"head_dim": 8},
    "qwen3_moe": _EXPERTS | {"head_dim": 8, "mlp_only_layers": [1]},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "sliding_window": 6},
    "gemma3_text": {"head_dim": 8, "sliding_window": 6, "layer_types": _WINDOWS},
    "phi3": {"sliding_window": 6},
    "olmo": {"clip_qkv": 2.0},
    "olmo2": {},
    "olmo3": {"sliding_window": 6, "layer_types": _WINDOWS},
    "olmoe": _EXPERTS,
    "stablelm": {},
    "smollm3": {"no_rope_layers": [1, 0, 1], "use_sliding_window": True, "sliding_window": 6, "layer_types": _WINDOWS},
    "starcoder2": {"sliding_window": 6},
    "cohere": {},
    "cohere2": {"sliding_window": 6, "layer_types": _WINDOWS},
    "glm": {"head_dim": 8},
    "glm4": {"head_dim": 8},
    "granite": {"residual_multiplier": 0.22, "embedding_multiplier": 12.0, "attention_multiplier": 0.1},
    "gpt_oss": {"head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 6}
    | {"layer_types": _WINDOWS},
    "mamba": _MAMBA,
    "mamba2": {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 8, "expand": 2},
    "falcon_mamba": _MAMBA,
}
"""Every family of the table, but for the towers of joint models: where its configuration names things otherwise, and
what exercises it, such as windows shorter than a text."""

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "falcon, new architecture": ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon with alibi": ("falcon", {"alibi": True}),
    "falcon, one after the other": ("falcon", {"parallel_attn": False, "alibi": True, "multi_query": False}),
    "opt-350m": ("opt", {"do_layer_norm_before": False, "word_embed_proj_dim": 16}),
    "bloom, stream after the norm": ("bloom", {"apply_residual_connection_post_layernorm": True}),
    "gpt_neox, one after the other": ("gpt_neox", {"use_parallel_residual": False}),
    "stablelm, side by side": ("stablelm", {"use_parallel_residual": True, "qk_layernorm": True}),
    "phi3 with a long rope": (
        "phi3",
        {"original_max_position_embeddings": 60}
        | {
            "rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 1.0}
            | {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "original_max_position_embeddings": 60}
        },
    ),
    "deberta-v2 with a convolution": ("deberta-v2", {"conv_kernel_size": 3, "conv_act": "gelu"}),
    "deberta-v2 with positions": ("deberta-v2", {"position_biased_input": True}),
    "t5, gated": ("t5", {"feed_forward_proj": "gated-gelu", "is_gated_act": True}),
}
"""Checkpoints of a family that are built otherwise than its usual ones."""


_BYTES = ("qwen2",)
"""transformers makes their tokenizers byte-level whatever the file says, and loses the characters of other vocabularies."""


def save_named(folder: Path, name: str, *, head: Any = None, **config: Any) -> Path:
    """The checkpoint of that name, of `TEXT` or `VARIANTS`, with the tokenizer that suits it.

    It is saved as its family is published: what generates text has its language-modelling head.
    """
    import transformers

    model_type, special = VARIANTS.get(name, (name, {}))
    row = FAMILIES[model_type]
    if head is None and row.causal:
        head = transformers.AutoModelForCausalLM
    elif head is None and row in OF_ENCODER_DECODERS:
        head = transformers.AutoModelForSeq2SeqLM
    kind = "bos" if row.causal else "encoder"  # encoders put a token behind the text, decoders do not
    kind = "bytes" if model_type in _BYTES else kind
    return save_model(folder, model_type, tokenizer=kind, head=head, **special, **config)


def save_model(
    folder: Path, model_type: str, *, tokenizer: str = "encoder", seed: int = 0, head: Any = None, **config: Any
) -> Path:
    """A tiny model of that family in `folder`, with one of the three tokenizers; `head` is a class like AutoModel."""
    import torch
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(seed)
    settings = {**SMALL, **TEXT.get(model_type, {}), **config}
    kind = head or AutoModel
    net = kind.from_config(AutoConfig.for_model(model_type, **settings))
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():  # biases too: a fresh model has none to speak of
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    net.save_pretrained(folder)
    save_tokenizer(folder, tokenizer)
    return folder


def save_tokenizer(folder: Path, kind: str) -> None:
    """`encoder` puts <s> ... </s> around a text, `bos` puts <s> before it, `bytes` is byte-level and adds nothing."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token=None if kind == "bytes" else "<unk>"))
    if kind == "encoder":
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    elif kind == "bos":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    # Few merges: most words are several tokens, so that pooling over a span means something.
    alphabet = pre_tokenizers.ByteLevel.alphabet() if kind == "bytes" else []
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + 60, special_tokens=SPECIAL, show_progress=False, initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator([" ".join(WORDS), "Her soul was quiet.", "a b c d e f g h i j k l m"] * 3, trainer)
    around = {"encoder": "<s> $A </s>", "bos": "<s> $A"}.get(kind)
    if around:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=around, special_tokens=[("<s>", 2), ("</s>", 3)]
        )
    elif kind == "bytes":
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
    if kind == "encoder":
        names |= {"pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


def stimuli(n: int = 12, seed: int = 0, word: str = "soul") -> list[Stimulus]:
    """Texts of 2 to 14 words, each with the span of one word in it."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        chosen = [str(w) for w in rng.choice([w for w in WORDS if w != word], size=2 + i % 13)]
        at = int(rng.integers(len(chosen)))
        chosen[at] = word
        start = len(" ".join(chosen[:at])) + (at > 0)
        text = " ".join(chosen) + "."
        made.append(Stimulus(f"s{i}", "soul", "essence", "positive", "text", text, span=(start, start + len(word))))
    return made


def collect(
    model: Any, items: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[str]
) -> dict[Any, np.ndarray]:
    """All rows of a model in the order of the stimuli."""
    found: dict[Any, np.ndarray] = {}
    for numbers, batch in model.activations(items, sites, poolings):
        for cell, rows in batch.items():
            found.setdefault(cell, np.full((len(items), rows.shape[1]), np.nan, np.float32))[numbers] = rows
    return found


def one_by_one(
    model: Any, items: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[str]
) -> dict[Any, np.ndarray]:
    """The same, each stimulus in a batch of its own: no padding at all."""
    parts = [collect(model, [s], sites, poolings) for s in items]
    return {cell: np.concatenate([p[cell] for p in parts]) for cell in parts[0]}


def largest_error(a: dict[Any, np.ndarray], b: dict[Any, np.ndarray]) -> float:
    """Largest difference over all cells, each relative to the scale of its cell."""
    assert a.keys() == b.keys()
    return max(float(np.abs(a[k] - b[k]).max() / np.abs(b[k]).max()) for k in a)
