"""One look for everything: figure width, type size, colours with fixed roles, and how a verdict is shown.

Figures fit a column of 5.5 inches at 8 pt without scaling. PDF and PS embed TrueType fonts (type 42), so a journal can
read and search the text. SVG holds text as paths instead: no browser or editor then swaps the font and moves a label
into its neighbour; whoever wants searchable text takes the PDF. The font is DejaVu Sans, which comes with matplotlib,
so the same data give the same file on every machine.

Colours are from Okabe & Ito (2008), "Color Universal Design", and every role has its own marker or line style too, so
that a grey-scale print still reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_WIDTH_INCHES = 5.5
FONT_SIZE_POINTS = 8.0
SMALL_SIZE_POINTS = 7.0
"""For what stands beside the data: tick labels, n, captions. Nothing in a figure is smaller."""
PNG_DPI = 300
INK = "#222222"
"""Text, axes and anything that is not data."""
SOFT_INK = "#555555"
"""Text beside the data: n, captions, what a band is."""
STATIC_INK, TWIN_INK = "#8F5F00", "#444444"
"""Text that names a static baseline or a twin: their colours, dark enough to read at 7 pt on white."""
LANDMARK = "#8A8A8A"
"""Thin reference lines (chance, zero)."""
SEQUENTIAL_MAP = "cividis"
"""Perceptually uniform, and nearly the same for readers with and without red-green deficiency (Nunez et al. 2018)."""

RC: dict[Any, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": PNG_DPI,
    "savefig.bbox": "standard",  # "tight" would change the width
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": FONT_SIZE_POINTS,
    "axes.titlesize": FONT_SIZE_POINTS,
    "axes.labelsize": FONT_SIZE_POINTS,
    "axes.titlelocation": "left",
    "axes.titlepad": 4.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": SMALL_SIZE_POINTS,
    "ytick.labelsize": SMALL_SIZE_POINTS,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    "legend.fontsize": SMALL_SIZE_POINTS,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "conceptprobe",
}


@dataclass(frozen=True)
class Role:
    """How one kind of data is drawn everywhere."""

    colour: str
    marker: str
    line: Any
    """A matplotlib line style: a name, or (offset, (on, off, ...)) in points."""


ROLES: Mapping[str, Role] = {
    "model": Role("#0072B2", "o", "-"),
    "twin": Role("#6E6E6E", "", (0, (1.2, 1.2))),
    "static": Role("#E69F00", "s", (0, (5, 2))),
    "null": Role("#D2D2D2", "", "-"),
    "target": Role("#D55E00", "o", "-"),
    "near": Role("#56B4E9", "^", "-"),
    "far": Role("#00533C", "s", "-"),
    "background": Role("#D2D2D2", ".", "-"),
}
"""`far` is the bluish green of the palette, darkened: near and far then also differ in grey."""


@dataclass(frozen=True)
class VerdictStyle:
    """How a verdict looks in a terminal, and what it says in plain words."""

    symbol: str
    ascii_symbol: str
    style: str
    """A rich style; the symbol and the word say the same without it."""
    meaning: str


VERDICTS: Mapping[str, VerdictStyle] = {
    "supported": VerdictStyle(
        "●",
        "+",
        "bold green",
        "the effect stands out from its null (q < 0.05), its interval lies above 0, and it reaches the smallest effect "
        "of interest.",
    ),
    "absent": VerdictStyle(
        "○",
        "-",
        "bold magenta",
        "the whole interval lies below the smallest effect of interest: an effect worth caring about is ruled out at "
        "this n.",
    ),
    "mixed": VerdictStyle(
        "◐",
        "~",
        "bold cyan",
        "supported for some models and absent for others: read the rows, and claim nothing about models in general.",
    ),
    "inconclusive": VerdictStyle(
        "?",
        "?",
        "bold yellow",
        "the data neither show an effect of interest nor rule one out. The note gives the reason; where it is the "
        "minimum detectable effect, add units (term pairs, sentence pairs) until that is below the smallest effect.",
    ),
    "not asked": VerdictStyle("–", ".", "dim", "this run holds no row that could answer the question."),
    "detail": VerdictStyle("", "", "", "a row beside the headline; it carries no verdict."),
}
"""Filled, empty, half: present, absent, both. Green and magenta stay apart for red-green deficient readers."""


@contextmanager
def paper() -> Iterator[None]:
    """Matplotlib settings of this project inside the block, the caller's own outside it."""
    import matplotlib

    with matplotlib.rc_context(RC):
        yield


def new_figure(height_inches: float) -> Figure:
    """An empty figure of the paper's width on an Agg canvas; pyplot is never touched. Call it inside `paper()`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(FIGURE_WIDTH_INCHES, height_inches))
    FigureCanvasAgg(figure)
    return figure
