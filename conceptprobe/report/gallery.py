"""The contact sheet in words: which pictures lie nearest to a concept's direction and which farthest, line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from conceptprobe.report.numbers import signed
from conceptprobe.report.page import Page

GAP, CAPTION = 2, 36
"""Columns before a line, and columns that a caption needs beside a name; with fewer it stands below."""
SCORE = "score: the probe's prediction, +1 the concept, -1 its controls; no picture was in the training of its probe"


def print_gallery(console: Console, rows: Sequence[Mapping[str, str]], sheet: str) -> None:
    """Rows of figures/pictures.csv, model by model and end by end; `sheet` is the path of the picture itself."""
    page = Page(console)
    if not rows:
        return
    page.print(Text(), page.text("Pictures along the concept's direction", "bold"))
    page.print(*page.paragraph(SCORE, page.width, style="dim"))
    for (model, site, end), group in groupby(rows, key=lambda row: (row["model"], row["site"], row["end"])):
        page.print(page.text(f"{end} in {model} at {site}", "italic"))
        own = list(group)
        widths = [max(len(page.clean(cell)) for cell in column) for column in zip(*map(_cells, own), strict=True)]
        for row in own:
            page.print(*_lines(page, row, widths))
    page.print(Text(), *page.flow([f"contact sheet: {sheet}"], page.width))


def _cells(row: Mapping[str, str]) -> tuple[str, str, str]:
    """Score, label and the entry's id, as the concept file has it."""
    return signed(float(row["score"])), row["label"], row["id"].rpartition("/")[2]


def _lines(page: Page, row: Mapping[str, str], widths: Sequence[int]) -> list[Text]:
    score, label, name = (page.clean(cell) for cell in _cells(row))
    head = f"{' ' * GAP}{score:>{widths[0]}}  {label:<{widths[1]}}  {name:<{widths[2]}}  "
    if page.width - len(head) >= CAPTION:
        return page.paragraph(row["caption"], page.width, first=head, hang=len(head))
    indent = GAP + widths[0] + 2
    return [Text(head.rstrip()), *page.paragraph(row["caption"], page.width, first=" " * indent, hang=indent)]
