"""Run folders: which one is resumed, which one a name means, and what a broken one does."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from conceptprobe.errors import CorruptError, MissingError, UsageError
from conceptprobe.pipeline.config import RunConfig
from conceptprobe.pipeline.manifest import new_run_id, read_manifest, resumable, write_manifest
from conceptprobe.pipeline.results import find_run, load_run, runs


def folder(home: Path, run_id: str, **about) -> Path:
    made = home / run_id
    made.mkdir(parents=True)
    write_manifest(made, {"run_id": run_id, "status": "done", "plan_hash": "p", "models": [], **about})
    return made


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_the_newest_unfinished_run_of_the_same_plan_is_resumed(tmp_path, status):
    gone = {"process": {"pid": dead_pid(), "host": platform.node()}}
    folder(tmp_path, "20260101-000000-a", status=status, **gone)
    newest = folder(tmp_path, "20260102-000000-a", status=status, **gone)
    folder(tmp_path, "20260103-000000-a", status="done", **gone)
    folder(tmp_path, "20260104-000000-b", status=status, plan_hash="other", **gone)
    assert resumable(tmp_path, "p") == newest


def test_a_run_another_process_works_on_is_left_alone(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        folder(tmp_path, "r", status="running", process={"pid": process.pid, "host": platform.node()})
        assert resumable(tmp_path, "p") is None
    finally:
        process.kill()
        process.wait()
    assert resumable(tmp_path, "p") == tmp_path / "r"


def test_the_same_id_on_another_machine_says_nothing_about_a_process_here(tmp_path):
    folder(tmp_path, "r", status="running", process={"pid": os.getppid(), "host": "elsewhere"})
    assert resumable(tmp_path, "p") == tmp_path / "r"


def test_folders_that_are_not_runs_are_passed_over(tmp_path):
    broken = tmp_path / "soul" / "broken"
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text("{")
    folder(tmp_path / "soul", "20260101-000000-a")
    assert [r.run_id for r in runs(tmp_path)] == ["20260101-000000-a"]
    assert resumable(tmp_path / "soul", "p") is None
    with pytest.raises(CorruptError):
        load_run(broken)


def test_a_run_is_found_by_folder_id_beginning_and_concept(tmp_path):
    one = folder(tmp_path / "soul", "20260101-000000-a")
    two = folder(tmp_path / "soul", "20260102-000000-b")
    folder(tmp_path / "soul", "20260103-000000-c", status="interrupted")
    assert find_run(str(one), tmp_path).folder == one
    assert find_run("20260101-000000-a", tmp_path).folder == one
    assert find_run("20260102", tmp_path).folder == two
    assert find_run("soul", tmp_path).folder == two
    with pytest.raises(MissingError, match="Did you mean 'soul'"):
        find_run("soull", tmp_path)


def test_a_manifest_is_replaced_whole_or_not_at_all(tmp_path):
    made = folder(tmp_path, "r")
    with pytest.raises(TypeError):
        write_manifest(made, {"run_id": object()})
    assert read_manifest(made)["run_id"] == "r"
    assert [p.name for p in made.iterdir()] == ["manifest.json"]


def test_ids_sort_by_time_and_tell_the_plan():
    assert new_run_id("abcdef0123456789").endswith("-abcdef01")
    assert len(new_run_id("abcdef0123456789")) == len("20260101-000000-abcdef01")


def test_questions_are_put_in_order_and_unknown_ones_are_named():
    assert RunConfig(concept="soul", questions=("shared", "encoded")).questions == ("encoded", "shared")
    with pytest.raises(UsageError, match="Did you mean 'encoded'"):
        RunConfig(concept="soul", questions=("encoded", "encodet"))
    with pytest.raises(UsageError, match="cannot be asked"):
        RunConfig(concept="soul", questions=("causal",))


@pytest.mark.parametrize("field", RunConfig.model_fields)
def test_the_configuration_cannot_be_changed(field):
    config = RunConfig(concept="soul", models=("minilm", "minilm"))
    assert config.models == ("minilm",)
    with pytest.raises(ValueError, match="frozen"):
        setattr(config, field, getattr(config, field))
    assert json.loads(config.model_dump_json())["permutations"] == 999
