"""Planted text models: activations as a known function of the stimuli, and a RunContext over them.

A row is noise of its unit, of its item (a term, a sentence), of its template and of its own, plus whatever the model is
made to follow. Static word vectors (the model's token table and `words:cooccurrence`) are means of one vector per word, as
real ones are. Twins have the noise and follow nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.calibration.stimuli import CONCEPT, same_words, span_words, terms
from conceptprobe.evidence.context import RunContext, Settings, Subject
from conceptprobe.models.base import Kind, ModelInfo, Pooling
from conceptprobe.stats.design import codes
from conceptprobe.stats.seeds import generator
from conceptprobe.stimuli.stimulus import Modality, StimulusSet

if TYPE_CHECKING:
    from jaxtyping import Float, Int

WIDTH = 16
"""Width d of every planted space."""
SITES = ("embed", "resid_post.0")
SMALLEST_EFFECT: Mapping[str, float] = {"encoded": 0.10, "beyond_words": 0.05, "shared": 0.05, "crossmodal": 0.05}
"""The defaults of a concept file."""
SPLITS = (5, 3)
SET_OF: Mapping[str, str] = {"encoded": "terms", "beyond_words": "same_words"}
"""Question -> the stimulus set of its headline."""
_PROXIES = 3
"""Width of the site `proxies` of word vectors: how pleasant, concrete and frequent; here, directions at random."""
_NO_VECTORS: tuple[np.ndarray, np.ndarray, np.ndarray] = (np.zeros((0, WIDTH)),) * 3
Stored = dict[tuple[str, str, str, str], "Float[np.ndarray, 'n d']"]
"""(model, set, site, pooling) -> rows."""


@dataclass(frozen=True)
class TextWorld:
    """What a planted text model follows, in units of the noise between items along one direction; 0: not at all.

    concept: the label, along one direction, at `concept_sites` and there alone.
    word: every word's static vector, at the span; word_gap: how far words of the concept lie from others in those vectors.
    topic: the static vectors of the words around the span. template: what all rows of one template share.
    length, position: characters of the text, words before the span. opposite: two hidden signs per item, equal in the
    concept and unequal in controls (exclusive or): no direction tells them apart.
    earlier, longer, two_forms: see `stimuli.same_words`.
    """

    concept: float = 0.0
    concept_sites: tuple[str, ...] = SITES
    word: float = 0.0
    word_gap: float = 0.0
    topic: float = 0.0
    template: float = 0.5
    length: float = 0.0
    position: float = 0.0
    opposite: float = 0.0
    unit: float = 0.3
    row: float = 0.5
    earlier: float = 0.5
    longer: float = 0.5
    two_forms: bool = False
    units: int = 20
    templates: int = 3
    twins: int = 1

    def stimuli(
        self, questions: Sequence[str], rng: np.random.Generator, units: int, *, far: bool = False
    ) -> dict[str, StimulusSet]:
        """The sets these questions read, of that many matched pairs each."""
        sets: dict[str, StimulusSet] = {}
        if "encoded" in questions:
            sets["terms"] = terms(units, self.templates, rng, far=far)
        if "beyond_words" in questions:
            sets["same_words"] = same_words(
                units, rng, earlier=self.earlier, longer=self.longer, two_forms=self.two_forms
            )
        return sets

    def run(
        self,
        questions: Sequence[str],
        *names: str,
        seed: int,
        sets: Mapping[str, StimulusSet] | None = None,
        details: bool = False,
    ) -> RunContext:
        """One replication: new stimuli and activations from the generator of these names under the seed.

        sets: stimuli to be read instead of new ones. details: with all that rows beside the headlines read.
        """
        rng = generator(seed, "calibrate", *names)
        if sets is None:
            sets = self.stimuli(questions, rng, self.units, far=details)
        model = Subject(
            info("planted", "trained", "text"),
            SITES,
            tuple(Subject(info(f"random:planted#{i}", "twin", "text"), SITES) for i in range(self.twins)),
        )
        words = Subject(info("words:cooccurrence", "static", "text"), ("embed",))
        stored: Stored = {}
        for stimuli in sets.values():
            self._fill(stored, stimuli, model, words, rng, details)
        return planted_context(sets, (model, words), stored, seed=int(rng.integers(2**31)), details=details)

    def _fill(
        self,
        stored: Stored,
        stimuli: StimulusSet,
        model: Subject,
        words: Subject,
        rng: np.random.Generator,
        details: bool,
    ) -> None:
        name, noise = stimuli.name, _Noise(stimuli, self, rng)
        static = (
            details or name == "same_words" or bool(self.word or self.topic)
        )  # headlines of terms read no word vectors
        span, context, mean = _pooled(stimuli, _meanings(stimuli, self.word_gap, rng)) if static else _NO_VECTORS
        followed = (
            (self.length, _scaled([len(s.content) for s in stimuli])),
            (self.position, _scaled([len(s.content[: (s.span or (0, 0))[0]].split()) for s in stimuli])),
        )
        label = 2.0 * np.array(stimuli.labels) - 1.0
        first = rng.choice([-1.0, 1.0], noise.items)[noise.item]
        for site in model.sites:
            x = noise.draw(rng)
            concept = self.concept if site in self.concept_sites else 0.0
            for strength, values in (*followed, (concept, label)):
                x += strength * np.outer(values, _direction(rng))
            for strength, vectors in ((self.word, span), (self.topic, context)):
                x += strength * vectors @ rotation(WIDTH, rng) if strength else 0.0
            a, b = _direction(rng), _direction(rng)
            x += self.opposite * (np.outer(first, a) + np.outer(first * label, b))
            stored[model.name, name, site, "concept_span"] = x
            for twin in model.twins:
                stored[twin.name, name, site, "concept_span"] = noise.draw(rng)
        if not static:
            return
        table, few = rotation(WIDTH, rng), rotation(WIDTH, rng)[:, :_PROXIES]
        stored[model.name, name, "tokens", "mean"] = mean @ table
        stored[model.name, name, "tokens", "context"] = context @ table
        for pooling, vectors in (("concept_span", span), ("context", context), ("mean", mean)):
            stored[words.name, name, "embed", pooling] = vectors
            stored[words.name, name, "proxies", pooling] = vectors @ few


class _Noise:
    """Rows share the noise of their unit, of their item and of their template, as real sentences do."""

    def __init__(self, stimuli: StimulusSet, world: TextWorld, rng: np.random.Generator) -> None:
        named = [s.group("term") or s.id for s in stimuli]
        self.item: Int[np.ndarray, " n"] = codes(named)
        self.items = int(self.item.max()) + 1
        self._parts = [(1.0, self.item), (world.unit, codes([s.group("unit") for s in stimuli]))]
        if any(s.group("template") for s in stimuli):
            self._parts += [
                (world.template, codes([s.group("template") for s in stimuli])),
                (world.row, np.arange(len(stimuli))),
            ]

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
        """Fresh noise for every row."""
        x = np.zeros((len(self.item), WIDTH))
        for size, part in self._parts:
            x += size * rng.standard_normal((int(part.max()) + 1, WIDTH))[part]
        return x


def _meanings(stimuli: StimulusSet, gap: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A static vector per word. Words of the concept lie `gap` along one direction, their controls as far the other way."""
    spans = list(span_words(stimuli))
    names = dict.fromkeys(w for span, others in spans for w in (span, *others))
    vectors = dict(zip(names, rng.standard_normal((len(names), WIDTH)), strict=True))
    sides: dict[str, set[int]] = {}
    for (span, _), label in zip(spans, stimuli.labels, strict=True):
        sides.setdefault(span, set()).add(label)
    direction = _direction(rng)
    for word, labels in sides.items():
        if len(labels) == 1:  # a word that occurs in both senses says nothing about either
            vectors[word] = vectors[word] + gap * (2 * labels.pop() - 1) * direction
    return vectors


