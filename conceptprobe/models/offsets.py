"""Which characters a token covers, for tokenizers that do not report it: a search that is checked, or a refusal.

Decoding is the only thing every tokenizer offers. Tokens are decoded one at a time; where that does not give the text
(bytes of one character, blanks that belong to a pair of tokens), ever longer beginnings of the text are, and a token covers
what it adds. Either way the pieces must be the text, character by character.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from conceptprobe.errors import UsageError


def offsets_by_search(
    tokenizer: Any, text: str, ids: Sequence[int], added: Sequence[int], stimulus_id: str
) -> list[tuple[int, int]]:
    """(first character, character behind the last) per token; (0, 0) for those that were `added` around the text.

    Every token of a character that takes several covers all of it. Raises UsageError naming tokenizer and stimulus where
    the tokens, decoded, are not the text: a tokenizer that lowers case or drops accents, or an unknown word.
    """
    own = [i for i, extra in zip(ids, added, strict=True) if not extra]
    pieces = [_decoded(tokenizer, [i]) for i in own]
    if "".join(pieces) == text:
        ends = list(accumulate(map(len, pieces)))
        found = list(zip([0, *ends], ends, strict=False))
    elif _decoded(tokenizer, own) == text:
        found = _by_beginnings(tokenizer, text, own)
    else:
        raise UsageError(
            f"stimulus '{stimulus_id}': {type(tokenizer).__name__} does not report which characters a token covers, and "
            "its tokens do not give back the text",
            hint="pool by mean, last or cls, or save a tokenizer.json beside the model",
        )
    ranges = iter(found)
    return [(0, 0) if extra else next(ranges) for extra in added]


def _by_beginnings(tokenizer: Any, text: str, own: Sequence[int]) -> list[tuple[int, int]]:
    # What an unfinished character decodes to differs (nothing, a replacement mark): only what agrees with the text counts.
    agree = [_agreeing(_decoded(tokenizer, own[:k]), text) for k in range(1, len(own))]
    ends = list(accumulate([*agree, len(text)], max))
    found: list[tuple[int, int]] = []
    for k, end in enumerate(ends):
        start = ends[k - 1] if k else 0
        # A token that adds nothing begins a character that a later one completes.
        found.append((start, next((later for later in ends[k:] if later > start), end)))
    return found


def _agreeing(a: str, b: str) -> int:
    """Length of the beginning they have in common."""
    differ = (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    return next(differ, min(len(a), len(b)))


def _decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text
