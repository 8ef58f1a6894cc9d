"""The picture: UMAP and PCA of the concept's terms among the pool's words. No statistic comes from it."""

from __future__ import annotations

import numpy as np

from conceptprobe.activations import Store, key_of
from conceptprobe.evidence.context import RunContext
from conceptprobe.evidence.shared import site_at
from conceptprobe.pipeline.plan import Plan
from conceptprobe.pipeline.progress import Reporter
from conceptprobe.report.figures.projection import Projection
from conceptprobe.report.projection import pca_coordinates, pca_shares, umap_coordinates

MAX_ROWS = 1000
N_NEIGHBORS, MIN_DIST = 15, 0.1


def projection(context: RunContext, plan: Plan, store: Store, reporter: Reporter) -> Projection | None:
    """One UMAP per run, of the first trained model two thirds up, word-averaged; its coordinates are a cached artefact."""
    if not context.trained or "background" not in context.sets:
        return None
    model = context.trained[0]
    site = site_at(model)
    words, roles, x = _words(context, model.name, site)
    seed = context.settings.seed
    key = key_of(
        {
            "stage": "projection",
            "model": model.info.sha256,
            "site": site,
            "seed": seed,
            "k": N_NEIGHBORS,
            "min_dist": MIN_DIST,
            "sets": [context.sets[n].fingerprint for n in ("background", "terms_in_pool")],
        }
    )
    known = store.get_artefact(key)
    if known is None:
        with reporter.task("UMAP (the first fit compiles)") as advance:
            advance(0, 1)
            coordinates = umap_coordinates(x, seed=seed, n_neighbors=N_NEIGHBORS, min_dist=MIN_DIST)
            advance(1, 1)
        store.put_artefact(key, {"words": words}, {"umap": coordinates}, about={"stage": "projection"})
    else:
        coordinates = known[1]["umap"]
    positive = tuple(w for w, role in zip(words, roles, strict=True) if role == "positive")
    return Projection(
        concept=plan.concept.name,
        model=model.name,
        site=site,
        names=tuple(words),
        roles=tuple(roles),
        umap=coordinates,
        pca=pca_coordinates(x),
        pca_shares=pca_shares(x),
        seed=seed,
        n_neighbors=N_NEIGHBORS,
        min_dist=MIN_DIST,
        named=positive,
    )


def _words(context: RunContext, model: str, site: str) -> tuple[list[str], list[str], np.ndarray]:
    words: list[str] = []
    roles: list[str] = []
    rows: list[np.ndarray] = []
    for name, kind in (("terms_in_pool", "term"), ("background", "word")):
        stimuli = context.sets[name]
        x = context.read(model, name, site, "concept_span")
        names = [s.group(kind) for s in stimuli]
        tiers = {s.group(kind): s.group("tier") or "background" for s in stimuli}
        for word in dict.fromkeys(names):
            words.append(word)
            roles.append(tiers[word])
            rows.append(x[[n == word for n in names]].mean(axis=0))
    # Terms come first, so a limit on rows costs pool words only.
    return words[:MAX_ROWS], roles[:MAX_ROWS], np.array(rows[:MAX_ROWS])
