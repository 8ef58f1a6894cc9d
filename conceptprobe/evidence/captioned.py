"""Captions and pictures of a concept and of the background, and a concept carried between the two by a probe.

Sites are fixed beforehand, two thirds up each model; both sides are averaged over tokens or places.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.designs import design_of
from conceptprobe.evidence.geometry import Spaces, site_at
from conceptprobe.probes.carried import carried_scores
from conceptprobe.stats.design import Design, make_design
from conceptprobe.stats.relabel import exchanged_labels

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LEAST_IN_CATEGORY = 10


@dataclass(frozen=True)
class Pair:
    """A text model and an image model. `counts`: both trained, and no relatives."""

    text: Subject
    image: Subject
    counts: bool
    note: str


@dataclass(frozen=True)
class Captioned:
    """Captions and pictures as arrays, row by row the same items."""

    run: RunContext

    @cached_property
    def design(self) -> Design:
        """Of the concept's pictures; their captions are the same items."""
        return design_of(self.run, self.run.sets["pictures"])

    @cached_property
    def pairings(self) -> Int[np.ndarray, "draws m"]:
        """Shuffled pairings of the background: the same for every pair of models."""
        rng = self.run.rng("pairing")
        m = len(self.run.sets["background_pictures"])
        return np.array([rng.permutation(m) for _ in range(self.run.draws())])

    @cached_property
    def spaces(self) -> Spaces:
        """All items, background first, for metrics of geometry."""
        labels = self.run.sets["pictures"].labels
        m = len(self.run.sets["background_pictures"])
        focus = np.array([False] * m + [label > 0 for label in labels])
        return Spaces(
            self.run,
            "captioned pictures",
            focus,
            lambda subject, site: np.concatenate(
                [self.rows(subject, site, background=True), self.rows(subject, site, background=False)]
            ).astype(np.float64),
        )

    def rows(self, subject: Subject, site: str, *, background: bool) -> Float[np.ndarray, "n d"]:
        """A model's rows of its own half of the pairs."""
        half = "captions" if subject.modality == "text" else "pictures"
        return self.run.read(subject.name, f"background_{half}" if background else half, site, "mean")

    @cached_property
    def labels(self) -> Int[np.ndarray, "1+draws n"]:
        """The observed labels, then labels exchanged within matched pairs: the same for every pair of models."""
        drawn = exchanged_labels(self.design, self.run.draws(), self.run.rng("exchange", "pictures"))
        return np.vstack([self.design.label, drawn])

    def scores(self, source: Subject, target: Subject, pair: Pair, draws: int) -> Float[np.ndarray, "1+2*draws n"]:
        """The concept carried from source to target: as it is, under exchanged labels, over shuffled maps.

        Twins stand at the sites of their models.
        """
        sites = {"text": site_at(pair.text), "image": site_at(pair.image)}
        halves = [(s, sites[s.modality]) for s in (source, target)]
        x, y = (self.rows(*half, background=False) for half in halves)
        pool_x, pool_y = (self.rows(*half, background=True) for half in halves)
        return carried_scores(x, y, pool_x, pool_y, self.design, self.labels[: 1 + draws], self.pairings[:draws])

    def twins(self, source: Subject, target: Subject, pair: Pair) -> tuple[Float[np.ndarray, "t n"], str]:
        """What random twins carry, a row of scores each: of the side whose twins carry more on average."""
        best: tuple[float, np.ndarray, str] | None = None
        for owner in (source, target):
            ends = [(twin, target) if owner is source else (source, twin) for twin in owner.twins]
            if ends:
                scores = np.vstack([self.scores(*end, pair, 0) for end in ends])
                value = float(np.mean(self.design.auroc(scores)))
                if best is None or value > best[0]:
                    best = (value, scores, f"{len(ends)} {'twin' if len(ends) == 1 else 'twins'} of {owner.label}")
        return (best[1], best[2]) if best else (np.zeros((1, self.design.n_items)), "none")

    @cached_property
    def categories(self) -> dict[str, tuple[Design, Int[np.ndarray, " n"]]]:
        """Ordinary concepts: each category against as many other pictures of the background, and which rows they are.

        Frozen by the run's seed before any model is read.
        """
        stimuli = self.run.sets["background_pictures"]
        names = np.array([s.group("category") for s in stimuli])
        out = {}
        for name in dict.fromkeys(names):
            inside = np.flatnonzero(names == name)
            if len(inside) < LEAST_IN_CATEGORY or 2 * len(inside) > len(names) - LEAST_IN_CATEGORY:
                continue
            rng = self.run.rng("ordinary", str(name))
            outside = rng.choice(np.flatnonzero(names != name), len(inside), replace=False)
            rows = np.concatenate([inside, outside])
            design = make_design(
                item=[str(r) for r in rows],
                positive=[1] * len(inside) + [0] * len(inside),
                unit=[str(r) for r in rows],
                template=None,
                folds=self.run.splits[0],
                template_folds=1,
                pooled=True,
                rng=rng,
            )
            out[str(name)] = (design, rows)
        return out

    def ordinary(self, pair: Pair) -> dict[str, float]:
        """AUROC of each ordinary category, carried from text to pictures over a map that never saw its items."""
        text = self.rows(pair.text, site_at(pair.text), background=True)
        image = self.rows(pair.image, site_at(pair.image), background=True)
        found = {}
        for name, (design, rows) in self.categories.items():
            rest = np.setdiff1d(np.arange(len(text)), rows)
            scores = carried_scores(text[rows], image[rows], text[rest], image[rest], design, design.label[None])
            found[name] = float(design.auroc(scores[0]))
        return found
