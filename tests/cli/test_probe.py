"""`conceptprobe probe` through real processes: the page's example, and mistakes that end in a message."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from cli.conftest import ROOT, Shell, assert_a_message_a_hint_and_a_code

PAGE = (ROOT / "docs" / "probe.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Shell:
    """A folder with arrays and labels: 12 pairs of terms in 4 templates, the concept along the first feature."""
    work = tmp_path_factory.mktemp("probe")
    rng = np.random.default_rng(0)
    rows = [(y, f"w{p}.{y}", f"t{t}", f"p{p}") for p in range(12) for y in (1, 0) for t in range(4)]
    x = rng.standard_normal((len(rows), 6)).astype(np.float32)
    x[:, 0] += [3.0 * row[0] for row in rows]
    np.save(work / "X.npy", x)
    np.save(work / "short.npy", x[:-1])
    np.save(work / "few.npy", x[:8])
    np.save(work / "constant.npy", np.ones_like(x))
    bad = x.copy()
    bad[5, 2] = np.nan
    np.save(work / "nan.npy", bad)
    np.save(work / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (work / "empty.npy").touch()
    for name, some, head in (
        ("y.csv", rows, ("label", "term", "template", "pair")),
        ("few.csv", rows[:8], ("label", "term", "template", "pair")),
        ("one.csv", [(1, *row[1:]) for row in rows], ("label", "term", "template", "pair")),
        ("whole.csv", [(*row[:3], "p") for row in rows], ("label", "term", "template", "pair")),
        ("many.csv", [(i % 3, *row[1:]) for i, row in enumerate(rows)], ("label", "term", "template", "pair")),
        ("twice.csv", rows, ("label", "term", "term", "pair")),
    ):
        with (work / name).open("w", newline="") as file:
            csv.writer(file).writerows([head, *some])
    return Shell(work, tmp_path_factory.mktemp("cache"))


def test_json_is_one_object_with_every_number(here):
    done = here(
        "probe", "X.npy", "--labels", "y.csv", "--group", "template", "--group", "term", "--kind", "logistic",
        "--permutations", "1000", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    headline, ridge = found["findings"]
    assert headline["metric"] == "auroc (logistic)"
    assert headline["verdict"] == "supported"
    assert ridge["verdict"] == "detail"
    for row in found["findings"]:
        for name in (
            "estimate",
            "reference",
            "effect",
            "ci_low",
            "ci_high",
            "null_mean",
            "null_q95",
            "p",
            "n",
            "units",
        ):
            assert isinstance(row[name], int | float), name
    assert headline["p"] == pytest.approx(1 / 1001)
    assert found["design"]["crossed"] == "template"
    assert found["rows"], found["items"] == (96, 24)
    assert found["files"] == []


def test_the_example_of_the_page_runs_and_prints_what_the_page_says(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    shell = Shell(work, tmp_path / "cache")
    make, after = (part.split("```")[0] for part in PAGE.split("```python\n")[1:])
    subprocess.run([sys.executable, "-c", make], cwd=work, check=True)
    command = PAGE.split("```sh\n")[1].split("```")[0].split()
    assert command[0] == "conceptprobe"
    done = shell(*command[1:])
    assert done.returncode == 0, done.stderr
    assert [line.rstrip() for line in done.stdout.splitlines()] == PAGE.split("```text\n")[1].split("\n```")[
        0
    ].splitlines()
    subprocess.run([sys.executable, "-c", f"{after}\nassert direction.shape == (32,)"], cwd=work, check=True)
    assert {p.suffix for p in (work / "out").iterdir()} == {
        ".csv", ".parquet", ".json", ".safetensors", ".pdf", ".svg", ".png",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("X.npy --labels y.csv --kind logistc", 2, ("no probe named 'logistc'", "Did you mean 'logistic'?")),
        ("X.npy --labels y.csv --group templat", 2, ("no column 'templat'", "Did you mean 'template'?")),
        ("X.npy --labels y.csv --permutations 10", 2, ("the smallest p would be 0.091",)),
        ("X.npy --labels one.csv", 2, ("one class only",)),
        ("X.npy --labels many.csv", 2, ("not two-valued",)),
        ("X.npy --labels twice.csv", 2, ("two columns named 'term'",)),
        ("X.npy --labels whole.csv --group pair", 2, ("group 'pair' contains everything",)),
        ("X.npy --labels y.csv --group template", 2, ("by 'template', the rows form 4 units",)),
        ("few.npy --labels few.csv", 2, ("8 rows are too few",)),
        ("short.npy --labels y.csv", 2, ("95 rows", "has 96")),
        ("nan.npy --labels y.csv", 2, ("NaN or Inf in 1 of 96 rows: 5",)),
        ("constant.npy --labels y.csv", 2, ("every feature is constant",)),
        ("objects.npy --labels y.csv", 2, ("pickled objects",)),
        ("empty.npy --labels y.csv", 2, ("empty.npy is empty",)),
        ("absent.npy --labels y.csv", 3, ("no file absent.npy",)),
        ("X.npy --labels y.csv --out y.csv", 2, ("cannot write",)),
    ],
)
def test_mistakes_end_in_a_message_a_hint_and_a_code(here, monkeypatch, arguments, code, words):
    monkeypatch.chdir(here.folder)
    assert_a_message_a_hint_and_a_code(["probe", *arguments.split()], code, words)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [("nan.npy --labels y.csv", "NaN or Inf"), ("objects.npy --labels y.csv", "never opened")],
)
def test_mistakes_in_a_real_process_leave_no_traceback(here, arguments, word):
    before = sorted(here.folder.iterdir())
    done = here("probe", *arguments.split(), "--out", "out")
    assert done.returncode == 2
    assert word in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 2
    assert sorted(here.folder.iterdir()) == before


def test_a_mistake_is_json_when_json_is_asked(here):
    done = here("probe", "nan.npy", "--labels", "y.csv", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)
    assert error["exit_code"] == 2
    assert "NaN or Inf" in error["error"]
    assert error["hint"]


def test_the_options_are_these(here):
    done = here("probe", "--help", COLUMNS="100")
    assert done.returncode == 0
    options = {word for word in done.stdout.replace(",", " ").split() if word.startswith("--")}
    assert options == {
        "--labels", "--label", "--positive", "--group", "--crossed", "--pair", "--item", "--site", "--kind",
        "--permutations", "--smallest-effect", "--seed", "--out", "--plugin", "--json", "--help",
    }  # fmt: skip


def test_help_of_probe_imports_nothing_heavy():
    code = (
        "import sys\nfrom conceptprobe.cli.app import main\nsys.argv = ['conceptprobe', 'probe', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'torch', 'yaml', 'sklearn', 'matplotlib', 'scipy', 'pyarrow', 'safetensors'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT), "PATH": ""}
    )
    assert done.stderr.strip() == "[]"
