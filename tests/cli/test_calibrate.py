"""`conceptprobe calibrate` as a process: its table, its files, its mistakes, and an interruption that loses nothing."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time

import pytest

from cli.conftest import Shell

CHEAP = ("--rows", "carried-nothing,shared-nothing", "--replications", "20", "--workers", "1")


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Shell:
    return Shell(tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def made(here) -> dict:
    done = here("calibrate", *CHEAP, "--out", "out", "--json")
    return {"code": done.returncode, "report": json.loads(done.stdout), "stderr": done.stderr}


def test_the_table_says_what_was_planted_found_and_promised(made):
    assert made["report"]["replications"] == 20
    rows = {row["row"]: row for row in made["report"]["rows"]}
    assert set(rows) == {"carried-nothing", "shared-nothing"}
    for row in rows.values():
        assert row["supported"] + row["absent"] + row["inconclusive"] == row["n"] == 20
        assert row["says"]
        assert row["checks"]
    assert rows["shared-nothing"]["supported"] == 0
    held = all(check["held"] for row in rows.values() for check in row["checks"])
    assert made["report"]["held"] == held
    assert made["code"] == (0 if held else 1)


def test_out_holds_the_table_and_the_figure_with_its_data(here, made):
    folder = here.folder / "out"
    assert {p.name for p in (folder / "figures").iterdir()} == {
        f"calibration.{k}" for k in ("pdf", "svg", "png", "csv")
    }
    with (folder / "calibration.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["row"] for row in table] == ["shared-nothing", "carried-nothing"]
    for row, line in zip(table, made["report"]["rows"], strict=True):
        assert float(row["supported"]) == line["supported"] / 20
        assert float(row["coverage_low"]) < float(row["coverage"]) <= float(row["coverage_high"])


def test_a_second_time_gives_the_same_table_in_words(here, made):
    done = here("calibrate", *CHEAP)
    assert done.returncode == made["code"]
    assert "planted truth, 20 replications per row, seed 0" in done.stdout
    assert "carried-nothing" in done.stdout
    checks = sum(len(row["checks"]) for row in made["report"]["rows"])
    assert (f"every promise held ({checks} checks)" in done.stdout) == made["report"]["held"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rows", "topic-onyl"), ("no planted row named 'topic-onyl'", "Did you mean 'topic-only'?")),
        (("--replications", "0"), ("--replications must be from 10",)),
        (("--workers", "0"), ("--workers must be from 1",)),
        (("--seed", "-1"), ("--seed must be from 0",)),
    ],
)
def test_a_mistake_is_named_before_anything_is_planted(here, arguments, words):
    done = here("calibrate", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_planted(here, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = here("calibrate", "--replications", "100000", "--out", str(blocked), timeout=60)
    assert done.returncode == 2
    assert str(blocked) in done.stderr
    assert "planted truth" not in done.stdout


def test_help_lists_every_option(here):
    done = here("calibrate", "--help", COLUMNS="100")
    options = {word for word in done.stdout.replace(",", " ").split() if word.startswith("--")}
    assert options == {"--replications", "--rows", "--seed", "--workers", "--out", "--json", "--help"}


def test_help_imports_nothing_heavy(here):
    code = (
        "import sys\nfrom conceptprobe.cli.app import main\nsys.argv = ['conceptprobe', 'calibrate', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'numpy', 'torch', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here.folder, env=here.environment(), capture_output=True, text=True
    )
    assert done.stdout.strip().endswith("[]")


def test_an_interruption_ends_with_130_and_keeps_what_was_done(tmp_path):
    shell = Shell(tmp_path, tmp_path / "cache")
    process = shell.start("calibrate", "--rows", "carried-nothing", "--workers", "1", "--replications", "100000")
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("cache/artefacts/*/*")) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert list(tmp_path.glob("cache/artefacts/*/*.safetensors"))
