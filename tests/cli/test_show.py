"""`show` on a run folder made by hand: the pictures of its contact sheet, and towers that share a name."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from conceptprobe.cli.show import as_dict, print_run
from conceptprobe.evidence.finding import QUESTIONS
from conceptprobe.pipeline.manifest import write_manifest
from conceptprobe.pipeline.results import Run, load_run
from conceptprobe.report.figures.pictures import pictures
from conceptprobe.report.save import write_csv
from conceptprobe.report.tables import write_findings
from report.samples import headline, pictures_data

TOWERS = [("minilm", "trained", "text"), ("pocket-joint", "trained", "text"), ("pocket-joint", "trained", "image")]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = tmp_path / "soul" / "20260101-000000-a"
    rows = [
        headline("supported", model_a="pocket-joint"),
        headline("absent", model_a="pocket-joint", modality_a="image", split="pictures, near controls", n=84, units=34),
    ]
    models = [{"name": n, "kind": k, "modalities": [m]} for n, k, m in TOWERS]
    models += [
        {"name": f"random:{n}#{seed}", "kind": "twin", "modalities": [m]} for n, _, m in TOWERS for seed in range(2)
    ]
    folder.mkdir(parents=True)
    write_findings(rows, folder)
    write_csv(pictures(pictures_data())[1], folder / "figures" / "pictures.csv")
    manifest = {
        "run_id": folder.name,
        "status": "done",
        "plan_hash": "p",
        "concept": {"name": "soul", "definition": ""},
        "models": models,
        "stimuli": {"sets": {"pictures": {"n": 84}}},
        "not_asked": {q: "It was not asked." for q in QUESTIONS if q != "encoded"},
    }
    write_manifest(folder, manifest)
    return load_run(folder)


def shown(run: Run, width: int | None) -> str:
    out = io.StringIO()
    print_run(run, Console(file=out, width=width, force_terminal=width is not None, color_system=None))
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())


@pytest.mark.parametrize("width", [80, 140, None])
def test_the_pictures_of_a_run_are_listed_with_score_label_id_and_caption(run: Run, width: int | None) -> None:
    text = shown(run, width)
    lines = text.splitlines()
    for row in run.pictures:
        score = f"{float(row['score']):+.2f}" if float(row["score"]) else "0.00"
        name = row["id"].rpartition("/")[2]
        assert any(score in line and row["label"] in line and name in line for line in lines), row
    assert text.count("nearest in pocket-vision (image) at resid_post.4") == 1
    assert text.count("farthest in pocket-joint (image) at resid_post.3") == 1
    assert str(run.contact_sheet) in text.replace("\n", "")
    assert width is None or max(map(len, lines)) <= width


def test_a_run_without_a_contact_sheet_says_nothing_of_one(run: Run) -> None:
    (run.folder / "figures" / "pictures.csv").unlink()
    assert "contact sheet" not in shown(run, 80)


def test_the_towers_of_one_model_are_one_model_with_two_rows(run: Run) -> None:
    text = shown(run, 140)
    assert "pocket-joint (text, image)" in text
    assert "random:NAME #0 #1 (twins of 2 models)" in text
    assert re.search(r"pocket-joint\s+· ● supported", text)
    assert re.search(r"pocket-joint \(image\) · ○ absent", text)


def test_json_holds_the_pictures(run: Run) -> None:
    found = json.loads(json.dumps(as_dict(run)))
    assert found["pictures"] == run.pictures
    assert {p["end"] for p in found["pictures"]} == {"nearest", "farthest"}
