"""Public-domain books: read, split by author, tokenised and cut into training windows."""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from conceptprobe.errors import MissingError, UsageError

if TYPE_CHECKING:
    from jaxtyping import Int

SEPARATOR = "<|endoftext|>"
"""Between two books in the file; in a tokenizer, the token every window begins with."""

HELD_OUT_AUTHORS = 10
HELD_OUT_WORDS = (30_000, 120_000)
"""Authors of this much text may be held out: whole authors, and none whose loss would be missed in training."""

_FRONT_MATTER = re.compile(
    r"\s*(?:Title: (?P<title>.*?)\s+)?(?:Author: (?P<author>.*?)\s+)?(?:Year: .*?\n)?\s*-*\n", re.S
)


@dataclass(frozen=True)
class Book:
    """One book without its front matter."""

    title: str
    author: str
    text: str


@dataclass(frozen=True)
class Split:
    """Books by use; the three share no author."""

    a: tuple[Book, ...]
    b: tuple[Book, ...]
    held_out: tuple[Book, ...]

    def half(self, name: str) -> tuple[Book, ...]:
        """The books of half "a" or "b"."""
        return {"a": self.a, "b": self.b}[name]


def read_books(path: Path) -> list[Book]:
    """All books of an xz file, in its order. Raises MissingError, and UsageError where a book names no author."""
    if not path.is_file():
        raise MissingError(f"no file {path}", hint="an xz text file of books separated by lines <|endoftext|>")
    text = lzma.decompress(path.read_bytes()).decode("utf-8")
    books = []
    for raw in re.split(rf"^{re.escape(SEPARATOR)}\s*$", text, flags=re.M):
        if not raw.strip():
            continue
        front = _FRONT_MATTER.match(raw)
        if front is None or not front["author"]:
            raise UsageError(f"a book of {path} has no line 'Author: ...'", hint=repr(raw.strip()[:80]))
        body = re.sub(r"[ \t]+\n", "\n", raw[front.end() :]).strip() + "\n"
        books.append(Book(front["title"] or "", front["author"], body))
    return books


def split_by_author(books: Sequence[Book], seed: int = 0) -> Split:
    """HELD_OUT_AUTHORS drawn from those of middling length; the others dealt to two halves of equal text.

    The dealing is greedy, from the longest author down, so both halves hold long and short authors of many kinds.
    """
    size: dict[str, int] = {}
    for book in books:
        size[book.author] = size.get(book.author, 0) + len(book.text.split())
    low, high = HELD_OUT_WORDS
    candidates = sorted(author for author, words in size.items() if low <= words <= high)
    if len(candidates) < HELD_OUT_AUTHORS:
        raise UsageError(
            f"{len(candidates)} authors of {low:,} to {high:,} words, {HELD_OUT_AUTHORS} are to be held out",
            hint="give more books",
        )
    rng = np.random.default_rng(seed)
    unseen = {candidates[i] for i in rng.permutation(len(candidates))[:HELD_OUT_AUTHORS]}
    halves: dict[str, str] = {}
    filled = {"a": 0, "b": 0}
    for author in sorted(set(size) - unseen, key=lambda name: (-size[name], name)):
        half = min(filled, key=lambda name: (filled[name], name))
        halves[author] = half
        filled[half] += size[author]
    return Split(
        a=tuple(b for b in books if halves.get(b.author) == "a"),
        b=tuple(b for b in books if halves.get(b.author) == "b"),
        held_out=tuple(b for b in books if b.author in unseen),
    )


def fingerprint(books: Sequence[Book]) -> str:
    """sha256 over titles, authors and texts."""
    digest = sha256()
    for book in books:
        digest.update(json.dumps([book.title, book.author, sha256(book.text.encode()).hexdigest()]).encode())
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------------------- tokenizer


def train_tokenizer(books: Sequence[Book], size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE of `size` tokens; every text begins with SEPARATOR, and nothing is unknown."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_passages(books), trainer)
    first = bpe.token_to_id(SEPARATOR)
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{SEPARATOR} $A",
        pair=f"{SEPARATOR} $A $B",
        special_tokens=[(SEPARATOR, first)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=SEPARATOR,
        eos_token=SEPARATOR,
        pad_token=SEPARATOR,
        clean_up_tokenization_spaces=False,
    )


def _passages(books: Sequence[Book], size: int = 20_000) -> Iterator[str]:
    for book in books:
        for start in range(0, len(book.text), size):
            yield book.text[start : start + size]


# --------------------------------------------------------------------------------------------------------- windows


def paragraphs(text: str) -> list[str]:
    """A text cut after every blank line; joined they give the text again."""
    return [part for part in re.split(r"(?<=\n\n)(?=\S)", text) if part]


def windows(books: Sequence[Book], tokenizer: PreTrainedTokenizerFast, length: int) -> Int[np.ndarray, "n length"]:
    """Training windows of `length` tokens, each within one book and preceded by SEPARATOR at training time.

    A window begins at a paragraph where one begins in the last quarter of the window before: what users give the
    model are texts with a beginning, and a model that only ever saw the middle of things knows no beginnings.
    """
    rows: list[np.ndarray] = []
    for book in books:
        encoded = tokenizer.backend_tokenizer.encode_batch(paragraphs(book.text), add_special_tokens=False)
        ids = np.fromiter((i for e in encoded for i in e.ids), dtype=np.int32)
        begins = np.cumsum([0, *(len(e.ids) for e in encoded)])
        start = 0
        while start + length <= len(ids):
            rows.append(ids[start : start + length])
            near = begins[(begins > start + length - length // 4) & (begins <= start + length)]
            start = int(near[-1]) if len(near) else start + length
    return np.stack(rows) if rows else np.zeros((0, length), dtype=np.int32)
