"""Cross-fitted probes of one trained model on one set: its sites, its twins' sites and the lexical baselines together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.designs import design_of
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.lexical import lexical_spaces
from conceptprobe.evidence.rows import Hindsight, Rival, against_chance, finding
from conceptprobe.models.base import Pooling
from conceptprobe.probes.crossfit import CrossFit, Selection, Space
from conceptprobe.stats.design import Design
from conceptprobe.stats.relabel import exchanged_labels
from conceptprobe.stimuli.stimulus import StimulusSet
from conceptprobe.threads import two_at_a_time

Item = TypeVar("Item")


@dataclass(frozen=True)
class Fits:
    """Everything fitted on one set for one model. `rows` are the rows of the stored set that this design uses."""

    design: Design
    labels: np.ndarray
    rows: np.ndarray
    crossfit: CrossFit
    sites: tuple[str, ...]
    lexical: tuple[str, ...]
    twins: tuple[str, ...]
    selected: Selection
    """The model at the sites its inner folds choose."""

    def twin_sites(self, twin: Subject, chosen: Sequence[Sequence[str]]) -> list[list[str]]:
        """The twin's spaces at the sites chosen for its model."""
        return [[f"{twin.name}@{site}" for site in row] for row in chosen]

    @cached_property
    def hindsight(self) -> Hindsight | None:
        """The lexical baseline that reads the test folds best; None where there is none."""
        if not self.lexical:
            return None
        return Hindsight.of({name: self.crossfit.alone(name).auroc for name in self.lexical})

    @property
    def rivals(self) -> list[Rival]:
        """What the model has to beat: the baseline that inner folds choose and, where it is more than luck, the strongest
        lexical one in hindsight."""
        chosen = self.best_baseline
        found = [Rival(chosen.most_chosen, chosen.scores[0])]
        strongest = self.hindsight
        if strongest is not None and not strongest.is_luck:
            scores = self.crossfit.alone(strongest.name).scores[0]
            found.append(Rival(strongest.name, scores, strongest.how))
        return found

    @cached_property
    def best_baseline(self) -> Selection:
        """The best baseline per cell, chosen on inner folds among the lexical ones and the twins at the model's sites."""
        shape = np.shape(self.selected.chosen)
        candidates: dict[str, list[list[str]]] = {name: [[name] * shape[1]] * shape[0] for name in self.lexical}
        for twin in self.twins:
            candidates[twin] = [[f"{twin}@{site}" for site in row] for row in self.selected.chosen]
        return self.crossfit.composite(candidates)


def fits_of(
    run: RunContext,
    subject: Subject,
    stimuli: StimulusSet,
    pooling: Pooling = "concept_span",
    *,
    baselines: bool = True,
    curve: bool = False,
) -> Fits:
    """Fits of one model on one set (or a tier of the terms), made once per run.

    Its twins are fitted at the sites its inner folds choose; `curve`: at all of them.
    """
    return run.once(
        ("fits", subject.name, stimuli.name, pooling, str(baselines), str(curve)),
        lambda: _fit(run, subject, stimuli, pooling, baselines, curve),
    )


def _fit(
    run: RunContext, subject: Subject, stimuli: StimulusSet, pooling: Pooling, baselines: bool, curve: bool
) -> Fits:
    stored = stimuli.name.split("-")[0]
    position = {id_: i for i, id_ in enumerate(run.sets[stored].ids)}
    rows = np.array([position[id_] for id_ in stimuli.ids])
    design = design_of(run, stimuli)
    # The same draws for every model: differences between models are then never differences of draws.
    drawn = exchanged_labels(design, run.draws(), run.rng("exchange", stimuli.name))
    labels = np.vstack([design.label, drawn])
    spaces = {site: Space(run.read(subject.name, stored, site, pooling)[rows]) for site in subject.sites}
    twins = subject.twins if baselines else ()
    whole = lexical_spaces(run, subject, (stored,)) if baselines else {}
    lexical = {name: Space(space.x[rows], space.standardised) for name, space in whole.items()}
    crossfit = CrossFit(design, labels)

    def add_twin(name: str, at: tuple[Subject, str]) -> None:
        # A twin is a rival at the sites its model chose, and a line in the curve over depth at the others.
        twin, site = at
        x = run.read(twin.name, stored, site, pooling)[rows]
        crossfit.add(name, Space(x), inner=1 if site in chosen else 0)

    def add_shared(name: str, space: Space) -> None:
        # Word counts and word vectors are the same for every model: they are fitted once.
        key = ("lexical", stimuli.name, pooling, name)
        crossfit.spaces[name] = run.once(key, lambda: crossfit.add(name, space, inner=1))

    total = (1 + len(twins)) * len(spaces) + len(lexical)
    fit_all(crossfit.add, spaces, run.progress, 0, total)
    selected = crossfit.select(subject.sites)
    chosen = {site for row in selected.chosen for site in row}
    at_sites = subject.sites if curve else [site for site in subject.sites if site in chosen]
    asked = {f"{twin.name}@{site}": (twin, site) for twin in twins for site in at_sites}
    fit_all(add_twin, asked, run.progress, len(spaces), total)
    fit_all(add_shared, lexical, run.progress, total - len(lexical), total)
    return Fits(
        design, labels, rows, crossfit, subject.sites, tuple(lexical), tuple(twin.name for twin in twins), selected
    )


def baseline_rows(run: RunContext, question: str, subject: Subject, fits: Fits, split: str) -> list[Finding]:
    """Detail rows: every lexical baseline alone, and every twin at the sites its model chose, against chance."""
    rows = [
        finding(run, question, name, against_chance(fits.crossfit.alone(name).auroc, fits.design), split=split)
        for name in fits.lexical
    ]
    for twin in subject.twins:
        at = fits.crossfit.at(fits.twin_sites(twin, fits.selected.chosen))
        rows.append(
            finding(
                run,
                question,
                twin,
                against_chance(at.auroc, fits.design),
                site=fits.selected.most_chosen,
                split=split,
                note=f"At the sites chosen for {subject.name}.",
            )
        )
    return rows


def fit_all(
    fit: Callable[[str, Item], object],
    spaces: dict[str, Item],
    progress: Callable[[int, int], None],
    before: int,
    total: int,
) -> None:
    """Fit all spaces, two at a time."""
    progress(before, total)
    for done, _ in enumerate(two_at_a_time(lambda item: fit(*item), spaces.items()), start=1):
        progress(before + done, total)
