"""A model of sounds in a plan: what it reads, what cannot be asked of it, and that the user is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conceptprobe.activations import Store
from conceptprobe.cli.app import app
from conceptprobe.cli.plan import summarise
from conceptprobe.models import resolve
from conceptprobe.models.base import ModelInfo, Pooling
from conceptprobe.pipeline import plan as planning
from conceptprobe.pipeline.config import RunConfig
from conceptprobe.pipeline.plan import ModelPlan, Plan, make_plan
from conceptprobe.pipeline.power import detectable

QUESTIONS = ("encoded", "crossmodal")


@dataclass(frozen=True)
class Ears:
    """A model of sounds that is found and never loaded."""

    info: ModelInfo
    sites: tuple[str, ...] = ("embed", "resid_post.0", "final", "pooled")
    poolings: tuple[Pooling, ...] = ("mean",)

    def twin(self, seed: int) -> Ears:
        """Its random twin."""
        return replace(self, info=replace(self.info, name=f"random:ears#{seed}", kind="twin", sha256=f"{seed}"))


@pytest.fixture(autouse=True)
def _ears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path / "cache"))
    info = ModelInfo("ears", "made up", "", "0" * 64, "none", ("audio",), 1, 8, 0, "float32")

    def found(name: str, **options: object) -> object:
        return Ears(info) if name == "ears" else resolve(name, **options)

    monkeypatch.setattr(planning, "resolve", found)


def plan(*models: str, concept: str = "soul", questions: tuple[str, ...] = QUESTIONS) -> Plan:
    return make_plan(RunConfig(concept=concept, models=models, questions=questions, twins=1))


def test_it_reads_sounds_and_nothing_else() -> None:
    made = plan("ears", "words:cooccurrence")
    own = [c for c in made.cells if c.spec.info.modalities == ("audio",)]
    assert {(c.spec.info.name, c.stimuli.name, c.sites, c.poolings) for c in own} == {
        (name, "sounds", ("embed", "resid_post.0", "final"), ("mean",)) for name in ("ears", "random:ears#0")
    }
    assert len(own[0].stimuli) == len(made.sets["sound_captions"]) == 32
    summary = summarise(made, Store())
    assert {c["modality"] for c in summary["cells"] if c["set"] == "sounds"} == {"audio"}
    assert summary["left_out"] == list(made.left_out) != []


def test_the_user_is_told_why_crossmodal_is_not_asked() -> None:
    (line,) = plan("ears").left_out
    assert line == "crossmodal is not asked of ears (audio): the background pool has no sounds with captions"
    assert plan("ears", questions=("encoded",)).left_out == ()


def test_the_user_is_told_of_a_model_with_nothing_to_read() -> None:
    (line,) = plan("ears", concept="self").left_out
    assert line == "ears (audio) reads sounds, and the concept file has none: nothing is asked of it"
    (line,) = plan("ears", questions=("beyond_words",)).left_out
    assert line == "ears (audio) reads sounds, and no question of this run reads any: nothing is asked of it"


def test_the_command_says_it_on_stderr() -> None:
    shown = CliRunner().invoke(app, ["plan", "self", "--models", "ears", "--questions", "encoded", "--twins", "1"])
    assert shown.exit_code == 0, shown.output
    assert shown.stderr == f"note: {plan('ears', concept='self', questions=('encoded',)).left_out[0]}\n"


def test_two_towers_are_a_joint_space_of_pictures_only_where_one_of_them_sees() -> None:
    made = plan("ears")
    assert {"pictures", "background_pictures"} <= set(made.sets)
    (ears,) = made.models

    def tower(modality: str) -> ModelPlan:
        return replace(ears, spec=replace(ears.spec, info=replace(ears.spec.info, modalities=(modality,))))

    assert replace(made, models=(tower("text"), tower("audio"))).joint == frozenset()
    assert replace(made, models=(tower("text"), tower("image"))).joint == {"ears"}


def test_what_its_clips_can_find_is_simulated() -> None:
    (row,) = [d for d in detectable(plan("ears", questions=("encoded",))) if d.row == "sounds, near controls"]
    assert (row.units, row.rows) == (11, 1)
    assert row.detectable > 2 * row.smallest_effect  # eleven units find large effects only
