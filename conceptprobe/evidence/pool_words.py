"""The words of question 3: the background pool and the concept's terms, one vector per word and model.

Every word stands in the same neutral frames and is averaged over them: raw rows of templated words agree because they share
templates. The pool's words come first, then the terms, positive ones and their near controls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.control_concepts import ControlConcepts, draw_control_concepts
from conceptprobe.stats.design import codes
from conceptprobe.stimuli.rules.terms import zipf_of
from conceptprobe.stimuli.words import content_words

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

RULER = "words:cooccurrence"
"""Whose vectors say which words are near to each other: word statistics, not a model under test."""
_CONCRETE = 1
"""Column of the ruler's `proxies` that says how concrete a word is."""


@dataclass(frozen=True)
class PoolWords:
    """Words and what is known of them before any model is read."""

    run: RunContext

    @cached_property
    def _pool(self) -> list[str]:
        return [s.group("word") for s in self.run.sets["background"]]

    @cached_property
    def _terms(self) -> list[str]:
        # A string may be a positive of one concept and a control of another; here the tier tells them apart.
        return [f"{s.group('tier')}:{s.group('term')}" for s in self.run.sets["terms_in_pool"]]

    @cached_property
    def pool(self) -> tuple[str, ...]:
        """The m words of the pool."""
        return tuple(dict.fromkeys(self._pool))

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """The t terms."""
        return tuple(term.partition(":")[2] for term in dict.fromkeys(self._terms))

    @cached_property
    def positive(self) -> Bool[np.ndarray, " t"]:
        """Which terms are the concept."""
        return np.array([term.startswith("positive:") for term in dict.fromkeys(self._terms)])

    @cached_property
    def unit(self) -> Int[np.ndarray, " t"]:
        """Independent unit of each term."""
        first = {
            term: s.group("unit") or s.pair for term, s in zip(self._terms, self.run.sets["terms_in_pool"], strict=True)
        }
        return codes([first[term] for term in dict.fromkeys(self._terms)])

    @property
    def ground(self) -> int:
        """Number of pool words, which stand first."""
        return len(self.pool)

    @property
    def n(self) -> int:
        """Number of all words."""
        return len(self.pool) + len(self.terms)

    @cached_property
    def focus(self) -> Bool[np.ndarray, " n"]:
        """Which of all words are the concept."""
        return np.concatenate([np.zeros(self.ground, dtype=bool), self.positive])

    @cached_property
    def categories(self) -> Int[np.ndarray, " m"]:
        """Kind of each pool word, as the pool's file sorts them."""
        kinds = {s.group("word"): s.group("category") for s in self.run.sets["background"]}
        return codes([kinds[word] for word in self.pool])

    def vectors(self, subject: Subject, site: str, frames: Sequence[str] = ()) -> Float[np.ndarray, "n d"]:
        """One row per word: the mean over its frames, or over those named."""
        halves = []
        for name, of in (("background", self._pool), ("terms_in_pool", self._terms)):
            x = self.run.read(subject.name, name, site, "concept_span")
            index = codes(of)
            if frames:
                kept = np.array([s.group("template") in frames for s in self.run.sets[name]])
                x, index = x[kept], index[kept]
            sizes = np.bincount(index)
            sums = np.add.reduceat(
                x[np.argsort(index, kind="stable")], np.cumsum(sizes) - sizes, axis=0, dtype=np.float64
            )
            halves.append(sums / sizes[:, None])
        return np.concatenate(halves)

    @cached_property
    def frames(self) -> tuple[str, ...]:
        """Names of the frames, in order."""
        return tuple(dict.fromkeys(s.group("template") for s in self.run.sets["background"]))

    @cached_property
    def ruler(self) -> Float[np.ndarray, "n d"]:
        """Co-occurrence vectors of all words; zeros where a word is unknown."""
        return np.concatenate([self._of_ruler(name, "embed") for name in ("background", "terms_in_pool")])

    @cached_property
    def properties(self) -> Float[np.ndarray, "n 3"]:
        """Frequency (Zipf, wordfreq), letters per content word, concreteness; nan where unknown."""
        words = [*self.pool, *self.terms]
        stimuli = self.run.sets["background"].stimuli
        zipf = zipf_of(stimuli[0].lang)
        frequency = [zipf(word) if zipf else float("nan") for word in words]
        length = [np.mean([len(part) for part in content_words(word) or word.split() or [word]]) for word in words]
        proxies = np.concatenate([self._of_ruler(name, "proxies") for name in ("background", "terms_in_pool")])
        concrete = np.where(np.abs(proxies).sum(axis=1) > 0, proxies[:, _CONCRETE], np.nan)
        return np.column_stack([frequency, length, concrete])

    def _of_ruler(self, name: str, site: str) -> Float[np.ndarray, "w d"]:
        x = self.run.read(RULER, name, site, "concept_span")
        index = codes(self._pool if name == "background" else self._terms)
        _, first = np.unique(index, return_index=True)
        return x[first].astype(np.float64)

    @cached_property
    def control_concepts(self) -> ControlConcepts:
        """The matched control concepts of this concept in this pool."""
        own = np.flatnonzero(self.focus)
        m = self.ground
        return draw_control_concepts(self.ruler[:m], self.ruler[own], self.properties[:m], self.properties[own])
