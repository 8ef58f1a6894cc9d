"""Two sides of one measurement in one process: interleaved rounds, medians with their range, and a table."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy
import sklearn


@dataclass(frozen=True)
class Row:
    """One comparison. Rates are fits per second; ratio is ours over theirs, with its range over rounds."""

    what: str
    against: str
    fits: int
    ours_per_s: float
    theirs_per_s: float
    ratio: float
    low: float
    high: float
    target: float
    check: str


def interleaved(rounds: int, sides: dict[str, Callable[[], int]]) -> dict[str, list[float]]:
    """Fits per second of every side, round by round; the order turns."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for r in range(rounds):
        for name in names[r % len(names) :] + names[: r % len(names)]:
            start = time.perf_counter()
            fits = sides[name]()
            rates[name].append(fits / (time.perf_counter() - start))
    return rates


def row(what: str, against: str, fits: int, ours: list[float], theirs: list[float], target: float, check: str) -> Row:
    """Medians of rates, and the median and range of their ratio over rounds."""
    ratios = np.array(ours) / np.array(theirs)
    middle = [float(np.median(v)) for v in (ours, theirs, ratios)]
    return Row(what, against, fits, *middle, float(ratios.min()), float(ratios.max()), target, check)


def machine(threads: int) -> str:
    """CPU, cores and versions, no more."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return (
        f"{model}, {os.cpu_count()} cores, {threads} used by each side; Python {platform.python_version()}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}"
    )


def table(rows: list[Row]) -> str:
    """Markdown: rates, ratios and what was compared before."""
    lines = [
        "| what | against | fits | ours, fits/s | theirs, fits/s | ratio (range) | target |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.what} | {r.against} | {r.fits:,} | {r.ours_per_s:,.0f} | {r.theirs_per_s:,.0f} "
        f"| **{r.ratio:.3g}** ({r.low:.3g} to {r.high:.3g}) | {f'{r.target:g}' if r.target else ''} |"
        for r in rows
    ]
    checks = dict.fromkeys(f"- {r.what}: {r.check}." for r in rows)
    return "\n".join([*lines, "", "Compared before timing:", "", *checks])


def write(path: Path, head: str, rows: str) -> None:
    """A results page: what was run on what, then the table."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{head}\n\n{rows}\n")


def missed(rows: list[Row]) -> int:
    """The exit code: 1, with every target that was missed named on stderr, or 0."""
    below = [r for r in rows if r.ratio < r.target]
    for r in below:
        print(f"missed: {r.what} against {r.against}: {r.ratio:.3g} of {r.target:g}", file=sys.stderr)
    return 1 if below else 0
