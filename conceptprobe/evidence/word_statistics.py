"""What is known of words without any context of theirs, and what it leaves of a model's space.

Co-occurrence vectors, the static embeddings of the models that are compared, words and letters that strings have in common
(tf-idf), length and frequency. Two models may agree about words for these reasons alone.

What they explain is taken off with ridge regressions on all of them at once (Hoerl & Kennard 1970), one penalty per dimension
by generalised cross-validation (Golub, Heath & Wahba 1979). Every word is read by a regression that did not see it: the pool
is cut into groups, one regression rests on all groups but one, and reads that group and as large a share of the terms. So the
concept's words and those of control concepts lose as much.

A regression on a few hundred words finds what is linear in these statistics and strong enough to be learnt from so many: what
is left is free of word statistics no further than that. Simulated, with a concept that lies in the statistics alone, a transfer
of AUROC 0.98 falls to 0.54 in a pool of 240 words and to 0.53 in one of 525 (means of 20 worlds, SD 0.08). A kind that explains
nothing makes the others a little weaker, for all are shrunk alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.rsa import RankedDistances, Rsa
from conceptprobe.alignment.transfer import RidgeMap, TransferSpace, transfer_space
from conceptprobe.evidence.carry import Side
from conceptprobe.evidence.context import Subject
from conceptprobe.evidence.pool_words import RULER, PoolWords
from conceptprobe.stimuli.words import words as words_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int

STATIC = "embed"
"""The site that knows of no context: token embeddings, averaged over the tokens of a word."""
GROUPS = 5
"""Groups of pool words that regressions leave out in turn."""
PENALTIES: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03)
"""Of these regressions, in units of the mean squared length of their words' features. None is larger: it might predict better,
but it would leave the share of the statistics that it shrinks."""
_NOTHING = 1e-12
_ANALYZERS: tuple[tuple[str, str, tuple[int, int]], ...] = (
    ("words in common (tf-idf)", "word", (1, 1)),
    ("letters in common (tf-idf)", "char_wb", (3, 5)),
)


@dataclass(frozen=True)
class Statistic:
    """One kind of word statistic. rows: of all words; distance: between two of them, a name of `alignment.distances`."""

    name: str
    rows: Float[np.ndarray, "n f"]
    distance: str

    def distances(self, items: Int[np.ndarray, " i"]) -> RankedDistances:
        """Among some of the words, ranked."""
        return Rsa(self.distance).prepare(self.rows[items])


@dataclass(frozen=True)
class WordStatistics:
    """All that is known of the words before a model reads them in context.

    embedded: the models whose static embeddings count; cooccurrence: whether co-occurrence vectors do.
    """

    words: PoolWords
    embedded: tuple[Subject, ...]
    cooccurrence: bool = True

    @classmethod
    def between(cls, words: PoolWords, a: Side, b: Side) -> WordStatistics:
        """Those of a pair of models: with the static embeddings of both, but never the very site that is compared."""
        compared = {a.key, b.key}
        embedded = tuple(
            side.subject
            for side in (a, b)
            if STATIC in side.subject.sites
            and (side.subject.name, STATIC) not in compared
            and side.subject.name != RULER
        )
        return cls(words, embedded, (RULER, STATIC) not in compared)

    @cached_property
    def all(self) -> tuple[Statistic, ...]:
        """Every kind there is."""
        return (
            *self._vectors(),
            *self.words.run.once(("word statistics", "strings"), lambda: _of_strings(self.words)),
            Statistic("frequency", _filled(self.words.properties[:, :1]), "euclidean"),
        )

    def among(self, items: Int[np.ndarray, " i"]) -> list[Statistic]:
        """Those that tell any two of these words apart."""
        return [s for s in self.all if s.rows.shape[1] and np.ptp(s.rows[items], axis=0).max() > _NOTHING]

    @cached_property
    def learnt(self) -> list[Statistic]:
        """Those that regressions can rest on: they tell words of the pool apart."""
        return self.among(np.arange(self.words.ground))

    def _vectors(self) -> list[Statistic]:
        words, found = self.words, []
        if self.cooccurrence:
            # An unknown word lies at the mean of the pool, where it tells nothing.
            known = np.abs(words.ruler).sum(axis=1) > 0
            mean = (
                words.ruler[: words.ground][known[: words.ground]].mean(axis=0) if known[: words.ground].any() else 0.0
            )
            found.append(Statistic("co-occurrence", np.where(known[:, None], words.ruler - mean, 0.0), "cosine"))
        for subject in self.embedded:
            rows = transfer_space(words.vectors(subject, STATIC), words.ground).rows
            found.append(Statistic(f"static embeddings of {subject.name}", rows, "cosine"))
        return found

    @cached_property
    def features(self) -> TransferSpace:
        """All that can be learnt from, side by side, about the pool's mean and of equal mean squared length over the pool.

        Rotated into as few columns as there are words: a ridge regression does not see that.
        """
        n, ground = self.words.n, self.words.ground
        gram = np.zeros((n, n))
        for statistic in self.learnt:
            rows = statistic.rows - statistic.rows[:ground].mean(axis=0)
            gram += rows @ rows.T * (ground / (rows[:ground] ** 2).sum())
        lengths, axes = np.linalg.eigh(gram)
        used = lengths > _NOTHING * max(float(lengths.max(initial=0.0)), _NOTHING)
        return TransferSpace(axes[:, used] * np.sqrt(lengths[used]), ground)

    @cached_property
    def _maps(self) -> list[tuple[RidgeMap, Int[np.ndarray, " held"]]]:
        """Regressions, each with the words that it reads: a group of the pool that it did not see, and a share of the terms."""
        words = self.words
        rng = words.run.rng("word statistics")
        pool = np.array_split(rng.permutation(words.ground), GROUPS)
        terms = np.array_split(words.ground + rng.permutation(words.n - words.ground), GROUPS)
        everything = np.arange(words.ground)
        return [
            (RidgeMap(self.features, np.setdiff1d(everything, own), PENALTIES), np.concatenate([own, other]))
            for own, other in zip(pool, terms, strict=True)
        ]

    def residual(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """What regressions that did not see a word leave of its row."""
        out = np.empty_like(x)
        for fitted, held in self._maps:
            seen = x[fitted.kept]
            out[held] = x[held] - seen.mean(axis=0) - fitted.read(seen, held)
        return out


def explained(x: Float[np.ndarray, "n d"], residual: Float[np.ndarray, "n d"], ground: int) -> float:
    """Share of the pool's variance that the statistics explain of words the regressions did not see; below 0: nothing."""
    total = float(((x[:ground] - x[:ground].mean(axis=0)) ** 2).sum())
    return 1.0 - float((residual[:ground] ** 2).sum()) / total if total > 0 else 0.0


