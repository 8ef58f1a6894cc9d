"""Pictures take the same way as texts: one pass per missing cell, a key of content, and errors before loading."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conceptprobe.activations import LoadedModels, Store, cell_key, extract, missing_cells
from conceptprobe.errors import PictureError, UsageError
from conceptprobe.models import ModelSpec, resolve, towers
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet
from models.tiny_images import picture, pictures, save_joint_model

POOLINGS = ("mean", "cls")


@pytest.fixture
def vit(vit_folder: Path) -> ModelSpec:
    return resolve(str(vit_folder))


@pytest.fixture
def shown(tmp_path: Path) -> StimulusSet:
    return StimulusSet("shown", tuple(pictures(tmp_path, 20)))


def test_rows_come_in_the_order_of_the_pictures_and_from_the_cache(
    vit: ModelSpec, shown: StimulusSet, store: Store
) -> None:
    steps: list[tuple[int, int]] = []
    first = extract(vit, shown, poolings=POOLINGS, store=store, progress=lambda *step: steps.append(step))
    assert steps == [(0, 20), (8, 20), (16, 20), (20, 20)]
    assert missing_cells(vit, shown, poolings=POOLINGS, store=store) == []
    second = extract(vit, shown, poolings=POOLINGS, store=store)
    back = extract(vit, StimulusSet("back", shown.stimuli[::-1]), poolings=POOLINGS)
    for pooling in POOLINGS:
        assert first[pooling].ids == shown.ids
        for site in vit.sites:
            assert np.array_equal(first[pooling][site], second[pooling][site])
            assert np.allclose(back[pooling][site][::-1], first[pooling][site], atol=1e-4)


def test_a_key_follows_the_picture_and_not_where_it_lies(vit: ModelSpec, tmp_path: Path) -> None:
    (item,) = pictures(tmp_path, 1)
    moved = tmp_path / "elsewhere.png"
    shutil.copy(item.file, moved)
    key = cell_key(vit, StimulusSet("x", (item,)), "embed", "mean")
    assert cell_key(vit, StimulusSet("x", (replace(item, file=str(moved)),)), "embed", "mean") == key
    assert cell_key(vit, StimulusSet("x", (replace(item, content="0" * 64),)), "embed", "mean") != key


def test_what_is_cached_needs_no_picture(vit: ModelSpec, shown: StimulusSet, store: Store) -> None:
    extract(vit, shown, ["embed"], ["mean"], store=store)
    for item in shown:
        Path(item.file).unlink()
    assert extract(vit, shown, ["embed"], ["mean"], store=store)["mean"]["embed"].shape == (20, 32)
    with pytest.raises(PictureError, match="does not exist"):
        extract(vit, shown, ["final"], ["mean"], store=store)
    assert missing_cells(vit, shown, ["final"], ["mean"], store=store) == [("final", "mean")]


def test_the_towers_of_a_joint_model_share_nothing_in_the_cache(
    shown: StimulusSet, store: Store, tmp_path: Path
) -> None:
    save_joint_model(tmp_path / "clip", "clip")
    joint = resolve(str(tmp_path / "clip"))
    texts = StimulusSet("texts", tuple(Stimulus(f"t{i}", "c", "s", "positive", "text", f"soul {i}") for i in range(3)))
    with pytest.raises(UsageError, match=r"has 2 towers \(text, image\)"):
        extract(joint, texts, poolings=["mean"])
    models = LoadedModels()
    text, image = towers(joint)
    of_text = extract(text, texts, ["pooled"], ["mean"], store=store, models=models)["mean"]["pooled"]
    of_image = extract(image, shown, ["pooled"], ["mean"], store=store, models=models)["mean"]["pooled"]
    assert (of_text.shape, of_image.shape) == ((3, 24), (20, 24))
    with pytest.raises(UsageError, match="reads image, and stimulus 't0' is text"):
        extract(image, texts, poolings=["mean"])


@pytest.mark.parametrize(
    ("poolings", "message"),
    [
        (("concept_span",), r"\(image\) has no pooling 'concept_span'"),
        (("mean", "last"), r"\(image\) has no pooling 'last'"),
        (("meen",), "no pooling named 'meen'. Did you mean 'mean'?"),
    ],
)
def test_a_pooling_that_is_not_offered_is_said_before_anything_is_loaded(
    poolings: Any, message: str, vit: ModelSpec, shown: StimulusSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(vit), "load", lambda self: pytest.fail("it was loaded"))
    with pytest.raises(UsageError, match=message):
        extract(vit, shown, poolings=poolings)


def test_a_bomb_is_one_line(vit: ModelSpec, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(path)
    with pytest.raises(PictureError, match="is too large"):
        extract(vit, StimulusSet("x", (picture(path),)), ["embed"], ["mean"])


SCRIPT = """
import json, sys
from pathlib import Path
from conceptprobe.activations import Store, extract
from conceptprobe.models import resolve
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet
items = tuple(Stimulus(**{**s, "groups": (), "span": None}) for s in json.loads(sys.argv[3]))
found = extract(resolve(sys.argv[1]), StimulusSet("x", items), poolings=("mean", "cls"), store=Store(Path(sys.argv[2])))
total = float(sum(found[p][s].astype("float64").sum() for p in found for s in found[p]))
heavy = sorted({"torch", "transformers", "PIL"} & set(sys.modules))
print(json.dumps({"total": total, "heavy": heavy}))
"""


def test_a_second_extraction_opens_no_picture_and_imports_no_torch(vit_folder: Path, tmp_path: Path) -> None:
    from dataclasses import asdict

    items = json.dumps([asdict(s) for s in pictures(tmp_path, 3)])

    def run() -> dict[str, object]:
        command = [sys.executable, "-c", SCRIPT, str(vit_folder), str(tmp_path / "cache"), items]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=120
        )
        assert "torchvision" not in done.stderr
        return dict(json.loads(done.stdout))

    first, second = run(), run()
    assert first["heavy"] == ["PIL", "torch", "transformers"]
    assert second["heavy"] == []
    assert second["total"] == first["total"]
