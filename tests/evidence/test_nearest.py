"""Which pictures are shown: planted ones come first, and none is scored by a probe that has seen it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from conceptprobe.evidence.encoded import encoded
from conceptprobe.evidence.nearest import MANY, held_out_scores, nearest_pictures
from evidence.test_crossmodal import planted_media


def test_a_planted_concept_comes_first_and_its_controls_last() -> None:
    run = planted_media(1, apart=3.0)
    records = nearest_pictures(run, run.trained("image")[0])
    ends = {end: [r for r in records if r["end"] == end] for end in ("nearest", "farthest")}
    assert [len(rows) for rows in ends.values()] == [MANY, MANY]
    assert sum(r["label"] == "concept" for r in ends["nearest"]) >= MANY - 1
    assert sum(r["label"] == "control" for r in ends["farthest"]) >= MANY - 1
    scores = [r["score"] for r in ends["nearest"]]
    assert scores == sorted(scores, reverse=True)
    scores = [r["score"] for r in ends["farthest"]]
    assert scores == sorted(scores)
    assert {r["ranked"] for r in records} == {80 + 150}
    assert {r["model"] for r in records} == {"viewer (image)"}


def test_a_picture_does_not_decide_its_own_score(rng: np.random.Generator) -> None:
    """Noise in more dimensions than pictures: a probe would tell what it has seen, and says nothing of the others."""
    run = planted_media(2)
    labels = np.array(run.sets["pictures"].labels)
    apart = []
    for _ in range(20):
        scores = held_out_scores(run, rng.standard_normal((len(labels), 300)))
        apart.append(scores[labels == 1].mean() - scores[labels == 0].mean())
    assert abs(np.mean(apart)) < 0.05


def test_without_a_background_the_concepts_own_pictures_are_ranked() -> None:
    run = planted_media(3, apart=1.0, pairs=6)
    alone = replace(run, sets={"pictures": run.sets["pictures"]})
    records = nearest_pictures(alone, run.trained("image")[0])
    assert len(records) == 12
    assert len({r["id"] for r in records}) == 12


def test_the_answer_of_encoded_holds_them_for_image_models_only() -> None:
    answer = encoded(planted_media(4, apart=1.0))
    assert {r["model"] for r in answer.series["nearest"]} == {"viewer (image)"}
