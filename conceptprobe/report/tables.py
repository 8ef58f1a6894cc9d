"""Findings as files: findings.csv, exact and readable, and findings.parquet, typed. Rows in, the same rows out.

Plain `csv` and pyarrow: a warm run writes tables in milliseconds and imports no data frame library for it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from conceptprobe.errors import CorruptError, MissingError, did_you_mean
from conceptprobe.evidence.finding import COLUMNS, Finding, Verdict
from conceptprobe.files import replacing

_TYPES: Mapping[str, str] = {name: str(Finding.__annotations__[name]) for name in COLUMNS}


def _read_bool(text: str) -> bool:
    return {"True": True, "False": False}[text]


def _read_verdict(text: str) -> str:
    if text not in get_args(Verdict):
        raise ValueError(f"no verdict is called '{text}'")
    return text


_READ: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": _read_bool,
    "Verdict": _read_verdict,
}


def write_findings(findings: Sequence[Finding], folder: Path) -> tuple[Path, Path]:
    """Write findings.csv and findings.parquet, columns in the order of `COLUMNS`; returns the two paths.

    Floats are written with all their digits, nan as `nan`, truth values as `True` and `False`; texts are in quotes.
    """
    table, sheet = Path(folder) / "findings.csv", Path(folder) / "findings.parquet"
    with replacing(table) as part, part.open("w", encoding="utf-8", newline="") as file:
        # every text in quotes: a carriage return in a note would otherwise end the row for some readers
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(COLUMNS)
        writer.writerows([getattr(row, name) for name in COLUMNS] for row in findings)
    with replacing(sheet) as part:
        _parquet(table, part)
    return table, sheet


def write_records(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A CSV of flat records that share their columns; numbers with all their digits."""
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(records[0])
        writer.writerows(record.values() for record in records)


def _parquet(source: Path, target: Path) -> None:
    # From the CSV, not from Python lists: those make pyarrow import pandas, a second that a warm run does not have.
    import pyarrow as pa
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    kinds = {"str": pa.string(), "Verdict": pa.string(), "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}
    table = arrow_csv.read_csv(
        source,
        # one block: rows are few, and a cell may hold a line break
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=max(1 << 20, source.stat().st_size + 1)),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types={name: kinds[_TYPES[name]] for name in COLUMNS}, null_values=[], strings_can_be_null=False
        ),
    )
    parquet.write_table(table, target)


def read_findings(path: Path) -> list[Finding]:
    """The findings of a findings.csv, as they were written.

    Raises MissingError where there is no such file, CorruptError (with line and column) where it holds anything else.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            head = next(reader, [])
            _check_head(head, path)
            return [_finding(cells, path, reader.line_num) for cells in reader]
    except FileNotFoundError as error:
        raise MissingError(f"no findings at {path}", hint="a run writes findings.csv into its folder") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorruptError(f"{path} is not a table of findings: {error}", hint="run the concept again") from error


def _check_head(head: Sequence[str], path: Path) -> None:
    if tuple(head) == COLUMNS:
        return
    for name in head:
        if name not in COLUMNS:
            raise CorruptError(f"{path}: no column is called '{name}'.{did_you_mean(name, COLUMNS)}")
    missing = ", ".join(name for name in COLUMNS if name not in head) or "none, but the order differs"
    raise CorruptError(f"{path} is not a table of findings; missing columns: {missing}", hint="run the concept again")


def _finding(cells: Sequence[str], path: Path, line: int) -> Finding:
    if len(cells) != len(COLUMNS):
        raise CorruptError(f"{path}:{line}: {len(cells)} cells where {len(COLUMNS)} belong")
    values = {}
    for name, cell in zip(COLUMNS, cells, strict=True):
        try:
            values[name] = _READ[_TYPES[name]](cell)
        except (ValueError, KeyError) as error:
            raise CorruptError(f"{path}:{line}: '{cell}' is not a {_TYPES[name].lower()} ({name})") from error
    return Finding(**values)
