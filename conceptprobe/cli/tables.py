"""Small tables of the commands around a run: columns that fit on a terminal, whole lines elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def plain_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = (), foot: str = ""
) -> None:
    """Print a table on stdout. Off a terminal no cell is wrapped or cut."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100_000)
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, title=None)
    for name in columns:
        table.add_column(
            name, justify="right" if name in right else "left", overflow="fold", no_wrap=not console.is_terminal
        )
    for row in rows:
        # Names come from files and folders: they are text, never markup.
        table.add_row(*(Text(cell) for cell in row))
    console.print(Text(title, style="bold"))
    console.print(table)
    if foot:
        console.print(Text(foot, style="dim"))
    console.print()


def size(n: int) -> str:
    """Bytes for people: 12.3 MB."""
    value = float(n)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""
