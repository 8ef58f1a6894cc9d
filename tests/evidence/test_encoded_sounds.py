"""Models of sounds: probed like models of pictures, on whole pairs, and no reason for any other row to change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conceptprobe.evidence.context import Answer, RunContext, Subject
from conceptprobe.evidence.crossmodal import crossmodal
from conceptprobe.evidence.designs import design_of
from conceptprobe.evidence.encoded import encoded
from conceptprobe.evidence.needs import READINGS, needs_of
from conceptprobe.models.base import Pooling
from conceptprobe.stimuli.stimulus import StimulusSet
from evidence.test_crossmodal import planted_media


def audible(run: RunContext) -> RunContext:
    """The same pairs heard instead of seen: `sounds` beside the pictures, and `listener` beside the model of pictures."""
    heard = tuple(replace(s, id=s.id.replace("/pictures/", "/sounds/"), modality="audio") for s in run.sets["pictures"])
    (viewer,) = run.trained("image")
    old = run.read

    def read(model: str, name: str, site: str, pooling: Pooling) -> np.ndarray:
        if name == "sounds":
            return old(model.replace("listener", "viewer"), "pictures", site, pooling)
        return old(model, name, site, pooling)

    def ears(subject: Subject) -> Subject:
        info = replace(
            subject.info, name=subject.name.replace("viewer", "listener"), modalities=("audio",), sha256=subject.name
        )
        return Subject(info, subject.sites, tuple(ears(twin) for twin in subject.twins))

    return replace(
        run,
        sets={**run.sets, "sounds": StimulusSet("sounds", heard)},
        subjects=(*run.subjects, ears(viewer)),
        read=read,
    )


def only_sounds(run: RunContext) -> RunContext:
    """A concept with sounds and nothing else, and the model that reads them."""
    return replace(run, sets={"sounds": run.sets["sounds"]}, subjects=run.trained("audio"))


@pytest.fixture(scope="module")
def found() -> Answer:
    return encoded(only_sounds(audible(planted_media(11, apart=1.5))))


def test_a_planted_label_is_found_in_sounds(found: Answer) -> None:
    (row,) = [f for f in found.findings if f.headline]
    assert (row.model_a, row.modality_a, row.verdict) == ("listener", "audio", "supported")
    assert (row.split, row.n, row.units) == ("sounds, near controls", 80, 40)
    assert "Exploratory" not in row.note


def test_twins_probes_and_the_curve_over_depth_stand_beside_it(found: Answer) -> None:
    twins = [f for f in found.findings if f.kind_a == "twin"]
    assert {(f.model_a, f.modality_a) for f in twins} == {(f"random:listener#{i}", "audio") for i in range(2)}
    assert any(f.metric == "auroc (logistic)" for f in found.findings)
    assert {r["of"] for r in found.series["depth"]} == {"listener (audio)"}
    assert {r["model"] for r in found.series["null"]} == {"listener (audio)"}
    assert found.series["nearest"] == []


def test_noise_is_not_found_and_few_clips_say_so() -> None:
    run = only_sounds(audible(planted_media(12, apart=0.0, pairs=16)))
    (row,) = [f for f in encoded(run).findings if f.headline]
    assert row.verdict != "supported"
    assert "Exploratory: 16 sounds in a class, 40 are wanted." in row.note


def test_a_pair_is_never_split() -> None:
    run = audible(planted_media(13, pairs=20))
    sounds = run.sets["sounds"]
    design = design_of(run, sounds)
    pairs = np.array([s.pair for s in sounds])
    for cell in design.cells:
        assert set(pairs[design.train_rows(cell)]).isdisjoint(pairs[design.test_rows(cell)])


def test_sounds_change_no_row_of_any_other_model() -> None:
    """A model of sounds, and clips without a captioned background, leave pictures and `crossmodal` as they were."""
    run = planted_media(14, apart=1.0, agreement=1.0, pairs=20, twins=1)
    more = audible(run)
    assert crossmodal(more).findings == crossmodal(run).findings

    def of_pictures(answer: Answer) -> list[tuple[float, ...]]:
        rows = [f for f in answer.findings if f.modality_a == "image"]
        return [(f.estimate, f.ci_low, f.ci_high, f.p) for f in rows]

    assert of_pictures(encoded(more)) == of_pictures(encoded(run)) != []


def test_without_sounds_a_model_of_sounds_has_no_row() -> None:
    run = audible(planted_media(15, pairs=16, twins=1))
    without = replace(run, sets={k: v for k, v in run.sets.items() if k != "sounds"})
    assert {f.modality_a for f in encoded(without).findings if f.headline} == {"image"}
    assert "no sounds" in encoded(replace(run, sets={})).not_asked


def test_a_model_of_sounds_needs_sounds_for_one_question_only() -> None:
    questions = ("encoded", "beyond_words", "shared", "crossmodal")
    for kind in ("trained", "twin"):
        (need,) = needs_of(kind, "audio", questions, ("terms", "pictures", "captions", "sounds", "sound_captions"))
        assert (need.set_name, need.poolings, need.sites) == ("sounds", ("mean",), "all")
        assert needs_of(kind, "audio", questions[1:], ("sounds",)) == []
        assert needs_of(kind, "text", questions, ("sounds", "sound_captions")) == []
    assert READINGS["audio"].set_name == need.set_name