def _pooled(stimuli: StimulusSet, vectors: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Static vectors of the span, their mean over the context, and over all words; words of a bag are summed in one order."""
    rows = []
    for span, others in span_words(stimuli):
        around = np.sum([vectors[w] for w in others], axis=0)
        everything = np.sum([vectors[w] for w in sorted([span, *others])], axis=0)
        rows.append((vectors[span], around / len(others), everything / (len(others) + 1)))
    spans, contexts, means = (np.array(part) for part in zip(*rows, strict=True))
    return spans, contexts, means


def _scaled(values: Sequence[int]) -> Float[np.ndarray, " n"]:
    x = np.array(values, dtype=np.float64)
    spread = float(x.std())
    return (x - x.mean()) / spread if spread > 0 else x * 0.0


def _direction(rng: np.random.Generator) -> Float[np.ndarray, " d"]:
    x = rng.standard_normal(WIDTH)
    return x / np.linalg.norm(x)


def rotation(width: int, rng: np.random.Generator) -> Float[np.ndarray, "d d"]:
    """A random orthogonal matrix."""
    q, _ = np.linalg.qr(rng.standard_normal((width, width)))
    return q


def info(name: str, kind: Kind, modality: Modality) -> ModelInfo:
    """What a planted model says of itself; no two are relatives."""
    return ModelInfo(name, "planted", "", name, "planted", (modality,), len(SITES) - 1, WIDTH, 0, "float32", (), kind)


def planted_context(
    sets: Mapping[str, StimulusSet], subjects: tuple[Subject, ...], stored: Stored, *, seed: int, details: bool = False
) -> RunContext:
    """A RunContext over stored rows: what a run of this seed would see."""

    def read(model: str, name: str, site: str, pooling: Pooling) -> Float[np.ndarray, "n d"]:
        return stored[model, name, site, pooling].astype(np.float32)

    return RunContext(
        run_id="calibrate",
        concept=CONCEPT,
        smallest_effect=SMALLEST_EFFECT,
        splits=SPLITS,
        sets=sets,
        subjects=subjects,
        read=read,
        settings=Settings(permutations=999, seed=seed, details=details),
    )
