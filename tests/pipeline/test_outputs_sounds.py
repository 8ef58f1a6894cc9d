"""Figures of a run on sounds: named apart from those of terms and pictures, and none that would need pictures."""

from __future__ import annotations

import csv
from pathlib import Path

from conceptprobe.evidence.encoded import encoded
from conceptprobe.pipeline.outputs import write_outputs
from evidence.test_crossmodal import planted_media
from evidence.test_encoded_sounds import audible, only_sounds


def test_sounds_have_a_curve_over_depth_of_their_own(tmp_path: Path) -> None:
    run = only_sounds(audible(planted_media(1, apart=1.0, pairs=16, pool=66, twins=1)))
    answer = encoded(run)
    write_outputs(tmp_path, "p", answer.findings, {"encoded": answer}, [], run.sets)
    figures = tmp_path / "figures"
    assert {p.stem for p in figures.iterdir()} == {"depth_curve_sounds", "null_plot_encoded"}
    with (figures / "depth_curve_sounds.csv").open(newline="") as file:
        assert {row["model"] for row in csv.DictReader(file)} == {"listener (audio)"}
    assert "sounds, near controls" in (figures / "null_plot_encoded.csv").read_text()
