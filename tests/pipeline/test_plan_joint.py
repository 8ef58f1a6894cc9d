"""A joint model in a plan: two towers with one name, and their own output for the picture of their space."""

from __future__ import annotations

from pathlib import Path

import pytest

from conceptprobe.activations import Store
from conceptprobe.cli.plan import summarise
from conceptprobe.evidence.needs import HALVES
from conceptprobe.pipeline.config import RunConfig
from conceptprobe.pipeline.plan import Plan, make_plan
from models.tiny_images import save_image_model, save_joint_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("models")
    for name, save, family in (("joint", save_joint_model, "clip"), ("vision", save_image_model, "vit")):
        (folder / name).mkdir()
        save(folder / name, family)
    return str(folder / "joint"), str(folder / "vision")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path / "cache"))


def plan(models: tuple[str, str], *questions: str) -> Plan:
    return make_plan(RunConfig(concept="soul", models=models, questions=questions, twins=1))


def test_each_tower_gives_its_own_output_for_its_half_of_the_pairs(models: tuple[str, str]) -> None:
    made = plan(models, "encoded", "crossmodal")
    pooled = {(c.spec.info.name, c.spec.info.modalities[0], c.stimuli.name) for c in made.cells if "pooled" in c.sites}
    assert pooled == {(models[0], modality, name) for modality, names in HALVES.items() for name in names}
    assert made.joint == {models[0]}
    assert all("pooled" not in m.subject().sites for m in made.models)


def test_without_the_background_pictures_there_is_no_such_picture(models: tuple[str, str]) -> None:
    made = plan(models, "encoded")
    assert not made.joint
    assert not [c for c in made.cells if "pooled" in c.sites]


def test_a_plan_names_the_tower_of_a_cell(models: tuple[str, str]) -> None:
    cells = summarise(plan(models, "crossmodal"), Store())["cells"]
    reads = {(c["model"], c["set"]): c["modality"] for c in cells}
    assert reads[models[0], "captions"] == "text"
    assert reads[models[0], "pictures"] == reads[models[1], "pictures"] == "image"
