"""What the tokenizer does to texts, and what of that the model is shown: asked of the ids that really enter the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.doctor.plain_text import ShowText
from conceptprobe.doctor.proof import Check
from conceptprobe.doctor.rows import alone

if TYPE_CHECKING:
    from conceptprobe.stimuli.stimulus import Stimulus

MORE, FEWER = 1.05, 0.5
"""Tokens of a tokenizer over rows of the table of tokens: with more, the two belong to different models, with fewer they may.
Tables are rounded up, and some tokenizers know a token for pictures that the language model alone has no row for."""
_EXACT = 1e-5


def tokenizer(model: Any, show: ShowText, stimuli: Sequence[Stimulus]) -> Check:
    """Tokenizer and model belong together: its ids have rows, its size and its padding are the model's."""
    rows = len(model.net.get_input_embeddings().weight)
    known = len(show.tokenizer)
    said = f"{known:,} tokens, {rows:,} rows"
    largest = max(max(show.coded(s.content)[0]) for s in stimuli)
    if largest >= rows:
        return Check(
            "tokenizer", False, f"it writes token {largest}, but the model has {rows} rows: it is another model's"
        )
    if known > MORE * rows:
        return Check("tokenizer", False, f"{said}: it belongs to another model")
    theirs, own = show.tokenizer.pad_token_id, getattr(model.net.config, "pad_token_id", None)
    if model.row.positions_after_pad and theirs != own:
        note = f"positions are counted from the padding id, which is {own} in config.json and {theirs} in the tokenizer"
        return Check("tokenizer", False, note)
    begins = (getattr(model.net.config, "bos_token_id", None), show.tokenizer.bos_token_id)
    if None not in begins and begins[0] != begins[1]:
        said += f"; a text begins with {begins[0]} by config.json and with {begins[1]} by the tokenizer"
        return Check("tokenizer", None, f"{said}: is it the model's?")
    if known < FEWER * rows:
        return Check("tokenizer", None, f"{said}: is it the model's?")
    return Check("tokenizer", True, said)


def of_texts(model: Any, show: ShowText, stimuli: Sequence[Stimulus]) -> Iterator[Check]:
    """The other checks of this file. Raises what `activations` raises."""
    yield bos(model, show, stimuli)
    yield special(model, show, stimuli)
    yield offsets(show, stimuli)
    yield terms(show, stimuli)


def bos(model: Any, show: ShowText, stimuli: Sequence[Stimulus]) -> Check:
    """At most one begin-of-text in front, also of a text that begins with one itself."""
    begin = show.tokenizer.bos_token_id
    if begin is None:
        return Check("bos", True, "the tokenizer has none")
    written = [replace(s, content=f"{show.tokenizer.bos_token}{s.content}", span=None) for s in stimuli[:1]]
    counts = [_leading(shown_ids(model, s), begin) for s in (*stimuli, *written)]
    note = f"{counts[0]} before a text" if max(counts) < 2 else f"{max(counts)} stand before a text"
    return Check("bos", max(counts) < 2, note)


def special(model: Any, show: ShowText, stimuli: Sequence[Stimulus]) -> Check:
    """No special token enters a mean: the mean of the token table is that of the ids the tokenizer gives without them."""
    if show.options.chat or show.options.prefix:
        return Check("special", None, "not asked of texts behind a prefix or in a chat; `reading` compares their masks")
    ours = alone(model, stimuli, ["tokens"], ["mean"])["tokens", "mean"]
    table = model.net.get_input_embeddings().weight
    bare = [show.tokenizer(s.content, add_special_tokens=False)["input_ids"] for s in stimuli]
    theirs = np.stack([table[ids].double().mean(0).cpu().numpy() for ids in bare])
    error = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    added = len(show.coded(stimuli[0].content)[0]) - len(bare[0])
    note = f"{added} added to a text, none in a mean" if error <= _EXACT else "special tokens are counted as words"
    return Check("special", error <= _EXACT, note, error, _EXACT)


def offsets(show: ShowText, stimuli: Sequence[Stimulus]) -> Check:
    """Tokens cover every character of a text, and the tokens of a span no character but its own."""
    if not show.tokenizer.is_fast:
        return Check("offsets", None, "this tokenizer does not say which characters a token covers")
    beyond = 0
    for stimulus in stimuli:
        text = stimulus.content
        _, masked, places = show.coded(text)
        covered = set().union(*(p for p, m in zip(places, masked, strict=True) if not m))
        lacking = [c for c in range(len(text)) if not text[c].isspace() and c not in covered]
        if lacking:
            return Check(
                "offsets", False, f"no token covers character {lacking[0]} ({text[lacking[0]]!r}) of {text[:40]!r}"
            )
        if stimulus.span:
            span = set(range(*stimulus.span))
            inside = [p for p, m in zip(places, masked, strict=True) if not m and p & span]
            if not inside:
                return Check("offsets", False, f"no token lies in the span of {text[:40]!r}")
            beyond += any(p - span for p in inside)
    note = f"in {beyond} of {len(stimuli)} texts a token reaches beyond the span" if beyond else "spans found exactly"
    return Check("offsets", True, note)


def terms(show: ShowText, stimuli: Sequence[Stimulus]) -> Check:
    """Tokens per term, in its text; a term of unknown tokens alone is no word to the model."""
    counts: dict[str, int] = {}
    unknown = []
    for stimulus in stimuli if show.tokenizer.is_fast else ():
        if stimulus.span is None:
            continue
        term, span = stimulus.content[slice(*stimulus.span)], set(range(*stimulus.span))
        ids, masked, places = show.coded(stimulus.content)
        own = [i for i, p, m in zip(ids, places, masked, strict=True) if not m and p & span]
        counts[term] = max(len(own), counts.get(term, 0))
        if own and set(own) == {show.tokenizer.unk_token_id}:
            unknown.append(term)
    if unknown:
        return Check("terms", False, f"the tokenizer does not know {', '.join(dict.fromkeys(unknown))}")
    said = ", ".join(f"{term} {n}" for term, n in list(counts.items())[:6])
    return Check("terms", None, said if counts else "no text has a span")


def shown_ids(model: Any, stimulus: Stimulus) -> list[int]:
    """The ids that enter the network when the model is shown this text alone."""
    seen: list[list[int]] = []
    handle = model.net.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["input_ids"][0].tolist()), with_kwargs=True
    )
    try:
        alone(model, [stimulus], ["embed"], ["mean"])
    finally:
        handle.remove()
    return seen[0]


def _leading(ids: Sequence[int], begin: int) -> int:
    return next((n for n, i in enumerate(ids) if i != begin), len(ids))
