"""Options of loading through the command line: what is fetched, what is not asked for, what is not here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.conftest import Shell, assert_a_message_a_hint_and_a_code
from conceptprobe.cli.app import app
from hub_server import COMMIT, Hub, answers, serving


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path) -> Iterator[Hub]:
    monkeypatch.setenv("CONCEPTPROBE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with serving() as served:
        answers(served, tmp_path / "home", monkeypatch)
        served.add("org/name", tiny)
        yield served


def test_fetch_downloads_says_what_and_stops(hub: Hub, tmp_path: Path) -> None:
    command = ["plan", "soul", "--models", "org/name,words:cooccurrence", "--fetch"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.stderr
    assert f"{COMMIT}" in done.stdout
    assert "fetching org/name: 4 files" in done.stderr
    assert "%" not in done.stderr  # no bars off a terminal
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "cache" / "activations").exists()
    again = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert [(row["model"], row["downloaded"]) for row in again["models"]] == [
        ("org/name", False),
        ("words:cooccurrence", False),
    ]


def test_a_plan_without_fetch_downloads_nothing(hub: Hub) -> None:
    command = ["plan", "soul", "--models", "org/name", "--questions", "encoded"]
    assert_a_message_a_hint_and_a_code(command, 3, ("would be fetched", "--models org/name --fetch"))
    assert hub.fetched() == []


@pytest.mark.parametrize("other", [("--offline",), ("--freeze", "plan.json")])
def test_fetch_goes_with_nothing_that_it_contradicts(other: tuple[str, ...], hub: Hub, monkeypatch) -> None:
    monkeypatch.setattr("os.environ", {**os.environ})
    assert_a_message_a_hint_and_a_code(["plan", "soul", "--fetch", *other], 2, (other[0], "contradict"))


def test_a_concept_that_is_not_there_is_said_before_a_download(hub: Hub) -> None:
    command = ["plan", "sole", "--models", "org/name", "--fetch"]
    assert_a_message_a_hint_and_a_code(command, 3, ("no concept file 'sole'",))
    assert hub.asked == []


def test_offline_lists_all_that_is_missing_and_asks_nobody(hub: Hub, tmp_path: Path) -> None:
    here = Shell(tmp_path, tmp_path / "cache")
    command = ("run", "soul", "--models", "org/name,minilmm,org/other", "--offline", "--json")
    done = here(*command, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home"))
    assert done.returncode == 3, done.stderr
    error = json.loads(done.stdout)
    assert error["error"].startswith("3 models are not here:")
    assert "--models org/name,org/other --fetch" in error["hint"]
    assert hub.asked == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--device", "cuda:63"), ("device 'cuda:63' is not here", "doctor")),
        (("--attn", "flash_attention_3"), ("flash-attn-3 is not installed", "doctor")),
    ],
)
def test_what_is_not_here_is_said_once_and_nothing_is_written(
    asked: tuple[str, str], words: tuple[str, ...], hub: Hub, tiny: Path, tmp_path: Path
) -> None:
    """Word vectors need no device: with them the run would go on without its model."""
    models = f"{tiny},words:cooccurrence"
    command = ["run", "soul", "--models", models, "--questions", "encoded", "--twins", "1", *asked]
    assert_a_message_a_hint_and_a_code(command, 3, words)
    assert not (tmp_path / "results").exists()


def test_extract_loads_as_it_is_told(hub: Hub, tiny: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    (tmp_path / "texts.txt").write_text("the quiet river\nhis soul was patient\n")
    rows = {}
    for dtype in ("float32", "bfloat16"):
        command = ["extract", "texts.txt", "--model", str(tiny), "--out", dtype, "--sites", "final", "--dtype", dtype]
        done = CliRunner().invoke(app, [*command, "--json"])
        assert done.exit_code == 0, done.stderr
        rows[dtype] = load_file(json.loads(done.stdout)[0]["file"])["final"]
    difference = abs(rows["float32"] - rows["bfloat16"]).max()
    assert 1e-5 < difference < 0.2 * abs(rows["float32"]).max()
