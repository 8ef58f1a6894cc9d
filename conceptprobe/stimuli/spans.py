"""Where a word or phrase stands in a text, where a template's slot is, and what fills the place of either."""

from __future__ import annotations

import re

SLOTS = {"concept": "{term}", "background": "{word}"}
"""The one slot of a template, by kind of file."""

BLANK = "___"
"""What stands in a masked sentence where the span was: no word to any word list of the project."""

_UNSPACED = frozenset({"zh", "ja", "th", "lo", "km", "my"})
"""Languages written without spaces between words: there a span has no word boundaries."""


def find_span(text: str, span: str, lang: str = "en") -> list[tuple[int, int]]:
    """Half-open character ranges at which `span` stands in `text` as whole words, in this very case."""
    if not span:
        return []
    pattern = re.escape(span)
    if lang.split("-")[0] not in _UNSPACED:
        pattern = rf"(?<!\w){pattern}(?!\w)"
    return [m.span() for m in re.finditer(pattern, text)]


def fill(template: str, slot: str, term: str) -> tuple[str, tuple[int, int]]:
    """A template with its slot filled, and where the term then stands."""
    start = template.index(slot)
    return template[:start] + term + template[start + len(slot) :], (start, start + len(term))


def blanked(text: str, span: tuple[int, int]) -> tuple[str, tuple[int, int]]:
    """A text with its span replaced by the blank, and where the blank then stands."""
    start, end = span
    return text[:start] + BLANK + text[end:], (start, start + len(BLANK))


def relative_position(text: str, start: int) -> float:
    """Index of the word that begins at character `start`, over the index of the last word: 0 first, 1 last."""
    before = len(text[:start].split())
    total = len(text.split())
    return before / (total - 1) if total > 1 else 0.0
