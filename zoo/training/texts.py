"""Texts that a small text tower learns from, and what a sentence encoder makes of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from conceptprobe.files import replacing
from conceptprobe.models import resolve
from conceptprobe.stimuli.stimulus import Stimulus
from zoo.training.books import Book
from zoo.training.emoji import Emoji

if TYPE_CHECKING:
    from jaxtyping import Float

PAD, BEGIN, UNKNOWN, END = "<pad>", "<begin>", "<unknown>", "<end>"
"""In the order of their ids. END is not 2: CLIP takes that id for a sign of its first checkpoints."""

FRAMES = ("a picture of a {}.", "the {}.", "she spoke of the {}.", "{}, like so many others.")


def emoji_text(one: Emoji) -> str:
    """What is written beside a picture: its name and its keywords."""
    keywords = [k for k in one.keywords if k not in one.name]
    return f"{one.name}: {', '.join(keywords)}" if keywords else one.name


def corpus(emoji: Sequence[Emoji], books: Sequence[Book], n_words: int, n_sentences: int, seed: int) -> list[str]:
    """Names and keywords of the training emoji, common words bare and in frames, and sentences of books."""
    from wordfreq import top_n_list

    rng = np.random.default_rng(seed)
    vocabulary = [w for w in top_n_list("en", 2 * n_words) if w.isalpha()][:n_words]
    framed = [FRAMES[rng.integers(len(FRAMES))].format(w) for w in vocabulary[: n_words // 2]]
    words = [k for one in emoji for k in (one.name, *one.keywords, emoji_text(one))]
    found: list[str] = []
    for i in rng.permutation(len(books))[:40]:
        sentences = re.split(r"(?<=[.!?])\s+", books[i].text.replace("\n", " "))
        short = [s.strip() for s in sentences if 3 <= len(s.split()) <= 16]
        found += [short[j] for j in rng.permutation(len(short))[: n_sentences // 40]]
    return list(dict.fromkeys([*words, *vocabulary, *framed, *found]))


def train_tokenizer(texts: Sequence[str], size: int) -> PreTrainedTokenizerFast:
    """Lower-case BPE of whole words where they are common."""
    bpe = Tokenizer(models.BPE(unk_token=UNKNOWN))
    bpe.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    specials = [PAD, BEGIN, UNKNOWN, END]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=[(t, bpe.token_to_id(t)) for t in (BEGIN, END)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token=PAD, bos_token=BEGIN, unk_token=UNKNOWN, eos_token=END, model_max_length=48
    )


def sentence_vectors(texts: Sequence[str], teacher: str, work: Path) -> Float[np.ndarray, "n d"]:
    """The teacher's own pooled output of every text, unit rows; kept in `work`, because it takes minutes."""
    spec = resolve(teacher)
    key = sha256("\n".join([spec.info.sha256, *texts]).encode()).hexdigest()[:16]
    path = work / f"targets-{key}.safetensors"
    if not path.is_file():
        stimuli = [Stimulus(str(i), "", "", "background", "text", text) for i, text in enumerate(texts)]
        rows = np.zeros((len(texts), spec.info.d_model), dtype=np.float32)
        for numbers, arrays in spec.load().activations(stimuli, ["pooled"], ["mean"]):
            rows[numbers] = arrays["pooled", "mean"]
        with replacing(path) as temporary:
            save_file({"rows": rows}, temporary)
    rows = load_file(path)["rows"]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
