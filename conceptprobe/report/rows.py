"""Findings as the rows of a table, at any width, without leaving a number out.

An effect without its reference, null, interval and n is not a result. On a terminal, rows that share metric, split,
reference and n stand under one line that says so, and a row is then short enough for 80 columns; where it is not, it
becomes two lines of text. Off a terminal every row is one line that holds everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from conceptprobe.evidence.finding import Finding
from conceptprobe.report.numbers import MISSING, count, decimals, interval, number, p_value, signed
from conceptprobe.report.page import Page

GAP = 2
"""Spaces between columns."""
ROOMY = 100
"""From this width on, heads of columns are written out."""
LEAST = 20
"""A column of names may become this narrow, or as its longest word, before another layout is taken."""

PREFIXES = {"static": ("words:", "static:", "position"), "twin": ("random:",)}
"""Beginnings of names that tell what a model is."""
_NAME_AND_REST = re.compile(r"(.*?)((?:[:;] | \().*)?$", re.DOTALL)

SPELLING = {"auroc": "AUROC", "cka": "CKA", "rsa": "RSA", "mutual_knn": "mutual kNN"}
"""Names of metrics in a registry are lower case; abbreviations are not."""

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


@dataclass(frozen=True)
class Places:
    """Decimals of numbers that stand under one another: as few as the rows allow."""

    estimate: int
    effect: int

    @classmethod
    def of(cls, rows: Sequence[Finding]) -> Places:
        """Two each, or three where two would hide what a verdict rests on."""
        effects = [decimals((r.effect, r.ci_low, r.ci_high), (0.0, 1.0, r.smallest_effect)) for r in rows]
        return cls(decimals(v for r in rows for v in (r.estimate, r.reference, r.null_q95)), max(effects, default=2))


def model_name(row: Finding) -> str:
    """`minilm`, `words:tfidf`, `minilm vs words:cooccurrence (static)`.

    In a comparison what is not a trained model is always marked; alone, only where its name does not say so.
    """
    both = [(name, kind) for name, kind in ((row.model_a, row.kind_a), (row.model_b, row.kind_b)) if name]
    told = [len(both) == 1 and name.startswith(PREFIXES.get(kind, ())) for name, kind in both]
    named = zip(both, told, strict=True)
    return " vs ".join(name if said or kind in ("", "trained") else f"{name} ({kind})" for (name, kind), said in named)


def site_name(row: Finding) -> str:
    """`resid_post.2`, or both where two sites are compared."""
    return " vs ".join(site for site in (row.site_a, row.site_b) if site)


def modality_name(row: Finding) -> str:
    """`image vs text`; nothing for plain text, which needs no mention."""
    names = " vs ".join(dict.fromkeys(m for m in (row.modality_a, row.modality_b) if m))
    return "" if names == "text" else names


def metric_name(row: Finding) -> str:
    """The metric as the field writes it: `AUROC`, `mutual kNN`."""
    return " ".join(SPELLING.get(word, word) for word in row.metric.split())


def reference_name(row: Finding, places: int) -> str:
    """`chance 0.50`, `best lexical baseline 0.53: words:tfidf`; the value stands before what explains the name."""
    name, rest = _NAME_AND_REST.match(row.reference_kind).groups()  # type: ignore[union-attr]
    return f"{name} {number(row.reference, places)}{rest or ''}".strip()


def size(row: Finding) -> str:
    """`1,080 rows, 24 units`."""
    return f"{count(row.n)} rows, {count(row.units)} units"


def facts(row: Finding, places: Places) -> tuple[list[str], list[str]]:
    """The numbers of a row as short phrases: what was found, and what it stands on."""
    found = [
        f"effect {signed(row.effect, places.effect)} {interval(row.ci_low, row.ci_high, places.effect)}",
        f"over {reference_name(row, places.estimate)}",
    ]
    null = f"null 95% {number(row.null_q95, places.estimate)}"
    basis = [null, f"p {p_value(row.p)}", f"q {p_value(row.q)}", size(row)]
    return found, [phrase for phrase in basis if not phrase.endswith(f" {MISSING}")]


def print_rows(page: Page, rows: Sequence[Finding], marks: Sequence[str], *, verdicts: bool) -> None:
    """Print rows in the widest layout that fits. `marks` (such as `(1)`, or empty) point from a row to its note."""
    names = [page.clean(f"{model_name(row)} {mark}") for row, mark in zip(rows, marks, strict=True)]
    if page.plain:
        page.print(*_grid(page, _columns(page, rows, names, verdicts, full=True), None, {}))
        return
    said = [_shared(page, row, Places.of(rows)) for row in rows]
    groups = {i: s for i, s in enumerate(said) if i == 0 or s != said[i - 1]}
    columns = _columns(page, rows, names, verdicts, full=False)
    if widths := _fit(columns, page.width - GAP):
        page.print(*_grid(page, columns, widths, groups))
    else:
        page.print(*_stacked(page, rows, names, verdicts))


def order(rows: Sequence[Finding], first: Sequence[Finding]) -> list[Finding]:
    """Rows of one table part together; parts like those of `first` come first, and in a part baselines come last."""
    parts = list(dict.fromkeys(_part(row) for row in (*first, *rows)))
    kinds = ("trained", "static", "twin")
    return sorted(rows, key=lambda r: (parts.index(_part(r)), kinds.index(r.kind_a) if r.kind_a in kinds else 0))


def _part(row: Finding) -> tuple[str | int, ...]:
    return (row.split, row.metric, modality_name(row), reference_name(row, 4), row.n, row.units)


def _shared(page: Page, row: Finding, places: Places) -> list[str]:
    """What the rows of a part share, as phrases: the line above them."""
    over = f"{metric_name(row)} over {reference_name(row, places.estimate)}".strip()
    return [page.clean(text) for text in (row.split, modality_name(row), over, size(row)) if text]


def _columns(page: Page, rows: Sequence[Finding], names: Sequence[str], verdicts: bool, *, full: bool) -> list[Column]:
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
    page: Page, columns: Sequence[Column], widths: Sequence[int] | None, groups: dict[int, list[str]]
) -> list[Text]:
    """Columns as lines; before row i stands the line `groups[i]`, where there is one. No widths: nothing wraps."""
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
        words = [text for text in (row.split, metric_name(row), modality_name(row)) if text]
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
