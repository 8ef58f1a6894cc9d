"""From the series of two questions about pictures to figures: nothing is merged, lost or called by another name."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conceptprobe.errors import CorruptError
from conceptprobe.evidence.context import Answer, RunContext
from conceptprobe.evidence.crossmodal import crossmodal
from conceptprobe.evidence.encoded import encoded
from conceptprobe.pipeline.outputs import write_outputs
from conceptprobe.pipeline.results import Run
from conceptprobe.stimuli.stimulus import StimulusSet
from evidence.test_crossmodal import planted_media


def with_files(run: RunContext, folder: Path) -> RunContext:
    """Every picture of the run as a file of one colour."""
    rng = np.random.default_rng(0)
    sets = dict(run.sets)
    for name in ("pictures", "background_pictures"):
        stimuli = []
        for s in sets[name]:
            file = folder / f"{s.content}.png"
            Image.new("RGB", (24, 16), tuple(rng.integers(0, 256, 3).tolist())).save(file)
            stimuli.append(replace(s, file=str(file), content=hashlib.sha256(file.read_bytes()).hexdigest()))
        sets[name] = StimulusSet(name, tuple(stimuli))
    return replace(run, sets=sets)


def two_towers(run: RunContext) -> RunContext:
    """The planted pair of models, and a joint model that looks like both of them."""
    text, image = run.subjects
    towers = tuple(replace(s, info=replace(s.info, name="joint", sha256=f"joint {s.modality}")) for s in (text, image))
    old = run.read

    def read(model: str, name: str, site: str, pooling: Any) -> np.ndarray:
        if model == "joint":
            return old("viewer" if "pictures" in name else "reader", name, site, pooling)[:, ::-1]
        return old(model, name, site, pooling)

    return replace(run, subjects=(text, image, *towers), read=read)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunContext, dict[str, Answer]]:
    folder = tmp_path_factory.mktemp("run")
    run = with_files(
        two_towers(planted_media(1, agreement=1.0, apart=1.0, pairs=16, pool=66, twins=1)),
        tmp_path_factory.mktemp("media"),
    )
    answers = {"encoded": encoded(run), "crossmodal": crossmodal(run)}
    findings = [f for answer in answers.values() for f in answer.findings]
    write_outputs(folder, "p", findings, answers, [], run.sets)
    return folder, run, answers


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "figures" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_figure_is_there_in_every_format(written: Any) -> None:
    folder = written[0]
    names = ("depth_curve_pictures", "pictures", "carried", "null_plot_encoded", "null_plot_crossmodal")
    assert {p.name for p in (folder / "figures").iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("pdf", "svg", "png", "csv")
    }


def test_carried_has_every_pair_and_says_why_one_does_not_count(written: Any) -> None:
    rows = [r for r in table(written[0], "carried") if r["kind"] == "concept"]
    asides = {(r["model_a"], r["model_b"]): r["aside"] for r in rows}
    assert asides == {
        ("reader", "viewer (image)"): "",
        ("reader", "joint (image)"): "",
        ("joint", "viewer (image)"): "",
        ("joint", "joint (image)"): "ceiling",
    }
    assert [r["aside"] for r in rows] == sorted(r["aside"] for r in rows)
    findings = {
        (f.model_a, f"{f.model_b} (image)"): f
        for f in written[2]["crossmodal"].findings
        if f.metric == "auroc (carried probe)" and f.modality_a == "text"
    }
    for row in rows:
        finding = findings[row["model_a"], row["model_b"]]
        assert float(row["auroc"]) == finding.estimate
        assert float(row["low"]) == pytest.approx(finding.reference + finding.ci_low)
        assert (int(row["n"]), int(row["units"])) == (finding.n, finding.units)


def test_the_towers_of_one_model_are_drawn_apart(written: Any) -> None:
    assert {r["model"] for r in table(written[0], "depth_curve_pictures")} == {"viewer (image)", "joint (image)"}
    titles = {r["title"].split(",")[0] for r in table(written[0], "null_plot_crossmodal")}
    assert titles == {
        "crossmodal: reader > viewer (image)",
        "crossmodal: reader > joint (image)",
        "crossmodal: joint > viewer (image)",
    }


def test_the_contact_sheet_names_files_and_captions_of_the_right_pictures(written: Any) -> None:
    folder, run, _ = written
    rows = table(folder, "pictures")
    assert len(rows) == 2 * 2 * 8
    for row in rows:
        name = "background_pictures" if row["label"] == "background" else "pictures"
        at = run.sets[name].ids.index(row["id"])
        captions = run.sets[name.replace("pictures", "captions")]
        assert row["caption"] == captions.stimuli[at].content
        assert row["file"] == Path(run.sets[name].stimuli[at].file).name


def test_a_finished_run_tells_its_pictures_and_refuses_a_broken_table(written: Any, tmp_path: Path) -> None:
    run = Run(written[0], {}, [])
    assert run.contact_sheet.is_file()
    assert run.pictures == table(written[0], "pictures")
    assert Run(tmp_path, {}, []).pictures == []
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "pictures.csv").write_text("model,score\nviewer,high\n")
    with pytest.raises(CorruptError, match="contact sheet"):
        _ = Run(tmp_path, {}, []).pictures
