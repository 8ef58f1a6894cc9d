"""Question 3 in a run folder: figures of every pair that counts, the control concepts and their balance."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from conceptprobe.calibration.spaces import SharedWorld
from conceptprobe.evidence.shared import shared
from conceptprobe.pipeline.outputs import write_outputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    run = SharedWorld(meaning=2.0).run(("shared",), "outputs", seed=0)
    answer = shared(replace(run, settings=replace(run.settings, details=True)))
    path = tmp_path_factory.mktemp("run")
    write_outputs(path, "planted", answer.findings, {"shared": answer}, [], {})
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["model_matrix", "site_heatmap", "score_against_n", "null_plot_shared"])
def test_each_figure_is_there_with_its_numbers(folder, name):
    assert {p.suffix for p in (folder / "figures").glob(f"{name}.*")} == {".pdf", ".svg", ".png", ".csv"}
    assert read(folder / "figures" / f"{name}.csv")


def test_the_control_concepts_are_told_word_by_word_with_what_each_carried(folder):
    rows = read(folder / "tables" / "control_concepts.csv")
    assert len(rows) == 99
    for row in rows:
        assert len(set(row["words"].split())) == 10
        assert len(set(row["controls"].split()) - set(row["words"].split())) == 10
        assert 0 <= float(row["AUROC one ~ other"]) <= 1
    balance = {r["property"]: r for r in read(folder / "tables" / "control_balance.csv")}
    assert set(balance) == {"frequency", "length", "concreteness", "coherence"}
    assert all(int(r["sets"]) == 99 for r in balance.values())


def test_the_excess_is_drawn_over_the_control_concepts_that_are_told(folder):
    rows = read(folder / "tables" / "control_concepts.csv")
    (headline,) = [r for r in read(folder / "findings.csv") if r["headline"] == "True"]
    as_well = sum(float(r["AUROC one ~ other"]) >= float(headline["estimate"]) - 1e-12 for r in rows)
    assert float(headline["p"]) >= (1 + as_well) / 100 - 1e-9
    assert f"{99 - as_well} of 99" in headline["note"]
