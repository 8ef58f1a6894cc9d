"""Geometry of the words beside the headline of question 3: whole spaces, and the concept's neighbours in the pool.

Local metrics ask about the concept's words alone, and all words may answer. Each row is minus the random twins; each local one
stands a second time beside the control concepts, whose words ask in the same spaces: how many of them agree as well?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.geometry import METRICS, Spaces, View, geometry_row
from conceptprobe.evidence.pool_words import PoolWords
from conceptprobe.evidence.transferred import Between
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.threads import two_at_a_time

LOCAL = ("mutual_knn", "information_imbalance")
ALWAYS = ("cka",)
"""What is measured even where no details are asked for: the debiased number whose bias calibration checks."""


def geometry(words: PoolWords, between: Sequence[Between]) -> list[Finding]:
    """Detail rows of all pairs: CKA, RSA, local alignment both ways, and its excess over the control concepts."""
    spaces = Spaces(words.run, "words", words.focus, words.vectors)
    jobs = [job for pair in between for job in _jobs(pair, words.run.settings.details)]

    def rows(job: tuple[Between, str]) -> list[Finding]:
        pair, metric = job
        row, _ = geometry_row(
            words.run,
            "shared",
            spaces,
            pair.a.subject,
            pair.b.subject,
            metric,
            headline=False,
            note=pair.note,
            draw="words",
            sites=(pair.a.site, pair.b.site),
        )
        return [row, *_excess(words, spaces, pair, metric, row)]

    return [row for found in two_at_a_time(rows, jobs) for row in found]


def _jobs(pair: Between, details: bool) -> list[tuple[Between, str]]:
    if not details:
        return [(pair, metric) for metric in ALWAYS]
    rows = [(pair, metric) for metric in METRICS]
    if pair.counts:
        # The one metric here that is not symmetric: is A's neighbourhood foretold by B's, and the other way round?
        rows += [(pair, LOCAL[1]), (replace(pair, a=pair.b, b=pair.a), LOCAL[1])]
    return rows


def _excess(words: PoolWords, spaces: Spaces, pair: Between, metric: str, row: Finding) -> list[Finding]:
    """The row of a local metric, with the control concepts' mean as its reference."""
    drawn = words.control_concepts
    if metric not in LOCAL or not drawn.count:
        return []
    view = View.of(metric)
    tool, a = spaces.prepared(pair.a.subject, pair.a.site, metric)
    _, b = spaces.prepared(pair.b.subject, pair.b.site, metric)
    values = np.empty(drawn.count)
    for number, own in enumerate(drawn.positives):
        asks = np.zeros(words.n, dtype=bool)
        asks[own] = True
        values[number] = view.turned(tool.compare(a, b, asks))
    mean = float(values.mean())
    moved = row.reference - mean
    return [
        replace(
            row,
            metric=f"{view.name} beside control concepts",
            reference=mean,
            reference_kind=f"control concepts (mean of {drawn.count})",
            effect=row.estimate - mean,
            ci_low=row.ci_low + moved,
            ci_high=row.ci_high + moved,
            null_mean=mean,
            null_q95=float(np.quantile(values, 0.95)),
            p=add_one_p(row.estimate, values),
            note=" ".join(
                s
                for s in (
                    pair.note,
                    f"Agrees more than {int((values < row.estimate).sum())} of {drawn.count} matched control concepts; the "
                    "null is their spread.",
                )
                if s
            ),
        )
    ]
