"""A contact sheet: the pictures that lie nearest to the direction of a concept in each image model, and the farthest.

A picture is judged by its frame, which says what its author called it; nothing here is a statistic. Scores are given
from outside: no picture is scored by a probe that was trained on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conceptprobe.errors import UsageError
from conceptprobe.registry import register
from conceptprobe.report.labels import LINE_POINTS, legend_below, wrap_text
from conceptprobe.report.numbers import count, signed
from conceptprobe.report.style import (
    FIGURE_WIDTH_INCHES,
    FONT_SIZE_POINTS,
    INK,
    PNG_DPI,
    ROLES,
    SMALL_SIZE_POINTS,
    SOFT_INK,
    new_figure,
    paper,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from conceptprobe.report.save import Row

MARGIN_INCHES, GAP_INCHES, FRAME_POINTS = 0.12, 0.1, 2.2
COLUMNS = 8
LABELS = {"concept": "target", "control": "near", "background": "background"}
"""Label of a picture -> role of the palette."""
LINES: dict[str, Any] = {"concept": "-", "control": (0, (2.5, 0.8)), "background": "-"}
"""Frames differ in grey, too: the concept's is dark, a control's is broken, the background's is light."""
LEGEND = {"concept": "of the concept", "control": "matched control", "background": "background"}


@dataclass(frozen=True)
class Tile:
    """One picture: where it lies, what it shows, what it is called, and how far along the direction it lies."""

    id: str
    file: Path | None
    """None where the pictures of a set are known by their hashes only; the frame is then empty."""
    caption: str
    label: str
    """`concept`, `control` or `background`."""
    score: float
    """The probe's prediction: +1 is the concept, -1 its controls."""


@dataclass(frozen=True)
class Block:
    """One image model at one site. Both ends start with the extreme."""

    model: str
    site: str
    nearest: tuple[Tile, ...]
    farthest: tuple[Tile, ...]
    ranked: int
    """Number of pictures that were put in order."""


@dataclass(frozen=True)
class Pictures:
    """The sheet of one concept."""

    concept: str
    blocks: tuple[Block, ...]


@register("figure", "pictures", data=Pictures)
def pictures(data: Pictures) -> tuple[Figure, list[Row]]:
    """The figure and its table, one row per picture.

    Raises UsageError when there is no picture or a label is none of the three, PictureError when a file cannot be shown.
    """
    strips = [(block, end, tiles) for block in data.blocks for end, tiles in _ends(block) if tiles]
    if not strips:
        raise UsageError("a contact sheet needs at least one picture")
    if unknown := sorted({tile.label for _, _, tiles in strips for tile in tiles} - set(LABELS)):
        raise UsageError(f"contact sheet: no label is called '{unknown[0]}'; labels are {', '.join(LABELS)}")
    caption = wrap_text(_caption(data), (FIGURE_WIDTH_INCHES - 2 * MARGIN_INCHES) * 72)
    foot = (LINE_POINTS * (caption.count("\n") + 1) + 10) / 72 + 0.2
    heads = [_head(data, block) if end == "nearest" or not block.nearest else "" for block, end, _ in strips]
    tall = [_strip_inches(head, tiles) for head, (_, _, tiles) in zip(heads, strips, strict=True)]
    height = sum(tall) + foot + 0.06
    top = height - 0.06
    with paper():
        figure = new_figure(height)
        for head, inches, (_, end, tiles) in zip(heads, tall, strips, strict=True):
            _strip(figure, top, head, end, tiles)
            top -= inches
        _legend(figure, [tile for _, _, tiles in strips for tile in tiles], foot / height)
        at = MARGIN_INCHES / FIGURE_WIDTH_INCHES
        figure.text(
            at, 5 / 72 / height, caption, va="bottom", fontsize=SMALL_SIZE_POINTS, color=SOFT_INK, linespacing=1.15
        )
        figure.canvas.draw()
    return figure, _table(data)


def _ends(block: Block) -> tuple[tuple[str, tuple[Tile, ...]], tuple[str, tuple[Tile, ...]]]:
    return ("nearest", block.nearest), ("farthest", block.farthest)


def _side() -> float:
    """Side of a picture with its frame, in inches."""
    return (FIGURE_WIDTH_INCHES - 2 * MARGIN_INCHES - (COLUMNS - 1) * GAP_INCHES) / COLUMNS


def _head(data: Pictures, block: Block) -> str:
    text = f"{data.concept} in {block.model} at {block.site}: {count(block.ranked)} pictures along its direction"
    return wrap_text(text, (FIGURE_WIDTH_INCHES - 2 * MARGIN_INCHES) * 72, FONT_SIZE_POINTS)


def _rows(tiles: Sequence[Tile]) -> list[Sequence[Tile]]:
    return [tiles[i : i + COLUMNS] for i in range(0, len(tiles), COLUMNS)]


