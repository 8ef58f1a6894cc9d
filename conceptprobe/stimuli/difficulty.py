"""How hard the stimuli are for something that reads words only: what an author wants to know before any model is run.

Every AUROC is held out by group (scene, pair, component) and counts pairs of one test fold only, so that offsets
between folds cannot enter; it is the mean over several ways of making the folds. Bags of words and averages of word
vectors see no order: where both sentences of a pair have the same words they are at exactly 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

import numpy as np

from conceptprobe.stimuli.draft import Draft
from conceptprobe.stimuli.held_out import held_out_auroc, standardised
from conceptprobe.stimuli.problems import Problem
from conceptprobe.stimuli.rules.groups import homonym_components
from conceptprobe.stimuli.rules.terms import TIERS, mean_difference, zipf_of
from conceptprobe.stimuli.schema import Concept
from conceptprobe.stimuli.spans import find_span, relative_position
from conceptprobe.stimuli.units import term_units
from conceptprobe.stimuli.words import words

WordVectors = Callable[[Sequence[str]], np.ndarray]
"""Texts -> one mean static vector each, [n, d]."""

MAX_ROWS = 2_000
"""Sentences of a set that are measured; the ridge solves a system of that size."""

LEAKY = 0.8
"""Bag-of-words AUROC over which free sentences give their label away by single words."""
PAIR_RANGE = (0.4, 0.6)
"""Where the AUROC of a bag of words, and of position and length, must be on pairs of the same words."""
NEIGHBOUR_RANGE = (0.35, 0.65)
"""Where the AUROC of the word before and of the word after the concept word must be on such pairs."""
MAX_POSITION_DIFFERENCE = 0.03
"""Mean relative position of the concept word, target minus other, on such pairs."""


@dataclass(frozen=True)
class SetDifficulty:
    """One set: rows by label, independent groups, held-out AUROC by kind of feature, target minus other in surface."""

    n_target: int
    n_other: int
    groups: int
    auroc: dict[str, float] = field(default_factory=dict)
    """`tfidf_words`, `tfidf_chars`, `static`, and for two senses `surface`, `previous_word`, `next_word`."""
    balance: dict[str, float] = field(default_factory=dict)
    """Mean differences, target minus other: `characters`, `words`, and where there are spans `position`."""

    def __str__(self) -> str:
        auroc = ", ".join(f"{kind} {value:.2f}" for kind, value in self.auroc.items()) or "too few groups"
        balance = ", ".join(f"{name} {value:+.2f}" for name, value in self.balance.items())
        lines = (
            f"{self.n_target} + {self.n_other} in {self.groups} groups",
            f"AUROC on held-out groups: {auroc}",
            f"concept minus other: {balance}",
        )
        return "\n      ".join(lines)


@dataclass(frozen=True)
class Difficulty:
    """One concept: units of terms, how well their tiers match (control minus positive), and its sets by name."""

    units: int
    terms: dict[str, float]
    """`zipf_near`, `zipf_far`, `characters_near`, ..., and with a tokenizer `tokens_near`, `tokens_far`."""
    sets: dict[str, SetDifficulty]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        tiers = (
            f"{tier} minus positive: "
            + ", ".join(
                f"{name.removesuffix(f'_{tier}')} {v:+.2f}" for name, v in self.terms.items() if name.endswith(tier)
            )
            for tier in TIERS
        )
        lines = [f"terms: {self.units} units", *(f"    {t}" for t in tiers)]
        return "\n  ".join([*lines, *(f"{name}: {measured}" for name, measured in self.sets.items())])


@dataclass(frozen=True)
class _Row:
    text: str
    shown: str
    """What a bag of words may see: the text, without the span where the span is the label."""
    label: int
    group: str
    span: tuple[int, int] | None


def measure(
    concept: Concept,
    word_vectors: WordVectors | None = None,
    count_tokens: Callable[[str], int] | None = None,
) -> Difficulty:
    """All figures of one concept. `static` needs `word_vectors`, the balance of tokens `count_tokens`."""
    measures: dict[str, Callable[[str], float]] = {"characters": len}
    zipf = zipf_of(concept.lang)
    if zipf is not None:
        measures["zipf"] = zipf
    if count_tokens is not None:
        measures["tokens"] = count_tokens
    triples = list(concept.terms)
    terms = {f"{n}_{tier}": mean_difference(triples, tier, f) for n, f in measures.items() for tier in TIERS}
    sets = {name: _measure_set(name, rows[:MAX_ROWS], word_vectors) for name, rows in _rows(concept).items() if rows}
    return Difficulty(len(set(term_units(concept.terms).values())), terms, sets)


def warnings(draft: Draft, difficulty: Difficulty) -> Iterator[Problem]:
    """CP050, CP052: single words give a label away; two senses can be told apart without composition."""
    for name, measured in difficulty.sets.items():
        if name == "same_words":
            continue
        for kind in ("tfidf_words", "tfidf_chars"):
            value = measured.auroc.get(kind)
            if value is not None and value > LEAKY:
                message = f"{name}: single words ({kind}) tell the labels apart, AUROC {value:.2f} on held-out groups"
                yield draft.source.problem("CP050", (name,), message, key=True)
    pairs = difficulty.sets.get("same_words")
    if pairs is None:
        return
    for kind, value in pairs.auroc.items():
        low, high = NEIGHBOUR_RANGE if kind in ("previous_word", "next_word") else PAIR_RANGE
        if not low <= value <= high:
            message = (
                f"same_words: {kind} tells the senses apart, AUROC {value:.2f}, not {low} to {high}, on held-out pairs"
            )
            yield draft.source.problem("CP052", ("same_words",), message, key=True)
    if abs(pairs.balance.get("position", 0.0)) > MAX_POSITION_DIFFERENCE:
        later = pairs.balance["position"]
        message = f"same_words: the concept word stands {later:+.3f} of a sentence later in the target sense"
        yield draft.source.problem("CP052", ("same_words",), message, key=True)


def _rows(concept: Concept) -> dict[str, list[_Row]]:
    def row(text: str, label: bool, group: str, span: str = "", lang: str | None = None, *, cut: bool = False) -> _Row:
        found = find_span(text, span, lang or concept.lang)
        place = found[0] if found else None
        shown = text[: place[0]] + " " + text[place[1] :] if cut and place else text
        return _Row(text, shown, int(label), group, place)

    components = homonym_components(list(concept.homonyms))
    return {
        "sentences": [row(s.text, s.label == "positive", s.group, s.span, s.lang, cut=True) for s in concept.sentences],
        "paraphrases": [row(p.text, p.label == "positive", p.group) for p in concept.paraphrases],
        "same_words": [
            row(text, target, p.id, p.span, p.lang)
            for p in concept.same_words
            for text, target in ((p.target, True), (p.other, False))
        ],
        "homonyms": [
            row(h.text, h.label == "target", str(c), h.span, h.lang)
            for h, c in zip(concept.homonyms, components, strict=True)
        ],
    }


def _measure_set(name: str, rows: list[_Row], word_vectors: WordVectors | None) -> SetDifficulty:
    labels = np.array([r.label for r in rows])
    groups = [r.group for r in rows]
    two_senses = name in ("same_words", "homonyms")
    features = _lexical(rows)
    if word_vectors is not None:
        vectors = np.asarray(word_vectors([r.shown for r in rows]), dtype=float)
        features["static"] = standardised(np.nan_to_num(vectors))  # a text without a known word may be NaN
    if two_senses:
        features |= _surface(rows)
    measured = {kind: held_out_auroc(x, labels, groups) for kind, x in features.items()}
    return SetDifficulty(
        n_target=int(labels.sum()),
        n_other=int((1 - labels).sum()),
        groups=len(set(groups)),
        auroc={kind: value for kind, value in measured.items() if value is not None},
        balance=_balance(rows),
    )


def _lexical(rows: list[_Row]) -> dict[str, np.ndarray]:
    """tf-idf of words and of character 2- to 4-grams within words; order and punctuation cannot enter."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # 2 s: only where it is used

    kinds = {
        "tfidf_words": TfidfVectorizer(analyzer=words, max_features=5000),
        "tfidf_chars": TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=5000),
    }
    texts = {"tfidf_words": [r.shown for r in rows], "tfidf_chars": [" ".join(words(r.shown)) for r in rows]}
    features = {}
    for kind, vectoriser in kinds.items():
        if any(words(t) for t in texts[kind]):
            features[kind] = vectoriser.fit_transform(texts[kind]).toarray()
    return features


