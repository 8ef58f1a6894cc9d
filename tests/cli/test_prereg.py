"""A plan frozen and followed through real processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Shell

OPTIONS = ("--twins", "1", "--questions", "encoded")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("prereg"), tmp_path_factory.mktemp("prereg-cache"))


@pytest.fixture(scope="module")
def frozen(here: Shell, tiny: Path) -> dict:
    done = here("plan", "soul", "--models", str(tiny), *OPTIONS, "--freeze", "plan.json", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads((here.folder / "plan.json").read_text())
    assert f"frozen: plan.json, sha256 {plan['sha256']}" in done.stderr
    assert json.loads(done.stdout)["frozen"]["sha256"] == plan["sha256"]
    return plan


def refused(done, *words: str) -> None:
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr + done.stdout
    for word in (*words, "hint:"):
        assert word in done.stderr, (word, done.stderr)


@pytest.fixture(scope="module")
def followed(here: Shell, frozen: dict) -> dict:
    """A run of the plan, named by nothing else."""
    done = here("run", "--plan", "plan.json")
    assert done.returncode == 0, done.stderr
    (folder,) = (here.folder / "results" / "soul").iterdir()
    return {"folder": folder, "manifest": json.loads((folder / "manifest.json").read_text()), "stdout": done.stdout}


@pytest.mark.slow
def test_a_run_that_follows_the_plan_carries_its_hash_and_date(here, frozen, followed):
    about = followed["manifest"]["frozen_plan"]
    assert (about["sha256"], about["frozen"], about["path"]) == (frozen["sha256"], frozen["frozen"], "plan.json")
    assert (about["runs_seen"], about["unfinished_seen"]) == (0, 0)
    assert (followed["folder"] / "plan.json").read_bytes() == (here.folder / "plan.json").read_bytes()
    assert followed["folder"].name.endswith(frozen["plan_hash"][:8])
    words = " ".join(followed["stdout"].split())
    assert f"plan {frozen['sha256'][:8]}, frozen {frozen['frozen'][:10]}" in words
    assert "before any known run of these stimuli" in words
    resolved = followed["manifest"]["arguments"]["resolved"]
    assert (resolved["questions"], resolved["twins"]) == (["encoded"], 1)


@pytest.mark.slow
def test_a_plan_frozen_after_a_run_says_so_on_the_card(here, frozen, followed, tiny):
    done = here("plan", "soul", "--models", str(tiny), *OPTIONS, "--freeze", "later.json")
    assert "frozen after 1 run of these stimuli" in done.stderr
    again = here("run", "soul", "--plan", "later.json", "--results", "results")
    assert again.returncode == 0, again.stderr
    assert "after 1 run of these stimuli" in " ".join(again.stdout.split())


def test_options_that_contradict_the_plan_are_refused_line_by_line(here, frozen, tiny):
    done = here("run", "--plan", "plan.json", "--seed", "4", "--twins", "2", "--results", "elsewhere")
    refused(done, "seed: frozen 0, now 4", "twins: frozen 1, now 2", "Nothing was run.")
    refused(here("run", "soul", "--plan", "plan.json", "--models", "words:cooccurrence"), "not in this run")
    refused(here("run", "self", "--plan", "plan.json", "--results", "elsewhere"), "concept: frozen soul, now self")
    assert not (here.folder / "elsewhere").exists()


def test_options_that_repeat_the_plan_are_no_contradiction(here, frozen, tiny):
    """Only the one that differs is named."""
    done = here("run", "soul", "--plan", "plan.json", "--models", str(tiny), *OPTIONS, "--seed", "9")
    refused(done, "seed: frozen 0, now 9")
    assert done.stderr.count("frozen ") == 2  # in the title, and for the seed


def test_a_tampered_plan_is_refused(here, frozen):
    frozen = frozen | {"settings": frozen["settings"] | {"seed": 7}}
    (here.folder / "tampered.json").write_text(json.dumps(frozen))
    refused(here("run", "--plan", "tampered.json"), "changed after it was frozen")


def test_refusals_are_json_when_json_is_asked(here, frozen):
    done = here("run", "--plan", "plan.json", "--seed", "4", "--json")
    assert done.returncode == 2
    assert "seed: frozen 0, now 4" in json.loads(done.stdout)["error"]


def test_a_plan_is_not_overwritten(here, frozen, tiny):
    before = (here.folder / "plan.json").read_bytes()
    refused(here("plan", "soul", "--models", str(tiny), "--freeze", "plan.json"), "never overwritten")
    assert (here.folder / "plan.json").read_bytes() == before


def test_neither_concept_nor_plan_and_no_such_plan(here):
    refused(here("run"), "no concept was named")
    missing = here("run", "--plan", "absent.json")
    assert missing.returncode == 3
    assert "no plan file 'absent.json'" in missing.stderr
