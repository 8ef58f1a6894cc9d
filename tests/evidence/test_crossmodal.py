"""Question 4 on planted spaces: what carries over is found, what does not is never called supported."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import numpy as np
import pytest

from conceptprobe.evidence.context import RunContext, Settings, Subject
from conceptprobe.evidence.crossmodal import crossmodal
from conceptprobe.evidence.encoded import encoded
from conceptprobe.models.base import Kind, ModelInfo
from conceptprobe.stimuli.stimulus import Modality, Stimulus, StimulusSet

SITES = ("embed", "resid_post.0")
CATEGORIES = 6


def media_sets(pairs: int, pool: int) -> dict[str, StimulusSet]:
    """Matched pictures with captions, and a background in six categories."""

    def both(
        name: str, stem: str, role: str, groups: tuple[tuple[str, str], ...], pair: str
    ) -> tuple[Stimulus, Stimulus]:
        return (
            Stimulus(f"p/{name}pictures/{stem}", "p", "", role, "image", stem, groups=groups, pair=pair),
            Stimulus(f"p/{name}captions/{stem}", "p", "", role, "text", f"a {stem}", groups=groups, pair=pair),
        )

    concept = [
        both("", f"{role}{i}", role, (("unit", f"u{i}"),), f"u{i}")
        for i in range(pairs)
        for role in ("positive", "control")
    ]
    ground = [
        both(
            "background_",
            f"w{i}",
            "background",
            (("word", f"w{i}"), ("category", f"c{i % CATEGORIES}"), ("unit", f"w{i}")),
            "",
        )
        for i in range(pool)
    ]
    return {
        "pictures": StimulusSet("pictures", tuple(p for p, _ in concept)),
        "captions": StimulusSet("captions", tuple(c for _, c in concept)),
        "background_pictures": StimulusSet("background_pictures", tuple(p for p, _ in ground)),
        "background_captions": StimulusSet("background_captions", tuple(c for _, c in ground)),
    }


def planted_media(
    seed: int,
    *,
    agreement: float = 0.0,
    apart: float = 0.0,
    categories: float = 1.5,
    pairs: int = 40,
    pool: int = 150,
    twins: int = 2,
    joint: float = 1.0,
) -> RunContext:
    """Two spaces over one latent space. agreement: the label in the latent space; apart: in each space on its own;
    categories: how far ordinary categories lie from each other in the latent space; joint: how much the spaces share."""
    rng = np.random.default_rng(seed)
    sets = media_sets(pairs, pool)
    k, d = 10, 20
    label = np.tile([1.0, -1.0], pairs)
    z = rng.standard_normal((2 * pairs, k))
    z[:, 0] += agreement * label
    ground = rng.standard_normal((pool, k))
    centres = rng.standard_normal((CATEGORIES, k)) * categories
    ground += centres[np.arange(pool) % CATEGORIES]
    stored: dict[tuple[str, str, str], np.ndarray] = {}

    def fill(name: str, half: str, trained: bool) -> None:
        for site in SITES:
            a = rng.standard_normal((k, d)) if trained else np.zeros((k, d))
            own = rng.standard_normal((2 * pairs, d)) + joint * z @ a
            own += apart * np.outer(label, rng.standard_normal(d)) if trained else 0.0
            stored[name, half, site] = own
            stored[name, f"background_{half}", site] = rng.standard_normal((pool, d)) + joint * ground @ a

    subjects = []
    for name, modality, half in (("reader", "text", "captions"), ("viewer", "image", "pictures")):
        fill(name, half, True)
        infos = [_info(f"random:{name}#{i}", modality, "twin") for i in range(twins)]
        for info in infos:
            fill(info.name, half, False)
        subjects.append(Subject(_info(name, modality, "trained"), SITES, tuple(Subject(i, SITES) for i in infos)))

    def read(model: str, name: str, site: str, pooling: str) -> np.ndarray:
        assert pooling == "mean"
        return stored[model, name, site].astype(np.float32)

    return RunContext(
        run_id="planted",
        concept="p",
        smallest_effect={"encoded": 0.1, "crossmodal": 0.05},
        splits=(5, 3),
        sets=sets,
        subjects=tuple(subjects),
        read=read,
        settings=Settings(permutations=999, seed=seed),
    )


def _info(name: str, modality: Modality, kind: Kind, lineage: tuple[str, ...] = ()) -> ModelInfo:
    return ModelInfo(name, "planted", "", name, "planted", (modality,), 1, 20, 0, "float32", lineage, kind)


def _headline(run: RunContext) -> object:
    rows = [f for f in crossmodal(run).findings if f.headline]
    assert len(rows) == 1
    return rows[0]


def test_a_concept_in_the_shared_space_is_supported() -> None:
    verdicts = [_headline(planted_media(seed, agreement=1.6)).verdict for seed in range(6)]
    assert verdicts.count("supported") >= 5


def test_a_concept_that_each_space_has_for_itself_is_not() -> None:
    verdicts = [_headline(planted_media(100 + seed, apart=1.5)).verdict for seed in range(12)]
    assert verdicts.count("supported") <= 1


@pytest.mark.slow
def test_without_an_effect_at_most_one_run_in_twenty_is_supported() -> None:
    bare = Settings(permutations=999, details=False)
    runs = (replace(planted_media(1000 + seed, pairs=30, pool=100), settings=bare) for seed in range(100))
    verdicts = [_headline(run).verdict for run in runs]
    assert verdicts.count("supported") <= 5


def test_models_that_carry_nothing_over_can_refute_nothing() -> None:
    row = _headline(planted_media(5, joint=0.0))
    assert row.verdict == "inconclusive"
    assert "could not show agreement" in row.note


def test_the_note_says_what_a_null_result_would_be() -> None:
    for run in (planted_media(7), planted_media(8, agreement=2.0), planted_media(9, joint=0.0)):
        assert "null result" in _headline(run).note


def test_rows_say_which_side_is_text_and_which_pictures() -> None:
    answer = crossmodal(planted_media(3, agreement=1.0))
    there, back = (next(f for f in answer.findings if f.split.startswith(s)) for s in ("captions to", "pictures to"))
    assert (there.modality_a, there.modality_b) == ("text", "image")
    assert (back.modality_a, back.modality_b) == ("image", "text")
    assert not back.headline
    assert {f.metric for f in answer.findings} >= {"cka", "mutual_knn", "rsa"}
    for row in answer.findings:
        assert row.effect == pytest.approx(row.estimate - row.reference)
        assert row.ci_low <= row.ci_high
        assert not isnan(row.p)


def test_relatives_and_towers_of_one_model_never_count() -> None:
    run = planted_media(4, agreement=2.0)
    text, image = run.subjects
    shared_text = replace(text, info=replace(text.info, lineage=("data:emoji",)))
    shared_image = replace(image, info=replace(image.info, lineage=("data:emoji",)))
    answer = crossmodal(replace(run, subjects=(shared_text, shared_image)))
    assert not [f for f in answer.findings if f.headline]
    assert any("agreement is not convergence" in f.note for f in answer.findings)
    assert answer.not_asked


def test_without_pictures_or_image_models_it_is_not_asked() -> None:
    run = planted_media(4)
    assert "no pictures" in crossmodal(replace(run, sets={})).not_asked
    assert "no trained model of pictures" in crossmodal(replace(run, subjects=run.subjects[:1])).not_asked


def test_pictures_are_probed_like_terms() -> None:
    run = planted_media(11, apart=1.5)
    rows = [f for f in encoded(run).findings if f.headline]
    assert [(f.model_a, f.modality_a, f.verdict) for f in rows] == [("viewer", "image", "supported")]
    few = planted_media(12, apart=1.5, pairs=25)
    (row,) = [f for f in encoded(few).findings if f.headline]
    assert "Exploratory" in row.note


def test_the_same_seed_gives_the_same_rows() -> None:
    assert crossmodal(planted_media(6)).findings == crossmodal(planted_media(6)).findings
