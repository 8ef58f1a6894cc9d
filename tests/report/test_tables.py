"""findings.csv and findings.parquet hold the same rows that went in."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.errors import CorruptError, MissingError, UsageError
from conceptprobe.evidence.finding import COLUMNS, Finding, Verdict
from conceptprobe.report.tables import read_findings, write_findings
from report.samples import run_rows

STRATEGIES = {
    "str": st.text(st.characters(exclude_categories=["Cs"])),
    "float": st.floats(),
    "int": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "Verdict": st.sampled_from(get_args(Verdict)),
}
FINDINGS = st.builds(Finding, **{name: STRATEGIES[str(Finding.__annotations__[name])] for name in COLUMNS})


@settings(max_examples=60, deadline=None)
@given(st.lists(FINDINGS, max_size=4))
def test_round_trip_is_exact_in_both_formats(rows: list[Finding]) -> None:
    with TemporaryDirectory() as folder:
        table, sheet = write_findings(rows, Path(folder))
        assert repr(read_findings(table)) == repr(rows)  # repr: nan equals nan, and 1 is not True
        stored = pq.ParquetFile(sheet).read()
        assert stored.column_names == list(COLUMNS)
        assert repr([Finding(**record) for record in stored.to_pylist()]) == repr(rows)


def test_columns_come_in_order_and_files_are_the_same_twice(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_findings(run_rows(), tmp_path / "a")]
    second = [path.read_bytes() for path in write_findings(run_rows(), tmp_path / "b")]
    assert first == second
    with (tmp_path / "a" / "findings.csv").open(newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS


def test_a_write_that_fails_leaves_the_old_files_and_nothing_else(tmp_path: Path) -> None:
    write_findings(run_rows(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    no_row: Any = object()
    with pytest.raises(AttributeError):
        write_findings([*run_rows(), no_row], tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot write"):
        write_findings(run_rows(), tmp_path / "file" / "run")


def spoil(path: Path, old: str, new: str) -> Path:
    path.write_text(path.read_text().replace(old, new, 1))
    return path


def test_damage_is_named_with_its_line(tmp_path: Path) -> None:
    table, _ = write_findings(run_rows(), tmp_path)
    with pytest.raises(MissingError, match="no findings at"):
        read_findings(tmp_path / "nowhere.csv")
    with pytest.raises(CorruptError, match=r"findings.csv:2: 'many' is not a int \(n\)|findings.csv:2: .*\(n\)"):
        read_findings(spoil(table, ",1080,", ",many,"))
    write_findings(run_rows(), tmp_path)
    with pytest.raises(CorruptError, match="verdict"):
        read_findings(spoil(table, '"supported"', '"certain"'))
    write_findings(run_rows(), tmp_path)
    with pytest.raises(CorruptError, match="Did you mean 'estimate'"):
        read_findings(spoil(table, "estimate", "estimatte"))
    write_findings(run_rows(), tmp_path)
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorruptError):
        read_findings(table)


def test_reporting_imports_nothing_heavy(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from rich.console import Console
from report.samples import run_rows
from conceptprobe.report.card import concept_card
from conceptprobe.report.console import RunSummary, render
from conceptprobe.report.tables import read_findings, write_findings
loaded = set(sys.modules)
rows = run_rows()
table, _ = write_findings(rows, Path({str(tmp_path)!r}))
render(Console(), concept_card(read_findings(table), "soul", {{}}), rows, RunSummary("r"))
heavy = {{"matplotlib.figure", "matplotlib.pyplot", "pandas", "torch", "transformers", "umap", "sklearn", "scipy"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    tests = str(Path(__file__).resolve().parents[1])
    path = [tests, str(Path(tests).parent)]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{code}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
