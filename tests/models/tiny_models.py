"""Tiny models of every family, saved as folders with tokenizers of their own: what the tests load.

Weights have a standard deviation of 0.3, so that attention is sharp and a mistake in positions or masks is far above
rounding; with the usual 0.02 such mistakes hide.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

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

SPECIFIC: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48},
    "gpt2": {"pad_token_id": None},
    "gpt_neo": {
        "num_layers": 3,
        "num_heads": 4,
        "attention_types": [[["global", "local", "global"], 1]],
        "window_size": 4,
    },
    "bloom": {"n_layer": 3, "n_head": 4},
    "falcon": {"new_decoder_architecture": False, "multi_query": True},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "electra": {"embedding_size": 16},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "sliding_window": 6},
    "gemma3_text": {"head_dim": 8, "sliding_window": 6},
    "qwen3": {"head_dim": 8},
    "mistral": {"sliding_window": 6},
    "llama": {"pad_token_id": None},
}
"""Where a family's configuration names things otherwise; short windows, so that sliding attention is exercised."""


def save_model(
    folder: Path, model_type: str, *, tokenizer: str = "encoder", seed: int = 0, head: Any = None, **config: Any
) -> Path:
    """A tiny model of that family in `folder`, with one of the three tokenizers; `head` is a class like AutoModel."""
    import torch
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(seed)
    settings = {**SMALL, **SPECIFIC.get(model_type, {}), **config}
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