def _of_strings(words: PoolWords) -> list[Statistic]:
    strings = [*words.pool, *words.terms]
    letters = np.array([[sum(map(len, words_of(s)))] for s in strings], dtype=np.float64)
    counted = [Statistic(name, _tfidf(strings, kind, ngrams), "cosine") for name, kind, ngrams in _ANALYZERS]
    return [*counted, Statistic("letters", letters, "euclidean")]


def _tfidf(strings: list[str], analyzer: str, ngrams: tuple[int, int]) -> Float[np.ndarray, "n v"]:
    """Without what occurs in one string only: it makes no two of them alike. May have no column."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    own: dict[str, Callable[[str], list[str]] | bool | None] = (
        {"tokenizer": words_of, "token_pattern": None, "lowercase": False} if analyzer == "word" else {}
    )
    try:
        counts = TfidfVectorizer(analyzer=analyzer, ngram_range=ngrams, sublinear_tf=True, **own).fit_transform(strings)
    except ValueError:  # not one word in any string
        return np.zeros((len(strings), 0))
    again = np.asarray((counts > 0).sum(axis=0)).ravel() > 1
    return np.asarray(counts[:, again].toarray(), dtype=np.float64)


def _filled(x: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n f"]:
    """What is unknown lies at the mean of what is known; zeros where nothing is."""
    known = np.isfinite(x)
    mean = np.where(known, x, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, x, mean)
