"""A page of text lines on a console of any width: what fits, what wraps, and what plain output looks like.

Two kinds of consoles: a terminal (its width binds, lines wrap between whole numbers) and everything else (a file, a
pipe: no line ever wraps or is cut, so that `grep` and `cut` work). Nothing is ever shortened to an ellipsis.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.text import Text

from conceptprobe.report.style import VERDICTS

UNBOUNDED = 100_000
"""Columns of a page that is not a terminal."""
READABLE = 110
"""A paragraph is not set wider than this on a terminal, however wide that is."""

_ASCII = str.maketrans({"–": "-", "·": "|", "●": "+", "○": "-", "◐": "~", "×": "x", "−": "-", "’": "'"})


@dataclass(frozen=True)
class Page:
    """Where the report goes: knows its width, and prints lines without ever cutting one."""

    console: Console

    @property
    def plain(self) -> bool:
        """True off a terminal."""
        return not self.console.is_terminal

    @property
    def width(self) -> int:
        """Columns that a line may take."""
        return UNBOUNDED if self.plain else self.console.width

    @property
    def ascii(self) -> bool:
        """True where the terminal can show nothing but ASCII."""
        return self.console.options.ascii_only

    def clean(self, text: str) -> str:
        """Text fit to print: one line, no control characters (a concept file could hold them), ASCII where needed."""
        line = " ".join("".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in text).split())
        if self.ascii:
            return line.translate(_ASCII).encode("ascii", "replace").decode()
        return line

    def text(self, text: str, style: str = "") -> Text:
        """Clean text in a style; square brackets are brackets, not markup."""
        return Text(self.clean(text), style=style)

    def verdict(self, verdict: str) -> Text:
        """Symbol and word, in the verdict's style."""
        look = VERDICTS[verdict]
        return Text(f"{look.ascii_symbol if self.ascii else look.symbol} {verdict}", look.style)

    def print(self, *things: RenderableType) -> None:
        """Print lines; off a terminal without wrapping or cropping."""
        for thing in things:
            self.console.print(thing, soft_wrap=self.plain, highlight=False)

    def panel(self, lines: Sequence[Text], title: str, subtitle: str) -> None:
        """Lines in a frame on a terminal; the titles and the lines elsewhere."""
        if self.plain:
            self.print(self.text(f"{title}  {subtitle}"), *lines)
            return
        head, foot = self.text(title, "bold not dim"), self.text(subtitle, "dim")
        body = list(lines)
        # rich would shorten what does not fit into the frame's edge
        if head.cell_len > self.width - 6:
            body, head = [*self.wrap(head, self.width - 4), *body], Text()
        if foot.cell_len > self.width - 6:
            body, foot = [*body, *self.wrap(foot, self.width - 4)], Text()
        self.print(
            Panel(
                Text("\n").join(body),
                title=head or None,
                subtitle=foot or None,
                title_align="left",
                subtitle_align="right",
                border_style="dim",
                padding=(0, 1),
            )
        )

    def heading(self, title: Text, mark: Text) -> None:
        """The start of a section: a title, a mark, and a rule to the edge of a terminal."""
        whole = Text().append_text(title).append("   ").append_text(mark)
        if not self.plain and whole.cell_len > self.width:
            self.print(Text(), *self.wrap(title, self.width), mark)
            return
        rest = 0 if self.plain else self.width - whole.cell_len - 1
        self.print(Text(), whole.append(" " + ("-" if self.ascii else "─") * rest if rest > 0 else "", style="dim"))

    def wrap(self, text: Text, width: int) -> list[Text]:
        """Lines of at most `width` columns, divided between words; only a longer word is divided itself."""
        if text.cell_len <= width:
            return [text]
        lines = _parted(text, max(width, 8)).wrap(self.console, max(width, 8), overflow="fold", no_wrap=False)
        for line in lines:
            line.rstrip()
        return list(lines)

    def paragraph(self, text: str, width: int, *, first: str = "", hang: int = 0, style: str = "") -> list[Text]:
        """A sentence or more, wrapped, with `first` before the first line and `hang` spaces before the others."""
        room = width if self.plain else min(width, READABLE)
        body = self.wrap(self.text(text, style), room - max(cell_len(first), hang))
        return [Text(first if i == 0 else " " * hang).append_text(line) for i, line in enumerate(body)]

    def flow(self, parts: Sequence[Text | str], width: int, *, indent: int = 0, hang: int = 0) -> list[Text]:
        """Parts side by side in lines of at most `width`; a part is divided only when it is longer than a line.

        The first line starts at column `indent`, the others at `hang`. Parts that are plain strings are cleaned.
        """
        lines, line, empty = [], Text(" " * indent), True
        gap = Text.from_markup(self.clean("·"), style="dim")
        for part in parts:
            piece = self.text(part) if isinstance(part, str) else part
            if not empty and line.cell_len + 3 + piece.cell_len > width:
                lines.append(line)
                line, empty = Text(" " * hang), True
            if not empty:
                line.append(" ").append_text(gap).append(" ")
            *full, last = self.wrap(piece, width - line.cell_len)
            for text in full:
                lines.append(line.append_text(text))
                line = Text(" " * hang)
            line.append_text(last)
            empty = False
        return [*lines, line]


def _parted(text: Text, width: int) -> Text:
    """Words longer than a line get a break behind the last `-`, `:`, `/` or `#` that fits, as names are read."""
    breaks = []
    for word in re.finditer(r"\S+", text.plain):
        start = word.start()
        while word.end() - start > width:
            ends = [m.end() for m in re.finditer(r"[-:/#]", text.plain[start : start + width])]
            if not ends:
                break
            start += ends[-1]
            breaks.append(start)
    return Text("\n").join(text.divide(breaks)) if breaks else text
