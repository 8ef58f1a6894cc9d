"""Texts -> tokens with all that pooling needs to know, in one call of the tokenizer.

What counts as a special token: a token the tokenizer's post-processor added (its own special_tokens_mask), and any
token with the id of bos, eos, cls, sep or pad. The id of the unknown token is never special, and [MASK] is not: an
author who wrote an unknown word or a mask put content there. Where one id is both (GPT-2 has one token for bos, eos
and unknown) it is content unless the post-processor added it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

    from conceptprobe.stimuli.stimulus import Stimulus


@dataclass(frozen=True)
class Coded:
    """One tokenised text. `start`, `end`: the characters of each token, without leading blanks."""

    ids: Int[np.ndarray, " t"]
    special: Bool[np.ndarray, " t"]
    start: Int[np.ndarray, " t"]
    end: Int[np.ndarray, " t"]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Padded:
    """A batch: ids and masks of equal length. `in_span` is all False for a stimulus without a span."""

    ids: Int[np.ndarray, "b t"]
    real: Bool[np.ndarray, "b t"]
    content: Bool[np.ndarray, "b t"]
    in_span: Bool[np.ndarray, "b t"]


@dataclass(frozen=True)
class Limits:
    """What the model takes: `max_tokens` per text (None: any number), ids below `vocabulary`."""

    max_tokens: int | None
    vocabulary: int


@lru_cache(maxsize=16)
def encode(tokenizer: Any, stimuli: tuple[Stimulus, ...], limits: Limits, *, needs_offsets: bool) -> list[Coded]:
    """Tokenise all stimuli at once; at most one BOS in front. Kept for the twins, which read the same tokens.

    Raises UsageError naming a stimulus that is too long, has no token or a token the model does not know, and where
    spans are needed but the tokenizer cannot say which characters a token covers.
    """
    if needs_offsets and not tokenizer.is_fast:
        raise UsageError(
            "this model's tokenizer does not report which characters a token covers",
            hint="pool by mean, last or cls, or save a tokenizer.json beside the model",
        )
    texts = [s.content for s in stimuli]
    raw = tokenizer(
        texts,
        add_special_tokens=True,
        return_special_tokens_mask=True,
        return_offsets_mapping=tokenizer.is_fast,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    special_ids = frozenset(_special_ids(tokenizer))
    offsets: Iterator[Any] = iter(raw["offset_mapping"]) if tokenizer.is_fast else iter([None] * len(texts))
    rows = zip(stimuli, raw["input_ids"], raw["special_tokens_mask"], offsets, strict=True)
    return [_coded(*row, special_ids, tokenizer.bos_token_id, limits) for row in rows]


def up_to_span(coded: Coded, span: tuple[int, int]) -> Coded:
    """What stands before the end of the span; all of it where no token lies in the span."""
    inside = np.flatnonzero(_overlap(coded.start, coded.end, *span))
    end = int(inside[-1]) + 1 if len(inside) else len(coded)
    return Coded(coded.ids[:end], coded.special[:end], coded.start[:end], coded.end[:end])


def pad(
    rows: Sequence[Coded], stimuli: Sequence[Stimulus], *, pad_id: int, side: str, length: int | None = None
) -> Padded:
    """One batch; `side` is where the padding goes, left or right.

    With a `length`, all rows have it and padding goes to the right, because it is part of what the model reads.
    """
    longest = length or max(len(r) for r in rows)
    side = "right" if length else side
    shape = (len(rows), longest)
    ids = np.full(shape, pad_id, dtype=np.int64)
    real, special = np.zeros(shape, bool), np.zeros(shape, bool)
    start, end = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for i, row in enumerate(rows):
        at = slice(0, len(row)) if side == "right" else slice(longest - len(row), longest)
        ids[i, at], real[i, at], special[i, at] = row.ids, True, row.special
        start[i, at], end[i, at] = row.start, row.end
    span = np.array([s.span or (0, 0) for s in stimuli], dtype=np.int64)
    content = real & ~special
    return Padded(ids, real, content, content & _overlap(start, end, span[:, :1], span[:, 1:]))


def _overlap(
    start: Int[np.ndarray, " *t"], end: Int[np.ndarray, " *t"], first: Any, behind: Any
) -> Bool[np.ndarray, " *t"]:
    # Half-open ranges overlap; a token of blanks only has an empty range and belongs to nothing.
    return (start < behind) & (end > first) & (end > start)


def _coded(
    stimulus: Stimulus,
    ids: list[int],
    added: list[int],
    offsets: list[tuple[int, int]] | None,
    special_ids: frozenset[int],
    bos: int | None,
    limits: Limits,
) -> Coded:
    skip = 0
    while skip + 1 < len(ids) and bos is not None and ids[skip] == bos == ids[skip + 1]:
        skip += 1  # the text began with the BOS the tokenizer adds, or the tokenizer adds two
    ids, added = ids[skip:], added[skip:]
    if not ids:
        raise UsageError(f"stimulus '{stimulus.id}' has no tokens: {stimulus.content[:60]!r}", hint="write a text")
    if limits.max_tokens is not None and len(ids) > limits.max_tokens:
        raise UsageError(
            f"stimulus '{stimulus.id}' has {len(ids)} tokens; this model takes {limits.max_tokens}",
            hint="shorten the text: nothing is ever cut off silently",
        )
    if max(ids) >= limits.vocabulary:
        raise UsageError(
            f"stimulus '{stimulus.id}' has the token {max(ids)}, but the model knows {limits.vocabulary} tokens",
            hint="the tokenizer in the folder belongs to another model",
        )
    text = stimulus.content
    ranges = [_no_leading_blank(text, a, b) for a, b in offsets[skip:]] if offsets else [(0, 0)] * len(ids)
    coded = np.array(ids, dtype=np.int64)
    special = np.array([bool(a) or i in special_ids for a, i in zip(added, ids, strict=True)])
    start, end = np.array(ranges, dtype=np.int64).T
    return Coded(coded, special, start, end)


def _no_leading_blank(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    return start, end


def _special_ids(tokenizer: Any) -> set[int]:
    named = ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "pad_token_id")
    ids = {getattr(tokenizer, name, None) for name in named} - {None, tokenizer.unk_token_id}
    return {int(i) for i in ids if i is not None}
