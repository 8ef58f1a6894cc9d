"""What the probe benchmarks run on: terms of the bundled concepts read by minilm, or Gaussians of the same shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import ConceptprobeError
from conceptprobe.evidence.context import RunContext
from conceptprobe.evidence.designs import design_of, term_set
from conceptprobe.stats.design import Design, make_design

if TYPE_CHECKING:
    from jaxtyping import Float

SITES = ("embed", *(f"resid_post.{i}" for i in range(6)))
CONCEPTS = ("soul", "consciousness", "self")


@dataclass(frozen=True)
class Task:
    """One concept against one tier of controls: the rows of its terms at every site."""

    name: str
    design: Design
    spaces: dict[str, Float[np.ndarray, "n d"]]


def tasks(*, real: bool = True) -> tuple[list[Task], str]:
    """Six tasks, the first one soul against near controls, and what they were read with."""
    if real:
        try:
            return _read(), "minilm on the terms of " + ", ".join(CONCEPTS) + ", near and far controls"
        except ConceptprobeError as error:
            return _drawn(), f"Gaussian features of the shape of minilm's ({error.message})"
    return _drawn(), "Gaussian features of the shape of minilm's"


def _read() -> list[Task]:
    from conceptprobe import expand, extract, load_concept, load_model
    from conceptprobe.activations import LoadedModels

    spec, models = load_model("minilm"), LoadedModels()
    found = []
    for name in CONCEPTS:
        concept = load_concept(name)
        sets = expand(concept)
        terms = sets["terms"]
        spans = extract(spec, terms, SITES, models=models)["concept_span"]
        splits = (concept.splits.term_folds, concept.splits.template_folds)
        run = RunContext(
            run_id="",
            concept=concept.id,
            smallest_effect={},
            splits=splits,
            sets=sets,
            subjects=(),
            read=lambda model, stimuli, site, pooling: np.zeros((0, 0)),
        )
        position = {id_: i for i, id_ in enumerate(terms.ids)}
        for tier in ("near", "far"):
            kept = term_set(run, tier)
            rows = [position[id_] for id_ in kept.ids]
            spaces = {site: np.ascontiguousarray(spans[site][rows]) for site in SITES}
            found.append(Task(f"{name}, {tier}", design_of(run, kept), spaces))
    return found


def _drawn() -> list[Task]:
    """24 pairs x 15 templates in 384 dimensions, a term's and a template's part in each row, the concept along a line."""
    found = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        named = [(u, s, t) for u in range(24) for s in (1, -1) for t in range(15)]
        design = make_design(
            item=[f"{u}{s}" for u, s, _ in named],
            positive=[s > 0 for _, s, _ in named],
            unit=[str(u) for u, *_ in named],
            template=[str(t) for *_, t in named],
            folds=5,
            template_folds=3,
            pooled=True,
            rng=rng,
        )
        sign, template = design.label[design.item], np.array([t for *_, t in named])
        spaces = {}
        for site in SITES:
            parts = rng.standard_normal((48, 384))[design.item] + rng.standard_normal((15, 384))[template]
            line = np.outer(sign, rng.standard_normal(384)) / 5
            rows = parts + line + 0.3 * rng.standard_normal((720, 384))
            spaces[site] = rows.astype(np.float32)
        found.append(Task(f"drawn {seed}", design, spaces))
    return found
