"""Units: what belongs together so closely that it must never be split, and counts once.

Terms are one unit where they are matched (a triple) or share a content word; free contexts where they share one.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Protocol

from conceptprobe.stimuli.words import content_words


class TripleLike(Protocol):
    """Three matched terms."""

    @property
    def id(self) -> str:
        """Id of the triple."""

    @property
    def positive(self) -> str:
        """A name of the concept."""

    @property
    def near(self) -> str:
        """An abstract control."""

    @property
    def far(self) -> str:
        """A concrete control."""


def components(keys: Sequence[Iterable[Hashable]]) -> list[int]:
    """Component of each item, where items that share a key are linked; numbered 0.. in order of first appearance."""
    parent = list(range(len(keys)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]  # path halving keeps the trees flat
            i = parent[i]
        return i

    first: dict[Hashable, int] = {}
    for i, own in enumerate(keys):
        for key in own:
            parent[root(i)] = root(first.setdefault(key, i))
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(i), len(numbers)) for i in range(len(keys))]


def term_units(triples: Iterable[TripleLike]) -> dict[str, str]:
    """Triple id -> unit id. A unit is named after its first triple."""
    listed = list(triples)
    numbers = components([term_words(t) for t in listed])
    names: dict[int, str] = {}
    return {t.id: names.setdefault(n, t.id) for t, n in zip(listed, numbers, strict=True)}


def term_words(triple: TripleLike) -> frozenset[str]:
    """Content words of all three terms of a triple."""
    return frozenset(content_words(f"{triple.positive} ; {triple.near} ; {triple.far}"))


def sentence_components(
    texts: Sequence[str], ignore: Collection[str], groups: Sequence[str] | None = None
) -> list[int]:
    """Component of each text, linked by shared content words other than those in `ignore`, and by shared group."""
    keys: list[set[Hashable]] = [{("word", w) for w in content_words(t) if w not in ignore} for t in texts]
    for own, group in zip(keys, groups or (), strict=groups is not None):
        own.add(("group", group))
    return components(keys)
