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


def test_a_run_without_a_plan_says_that_none_was_frozen(run: Run) -> None:
    assert re.search(r"plan\s+none was frozen beforehand", shown(run, 80))


@pytest.mark.parametrize("width", [60, 100, None])
@pytest.mark.parametrize(
    ("seen", "phrase"),
    [
        ((0, 0), "before any known run of these stimuli"),
        ((1, 0), "after 1 run of these stimuli"),
        ((3, 1), "after 3 runs and 1 unfinished run of these stimuli"),
    ],
)
def test_the_card_shows_the_frozen_plan_and_what_was_seen_before(
    run: Run, width: int | None, seen: tuple[int, int], phrase: str
) -> None:
    plan = {"sha256": "1a2b3c4d" * 8, "frozen": "2026-01-31T10:00:00+00:00", "path": "plan.json"}
    run.manifest["frozen_plan"] = plan | {"runs_seen": seen[0], "unfinished_seen": seen[1]}
    run.manifest["failures"] = [{"model": "broken-model", "message": "it is broken"}]
    text = shown(run, width)
    words = re.sub(r"[│\s]+", " ", text)
    assert "plan 1a2b3c4d, frozen 2026-01-31" in words
    assert phrase in words
    assert "without broken-model, which failed" in words
    assert "none was frozen" not in words
    assert width is None or max(map(len, text.splitlines())) <= width


def test_json_holds_the_pictures(run: Run) -> None:
    found = json.loads(json.dumps(as_dict(run)))
    assert found["pictures"] == run.pictures
    assert {p["end"] for p in found["pictures"]} == {"nearest", "farthest"}
