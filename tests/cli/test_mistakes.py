"""Mistakes a person makes: one clear message, a hint, the right exit code, no traceback, nothing written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import ROOT, Shell

SOUL = ROOT / "concepts" / "soul.yaml"


def expect(done, code: int, *words: str) -> None:
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr + done.stdout
    for word in words:
        assert word in done.stderr, (word, done.stderr)


@pytest.fixture
def here(tmp_path) -> Shell:
    """A folder of its own, so that what is written can be seen."""
    work = tmp_path / "work"
    work.mkdir()
    return Shell(work, tmp_path / "cache")


def written(here: Shell) -> list[str]:
    return sorted(str(p.relative_to(here.folder)) for p in here.folder.rglob("*") if p.is_file())


def test_an_unknown_model_name_is_met_with_the_nearest_one(here):
    expect(here("run", "soul", "--models", "minilmm"), 3, "no model named 'minilmm'", "Did you mean 'minilm'?", "hint:")
    assert written(here) == []


def test_an_unknown_concept_is_met_with_the_nearest_one(here):
    expect(here("run", "sole"), 3, "no concept file 'sole'", "Did you mean 'soul'?", "hint:")


def test_a_missing_file_is_named(here):
    expect(here("run", "concepts/absent.yaml"), 3, "concepts/absent.yaml", "hint:")
    assert written(here) == []


def test_a_typo_in_a_key_is_named_with_its_line(here):
    broken = here.folder / "soul.yaml"
    text = SOUL.read_text().replace("\ntemplates:", "\ntemplats:")
    broken.write_text(text)
    line = text[: text.index("\ntemplats:")].count("\n") + 2
    done = here("run", "./soul.yaml")
    expect(done, 2, f"soul.yaml:{line}:1:", "templats", "Did you mean 'templates'?")
    assert written(here) == ["soul.yaml"]


def test_an_empty_concept_file_says_so(here):
    (here.folder / "empty.yaml").write_text("")
    expect(here("run", "empty.yaml"), 2, "empty")


def test_fifty_megabytes_of_yaml_are_refused_unread(here):
    with (here.folder / "big.yaml").open("w") as file:
        file.write("schema: 1\ntemplates:\n" + "  - {id: t, position: early, text: 'x {term} y'}\n" * 1_100_000)
    expect(here("run", "big.yaml"), 2, "big.yaml", "MB")


def test_a_model_folder_without_tokenizer_is_refused(here, tiny):
    folder = here.folder / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny / name, folder / name)
    expect(here("run", "soul", "--models", "./model"), 3, "tokenizer", "hint:")


def test_a_folder_of_pickles_is_refused(here, tiny):
    folder = here.folder / "model"
    folder.mkdir()
    shutil.copy(tiny / "config.json", folder / "config.json")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    expect(here("run", "soul", "--models", "./model"), 3, "pickled", "hint:")


def test_a_hub_model_without_network_says_so(here):
    expect(here("run", "soul", "--models", "openai-community/gpt2"), 3, "openai-community/gpt2", "hint:")


def test_a_results_folder_that_cannot_be_written_says_so(here):
    (here.folder / "results").write_text("a file is in the way")
    expect(here("run", "soul", "--models", "words:cooccurrence"), 2, "results", "hint:")
    assert written(here) == ["results"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--questions", "encodedd"), "Did you mean 'encoded'?"),
        (("--questions", "causal"), "cannot be asked"),
        (("--twins", "0"), "twins"),
        (("--permutations", "10"), "permutations"),
        (("--models", ","), "no model"),
    ],
)
def test_options_out_of_range_are_usage_errors(here, arguments, word):
    expect(here("run", "soul", *arguments), 2, word)


def test_errors_are_json_when_json_is_asked(here):
    done = here("run", "soul", "--models", "minilmm", "--json")
    assert done.returncode == 3
    error = json.loads(done.stdout)
    assert error["exit_code"] == 3
    assert "Did you mean 'minilm'?" in error["error"]


def test_validate_reports_every_error_at_once(here):
    text = SOUL.read_text()
    broken = (
        re.sub(r'version: "[\d.]+"', "version: 1.10", text)
        .replace("\ntemplates:", "\ntemplats:")
        .replace("sense: essence", "sense: esence", 1)
    )
    (here.folder / "soul.yaml").write_text(broken)
    done = here("validate", "./soul.yaml")
    assert done.returncode == 2
    lines = [line for line in done.stdout.splitlines() if line.startswith("soul.yaml:")]
    assert len(lines) >= 3
    assert any("templats" in line for line in lines)
    assert any("1.10" in line for line in lines)
    assert any("esence" in line for line in lines)


def test_the_shipped_files_are_valid(here):
    files = sorted(str(p) for p in (ROOT / "concepts").glob("*.yaml"))
    done = here("validate", *files, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    assert len(report["files"]) == 4
    # sixteen pairs of sounds are few, and the file says so itself
    assert [(Path(p["file"]).stem, p["code"]) for f in report["files"] for p in f["problems"]] == [("soul", "CP056")]


@pytest.mark.parametrize("command", ["run", "plan", "validate", "probe", "calibrate", "list", "show", "cache"])
def test_every_command_has_help_and_json(here, command):
    done = here(command, "--help", COLUMNS="100")
    assert done.returncode == 0
    assert "--json" in done.stdout
    assert len(done.stdout.split("Usage:")[1].splitlines()) > 5


@pytest.mark.parametrize("what", ["models", "concepts", "questions", "metrics", "probes", "figures"])
def test_lists_hold_something(here, what):
    listed = json.loads(here("list", what, "--json").stdout)
    assert len(listed) >= 2
    assert all(row["name"] for row in listed)


def test_an_unknown_list_is_met_with_the_nearest_one(here):
    expect(here("list", "modells"), 2, "Did you mean 'models'?")


def test_plan_executes_nothing(here, tiny):
    done = here("plan", "soul", "--models", str(tiny), "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["missing"] == plan["entries"] > 0
    power = {row["question"]: row for row in plan["power"]}
    assert set(power) == {"encoded", "beyond_words", "shared", "crossmodal"}
    assert all(row["units"] >= 20 for row in plan["power"])
    assert all(bool(row["simulated"]) != bool(row["not_simulated"]) for row in plan["power"])
    assert power["encoded"]["units_for_absent"] > power["encoded"]["units"]
    assert power["encoded"]["curve"][0][0] == 0.0
    assert power["shared"]["detectable"] is None
    assert written(here) == []


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom conceptprobe.cli.app import main\nsys.argv = ['conceptprobe', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'torch', 'pydantic', 'yaml', 'transformers', 'sklearn', 'matplotlib', 'scipy', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT), "PATH": ""}
    )
    assert done.stderr.strip() == "[]"
