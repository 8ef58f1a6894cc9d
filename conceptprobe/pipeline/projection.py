"""The picture: UMAP and PCA of the concept's terms among the pool's words. No statistic comes from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from conceptprobe.activations import Store, key_of
from conceptprobe.evidence.context import RunContext
from conceptprobe.evidence.shared import site_at
from conceptprobe.pipeline.aside import Aside
from conceptprobe.pipeline.plan import Plan
from conceptprobe.pipeline.progress import Reporter
from conceptprobe.report.figures.projection import Projection
from conceptprobe.report.projection import pca_coordinates, pca_shares, umap_coordinates

MAX_ROWS = 1000
N_NEIGHBORS, MIN_DIST = 15, 0.1


@contextmanager
def projecting(context: RunContext, plan: Plan, store: Store) -> Iterator[Callable[[Reporter], Projection | None]]:
    """Start the one UMAP of a run, and yield the function that waits for it and returns the picture's data.

    It shows the first trained model two thirds up, word-averaged; the coordinates are a cached artefact. The fit takes
    one core for half a minute, most of it compilation: it runs beside the questions.
    """
    if not context.trained or "background" not in context.sets:
        yield lambda _: None
        return
    model = context.trained[0]
    site = site_at(model)
    words, roles, x = _words(context, model.name, site)
    options = {"seed": context.settings.seed, "n_neighbors": N_NEIGHBORS, "min_dist": MIN_DIST}
    sets = [context.sets[name].fingerprint for name in ("background", "terms_in_pool")]
    key = key_of({"stage": "projection", "model": model.info.sha256, "site": site, "sets": sets, **options})

    def picture(coordinates: np.ndarray) -> Projection:
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
            seed=context.settings.seed,
            n_neighbors=N_NEIGHBORS,
            min_dist=MIN_DIST,
            named=positive,
        )

    known = store.get_artefact(key)
    if known is not None:
        yield lambda _: picture(known[1]["umap"])
        return
    with Aside(umap_coordinates, x, **options) as fit:

        def finish(reporter: Reporter) -> Projection:
            with reporter.task("UMAP (the first fit compiles)") as advance:
                advance(0, 1)
                coordinates = fit.result()
            store.put_artefact(key, {"words": words}, {"umap": coordinates}, about={"stage": "projection"})
            return picture(coordinates)

        yield finish


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
