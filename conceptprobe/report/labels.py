"""Text in figures that covers nothing: measured before it is drawn, wrapped, moved apart or thinned out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from conceptprobe.report.style import INK, SMALL_SIZE_POINTS, SOFT_INK

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEADER_POINTS = 9.0
"""Length of the line from the axes to a label."""
GAP_POINTS = 2.0
LINE_POINTS = SMALL_SIZE_POINTS * 1.2
"""Height of a line of small text."""


@dataclass(frozen=True)
class Label:
    """A name, the height (in data units) of what it names, and its colour."""

    text: str
    y: float
    colour: str
    bold: bool = False


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = SMALL_SIZE_POINTS, bold: bool = False) -> float:
    """Width of one line in points, in the figures' font."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def wrap_text(text: str, points: float, size: float = SMALL_SIZE_POINTS, bold: bool = False) -> str:
    """The text in lines no wider than `points`, divided at spaces; a longer word after a sign, or else anywhere."""

    def fits(line: str) -> bool:
        return text_width(line, size, bold) <= points

    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if fits(longer):
            line = longer
            continue
        lines += [line] if line else []
        *full, line = [word] if fits(word) else _divided(word, fits)
        lines += full
    return "\n".join([*lines, line])


def _divided(word: str, fits: Callable[[str], bool]) -> list[str]:
    """`words:cooccurrence-context` -> `words:cooccurrence-`, `context`."""
    lines, line = [], ""
    for part in re.findall(r"[^-:/+_.@]*[-:/+_.@]+|[^-:/+_.@]+", word):
        for piece in [part] if fits(part) else part:
            if line and not fits(line + piece):
                lines.append(line)
                line = ""
            line += piece
    return [*lines, line]


def spread(targets: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Centres for boxes of given sizes, in the order of `targets` (ascending), as near to them as they can be.

    No two boxes overlap; the sum of squared moves is least (isotonic regression, by pooling neighbours that collide),
    before boxes are pushed into [low, high]; where they do not all fit they start at `low`.
    """
    offsets, used = [], 0.0
    for size in sizes:
        offsets.append(used + size / 2)
        used += size
    pools: list[tuple[float, int]] = []  # (sum of target - offset, how many)
    for target, offset in zip(targets, offsets, strict=True):
        total, many = target - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / many:
            before, number = pools.pop()
            total, many = total + before, many + number
        pools.append((total, many))
    starts = [max(low, min(total / many, high - used)) for total, many in pools for _ in range(many)]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]


def column_points(labels: Sequence[Label], room_inches: float) -> float:
    """Height that `label_right` needs for these labels, in points."""
    return sum(_heights(_wrapped(labels, room_inches)))


def _wrapped(labels: Sequence[Label], room_inches: float) -> list[str]:
    room = room_inches * 72 - LEADER_POINTS - 3 * GAP_POINTS
    return [wrap_text(label.text, room, bold=label.bold) for label in labels]


def _heights(texts: Sequence[str]) -> list[float]:
    return [LINE_POINTS * (text.count("\n") + 1) + GAP_POINTS for text in texts]


def label_right(axes: Axes, labels: Sequence[Label], room_inches: float) -> None:
    """Write labels right of the axes, each with a line from its height; long names take two lines or more.

    Call it when the position and the limits of the axes are final.
    """
    ordered = sorted(labels, key=lambda label: label.y)
    texts = _wrapped(ordered, room_inches)
    points = 72.0 / axes.figure.dpi
    box = axes.get_window_extent()
    tall, wide = box.height * points, box.width * points
    heights = [(axes.transData.transform((0, label.y))[1] - box.y0) * points for label in ordered]
    centres = spread(heights, _heights(texts), -LINE_POINTS, tall + GAP_POINTS)
    start, end = 1 + GAP_POINTS / wide, 1 + LEADER_POINTS / wide
    for label, text, height, centre in zip(ordered, texts, heights, centres, strict=True):
        axes.plot(
            [start, end],
            [height / tall, centre / tall],
            color=label.colour,
            linewidth=0.5,
            clip_on=False,
            transform=axes.transAxes,
            scalex=False,
            scaley=False,
        )
        axes.text(
            end + GAP_POINTS / wide,
            centre / tall,
            text,
            transform=axes.transAxes,
            ha="left",
            va="center",
            linespacing=1.1,
            color=label.colour,
            fontsize=SMALL_SIZE_POINTS,
            fontweight="bold" if label.bold else "normal",
        )


def label_above(axes: Axes, text: str) -> None:
    """A few lines of small text on top of the axes, under the title (which needs a pad of as many lines)."""
    axes.annotate(
        text,
        xy=(0, 1),
        xytext=(0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="left",
        va="bottom",
        fontsize=SMALL_SIZE_POINTS,
        color=SOFT_INK,
    )


def write_beside(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    colour: str = INK,
    *,
    va: str = "center",
    up: float = 0,
    bold: bool = False,
) -> None:
    """Small text left or right of the axes: x in their widths, y in data units, and so many points above it."""
    axes.annotate(
        text,
        (x, y),
        xytext=(8 if x > 0 else 0, up),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va=va,
        fontsize=SMALL_SIZE_POINTS,
        fontweight="bold" if bold else "normal",
        color=colour,
        linespacing=1.15,
        annotation_clip=False,
        parse_math=False,
    )


def readable_ticks(positions: Sequence[float], names: Sequence[str]) -> list[int]:
    """Which ticks get a name so that no two names touch: the first, the last, and every k-th between, k least.

    `positions` are in points along the axis, ascending.
    """
    last = len(names) - 1
    widths = [text_width(name) + 2 * GAP_POINTS for name in names]

    def clear(kept: Sequence[int]) -> bool:
        return all(positions[b] - positions[a] >= (widths[a] + widths[b]) / 2 for a, b in pairwise(kept))

    for step in range(1, last + 1):
        between = list(range(step, last, step))
        # the last step may be a short one: then the name before the last goes, rather than every other
        for kept in ([0, *between, last], [0, *between[:-1], last]):
            if clear(kept):
                return kept
    return [0]


def legend_below(figure: Figure, handles: Sequence[Artist], top: float, **look: Any) -> None:
    """A legend in the middle of the figure, hanging from the height `top` (a share of the figure's)."""
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, top), **look)


def wrap_name(name: str, points: float, size: float = SMALL_SIZE_POINTS) -> str:
    """A model's name in lines no wider than `points`, divided after its owner where that takes no more lines."""
    whole = wrap_text(name, points, size)
    owner, slash, rest = name.partition("/")
    parted = "\n".join(wrap_text(part, points, size) for part in (owner + slash, rest))
    return parted if rest and 0 < parted.count("\n") <= whole.count("\n") else whole
