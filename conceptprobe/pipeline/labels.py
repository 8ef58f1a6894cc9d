"""Labels that a user brings: a csv, tsv or parquet table -> +-1 per row, and the columns that say what belongs together."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import MissingError, UsageError, did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Int

FORMATS = (".csv", ".tsv", ".txt", ".parquet")
_NAMED = 5
_TWO_VALUED: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (frozenset({"1", "+1"}), frozenset({"0"})),
    (frozenset({"1", "+1"}), frozenset({"-1"})),
    (frozenset({"true"}), frozenset({"false"})),
)
"""(values of the concept, values of controls), one convention a row; numbers are compared as numbers."""


@dataclass(frozen=True)
class LabelTable:
    """What the table says of each row of the arrays.

    label: +1 concept, -1 control; meaning: the two values as they stand in the file, the concept's first; columns: the
    other columns asked for, as text.
    """

    label: Int[np.ndarray, " n"]
    meaning: tuple[str, str]
    columns: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.label)


def read_labels(path: Path, label: str, columns: Sequence[str], positive: str = "") -> LabelTable:
    """The column `label` and the named others; `positive` is the value that means the concept.

    Without `positive`, labels are 0/1, -1/+1 or true/false. Raises MissingError where there is no file, UsageError for
    a table that cannot be read, a column that is missing, twice there or has empty cells, and labels that are not two
    values.
    """
    table = read_columns(path, (label, *columns))
    if label in columns:
        raise UsageError(
            f"'{label}' is the label, and cannot say what belongs together as well", hint="name another column"
        )
    values = [cell.strip() for cell in table[label]]
    yes, no = _two(path, label, values, positive)
    signs = np.array([1 if value in yes else -1 for value in values], dtype=np.int64)
    meaning = tuple(next(v for v in values if v in side) for side in (yes, no))
    return LabelTable(signs, (meaning[0], meaning[1]), {name: table[name] for name in columns})


def read_columns(path: Path, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The named columns as text, one cell per row, none of them empty.

    Raises MissingError where there is no file, UsageError for a table that cannot be read and a column that is missing,
    twice there or has empty cells.
    """
    table = _table(path)
    for name in columns:
        if name not in table:
            raise UsageError(
                f"{path} has no column '{name}'.{did_you_mean(name, table)}",
                hint=f"its columns are {', '.join(table)}",
            )
        if empty := [i for i, cell in enumerate(table[name]) if not cell.strip()]:
            raise UsageError(
                f"{path}: column '{name}' has no value in {len(empty):,} of {len(table[name]):,} rows: "
                f"{_rows(empty)} (from 0, the head not counted)",
                hint="a row without a group would be a group of its own: say which one, or drop the row",
            )
    return {name: tuple(table[name]) for name in columns}


def _table(path: Path) -> dict[str, list[str]]:
    if not path.exists():
        raise MissingError(f"no file {path}", hint="a table has a head, and one row per row of the arrays")
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{path}: labels are read from {', '.join(FORMATS)}, not '{path.suffix}'",
            hint="save the table as csv, with a head",
        )
    try:
        if path.suffix.lower() == ".parquet":
            return _parquet(path)
        return _csv(path)
    except (OSError, csv.Error) as error:
        what = "is a folder" if path.is_dir() else f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UsageError(f"{path} {what}", hint="save the table as csv, with a head") from error


def _csv(path: Path) -> dict[str, list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets begin with a byte order mark
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8 text (byte {error.start:,})",
            hint="save the table as csv in UTF-8; spreadsheets are no csv",
        ) from error
    if not text.strip():
        raise UsageError(f"{path} is empty", hint="the first line names the columns, one of them 'label'")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    head = [name.strip() for name in next(reader)]
    _unique(path, head)
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue  # a blank line, as at the end of many files
        if len(cells) != len(head):
            raise UsageError(
                f"{path}:{reader.line_num}: {len(cells)} cells where the head has {len(head)}",
                hint="quote cells that hold the separator",
            )
        rows.append(cells)
    return {name: [row[i] for row in rows] for i, name in enumerate(head)}


def _delimiter(text: str) -> str:
    """Whatever parts the head most often: comma, semicolon (spreadsheets of half of Europe) or tab."""
    head = text.lstrip().splitlines()[0]
    return max(",;\t", key=head.count)


def _parquet(path: Path) -> dict[str, list[str]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(path).read()
    except pa.ArrowException as error:
        raise UsageError(
            f"{path} is empty" if not path.stat().st_size else f"{path} is damaged, or no parquet file",
            hint="save the table as parquet or csv",
        ) from error
    _unique(path, table.column_names)
    return {
        # nan is how a table of numbers says that a cell is empty
        name: ["" if value is None or value != value else str(value) for value in table.column(name).to_pylist()]
        for name in table.column_names
    }


def _unique(path: Path, head: Sequence[str]) -> None:
    if twice := [name for name, count in Counter(head).items() if count > 1]:
        raise UsageError(f"{path} has two columns named '{twice[0]}'", hint="rename one of them")


def _two(path: Path, column: str, values: Sequence[str], positive: str) -> tuple[frozenset[str], frozenset[str]]:
    """(values of the concept, values of controls) that occur."""
    counts = Counter(values)
    shown = ", ".join(f"'{value}' ({count:,})" for value, count in counts.most_common(_NAMED))
    more = f" and {len(counts) - _NAMED:,} other values" if len(counts) > _NAMED else ""
    if not counts:
        raise UsageError(f"{path} has a head and no rows", hint="one row per row of X")
    if len({_plain(value) for value in counts}) == 1:
        raise UsageError(
            f"{path}: column '{column}' has one class only: every row is '{values[0]}'",
            hint="a probe needs rows of the concept and controls",
        )
    if positive:
        yes = frozenset(v for v in counts if _plain(v) == _plain(positive))
        if not yes:
            raise UsageError(
                f"{path}: no label is '{positive}'.{did_you_mean(positive, counts)}", hint=f"they are {shown}{more}"
            )
        if len({_plain(value) for value in counts}) == 2:
            return yes, frozenset(counts) - yes
    for concept, control in _TWO_VALUED:
        if {_plain(value) for value in counts} <= {_plain(v) for v in concept | control}:
            yes = frozenset(v for v in counts if _plain(v) in {_plain(c) for c in concept})
            return yes, frozenset(counts) - yes
    if len(counts) == 2:
        raise UsageError(
            f"{path}: column '{column}' holds {shown}: which of them is the concept?",
            hint=f"--positive '{next(iter(counts))}'",
        )
    raise UsageError(
        f"{path}: column '{column}' is not two-valued: {shown}{more}",
        hint="labels are 0/1, -1/+1, true/false, or two values with --positive VALUE; another column: --label",
    )


def _plain(value: str) -> str:
    """`1`, `1.0` and `+1` are one value, and so are `True` and `true`."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return value.lower()


def _rows(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:_NAMED])) + (f" and {len(rows) - _NAMED:,} more" if len(rows) > _NAMED else "")
