"""A model of sounds in a plan: what it reads, what cannot be asked of it, and that the user is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from conceptprobe.activations import Store
from conceptprobe.cli.app import app
from conceptprobe.cli.plan import summarise
from conceptprobe.pipeline.config import RunConfig
from conceptprobe.pipeline.plan import Plan, make_plan
from conceptprobe.pipeline.power import detectable
from models.tiny_sounds import save_audio_model, save_clap

QUESTIONS = ("encoded", "crossmodal")


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("wav2vec2")
    save_audio_model(folder, "wav2vec2")
    return str(folder)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path / "cache"))


def plan(*models: str, concept: str = "soul", questions: tuple[str, ...] = QUESTIONS) -> Plan:
    return make_plan(RunConfig(concept=concept, models=models, questions=questions, twins=1))


def test_it_reads_sounds_and_nothing_else(ears: str) -> None:
    made = plan(ears, "words:cooccurrence")
    own = [c for c in made.cells if c.spec.info.modalities == ("audio",)]
    assert {(c.spec.info.name, c.stimuli.name, c.sites, c.poolings) for c in own} == {
        (name, "sounds", made.models[0].subject().sites, ("mean",)) for name in (ears, f"random:{ears}#0")
    }
    assert len(own[0].stimuli) == len(made.sets["sound_captions"]) == 32
    summary = summarise(made, Store())
    assert {c["modality"] for c in summary["cells"] if c["set"] == "sounds"} == {"audio"}
    assert summary["left_out"] == list(made.left_out) != []


def test_the_user_is_told_why_crossmodal_is_not_asked(ears: str) -> None:
    (line,) = plan(ears).left_out
    assert line == f"crossmodal is not asked of {ears} (audio): the background pool has no sounds with captions"
    assert plan(ears, questions=("encoded",)).left_out == ()


def test_the_user_is_told_of_a_model_with_nothing_to_read(ears: str) -> None:
    (line,) = plan(ears, concept="self").left_out
    assert line == f"{ears} (audio) reads sounds, and the concept file has none: nothing is asked of it"
    (line,) = plan(ears, questions=("beyond_words",)).left_out
    assert line == f"{ears} (audio) reads sounds, and no question of this run reads any: nothing is asked of it"


def test_the_command_says_it_on_stderr(ears: str) -> None:
    shown = CliRunner().invoke(app, ["plan", "self", "--models", ears, "--questions", "encoded", "--twins", "1"])
    assert shown.exit_code == 0, shown.output
    assert shown.stderr == f"note: {plan(ears, concept='self', questions=('encoded',)).left_out[0]}\n"


def test_two_towers_are_a_joint_space_of_pictures_only_where_one_of_them_sees(tmp_path: Path) -> None:
    save_clap(tmp_path)
    made = plan(str(tmp_path))
    assert [m.spec.info.modalities for m in made.models] == [("text",), ("audio",)]
    assert {"pictures", "background_pictures"} <= set(made.sets)
    assert made.joint == frozenset()
    assert not [c for c in made.cells if "pooled" in c.sites]


def test_what_its_clips_can_find_is_simulated(ears: str) -> None:
    (row,) = [d for d in detectable(plan(ears, questions=("encoded",))) if d.row == "sounds, near controls"]
    assert (row.units, row.rows) == (11, 1)
    assert row.detectable > 2 * row.smallest_effect  # eleven units find large effects only
