"""`--human`: tables of word similarity, through real processes; and what a person may get wrong about them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from cli.conftest import Shell, assert_a_message_a_hint_and_a_code
from conceptprobe.stimuli import load_background

OPTIONS = ("--models", "words:cooccurrence", "--questions", "shared", "--twins", "1")
PAIRS = 30


def write_tables(folder: Path, step: float = 0.1) -> Path:
    """One table of words of the pool, one of words that it lacks."""
    folder.mkdir(exist_ok=True)
    words = [w.word for w in load_background().words]
    pairs = pairwise(words[: PAIRS + 1])
    lines = "".join(f"{a}\t{b}\t{i * step:.2f}\n" for i, (a, b) in enumerate(pairs))
    (folder / "POOL.tsv").write_text("word1\tword2\tscore\n" + lines)
    (folder / "ELSEWHERE.txt").write_text("gizmo doodah 3.5\n")
    (folder / "LICENSE").write_text("of whoever made them")
    return folder


@pytest.fixture
def here(tmp_path) -> Shell:
    work = tmp_path / "work"
    work.mkdir()
    write_tables(work / "human")
    return Shell(work, tmp_path / "cache")


def test_plan_tells_how_many_pairs_the_pool_knows(here):
    done = here("plan", "soul", *OPTIONS, "--human", "human", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["human"] == [
        {"table": "ELSEWHERE", "pairs": 1, "in_pool": 0, "left_out": "fewer than 20"},
        {"table": "POOL", "pairs": PAIRS, "in_pool": PAIRS, "left_out": ""},
    ]


@pytest.mark.slow
def test_a_frozen_run_names_its_tables_and_refuses_others(here):
    frozen = here("plan", "soul", *OPTIONS, "--human", "human", "--freeze", "plan.json")
    assert frozen.returncode == 0, frozen.stderr
    assert "ELSEWHERE" in frozen.stdout
    done = here("run", "--plan", "plan.json")
    assert done.returncode == 0, done.stderr
    assert "ELSEWHERE: 0 of 1 pairs have both words in the pool; left out: fewer than 20" in done.stderr
    (folder,) = (here.folder / "results" / "soul").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["arguments"]["resolved"]["human"] == "human"
    assert [(t["name"], t["pairs"], len(t["sha256"])) for t in manifest["judgements"]] == [
        ("ELSEWHERE", 1, 64),
        ("POOL", PAIRS, 64),
    ]
    assert any(line.startswith("ELSEWHERE") for line in manifest["left_out"])
    write_tables(here.folder / "human", step=0.2)
    other = here("run", "--plan", "plan.json")
    assert other.returncode == 2
    assert "judgements.POOL.fingerprint: frozen" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--human", "humans"), 3, ("no folder 'humans' of word-similarity tables", "Did you mean 'human'?")),
        (("--human", "human/LICENSE"), 2, ("human/LICENSE is a file, not a folder",)),
        (("--human", "empty"), 2, ("empty holds no table of word similarities (*.txt, *.tsv, *.csv)",)),
        (("--human", "broken"), 2, ("broken/t.csv:2: score 'high' is not a number", "broken/t.csv:4: has 2 columns")),
        (("--human", "human", "--questions", "encoded"), 2, ("read by the question shared, which is not asked",)),
    ],
)
def test_mistakes(here, monkeypatch, arguments, code, words):
    (here.folder / "empty").mkdir()
    (here.folder / "broken").mkdir()
    (here.folder / "broken" / "t.csv").write_text("cat,dog,3\ncat,cow,high\ncat,ant,1\ncat,4\n")
    monkeypatch.chdir(here.folder)
    for command in ("run", "plan"):
        assert_a_message_a_hint_and_a_code([command, "soul", *OPTIONS, *arguments], code, words)
    assert not (here.folder / "results").exists()
