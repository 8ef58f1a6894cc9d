"""Coordinates for the pictures of a run: UMAP fits beside the questions, kept as artefacts. No statistic comes from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from conceptprobe.activations import Store
from conceptprobe.evidence.context import RunContext
from conceptprobe.pipeline.aside import Aside
from conceptprobe.pipeline.plan import Plan
from conceptprobe.pipeline.progress import Reporter
from conceptprobe.pipeline.scenes import OPTIONS, Picture, scenes
from conceptprobe.report.projection import umap_of_each


@contextmanager
def projecting(context: RunContext, plan: Plan, store: Store) -> Iterator[Callable[[Reporter], list[Picture]]]:
    """Start the UMAP fits of a run, and yield the function that waits for them and returns what the figures draw.

    What is in the cache is not fitted again. All others share one process: a fit takes one core for half a minute, and
    most of the first is compilation.
    """
    wanted = [
        scene for scene in scenes(context, plan.concept.name, plan.joint) if len(scene.x) > OPTIONS["n_neighbors"] + 1
    ]
    known = {scene.key: store.get_artefact(scene.key) for scene in wanted}
    coordinates = {key: found[1]["umap"] for key, found in known.items() if found is not None}
    missing = [scene for scene in wanted if scene.key not in coordinates]
    if not missing:
        yield lambda _: [scene.picture(coordinates[scene.key]) for scene in wanted]
        return
    with Aside(umap_of_each, [scene.x for scene in missing], seed=context.settings.seed, **OPTIONS) as fits:

        def finish(reporter: Reporter) -> list[Picture]:
            with reporter.task("UMAP (the first fit compiles)") as advance:
                advance(0, 1)
                fitted = fits.result()
            for scene, found in zip(missing, fitted, strict=True):
                store.put_artefact(
                    scene.key, {"names": list(scene.names)}, {"umap": found}, about={"stage": "projection"}
                )
                coordinates[scene.key] = found
            return [scene.picture(coordinates[scene.key]) for scene in wanted]

        yield finish
