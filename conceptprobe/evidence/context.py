"""RunContext: all that evidence may see of a run. Arrays come through one function; files are nobody's business here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from conceptprobe.evidence.finding import Finding
from conceptprobe.models.base import Kind, ModelInfo, Pooling
from conceptprobe.stats.multiplicity import draws_needed
from conceptprobe.stats.seeds import generator
from conceptprobe.stimuli.judgements import Judgements
from conceptprobe.stimuli.stimulus import StimulusSet

if TYPE_CHECKING:
    from jaxtyping import Float

T = TypeVar("T")

Read = Callable[[str, str, str, Pooling], "Float[np.ndarray, 'n d']"]
"""(model name, stimulus set, site, pooling) -> float32 rows in the order of the set."""

NO_TWIN = "no random twin"
"""Begins the reason why a row about a served model may carry no verdict."""


@dataclass(frozen=True)
class Subject:
    """A model of the run and the sites its probes may choose from, in the order of depth."""

    info: ModelInfo
    sites: tuple[str, ...]
    twins: tuple[Subject, ...] = ()
    lacks: frozenset[str] = frozenset()
    """Optional sets that it cannot read."""
    token_table: bool = True
    """Whether its token embeddings can be read, which are a baseline of its own."""

    @property
    def name(self) -> str:
        """The model's name as the run knows it. The two towers of one model share it."""
        return self.info.name

    @property
    def modality(self) -> str:
        """What it reads; a model of two modalities is two subjects."""
        return self.info.modalities[0]

    @property
    def without_twin(self) -> str:
        """A sentence where a trained model has no random twin to be compared with; else empty."""
        if self.twins or self.info.kind != "trained":
            return ""
        return f"{NO_TWIN}: only the vectors of {self.name} are served, so what its architecture gives untrained is unknown."

    @property
    def label(self) -> str:
        """The name in figures, where a picture tower must not be taken for its text tower."""
        return self.name if self.modality == "text" else f"{self.name} ({self.modality})"


@dataclass(frozen=True)
class Settings:
    """Numbers that decide results. permutations: draws per null, raised to 100 per headline row where more are needed;
    seed: of every generator; k: neighbours of local alignment; details: rows beside the headlines,
    and in the note of an inconclusive one what could have been found."""

    permutations: int = 999
    seed: int = 0
    k: int = 10
    details: bool = True


@dataclass(frozen=True)
class Answer:
    """What a question returns: rows for the card, and the numbers behind its figures (lists of flat records)."""

    findings: list[Finding]
    series: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    not_asked: str = ""


@dataclass(frozen=True)
class RunContext:
    """One run as evidence sees it.

    sets: terms, sentences, paraphrases, same_words, homonyms, background, terms_in_pool, pictures, captions,
    background_pictures, background_captions, sounds, sound_captions (those the files have).
    smallest_effect: per question, on the scale of the effect. splits: (folds of units, folds of templates). progress:
    told (done, total) of whatever takes long. judgements: tables of human word similarity, where the user named some.
    """

    run_id: str
    concept: str
    smallest_effect: Mapping[str, float]
    splits: tuple[int, int]
    sets: Mapping[str, StimulusSet]
    subjects: tuple[Subject, ...]
    read: Read
    settings: Settings = field(default_factory=Settings)
    progress: Callable[[int, int], None] = lambda done, total: None
    memo: dict[tuple[str, ...], Any] = field(default_factory=dict)
    judgements: tuple[Judgements, ...] = ()

    def trained(self, modality: str = "text") -> tuple[Subject, ...]:
        """Trained networks that read this modality: the only ones whose rows count."""
        return self._of("trained", modality)

    def statics(self, modality: str = "text") -> tuple[Subject, ...]:
        """Static models of this modality: word vectors."""
        return self._of("static", modality)

    def _of(self, kind: Kind, modality: str) -> tuple[Subject, ...]:
        return tuple(s for s in self.subjects if s.info.kind == kind and s.modality == modality)

    def independent_pairs(self) -> Iterator[tuple[Subject, Subject]]:
        """Pairs of trained text models that share no weights, targets or training text, as far as is known."""
        for a, b in combinations(self.trained(), 2):
            if not a.info.related_to(b.info):
                yield a, b

    def draws(self) -> int:
        """K of every null: at least 999 and 100 per headline row of the question with the most of them."""
        texts, images, sounds = (len(self.trained(modality)) for modality in ("text", "image", "audio"))
        rows = max(texts + images + sounds, texts * images, len(list(self.independent_pairs())), 1)
        return draws_needed(rows, self.settings.permutations)

    def rng(self, *names: str) -> np.random.Generator:
        """The generator of that name under the run's seed."""
        return generator(self.settings.seed, self.concept, *names)

    def once(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        """`make()` the first time, the same object afterwards: two questions that share fits share them."""
        if key not in self.memo:
            self.memo[key] = make()
        made: T = self.memo[key]
        return made
