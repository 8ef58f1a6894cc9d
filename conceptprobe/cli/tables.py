"""Small tables of the commands around a run: columns that fit on a terminal, whole lines elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PROSE = 60
"""Columns that a column of prose needs; with fewer it stands below its row."""
GAP = 3


def plain_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[str] = (),
    foot: str = "",
    prose: bool = False,
) -> None:
    """Print a table on stdout. Off a terminal no cell is wrapped or cut. `prose`: only the last column may wrap."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100_000)
    console.print(Text(title, style="bold"))
    if prose and console.is_terminal and _left_for_prose(columns, rows, console.width) < PROSE:
        _stacked(console, rows)
    else:
        _columns(console, columns, rows, right, prose)
    if foot:
        console.print(Text(foot, style="dim"))
    console.print()


def grouped_table(
    title: str,
    columns: Sequence[str],
    groups: Mapping[str, Sequence[Sequence[str]]],
    *,
    right: Collection[str] = (),
    foot: str = "",
    heading: str = "model",
) -> None:
    """Rows under the headings they share; the last column may wrap. Off a terminal the heading ends its row, in a column
    of the name `heading`."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    rows = [[*row, shared] for shared, own in groups.items() for row in own]
    if not console.is_terminal:
        plain_table(title, [*columns, heading], rows, right=right, foot=foot)
        return
    widths = [max(cell_len(row[i]) for row in [*rows, columns]) for i in range(len(columns))]

    def line(cells: Sequence[str], style: str = "") -> None:
        padded = [
            " " * (w - cell_len(c)) + c if name in right else c + " " * (w - cell_len(c))
            for name, c, w in zip(columns, cells, widths, strict=True)
        ]
        head = "  " + "".join(f"{cell}  " for cell in padded[:-1])
        room = max(console.width - cell_len(head), 12)
        for i, part in enumerate(Text(cells[-1], style).wrap(console, room)):
            console.print(Text(head if i == 0 else " " * cell_len(head), style).append_text(part))

    console.print(Text(title, style="bold"))
    line(columns, "dim")
    for shared, own in groups.items():
        console.print(Text(shared, style="italic"))
        for row in own:
            line(row)
    if foot:
        console.print(Text(foot, style="dim"))
    console.print()


WIDE = 120
"""Columns from which a table with several columns of prose is a table; on a narrower terminal its rows are entries."""


def described_table(
    title: str, rows: Sequence[Mapping[str, str]], *, beside: Collection[str] = (), foot: str = ""
) -> None:
    """Rows of one name and several columns of prose, on stdout: a table with wrapped cells where there is room for one, else
    one entry per row, where the columns `beside` stand in the line of the name. Off a terminal one line per row.
    """
    from rich import box
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    columns = list(rows[0]) if rows else []
    console = Console(highlight=False)
    if not console.is_terminal:
        plain_table(title, columns, [[row[name] for name in columns] for row in rows], foot=foot)
        return
    console.print(Text(title, style="bold"))
    if console.width >= WIDE:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in columns:
            table.add_column(name, overflow="fold", no_wrap=name == columns[0])
        for row in rows:
            table.add_row(*(Text(row[name]) for name in columns))
        console.print(table)
        if foot:
            console.print(Text(foot, style="dim"))
        return
    for row in rows:
        near = "  ".join(f"{name}: {row[name]}" for name in columns[1:] if name in beside and row[name])
        console.print(Padding(Text.assemble((row[columns[0]], "bold"), "  ", near), (0, 0, 0, 0)))
        for place, name in enumerate(name for name in columns[1:] if name not in beside):
            if row[name]:
                console.print(Padding(Text(row[name] if place == 0 else f"{name}: {row[name]}"), (0, 0, 0, 2)))
    if foot:
        console.print(Text(foot, style="dim"))
    console.print()


def _columns(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str], prose: bool
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, title=None)
    for i, name in enumerate(columns):
        whole = not console.is_terminal or (prose and i < len(columns) - 1)
        table.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        # Names come from files and folders: they are text, never markup.
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _left_for_prose(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> int:
    from rich.cells import cell_len

    heads = [*rows, columns]
    return width - sum(max(cell_len(row[i]) for row in heads) + GAP for i in range(len(columns) - 1))


def _stacked(console: Console, rows: Sequence[Sequence[str]]) -> None:
    """Each row as a line, and its prose below."""
    from rich.cells import cell_len
    from rich.padding import Padding
    from rich.text import Text

    widths = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)] if rows else []
    fits = sum(widths) + 2 * len(widths) <= console.width
    for *cells, prose in rows:
        padded = [
            cell + " " * (width - cell_len(cell) if fits else 0) for cell, width in zip(cells, widths, strict=True)
        ]
        console.print(Text("  ".join([*padded]).rstrip(), style="bold"))
        console.print(Padding(Text(prose), (0, 0, 0, 2)))
