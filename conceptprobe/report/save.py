"""Figures as files, each written whole or not at all.

The same figure gives the same bytes: no dates, no random ids, one font. PNG at 300 dpi is for screens and slides, PDF
for papers, SVG for web pages, and the CSV beside them holds what is drawn.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conceptprobe.files import replacing
from conceptprobe.report.style import PNG_DPI, paper

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | int | float | bool
Row = Mapping[str, Cell]
"""One row of a figure's table: column -> value; all rows of a table have the same columns."""

METADATA: Mapping[str, Mapping[str, Any]] = {
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
    "png": {"Software": None},
}
"""What each format would record about time and machine, switched off."""


def save(figure: Figure, table: Sequence[Row], folder: Path, name: str) -> tuple[Path, ...]:
    """Write `name`.pdf, .svg, .png and .csv into `folder`; returns their paths. Raises UsageError where it cannot."""
    paths = []
    with paper():
        for kind, metadata in METADATA.items():
            path = Path(folder) / f"{name}.{kind}"
            with replacing(path) as part:
                figure.savefig(part, format=kind, metadata=dict(metadata), dpi=PNG_DPI)
            paths.append(path)
    return (*paths, write_csv(table, Path(folder) / f"{name}.csv"))


def write_csv(table: Sequence[Row], path: Path) -> Path:
    """Rows as UTF-8 CSV with exact numbers; nan is an empty cell (a figure draws nothing there)."""
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]) if table else [], lineterminator="\n")
        writer.writeheader()
        for row in table:
            writer.writerow({k: "" if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()})
    return path