def _below(tile: Tile) -> str:
    """The score and the caption, as wide as the picture and half the gap on either side."""
    score = signed(tile.score).replace("-", "\u2212")
    return f"{score}\n{wrap_text(tile.caption.rstrip('.'), (_side() + GAP_INCHES * 0.6) * 72)}"


def _row_inches(tiles: Sequence[Tile]) -> float:
    lines = max(_below(tile).count("\n") + 1 for tile in tiles)
    return _side() + (LINE_POINTS * lines + 12) / 72


def _strip_inches(head: str, tiles: Sequence[Tile]) -> float:
    return _head_inches(head) + sum(_row_inches(row) for row in _rows(tiles))


def _head_inches(head: str) -> float:
    """The title of a block where it has one, and the word above a strip."""
    title = FONT_SIZE_POINTS * 1.25 * (head.count("\n") + 1) + 4 if head else 0.0
    return (title + LINE_POINTS + 4) / 72


def _strip(figure: Figure, top: float, head: str, end: str, tiles: Sequence[Tile]) -> None:
    width, height = FIGURE_WIDTH_INCHES, figure.get_figheight()
    left = MARGIN_INCHES / width
    if head:
        figure.text(left, top / height, head, va="top", fontsize=FONT_SIZE_POINTS, parse_math=False)
    top -= _head_inches(head)
    figure.text(left, (top + 4 / 72) / height, end, va="baseline", fontsize=SMALL_SIZE_POINTS, color=SOFT_INK)
    side = _side()
    for row in _rows(tiles):
        for i, tile in enumerate(row):
            x = MARGIN_INCHES + i * (side + GAP_INCHES)
            axes = figure.add_axes((x / width, (top - side) / height, side / width, side / height))
            _show(axes, tile)
            score, _, caption = _below(tile).partition("\n")
            middle = (x + side / 2) / width
            under = top - side - 4 / 72
            figure.text(middle, under / height, score, ha="center", va="top", fontsize=SMALL_SIZE_POINTS, color=INK)
            figure.text(
                middle,
                (under - LINE_POINTS / 72) / height,
                caption,
                ha="center",
                va="top",
                fontsize=SMALL_SIZE_POINTS,
                color=SOFT_INK,
                linespacing=1.05,
                parse_math=False,
            )
        top -= _row_inches(row)


def _show(axes: Axes, tile: Tile) -> None:
    """The picture, whole, in a frame of its label."""
    look = ROLES[LABELS[tile.label]]
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    if tile.file is not None:
        image = _fitted(tile.file)
        tall, wide = image.height / max(image.size) / 2, image.width / max(image.size) / 2
        inside = 0.92  # the frame must not lie on the picture
        box = (0.5 - wide * inside, 0.5 + wide * inside, 0.5 - tall * inside, 0.5 + tall * inside)
        axes.imshow(image, extent=box, aspect="auto", interpolation="none")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(look.colour)
    axes.spines[:].set_linewidth(FRAME_POINTS)
    axes.spines[:].set_linestyle(LINES[tile.label])
    if LINES[tile.label] != "-":
        axes.spines[:].set_capstyle("butt")  # projecting ends would close the gaps


def _fitted(file: Path) -> Image:
    """The picture as models are shown it, at the size it is printed in."""
    from PIL.Image import Resampling

    from conceptprobe.stimuli.pictures import read_picture

    image = read_picture(file)
    longest = round(_side() * PNG_DPI)
    scale = longest / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Resampling.LANCZOS)


def _legend(figure: Figure, tiles: Sequence[Tile], foot: float) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(
            facecolor="none",
            edgecolor=ROLES[role].colour,
            linewidth=FRAME_POINTS,
            linestyle=LINES[label],
            label=f"{LEGEND[label]} ({count(sum(tile.label == label for tile in tiles))})",
        )
        for label, role in LABELS.items()
        if any(tile.label == label for tile in tiles)
    ]
    legend_below(
        figure,
        handles,
        foot,
        ncols=len(handles),
        handlelength=1.3,
        handleheight=1.1,
        columnspacing=1.6,
        borderaxespad=0.2,
    )


def _caption(data: Pictures) -> str:
    many = max(len(tiles) for block in data.blocks for _, tiles in _ends(block))
    return (
        f"The {many} pictures nearest to the direction of a ridge probe and the {many} farthest from it, with the "
        "probe's prediction (+1: the concept, \u22121: its matched controls). A picture of the concept or a control is "
        "scored by a probe that was trained without it and its partners; the background by the probe of all of them. Two "
        "thirds up each model, a site that was fixed beforehand. Something to look at, no statistic: the AUROC of "
        "question 1 is over all pictures of the concept and their controls."
    )


def _table(data: Pictures) -> list[Row]:
    return [
        {
            "model": block.model,
            "site": block.site,
            "end": end,
            "rank": rank,
            "id": tile.id,
            "file": tile.file.name if tile.file else "",
            "caption": tile.caption,
            "label": tile.label,
            "score": tile.score,
        }
        for block in data.blocks
        for end, tiles in _ends(block)
        for rank, tile in enumerate(tiles, start=1)
    ]
