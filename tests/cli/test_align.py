"""`conceptprobe align` through real processes: the page's example, parts that fail, and mistakes that end in a message."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.conftest import ROOT, Shell, assert_a_message_a_hint_and_a_code
from conceptprobe import registry
from conceptprobe.cli.app import app

PAGE = (ROOT / "docs" / "align.md").read_text(encoding="utf-8")
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
N = 30


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Shell:
    """A and B share a space, at three sites and two; C shares nothing; the rest is wrong in some way."""
    work = tmp_path_factory.mktemp("align")
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((N, 3))

    def model(strengths, d):
        return np.stack([s * shared @ rng.standard_normal((3, d)) + rng.standard_normal((N, d)) for s in strengths], 1)

    a, b = model((0, 1, 2), 8), model((0, 2), 6)
    np.save(work / "A.npy", a.astype(np.float32))
    np.save(work / "B.npy", b.astype(np.float32))
    np.save(work / "C.npy", rng.standard_normal((N, 5)))
    np.save(work / "a-long-name-of-a-model-with-many-layers.npy", model(np.ones(14), 6))
    np.save(work / "short.npy", a[:-1, 0])
    np.save(work / "few.npy", a[:6, 0])
    np.save(work / "constant.npy", np.ones((N, 4)))
    nan = a[:, 0].copy()
    nan[5, 2] = np.nan
    np.save(work / "nan.npy", nan)
    np.savez(work / "partly.npz", good=a[:, 2], bad=nan)
    np.save(work / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (work / "empty.npy").touch()
    with (work / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("word", "soul"), *((f"w{i // 2}", int(i < 8)) for i in range(N))])
    (work / "plugin.py").write_text(PLUGIN)
    return Shell(work, tmp_path_factory.mktemp("cache"))


PLUGIN = '''
from conceptprobe.alignment.neighbours import MutualKnn
from conceptprobe.errors import UsageError
from conceptprobe.registry import register


class Unlucky(MutualKnn):
    """Fails in the middle."""

    def null(self, a, b, permutations, focus=None):
        raise UsageError("it rains", hint="wait")


register("metric", "unlucky", about="never works", invariant_to=(), closer="higher", symmetric=True, local=True,
         cost="n", fails="always", source="nobody 1999")(Unlucky())
'''


def test_json_is_one_object_with_every_number(here):
    done = here(
        "align", "A.npy", "B.npy", "C.npy", "--metric", "mutual_knn", "--metric", "rsa", "--permutations", "1000",
        "--k", "5", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert len(found["cells"]) == 2 * (3 * 2 + 3 + 2)
    for cell in found["cells"]:
        for name in ("value", "ci_low", "ci_high", "null_mean", "null_q95", "p", "z", "p_map", "n"):
            assert isinstance(cell[name], int | float), name
    planted = [c for c in found["cells"] if (c["site_a"], c["site_b"], c["metric"]) == ("A.2", "B.1", "rsa")]
    assert planted[0]["p"] == pytest.approx(1 / 1001)
    assert planted[0]["survives"] is True
    assert {cell["k"] for cell in found["cells"]} == {5, None}
    assert [size["n"] for size in found["against_n"] if size["metric"] == "rsa"] == [3, 7, 15, 30]
    assert found["failures"] == []
    assert {row["verdict"] for row in found["findings"]} == {"inconclusive", "detail"}
    assert found["files_written"] == []


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
    said = PAGE.split("```text\n")[1].split("\n```")[0]
    assert [line.rstrip() for line in done.stdout.splitlines()] == said.splitlines()
    subprocess.run([sys.executable, "-c", f"{after}\nassert len(found) == 6"], cwd=work, check=True)
    assert {p.suffix for p in (work / "out").iterdir()} == {".csv", ".parquet", ".json", ".pdf", ".svg", ".png"}


def test_what_fails_is_told_once_and_the_rest_is_printed(here):
    done = here(
        "align", "partly.npz", "B.npy", "short.npy", "--metric", "cka", "--metric", "unlucky", "--plugin", "plugin.py",
        "--permutations", "20",
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "partly.npz and B.npy, good and B.1: 30 items" in done.stdout
    told = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert told == [
        "failed: partly.npz, site bad: partly.npz: site 'bad' has NaN or Inf in 1 of 30 rows: 5 (from 0), "
        "first in column 2 of row 5",
        "failed: partly.npz and short.npy: partly.npz has 30 rows, short.npy has 29",
        "failed: B.npy and short.npy: B.npy has 30 rows, short.npy has 29",
        "failed: unlucky, partly.npz and B.npy: it rains",
    ]
    assert "hint: wait" in done.stderr


def test_failures_are_in_the_json_and_the_exit_code(here):
    done = here("align", "A.npy", "B.npy", "C.npy", "short.npy", "--metric", "cka", "--permutations", "20", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert [failure["what"] for failure in found["failures"]] == [f"{name}.npy and short.npy" for name in "ABC"]
    assert len(found["cells"]) == 6 + 3 + 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("A.npy", 2, ("1 file: alignment compares two",)),
        ("A.npy B.npy --metric ckaa", 2, ("no metric named 'ckaa'", "Did you mean 'cka'?")),
        ("A.npy B.npy --permutations 10", 2, ("the smallest p would be 0.091",)),
        ("A.npy B.npy --k 0", 2, ("--k 0",)),
        ("A.npy B.npy --site A.7", 2, ("no file has a site 'A.7'", "Did you mean")),
        ("A.npy B.npy --group word", 2, ("of which table",)),
        ("A.npy B.npy --groups rows.csv", 2, ("which of its columns",)),
        ("A.npy B.npy --groups rows.csv --group wrd", 2, ("no column 'wrd'", "Did you mean 'word'?")),
        ("A.npy short.npy", 2, ("A.npy has 30 rows, short.npy has 29",)),
        ("few.npy few.npy", 1, ("few.npy", "6 rows are too few")),
        ("few.npy few.npy --metric mutual_knn", 2, ("nothing could be compared", "6 rows are too few")),
        ("nan.npy B.npy", 2, ("NaN or Inf in 1 of 30 rows: 5", "column 2")),
        ("constant.npy B.npy", 2, ("all 30 items are the same",)),
        ("objects.npy B.npy", 2, ("pickled objects",)),
        ("empty.npy B.npy", 2, ("empty.npy is empty",)),
        ("absent.npy B.npy", 3, ("no file absent.npy",)),
        ("A.npy B.npy --groups absent.csv --group word", 3, ("no file absent.csv",)),
        ("A.npy B.npy --permutations 20 --metric cka --out rows.csv", 2, ("cannot write",)),
    ],
)
def test_mistakes_end_in_a_message_a_hint_and_a_code(here, monkeypatch, arguments, code, words):
    monkeypatch.chdir(here.folder)
    assert_a_message_a_hint_and_a_code(["align", *arguments.split()], code, words)


@pytest.mark.parametrize(
    ("arguments", "word"), [("nan.npy B.npy", "NaN or Inf"), ("objects.npy B.npy", "never opened")]
)
def test_mistakes_in_a_real_process_leave_no_traceback(here, arguments, word):
    before = sorted(here.folder.iterdir())
    done = here("align", *arguments.split(), "--out", "out")
    assert done.returncode == 2
    assert word in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 2
    assert sorted(here.folder.iterdir()) == before


def test_a_mistake_is_json_when_json_is_asked(here, monkeypatch):
    monkeypatch.chdir(here.folder)
    done = CliRunner().invoke(app, ["align", "nan.npy", "B.npy", "--json"])
    assert done.exit_code == 2
    error = json.loads(done.stdout)
    assert error["exit_code"] == 2
    assert "NaN or Inf" in error["error"]
    assert error["hint"]


@pytest.mark.parametrize("width", [80, 140])
def test_no_line_is_wider_than_the_terminal_and_no_name_is_cut(here, monkeypatch, width):
    monkeypatch.chdir(here.folder)
    for name, value in {"COLUMNS": str(width), "FORCE_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    long = "a-long-name-of-a-model-with-many-layers"
    done = CliRunner().invoke(
        app,
        ["align", "B.npy", f"{long}.npy", "A.npy", "--metric", "information_imbalance", "--metric", "cka",
         "--permutations", "20", "--groups", "rows.csv", "--focus", "soul"],
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    lines = [line.rstrip() for line in ANSI.sub("", done.stdout).splitlines()]
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "\u2026" not in text
    for name in (f"{long}.13", "information_imbalance >", "information_imbalance <", "lower", "B.1"):
        assert name in " ".join(text.split())
    # every site of the wide map, in as many blocks as the width needs
    heads = [word for line in lines for word in line.split() if word.startswith(long)]
    assert {f"{long}.{i}" for i in range(14)} <= set(heads)


@pytest.mark.parametrize("width", [80, 140])
def test_the_list_of_metrics_can_be_read_whole(monkeypatch, width):
    for name, value in {"COLUMNS": str(width), "FORCE_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    lines = [line.rstrip() for line in ANSI.sub("", CliRunner().invoke(app, ["list", "metrics"]).stdout).splitlines()]
    assert max(map(len, lines)) <= width
    assert "\u2026" not in "".join(lines)
    words = set(" ".join(lines).split())
    for name, entry in registry.entries("metric").items():
        assert any(line.split()[:1] == [name] for line in lines), name
        for key in ("about", "cost", "fails"):
            assert set(str(entry.about[key]).split()) <= words


def test_off_a_terminal_a_metric_is_one_line_and_json_has_its_source():
    plain = CliRunner().invoke(app, ["list", "metrics"]).stdout.splitlines()
    rows = json.loads(CliRunner().invoke(app, ["list", "metrics", "--json"]).stdout)
    assert [row["name"] for row in rows] == list(registry.entries("metric"))
    for row in rows:
        assert sum(row["name"] in line and row["fails"] in line and row["cost"] in line for line in plain) >= 1
        assert row["source"]
    (knn,) = (row for row in rows if row["name"] == "mutual_knn")
    assert knn["settings"]["k"] == 10
    assert knn["closer"] == "higher"
    assert "rotation" in knn["invariant to"]


def test_the_options_are_these(here):
    done = here("align", "--help", COLUMNS="100")
    assert done.returncode == 0
    options = {word for word in done.stdout.replace(",", " ").split() if word.startswith("--")}
    assert options == {
        "--metric", "--permutations", "--k", "--groups", "--group", "--focus", "--site", "--seed", "--out", "--plugin",
        "--json", "--help",
    }  # fmt: skip


def test_help_of_align_imports_nothing_heavy():
    code = (
        "import sys\nfrom conceptprobe.cli.app import main\nsys.argv = ['conceptprobe', 'align', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'torch', 'yaml', 'sklearn', 'matplotlib', 'scipy', 'pyarrow', 'safetensors'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT), "PATH": ""}
    )
    assert done.stderr.strip() == "[]"
