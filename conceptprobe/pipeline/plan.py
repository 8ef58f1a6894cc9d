"""The plan of a run: what it reads, what is cached, what will be computed. Nothing is executed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from conceptprobe.activations import Store, extractor_version, key_of, missing_cells
from conceptprobe.evidence.anchored import Anchor, anchors
from conceptprobe.evidence.context import Subject
from conceptprobe.evidence.needs import HALVES, PROJECTION, READINGS, Need, needs_of
from conceptprobe.evidence.pool_words import RULER
from conceptprobe.models import towers
from conceptprobe.models.api import FAMILY
from conceptprobe.models.base import ModelSpec, Pooling
from conceptprobe.pipeline.config import RunConfig
from conceptprobe.pipeline.finding_models import find_models
from conceptprobe.pipeline.progress import Reporter
from conceptprobe.pipeline.version import code_version
from conceptprobe.report.phrases import tower_name
from conceptprobe.stimuli import (
    expand,
    expand_background,
    expand_background_media,
    expand_in_pool,
    find_concept_file,
    load_background,
    load_concept,
)
from conceptprobe.stimuli.judgements import Judgements, load_judgements
from conceptprobe.stimuli.media import left_out
from conceptprobe.stimuli.schema import Concept
from conceptprobe.stimuli.stimulus import StimulusSet


@dataclass(frozen=True)
class Cell:
    """One extraction: a model on a set at some sites under some poolings."""

    spec: ModelSpec
    stimuli: StimulusSet
    sites: tuple[str, ...]
    poolings: tuple[Pooling, ...]

    def missing(self, store: Store) -> int:
        """Number of (site, pooling) entries that are not in the cache."""
        return len(missing_cells(self.spec, self.stimuli, self.sites, self.poolings, store=store))

    @property
    def entries(self) -> int:
        """Number of (site, pooling) entries."""
        return len(self.sites) * len(self.poolings)

    @property
    def bytes_(self) -> int:
        """Size of the entries in the cache: float32 rows (of a tf-idf, whose width is not known yet, 0)."""
        return self.entries * len(self.stimuli) * self.spec.info.d_model * 4


@dataclass(frozen=True)
class ModelPlan:
    """A model of the run (of a joint model, one tower) and its random twins."""

    spec: ModelSpec
    twins: tuple[ModelSpec, ...]

    def subject(self, lacks: frozenset[str] = frozenset()) -> Subject:
        """The model as evidence sees it; `lacks`: optional sets it cannot read."""
        sites = probe_sites(self.spec)
        twins = tuple(Subject(t.info, sites) for t in self.twins)
        return Subject(self.spec.info, sites, twins, lacks, "tokens" in getattr(self.spec, "extra_sites", ()))


@dataclass(frozen=True)
class Plan:
    """Everything a run will do, resolved."""

    config: RunConfig
    concept: Concept
    concept_path: Path
    sets: Mapping[str, StimulusSet]
    models: tuple[ModelPlan, ...]
    ruler: ModelPlan | None = None
    """Word vectors that `shared` draws control concepts by, where they are no model of the run."""
    left_out: tuple[str, ...] = ()
    """A line for every picture or sound that cannot be used, every table of judgements with too few words of the pool, and
    every model of which a question or nothing can be asked: the run goes on without it."""
    judgements: tuple[Judgements, ...] = ()
    """Tables of human word similarity."""

    @property
    def specs(self) -> Iterator[ModelSpec]:
        """All models, each before its twins."""
        for model in self.read:
            yield model.spec
            yield from model.twins

    @property
    def read(self) -> tuple[ModelPlan, ...]:
        """All that is extracted: the models of the run, and the ruler."""
        return (*self.models, *((self.ruler,) if self.ruler else ()))

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All extractions, model by model."""
        return tuple(
            Cell(spec, self.sets[need.set_name], _sites(spec, need), need.poolings)
            for model in self.read
            for spec in (model.spec, *model.twins)
            for need in needs_of(
                spec.info.kind,
                spec.info.modalities[0],
                (*self.config.questions, *((PROJECTION,) if spec.info.name in self.joint else ())),
                self.sets,
                static=model.spec.info.kind == "static",
            )
            if need.sites not in ("tokens", "proxies") or need.sites in getattr(spec, "extra_sites", ())
        )

    def to_send(self, store: Store) -> dict[str, int]:
        """Served model -> how many texts it would be asked for; what is cached is never asked for again."""
        served = [cell for cell in self.cells if cell.spec.info.family == FAMILY]
        sets = {(c.spec.info.name, c.stimuli.name): c.stimuli for c in served if c.missing(store)}
        sent = {cell.spec.info.name: 0 for cell in served}
        for (name, _), stimuli in sets.items():
            sent[name] += len({s.content for s in stimuli})
        return sent

    @cached_property
    def joint(self) -> frozenset[str]:
        """Trained models both of whose towers put pictures and captions of this run into one space."""
        if any(name not in self.sets for names in HALVES.values() for name in names):
            return frozenset()
        towers_of: dict[str, set[str]] = {}
        for info in (m.spec.info for m in self.models if m.spec.info.kind == "trained" and "pooled" in m.spec.sites):
            towers_of.setdefault(info.name, set()).add(info.modalities[0])
        return frozenset(name for name, read in towers_of.items() if read >= set(HALVES))

    @cached_property
    def anchors(self) -> tuple[Anchor, ...]:
        """What each table of human judgements has to say of the pool's words."""
        return _anchors(self.sets["background"], self.judgements) if self.judgements else ()

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all stimuli of the run, set by set."""
        return key_of({name: stimuli.fingerprint for name, stimuli in self.sets.items()})

    @cached_property
    def plan_hash(self) -> str:
        """sha256 of all that decides the findings: settings, stimuli, models, code."""
        return key_of(
            {
                "questions": self.config.questions,
                "twins": self.config.twins,
                "permutations": self.config.permutations,
                "seed": self.config.seed,
                "smallest_effect": self.concept.smallest_effect.model_dump(),
                "splits": self.concept.splits.model_dump(),
                "concept": self.concept.id,
                "stimuli": self.fingerprint,
                "models": [(s.info.name, s.info.sha256, s.info.kind, s.info.lineage) for s in self.specs],
                "code": code_version(),
                "extractor": extractor_version(),
            }
            | ({"judgements": [table.fingerprint for table in self.judgements]} if self.judgements else {})
        )


def make_plan(config: RunConfig, *, download: bool = False, reporter: Reporter | None = None) -> Plan:
    """Resolve files and models. Raises what a user must mend: ConceptFileError, MissingError, UsageError.

    With `download`, models that the hub has and the local cache lacks are fetched.
    """
    path = find_concept_file(config.concept)
    concept = load_concept(path)
    sets = dict(expand(concept))
    lacking = left_out(concept.media, concept.folder)
    if {"shared", "crossmodal"} & set(config.questions):
        pool = load_background(config.background)
        if "shared" in config.questions:
            sets["background"] = expand_background(pool)
            sets["terms_in_pool"] = expand_in_pool(concept, pool)
        if "crossmodal" in config.questions and "pictures" in sets:
            sets |= expand_background_media(pool)
            lacking += left_out(pool.media, pool.folder)
    judgements = load_judgements(config.human) if config.human else ()
    if judgements:
        lacking += [a.sentence for a in _anchors(sets["background"], judgements) if a.reason]
    beside = (RULER,) if "shared" in config.questions and RULER not in config.models else ()
    specs = find_models(config, also=beside, download=download, reporter=reporter)
    models = tuple(_model_plan(tower, config.twins) for name in config.models for tower in towers(specs[name]))
    lacking += _not_asked(models, config.questions, sets)
    ruler = ModelPlan(specs[RULER], ()) if beside else None
    return Plan(config, concept, path, sets, models, ruler, tuple(lacking), judgements)


def _not_asked(models: Sequence[ModelPlan], questions: Sequence[str], sets: Mapping[str, StimulusSet]) -> Iterator[str]:
    """What cannot be asked of a model, for want of stimuli that it reads."""
    for info in (model.spec.info for model in models):
        name, own = tower_name(info.name, info.modalities[0]), READINGS[info.modalities[0]].set_name
        if not needs_of(info.kind, info.modalities[0], questions, sets):
            why = "no question of this run reads any" if own in sets else "the concept file has none"
            yield f"{name} reads {own}, and {why}: nothing is asked of it"
        elif "crossmodal" in questions and info.modalities[0] not in HALVES:
            yield f"crossmodal is not asked of {name}: the background pool has no {own} with captions"


def _anchors(pool: StimulusSet, judgements: tuple[Judgements, ...]) -> tuple[Anchor, ...]:
    return anchors(list(dict.fromkeys(s.group("word") for s in pool)), judgements)


def _model_plan(spec: ModelSpec, twins: int) -> ModelPlan:
    if spec.info.kind == "twin" or spec.info.family in _WITHOUT_TWIN:
        return ModelPlan(spec, ())
    return ModelPlan(spec, tuple(spec.twin(seed) for seed in range(twins)))


_WITHOUT_TWIN = ("tfidf", FAMILY)
"""Nothing was trained, or only its vectors are served."""


def probe_sites(spec: ModelSpec) -> tuple[str, ...]:
    """Sites a probe may choose from: all that can be read at a token, so not the model's own pooled output, unless it
    gives nothing else."""
    return tuple(site for site in spec.sites if site != "pooled") or spec.sites


def _sites(spec: ModelSpec, need: Need) -> tuple[str, ...]:
    return (need.sites,) if need.sites in ("tokens", "pooled", "proxies") else probe_sites(spec)
