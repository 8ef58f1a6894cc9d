"""What the pictures of a run lay out: terms among the pool's words, and captions with pictures in a joint space."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.activations import key_of
from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.geometry import site_at
from conceptprobe.evidence.needs import HALVES
from conceptprobe.report.clouds import Maps
from conceptprobe.report.figures.projection import Projection
from conceptprobe.report.figures.projection_media import ProjectionMedia
from conceptprobe.report.projection import pca
from conceptprobe.stimuli.stimulus import Stimulus

if TYPE_CHECKING:
    from jaxtyping import Float

MAX_ROWS = 1000
OPTIONS: dict[str, Any] = {"n_neighbors": 15, "min_dist": 0.1}
"""Of every UMAP; the seed is the run's."""
NAMED, MANY_NAMES = ("concept", "image"), 16
"""Which points may be named, and how many of them."""
_ROLES = {"positive": "concept"}

Picture = Projection | ProjectionMedia


@dataclass(frozen=True)
class Scene:
    """One picture: the rows to be laid out, the key of their coordinates, and what draws them once these are there."""

    key: str
    names: tuple[str, ...]
    x: Float[np.ndarray, "n d"]
    picture: Callable[[Float[np.ndarray, "n 2"]], Picture]


def scenes(context: RunContext, concept: str, joint: Collection[str]) -> Iterator[Scene]:
    """The scenes a run has data for: of words, and of captions with pictures. `joint`: models that put both together."""
    if context.trained() and "background" in context.sets:
        yield _words(context, concept, context.trained()[0])
    images = {subject.name: subject for subject in context.trained("image") if subject.name in joint}
    towers = next(((text, images[text.name]) for text in context.trained() if text.name in images), None)
    if towers is not None:
        yield _media(context, concept, towers)


def _words(context: RunContext, concept: str, model: Subject) -> Scene:
    """The first trained text model two thirds up, each word averaged over its templates."""
    site = site_at(model)
    words: list[str] = []
    roles: list[str] = []
    rows: list[np.ndarray] = []
    # Terms come first, so a limit on rows costs pool words only.
    for name, kind in (("terms_in_pool", "term"), ("background", "word")):
        stimuli = context.sets[name]
        read = context.read(model.name, name, site, "concept_span")
        names = [s.group(kind) for s in stimuli]
        tiers = {s.group(kind): s.group("tier") or "background" for s in stimuli}
        for word in dict.fromkeys(names):
            words.append(word)
            roles.append(tiers[word])
            rows.append(read[[n == word for n in names]].mean(axis=0))
    x = np.array(rows[:MAX_ROWS])
    seed = context.settings.seed

    def picture(coordinates: np.ndarray) -> Projection:
        return Projection(
            concept=concept,
            model=model.name,
            site=site,
            names=tuple(words[:MAX_ROWS]),
            roles=tuple(roles[:MAX_ROWS]),
            maps=_maps(x, coordinates, seed),
            named=tuple(w for w, role in zip(words, roles, strict=True) if role == "positive"),
        )

    sets = [context.sets[name].fingerprint for name in ("background", "terms_in_pool")]
    about = {"stage": "projection", "model": model.info.sha256, "site": site, "sets": sets, "seed": seed}
    return Scene(key_of(about | OPTIONS), tuple(words[:MAX_ROWS]), x, picture)


def _media(context: RunContext, concept: str, towers: tuple[Subject, Subject]) -> Scene:
    """Both towers of a joint model at their own output: rows of unit length, less the mean of their modality."""
    half = MAX_ROWS // 2
    names: list[str] = []
    roles: list[str] = []
    modalities: list[str] = []
    halves = []
    for tower in towers:
        sets = HALVES[tower.modality]
        stimuli = [s for name in sets for s in context.sets[name]][:half]
        names += [_short(s) for s in stimuli]
        roles += [_ROLES.get(s.role, s.role) for s in stimuli]
        modalities += [tower.modality] * len(stimuli)
        read = np.concatenate([context.read(tower.name, name, "pooled", "mean") for name in sets])[:half]
        halves.append(_centred(read.astype(np.float64)))
    x = np.concatenate(halves)
    seed = context.settings.seed
    of_note = [i for i, (role, modality) in enumerate(zip(roles, modalities, strict=True)) if (role, modality) == NAMED]

    def picture(coordinates: np.ndarray) -> ProjectionMedia:
        return ProjectionMedia(
            concept=concept,
            model=towers[0].name,
            names=tuple(names),
            roles=tuple(roles),
            modalities=tuple(modalities),
            maps=_maps(x, coordinates, seed),
            named=tuple(of_note[:MANY_NAMES]),
        )

    about = {
        "stage": "projection_media",
        "models": [tower.info.sha256 for tower in towers],
        "sets": [context.sets[name].fingerprint for names_ in HALVES.values() for name in names_],
        "rows": "unit length, less the mean of their modality",
        "seed": seed,
    }
    return Scene(key_of(about | OPTIONS), tuple(names), x, picture)


def _maps(x: Float[np.ndarray, "n d"], umap: Float[np.ndarray, "n 2"], seed: int) -> Maps:
    components, shares = pca(x)
    return Maps(umap, components, seed, pca_shares=shares, **OPTIONS)


def _centred(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    # Such a model compares directions, and its two halves lie in cones of their own (Liang et al. 2022).
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    unit = x / np.where(lengths > 0, lengths, 1.0)
    return unit - unit.mean(axis=0)


def _short(stimulus: Stimulus) -> str:
    """`soul/pictures/pic-crystal-ball` -> `crystal ball`."""
    return stimulus.id.rpartition("/")[2].removeprefix("pic-").replace("-", " ")
