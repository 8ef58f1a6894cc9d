"""Texts -> tokens with all that pooling needs to know, in one call of the tokenizer.

What counts as a special token: a token the tokenizer's post-processor added (its own special_tokens_mask), and any
token with the id of bos, eos, cls, sep or pad. The id of the unknown token is never special, and [MASK] is not: an
author who wrote an unknown word or a mask put content there. Where one id is both (GPT-2 has one token for bos, eos
and unknown) it is content unless the post-processor added it.

A prefix and what a chat template writes are masked like special tokens. A token that straddles them and the text is the
text's where any of its characters, blanks apart, are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.errors import UsageError
from conceptprobe.models.framing import Framed, frame
from conceptprobe.models.offsets import offsets_by_search
from conceptprobe.models.options import DEFAULT, Options

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

    from conceptprobe.stimuli.stimulus import Stimulus


@dataclass(frozen=True)
class Coded:
    """One tokenised text. `start`, `end`: the characters of each token, without leading blanks.

    `special` are all tokens that are not the text's own, those of a prefix or a chat template included; `cut`: tokens of the
    text that were left out, because the model does not take so many.
    """

    ids: Int[np.ndarray, " t"]
    special: Bool[np.ndarray, " t"]
    start: Int[np.ndarray, " t"]
    end: Int[np.ndarray, " t"]
    cut: int = 0

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
def encode(
    tokenizer: Any, stimuli: tuple[Stimulus, ...], limits: Limits, *, needs_offsets: bool, options: Options = DEFAULT
) -> list[Coded]:
    """Tokenise all stimuli at once, framed as `options` say; at most one BOS in front. Kept for the twins, which read the
    same tokens.

    A chat template writes its special tokens itself, so the tokenizer adds none to it. Raises UsageError naming a stimulus
    that is too long (where nothing is to be cut, or its span would be), has no token or a token the model does not know, and
    where spans are needed but nothing tells which characters a token covers; what `frame` raises.
    """
    frames = [frame(tokenizer, s, options) for s in stimuli]
    raw = tokenizer(
        [f.text for f in frames],
        add_special_tokens=not options.chat,
        return_special_tokens_mask=True,
        return_offsets_mapping=tokenizer.is_fast,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    special_ids = frozenset(_special_ids(tokenizer))
    searched = (needs_offsets or options.chat or bool(options.prefix)) and not tokenizer.is_fast
    coded = []
    for i, (stimulus, framed) in enumerate(zip(stimuli, frames, strict=True)):
        ids, added = raw["input_ids"][i], raw["special_tokens_mask"][i]
        offsets = raw["offset_mapping"][i] if tokenizer.is_fast else None
        if searched:
            offsets = offsets_by_search(tokenizer, framed.text, ids, added, stimulus.id)
        row = _coded(stimulus, framed, ids, added, offsets, special_ids, tokenizer.bos_token_id, limits)
        coded.append(_fitted(row, stimulus, limits, options.truncate, spans=needs_offsets))
    return coded


def up_to_span(coded: Coded, span: tuple[int, int]) -> Coded:
    """What stands before the end of the span; all of it where no token lies in the span."""
    inside = np.flatnonzero(_overlap(coded.start, coded.end, *span))
    end = int(inside[-1]) + 1 if len(inside) else len(coded)
    return _kept(coded, np.arange(len(coded)) < end)


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
    framed: Framed,
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
    if max(ids) >= limits.vocabulary:
        raise UsageError(
            f"stimulus '{stimulus.id}' has the token {max(ids)}, but the model knows {limits.vocabulary} tokens",
            hint="the tokenizer in the folder belongs to another model",
        )
    ranges = offsets[skip:] if offsets else [(framed.start, framed.start)] * len(ids)
    special = [
        bool(a) or i in special_ids or not _in_text(framed, *at) for a, i, at in zip(added, ids, ranges, strict=True)
    ]
    # In characters of the stimulus; a token that begins before it begins with it, and one outside covers nothing of it.
    within = np.clip([_no_leading_blank(framed.text, *at) for at in ranges], framed.start, framed.end) - framed.start
    start, end = within.T
    return Coded(np.array(ids, dtype=np.int64), np.array(special), start, end)


def _in_text(framed: Framed, start: int, end: int) -> bool:
    """Whether a token of these characters is the text's: some of them are, and not blanks alone where others are not."""
    if start >= framed.start and end <= framed.end:
        return True
    inside = framed.text[max(start, framed.start) : min(end, framed.end)]
    return bool(inside.strip())


def _fitted(coded: Coded, stimulus: Stimulus, limits: Limits, side: str, *, spans: bool) -> Coded:
    """No longer than the model takes: cut at that side of the text itself, which keeps all that stands around it."""
    longest = limits.max_tokens
    if longest is None or len(coded) <= longest:
        return coded
    if not side:
        raise UsageError(
            f"stimulus '{stimulus.id}' has {len(coded)} tokens; this model takes {longest}",
            hint="shorten the text, or cut it with --truncate left or --truncate right: nothing is cut off unasked",
        )
    own = np.flatnonzero(~coded.special)
    surplus = len(coded) - longest
    if surplus >= len(own):
        raise UsageError(
            f"stimulus '{stimulus.id}': what stands around a text leaves no room for it in the {longest} tokens this model "
            "takes",
            hint="shorten the prefix, or leave out --chat",
        )
    gone = np.zeros(len(coded), dtype=bool)
    gone[own[:surplus] if side == "left" else own[-surplus:]] = True
    if spans and stimulus.span and bool((gone & _overlap(coded.start, coded.end, *stimulus.span)).any()):
        raise UsageError(
            f"stimulus '{stimulus.id}' has {len(coded)} tokens; cut to {longest} at the {side} it would lose its span",
            hint=f"shorten the text, or cut it at the other side with --truncate {_OTHER[side]}",
        )
    return replace(_kept(coded, ~gone), cut=surplus)


_OTHER = {"left": "right", "right": "left"}


def _kept(coded: Coded, keep: Bool[np.ndarray, " t"]) -> Coded:
    return replace(
        coded, ids=coded.ids[keep], special=coded.special[keep], start=coded.start[keep], end=coded.end[keep]
    )


def _no_leading_blank(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    return start, end


def _special_ids(tokenizer: Any) -> set[int]:
    named = ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "pad_token_id")
    ids = {getattr(tokenizer, name, None) for name in named} - {None, tokenizer.unk_token_id}
    return {int(i) for i in ids if i is not None}
