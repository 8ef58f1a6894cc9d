"""Pictures of spaces: which rows they lay out, one process for all fits, and coordinates that are kept."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conceptprobe.activations import Store
from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.pipeline import projection
from conceptprobe.pipeline.progress import Silent
from conceptprobe.pipeline.scenes import scenes
from conceptprobe.report.figures.projection import Projection
from conceptprobe.report.figures.projection_media import ProjectionMedia
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet
from evidence.test_crossmodal import _info, planted_media

JOINT = frozenset({"joint"})
GAP = 40.0


def joint_run(seed: int = 1, pairs: int = 10, pool: int = 30) -> RunContext:
    """One model of two towers whose halves lie far apart, and words for the picture of terms."""
    run = planted_media(seed, pairs=pairs, pool=pool)
    rng = np.random.default_rng(seed)
    latent = {name: rng.standard_normal((len(s), 8)) for name, s in run.sets.items() if "captions" in name}
    words = {
        name: StimulusSet(
            name,
            tuple(
                Stimulus(
                    f"p/{name}/{i}", "p", "", "positive", "text", f"w{i}", groups=((kind, f"w{i}"), ("tier", tier))
                )
                for i, tier in enumerate(tiers)
            ),
        )
        for name, kind, tiers in (
            ("terms_in_pool", "term", ["positive"] * 4 + ["near"] * 4),
            ("background", "word", [""] * 20),
        )
    }

    def read(model: str, name: str, site: str, pooling: str) -> np.ndarray:
        if name in words:
            return np.random.default_rng(len(words[name])).standard_normal((len(words[name]), 8)).astype(np.float32)
        assert (model, site, pooling) == ("joint", "pooled", "mean")
        side = GAP if "pictures" in name else -GAP
        return (latent[name.replace("pictures", "captions")] + side).astype(np.float32)

    towers = tuple(Subject(_info("joint", m, "trained"), ("embed", "resid_post.0")) for m in ("text", "image"))
    return replace(run, subjects=towers, sets={**run.sets, **words}, read=read)


def test_a_joint_model_gets_a_scene_of_captions_and_pictures() -> None:
    words, media = scenes(joint_run(), "soul", JOINT)
    assert len(words.x) == 28
    picture = media.picture(np.zeros((len(media.x), 2)))
    assert isinstance(picture, ProjectionMedia)
    half = 20 + 30
    assert picture.modalities == ("text",) * half + ("image",) * half
    assert picture.roles[:half] == picture.roles[half:]
    assert {picture.roles.count(role) for role in ("concept", "control")} == {20}
    assert [picture.roles[i] for i in picture.named] == ["concept"] * len(picture.named)
    assert {picture.modalities[i] for i in picture.named} == {"image"}


def test_what_lies_between_the_two_halves_of_a_model_is_taken_out() -> None:
    """A caption and its picture are the same point but for the gap, so they must be neighbours without it."""
    *_, media = scenes(joint_run(), "soul", JOINT)
    half = len(media.x) // 2
    text, image = media.x[:half], media.x[half:]
    np.testing.assert_allclose(text.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(image.mean(axis=0), 0, atol=1e-12)
    nearest = np.linalg.norm(text[:, None] - image[None], axis=-1).argmin(axis=1)
    assert (nearest == np.arange(half)).mean() > 0.9


def test_without_a_joint_model_or_without_pictures_that_scene_is_left_out() -> None:
    run = joint_run()
    assert len(list(scenes(run, "soul", frozenset()))) == 1
    assert len(list(scenes(replace(run, subjects=run.subjects[:1]), "soul", JOINT))) == 1
    assert list(scenes(replace(run, subjects=()), "soul", JOINT)) == []


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Stands in for the process beside the run: the numbers of rows it was given, process by process."""
    asked: list[list[int]] = []

    @contextmanager
    def beside(function: Any, spaces: list[np.ndarray], **options: Any) -> Any:
        assert function.__name__ == "umap_of_each"
        assert options == {"seed": 1, "n_neighbors": 15, "min_dist": 0.1}
        asked.append([len(x) for x in spaces])
        yield SimpleNamespace(result=lambda: [x[:, :2] for x in spaces])

    monkeypatch.setattr(projection, "Aside", beside)
    return asked


def project(run: RunContext, store: Store, joint: frozenset[str] = JOINT) -> list[Any]:
    plan: Any = SimpleNamespace(concept=SimpleNamespace(name="soul"), joint=joint)
    with projection.projecting(run, plan, store) as finish:
        return finish(Silent())


def test_one_process_does_all_fits_and_a_second_run_does_none(tmp_path: Any, fits: list[list[int]]) -> None:
    run, store = joint_run(), Store(tmp_path)
    first = project(run, store)
    assert fits == [[28, 100]]
    assert [type(p) for p in first] == [Projection, ProjectionMedia]
    again = project(run, store)
    assert len(fits) == 1
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.maps.umap, b.maps.umap)


def test_only_what_is_not_kept_is_fitted(tmp_path: Any, fits: list[list[int]]) -> None:
    run, store = joint_run(), Store(tmp_path)
    project(run, store, frozenset())
    project(run, store)
    assert fits == [[28], [100]]


def test_too_few_rows_for_a_fit_are_no_picture_and_no_error(tmp_path: Any, fits: list[list[int]]) -> None:
    run = joint_run(pairs=2, pool=2)
    assert [type(p) for p in project(run, Store(tmp_path))] == [Projection]
    assert fits == [[28]]
