"""Findings as the rows of a table, at any width, without leaving a number out.

An effect without its reference, null, interval and n is not a result. On a terminal, rows that share metric, split,
kind of reference and n stand under one line that says so; where the values of the reference differ, they get a column.
A row is then short enough for 80 columns; where it is not, it becomes a few lines of text. Off a terminal every row is
one line that holds everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from conceptprobe.evidence.finding import Finding
from conceptprobe.report.numbers import MISSING, count, interval, number, p_value, signed
from conceptprobe.report.page import Page
from conceptprobe.report.phrases import (
    Places,
    facts,
    metric_name,
    modality_name,
    model_name,
    reference_name,
    reference_parts,
    site_name,
    size,
)

GAP = 2
"""Spaces between columns."""
ROOMY = 100
"""From this width on, heads of columns are written out."""
LEAST = 20
"""A column of names may become this narrow, or as its longest word, before another layout is taken."""
MOST_LINES = 2
"""Lines a name may take in a column; where one would take more, each row becomes a few lines of text."""

Say = Callable[[Finding], str]


@dataclass(frozen=True)
class Column:
    """Head and cells, top to bottom. Names may wrap; numbers and verdicts never do."""

    head: str
    cells: tuple[Text, ...]
    name: bool = False

    @property
    def natural(self) -> int:
        """Width at which nothing wraps."""
        return max(*(cell_len(line) for line in self.head.split("\n")), *(cell.cell_len for cell in self.cells))

    @property
    def narrowest(self) -> int:
        """Width below which another layout must be taken."""
        words = [word for text in (self.head, *(cell.plain for cell in self.cells)) for word in text.split()]
        return min(LEAST, max(map(cell_len, words))) if self.name else self.natural


def print_rows(page: Page, rows: Sequence[Finding], marks: Sequence[str], *, verdicts: bool) -> None:
    """Print rows in the widest layout that fits. `marks` (such as `(1)`, or empty) point from a row to its note."""
    names = [page.clean(f"{model_name(row)} {mark}") for row, mark in zip(rows, marks, strict=True)]
    if page.plain:
        page.print(*_grid(page, _columns(page, rows, names, verdicts, full=True), None, {}, {}))
        return
    references = _references(rows)
    said = [_shared(page, row, reference.above) for row, reference in zip(rows, references, strict=True)]
    groups = {i: s for i, s in enumerate(said) if i == 0 or s != said[i - 1]}
    columns = _columns(page, rows, names, verdicts, full=False, references=any(r.own for r in references))
    widths = _fit(columns, page.width - GAP)
    if widths and _lines_of_names(page, columns, widths) <= MOST_LINES:
        below = {i: page.clean(r.below) for i, r in enumerate(references) if r.below}
        page.print(*_grid(page, columns, widths, groups, below))
    else:
        page.print(*_stacked(page, rows, names, verdicts))


@dataclass(frozen=True)
class Reference:
    """How the reference of a row is told: by one line above its part, or by a number of its own."""

    own: bool
    above: str
    below: str = ""
    """What explains the name, where rows of the part differ in it."""


def _references(rows: Sequence[Finding]) -> list[Reference]:
    places = Places.of(rows).estimate
    parts: dict[tuple[str | int, ...], list[Finding]] = {}
    for row in rows:
        parts.setdefault(_part(row), []).append(row)
    return [_reference(row, parts[_part(row)], places) for row in rows]


def _reference(row: Finding, part: Sequence[Finding], places: int) -> Reference:
    whole = reference_name(row, places)
    if all(reference_name(other, places) == whole for other in part):
        return Reference(False, whole)
    name, rest = reference_parts(row.reference_kind)
    if all(reference_parts(other.reference_kind)[1] == rest for other in part):
        return Reference(True, name + rest)
    rest = rest.lstrip(":; ")
    return Reference(True, name, rest[1:-1] if rest.startswith("(") else rest)


def _lines_of_names(page: Page, columns: Sequence[Column], widths: Sequence[int]) -> int:
    cells = [(cell, w) for column, w in zip(columns, widths, strict=True) if column.name for cell in column.cells]
    return max(len(page.wrap(cell, width)) for cell, width in cells)


def order(rows: Sequence[Finding], first: Sequence[Finding]) -> list[Finding]:
    """Rows of one table part together; parts like those of `first` come first, and in a part baselines come last."""
    parts = list(dict.fromkeys(_part(row) for row in (*first, *rows)))
    kinds = ("trained", "static", "twin")
    return sorted(rows, key=lambda r: (parts.index(_part(r)), kinds.index(r.kind_a) if r.kind_a in kinds else 0))


def _part(row: Finding) -> tuple[str | int, ...]:
    return (row.split, row.metric, modality_name(row), reference_parts(row.reference_kind)[0], row.n, row.units)


def _shared(page: Page, row: Finding, reference: str) -> list[str]:
    """What the rows of a part share, as phrases: the line above them."""
    over = f"{metric_name(row)} over {reference}".strip()
    return [page.clean(text) for text in (row.split, over, size(row)) if text]


def _columns(
    page: Page,
    rows: Sequence[Finding],
    names: Sequence[str],
    verdicts: bool,
    *,
    full: bool,
    references: bool = False,
) -> list[Column]:
    at = Places.of(rows)

    def column(head: str, say: Say, *, name: bool = False, wanted: bool = True) -> list[Column]:
        cells = tuple(page.text(say(row)) for row in rows)
        empty = all(cell.plain in ("", page.clean(MISSING)) for cell in cells)
        return [] if empty or not wanted else [Column(head, cells, name)]

    estimate, null = ("estimate", "null 95%") if full or page.width >= ROOMY else ("est.", "null\n95%")
    first = [Column("verdict", tuple(page.verdict(row.verdict) for row in rows))] if verdicts else []
    return [
        *first,
        Column("model", tuple(Text(name) for name in names), name=True),
        *column("site", site_name, name=True),
        *column("metric", metric_name, name=True, wanted=full),
        *column("split", lambda r: r.split, name=True, wanted=full),
        *column("modality", modality_name, name=True, wanted=full),
        *column("over", lambda r: reference_name(r, at.estimate), name=True, wanted=full),
        *column(estimate, lambda r: number(r.estimate, at.estimate)),
        *column("over", lambda r: number(r.reference, at.estimate), wanted=references),
        *column("effect", lambda r: signed(r.effect, at.effect)),
        *column("95% interval", lambda r: interval(r.ci_low, r.ci_high, at.effect)),
        *column(null, lambda r: number(r.null_q95, at.estimate)),
        *column("p", lambda r: p_value(r.p)),
        *column("q", lambda r: p_value(r.q)),
        *column("rows", lambda r: count(r.n), wanted=full),
        *column("units", lambda r: count(r.units), wanted=full),
    ]


def _fit(columns: Sequence[Column], width: int) -> list[int] | None:
    """Widths that add up to at most `width`, taken from the widest column of names first; None where none do."""
    widths = [column.natural for column in columns]
    while sum(widths) + GAP * (len(widths) - 1) > width:
        spare = [(w, i) for i, w in enumerate(widths) if w > columns[i].narrowest]
        if not spare:
            return None
        widths[max(spare)[1]] -= 1
    return widths


def _grid(
    page: Page,
    columns: Sequence[Column],
    widths: Sequence[int] | None,
    groups: Mapping[int, list[str]],
    below: Mapping[int, str],
) -> list[Text]:
    """Columns as lines; before row i stands `groups[i]`, and under it `below[i]`. No widths: nothing wraps."""
    at = widths or [column.natural for column in columns]
    indent = "" if widths is None else " " * GAP
    heads = [column.head.split("\n") for column in columns]
    deepest = max(map(len, heads))
    lines = []
    for depth in range(deepest):
        words = [Text((["", *head] if len(head) < deepest else head)[depth], style="dim") for head in heads]
        lines.append(_line(columns, words, at, indent))
    for i, row in enumerate(zip(*(column.cells for column in columns), strict=True)):
        if i in groups:
            lines += page.flow([Text(text, style="italic") for text in groups[i]], page.width, hang=GAP)
        cells = [page.wrap(cell, width) for cell, width in zip(row, at, strict=True)]
        for depth in range(max(map(len, cells))):
            lines.append(_line(columns, [c[depth] if depth < len(c) else Text() for c in cells], at, indent))
        if i in below:
            start = len(indent) + sum(w + GAP for c, w in zip(columns, at, strict=True) if c.head == "verdict") + GAP
            lines += page.flow([page.text(f"reference: {below[i]}", "dim")], page.width, indent=start, hang=start)
    return lines


def _line(columns: Sequence[Column], cells: Sequence[Text], widths: Sequence[int], indent: str) -> Text:
    line = Text(indent)
    for column, cell, width in zip(columns, cells, widths, strict=True):
        pad = " " * (width - cell.cell_len)
        left = column.name or column.head == "verdict"
        line.append_text(cell).append(pad) if left else line.append(pad).append_text(cell)
        line.append(" " * GAP)
    line.rstrip()
    return line


def _stacked(page: Page, rows: Sequence[Finding], names: Sequence[str], verdicts: bool) -> list[Text]:
    at = Places.of(rows)
    lines: list[Text] = []
    said: list[str] = []
    for row, name in zip(rows, names, strict=True):
        words = [text for text in (row.split, metric_name(row)) if text]
        if words != said:
            lines += page.flow([page.text(text, "italic") for text in words], page.width, hang=GAP)
            said = words
        head: list[Text | str] = [page.verdict(row.verdict)] if verdicts else []
        head += [text for text in (name, site_name(row)) if text]
        lines += page.flow(head, page.width, indent=2, hang=4)
        found, basis = facts(row, at)
        lines += page.flow([f"estimate {number(row.estimate, at.estimate)}", *found], page.width, indent=4, hang=4)
        lines += page.flow(basis, page.width, indent=4, hang=4)
    return lines