def _surface(rows: list[_Row]) -> dict[str, np.ndarray]:
    """Position and length; the word before and the word after the concept word, one-hot."""
    place = [r.span or (0, 0) for r in rows]
    numbers = [
        [relative_position(r.text, p[0]), len(r.text), len(r.text.split()), r.text.count(",")]
        for r, p in zip(rows, place, strict=True)
    ]
    before = [(words(r.text[: p[0]]) or ["^"])[-1] for r, p in zip(rows, place, strict=True)]
    after = [(words(r.text[p[1] :]) or ["$"])[0] for r, p in zip(rows, place, strict=True)]
    return {
        "surface": standardised(np.array(numbers, dtype=float)),
        "previous_word": _one_hot(before),
        "next_word": _one_hot(after),
    }


def _balance(rows: list[_Row]) -> dict[str, float]:
    measures: dict[str, Callable[[_Row], float]] = {
        "characters": lambda r: len(r.text),
        "words": lambda r: len(r.text.split()),
    }
    if all(r.span is not None for r in rows):
        measures["position"] = lambda r: relative_position(r.text, r.span[0] if r.span else 0)
    if len({r.label for r in rows}) < 2:
        return dict.fromkeys(measures, 0.0)
    target, other = [r for r in rows if r.label], [r for r in rows if not r.label]
    return {n: fmean(map(f, target)) - fmean(map(f, other)) for n, f in measures.items()}


def _one_hot(names: list[str]) -> np.ndarray:
    kinds = sorted(set(names))
    return np.array([[float(name == kind) for kind in kinds] for name in names])
