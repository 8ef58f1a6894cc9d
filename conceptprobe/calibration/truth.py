"""What a probe can find in a planted world: an estimate that shares no unit with any replication.

A probe is trained on as many units as an outer training set of a run holds, at the site that inner folds of these choose,
and reads many fresh units. So the truth is that of the procedure (a probe of this training size), measured without its
cross-fitting, its folds, its intervals or its nulls. The same for a text model's baselines, and for probes carried over a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.calibration.media import MediaWorld
from conceptprobe.calibration.spaces import SITES as SHARED_SITES
from conceptprobe.calibration.spaces import SharedWorld
from conceptprobe.calibration.text import SET_OF, SPLITS, TextWorld
from conceptprobe.evidence.carry import Carry, Side
from conceptprobe.evidence.context import RunContext
from conceptprobe.evidence.lexical import lexical_spaces
from conceptprobe.evidence.pool_words import PoolWords
from conceptprobe.evidence.transferred import Between, carried
from conceptprobe.probes.crossfit import CrossFit, Space
from conceptprobe.probes.ridge import smoother, standardise
from conceptprobe.stats.auroc import within_fold_auroc
from conceptprobe.stats.design import make_design
from conceptprobe.stats.seeds import generator
from conceptprobe.stimuli.stimulus import StimulusSet

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

READINGS = 240
"""Independent trainings; each reads `_FRESH` times the units of a replication."""
_FRESH = 5
_GRID = (0.15, 0.3, 0.45, 0.6, 0.9)
World = TextWorld | SharedWorld | MediaWorld


@dataclass(frozen=True)
class Truth:
    """The true effect and the standard error it is known to; 0 where it is known by construction."""

    effect: float
    error: float = 0.0


def true_effect(world: World, question: str, seed: int, readings: int = READINGS) -> Truth:
    """The effect a headline of `question` estimates in this world; from generators of its own under the seed."""
    if isinstance(world, SharedWorld):
        found = np.array([_agreement(world, seed, i) for i in range(readings)])
        # The largest reference in expectation: none is picked on the data that judge it.
        gain = found[:, 0] - max((np.full(readings, 0.5), *found[:, 1:].T), key=np.mean)
        return Truth(float(gain.mean()), _error(gain))
    if isinstance(world, MediaWorld):
        carried = np.array([_carried(world, seed, i) for i in range(readings)]) - 0.5
        return Truth(float(carried.mean()), _error(carried))
    read = [_read(world, question, seed, i, world_has_rivals(world, question)) for i in range(readings)]
    model = np.array([r["model"] for r in read])
    # The larger of chance and the best baseline in expectation: no baseline is picked on the data that judge it.
    means = {name: float(np.mean([r[name] for r in read])) for name in read[0] if name != "model"}
    best = max(means, key=lambda name: means[name], default="")
    rival = np.array([r[best] if best and means[best] > 0.5 else 0.5 for r in read])
    return Truth(float((model - rival).mean()), _error(model - rival))


def world_has_rivals(world: TextWorld, question: str) -> bool:
    """True where words, length or position tell the label in this world, so that a baseline is above chance."""
    return question == "beyond_words" and (world.two_forms or world.earlier != 0.5 or world.longer != 0.5)


def strength_for(world: TextWorld, question: str, effect: float, seed: int, readings: int = READINGS) -> float:
    """The strength of `concept` at which a probe's AUROC is 0.5 + effect.

    Found at one site first, where no choice is made, as the root of the mean AUROC over a grid of strengths; then moved
    along that curve by what the choice of the site adds. The same draws serve every strength, so the curve rises smoothly.
    """
    curve = np.mean([_curve(world, question, seed, i) for i in range(readings)], axis=0)

    def root(target: float) -> float:
        return float(np.interp(target, [0.5, *np.maximum.accumulate(curve)], [0.0, *_GRID]))

    first = root(0.5 + effect)
    chosen = np.mean([_read(replace(world, concept=first), question, seed, i)["model"] for i in range(readings)])
    return root(1.0 + 2.0 * effect - float(chosen))


def _curve(world: TextWorld, question: str, seed: int, reading: int) -> list[float]:
    """AUROC on fresh units at each strength of the grid, at the last site. Rows are linear in the strength."""
    without, full = (_begin(replace(world, concept=s), question, seed, reading) for s in (0.0, 1.0))
    x, y = (r.run.read("planted", r.at.set_name, world.concept_sites[-1], "concept_span") for r in (without, full))
    return [without.fresh_auroc({"": Space(x + strength * (y - x))}) for strength in _GRID]


def _read(world: TextWorld, question: str, seed: int, reading: int, rivals: bool = False) -> dict[str, float]:
    """AUROC on fresh units of the model's probe and, where asked for, of every lexical baseline, after one training."""
    rows = _begin(world, question, seed, reading)
    subject = rows.run.subjects[0]
    out = {
        "model": rows.fresh_auroc(
            {s: Space(rows.run.read(subject.name, rows.at.set_name, s, "concept_span")) for s in subject.sites}
        )
    }
    if rivals:
        lexical = lexical_spaces(rows.run, subject, (rows.at.set_name,))
        out |= {name: rows.fresh_auroc({name: space}) for name, space in lexical.items()}
    return out


def _begin(world: TextWorld, question: str, seed: int, reading: int) -> _Rows:
    # Where the texts tell the label they are drawn anew for every reading; elsewhere new activations are all that matters.
    varied = reading if world_has_rivals(world, question) else 0
    layout = _layout(replace(world, concept=0.0), question, seed, varied)
    run = world.run((question,), "truth", question, str(reading), seed=seed, sets=layout.sets)
    return _Rows(run, layout)


@dataclass(frozen=True, eq=False)
class _Layout:
    """Training units first, fresh ones after; fresh items compare within blocks as large as those of the design, so that
    matched items meet as often."""

    set_name: str
    sets: Mapping[str, StimulusSet]
    item: Int[np.ndarray, " n"]
    unit: Int[np.ndarray, " n"]
    template_fold: Int[np.ndarray, " n"]
    label: Float[np.ndarray, " n"]
    training: int
    block: int


@lru_cache(maxsize=8)
def _layout(world: TextWorld, question: str, seed: int, varied: int) -> _Layout:
    held_out = world.units // SPLITS[0]
    training = world.units - held_out
    rng = generator(seed, "calibrate", "truth", "stimuli", question, str(varied))
    sets = world.stimuli((question,), rng, training + _FRESH * world.units)
    name = SET_OF[question]
    unit = np.array([int(s.group("unit")[1:]) for s in sets[name]])
    folds = SPLITS[1] if question == "encoded" else 1
    template = np.array([int((s.group("template") or "t0")[1:]) % folds for s in sets[name]])
    label = 2.0 * np.array(sets[name].labels) - 1.0
    block = world.units if question == "encoded" else held_out
    return _Layout(name, sets, 2 * unit + (label < 0), unit, template, label, training, block)


@dataclass(frozen=True)
class _Rows:
    """One training and all that it will read."""

    run: RunContext
    at: _Layout

    def fresh_auroc(self, spaces: Mapping[str, Space]) -> float:
        """Held-out AUROC of a probe per fold of templates, each at the site its own inner folds choose."""
        items, first = np.unique(self.at.item, return_index=True)
        scores, fresh = np.zeros(len(items)), self.at.unit >= self.at.training
        folds = np.unique(self.at.template_fold)
        for t in folds:
            apart = self.at.template_fold != t if len(folds) > 1 else np.ones(len(fresh), dtype=bool)
            train, test = ~fresh & apart, fresh & (self.at.template_fold == t)
            x = spaces[self._choose(spaces, train)]
            z_train, z_test = (
                standardise(x.x[train], x.x[test])
                if x.standardised
                else (x.x[train] - x.x[train].mean(axis=0), x.x[test] - x.x[train].mean(axis=0))
            )
            np.add.at(scores, self.at.item[test], smoother(z_train, z_test, self.at.label[train][:, None])[:, 0])
        keep = fresh[first]
        blocks = (self.at.unit[first] - self.at.training) // self.at.block
        return float(within_fold_auroc(scores[keep], self.at.label[first][keep], blocks[keep]))

    def _choose(self, spaces: Mapping[str, Space], train: Bool[np.ndarray, " n"]) -> str:
        names = list(spaces)
        if len(names) == 1:
            return names[0]
        folds = self.at.template_fold[train]
        design = make_design(
            item=[str(i) for i in self.at.item[train]],
            positive=[int(v > 0) for v in self.at.label[train]],
            unit=[str(u) for u in self.at.unit[train]],
            template=[str(f) for f in folds],
            folds=SPLITS[0] - 1,
            template_folds=len(np.unique(folds)),
            pooled=self.at.set_name == "terms",
            rng=self.run.rng("truth"),
        )
        inner = CrossFit(design, design.label[None])
        for name in names:
            inner.add(name, Space(spaces[name].x[train], spaces[name].standardised), inner=0)
        return max(names, key=lambda name: float(inner.alone(name).auroc[0]))


def _agreement(world: SharedWorld, seed: int, reading: int) -> list[float]:
    """AUROC carried between the two models, by the twins of either, and of control concepts, as `shared` compares them."""
    run = world.run(("shared",), "truth", str(reading), seed=seed)
    carry = Carry(PoolWords(run))
    one, other = (Side(subject, SHARED_SITES[-1]) for subject in run.subjects)
    pair = Between(one, other, True, "")
    twins = [float(np.mean([carried(carry, stand_in) for stand_in in pairs])) for pairs in pair.twins().values()]
    controls = float(np.mean([carry.controls(*way) for way in pair.ways]))
    return [carried(carry, pair), *twins, controls]


def _carried(world: MediaWorld, seed: int, reading: int) -> float:
    """AUROC on fresh pictures of a probe trained on captions and carried over the background's map."""
    training = world.pairs - round(world.pairs / SPLITS[0])
    run = world.run(("crossmodal",), "truth", str(reading), seed=seed, units=training + _FRESH * world.pairs)
    text, image = run.subjects
    site = text.sites[-1]
    label = 2.0 * np.array(run.sets["captions"].labels) - 1.0
    unit = np.arange(len(label)) // 2
    train = unit < training
    captions, ground_captions = (run.read(text.name, s, site, "mean") for s in ("captions", "background_captions"))
    pictures, ground_pictures = (run.read(image.name, s, site, "mean") for s in ("pictures", "background_pictures"))
    z_train, z_ground = standardise(captions[train], ground_captions)
    carried = smoother(z_train, z_ground, label[train][:, None])
    z_pool, z_fresh = standardise(ground_pictures, pictures[~train])
    scores = smoother(z_pool, z_fresh, carried)[:, 0]
    return float(within_fold_auroc(scores, label[~train], (unit[~train] - training) // world.pairs))


def _error(values: Float[np.ndarray, " n"]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
