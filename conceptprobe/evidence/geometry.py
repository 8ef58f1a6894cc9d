"""Two models over one list of items: a metric of alignment, minus the random twins, as a Finding.

`shared` compares text models on words, `crossmodal` texts with pictures on captioned pictures. Two models, one of them
untrained, already agree a good deal, because both see the same letters or the same pixels; so the reference of a pair
is the larger of metric(A, twins of B) and metric(twins of A, B), and the null pairs whole items anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe import registry
from conceptprobe.alignment.base import Metric
from conceptprobe.alignment.information import InformationImbalance
from conceptprobe.alignment.neighbours import MutualKnn
from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.rows import finding, plainly, with_other
from conceptprobe.stats.jackknife import jackknife_error

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

METRICS = ("cka", "mutual_knn", "rsa")
_OF_NEIGHBOURS: Mapping[str, Callable[[int], Metric]] = {
    "mutual_knn": MutualKnn,
    "information_imbalance": InformationImbalance,
}
"""Metrics that ask about as many neighbours as the run's settings say."""
DETAIL_DRAWS = 199
"""Draws of the null of rows that carry no verdict."""


def site_at(subject: Subject) -> str:
    """The site two thirds up the model, or its only one: fixed beforehand, so nothing is chosen on the data."""
    blocks = [s for s in subject.sites if s.startswith("resid_post.")]
    return blocks[round(2 * (len(blocks) - 1) / 3)] if blocks else subject.sites[0]


@dataclass(frozen=True)
class View:
    """How rows tell a metric. local: asked by the concept's items alone; lower: 1 minus it, so that more is closer."""

    name: str
    local: bool
    lower: bool

    @classmethod
    def of(cls, metric: str) -> View:
        """As the metric's author declared it. Of distances, information imbalance alone may be asked for: it is 1 for none."""
        about = registry.entries("metric")[metric].about
        lower = about["closer"] == "lower"
        return cls(f"1 - {metric}" if lower else metric, bool(about["local"]), lower)

    def turned(self, value: Any) -> Any:
        """The value as rows have it."""
        return 1.0 - value if self.lower else value


@dataclass
class Spaces:
    """Every model's space over the same n items, prepared once per (model, site, metric).

    items: what an item is, in the plural. focus: the items of the concept. vectors: (subject, site) -> one row per item.
    """

    run: RunContext
    items: str
    focus: Bool[np.ndarray, " n"]
    vectors: Callable[[Subject, str], Float[np.ndarray, "n d"]]
    _prepared: dict[tuple[str, str, str, str], Any] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.focus)

    def prepared(self, subject: Subject, site: str, metric: str) -> tuple[Metric, Any]:
        """The metric and its prepared form of one space."""
        own = _OF_NEIGHBOURS.get(metric)
        tool = own(self.run.settings.k) if own else registry.get("metric", metric)
        key = (subject.name, subject.modality, site, metric)
        if key not in self._prepared:
            self._prepared[key] = tool.prepare(self.vectors(subject, site))
        return tool, self._prepared[key]


def geometry_row(
    run: RunContext,
    question: str,
    spaces: Spaces,
    a: Subject,
    b: Subject,
    metric: str,
    *,
    headline: bool,
    note: str,
    draw: str,
    sites: tuple[str, str] | None = None,
) -> tuple[Finding, Float[np.ndarray, " draws"]]:
    """One metric of one pair and its null. `draw` names the generator of the null; `sites`: two thirds up by default.

    A metric that is lower where spaces are closer (information imbalance, 1 for unrelated ones) is told as 1 minus itself.
    """
    site_a, site_b = sites or (site_at(a), site_at(b))
    view = View.of(metric)
    focus = spaces.focus if view.local else None
    tool, pa = spaces.prepared(a, site_a, metric)
    _, pb = spaces.prepared(b, site_b, metric)
    value = view.turned(tool.compare(pa, pb, focus))
    reference, side, compared = twin_reference(spaces, a, b, site_a, site_b, metric, focus)
    of_twins = [view.turned(tool.leave_one_out(*twin, focus)) for twin in compared]
    reference_loo = np.mean(of_twins, axis=0) if of_twins else 0.0
    rng = run.rng(draw, a.name, b.name)
    draws = run.draws() if headline else min(run.draws(), DETAIL_DRAWS)
    permutations = np.array([rng.permutation(spaces.n) for _ in range(draws)])
    null = view.turned(tool.null(pa, pb, permutations, focus))
    error = jackknife_error(view.turned(tool.leave_one_out(pa, pb, focus)) - reference_loo)
    in_focus = int(spaces.focus.sum())
    measured = plainly(
        value,
        reference,
        f"random twins ({side})",
        error,
        null,
        n=spaces.n,
        units=in_focus if focus is not None else spaces.n,
    )
    row = finding(
        run,
        question,
        a,
        measured,
        site=site_a,
        metric=view.name,
        split=f"{in_focus} of the concept in {spaces.n - in_focus} other {spaces.items}"
        if focus is not None
        else f"{spaces.n} {spaces.items}",
        headline=headline,
        note=note if headline else f"{note} {draws} draws.".strip(),
    )
    return with_other(row, b, site_b), null


def twin_reference(
    spaces: Spaces,
    a: Subject,
    b: Subject,
    site_a: str,
    site_b: str,
    metric: str,
    focus: Bool[np.ndarray, " n"] | None,
) -> tuple[float, str, list[tuple[Any, Any]]]:
    """The larger of metric(A, twins of B) and metric(twins of A, B), each the mean over twins; which, and of what."""
    view = View.of(metric)
    best: tuple[float, str, list[tuple[Any, Any]]] = (0.0, "none", [])
    for owner, other, site_own, site_other in ((b, a, site_b, site_a), (a, b, site_a, site_b)):
        pairs = []
        for twin in owner.twins:
            tool, own = spaces.prepared(twin, site_own, metric)
            standing = spaces.prepared(other, site_other, metric)[1]
            pairs.append((standing, own) if owner is b else (own, standing))
        value = view.turned(float(np.mean([tool.compare(*pair, focus) for pair in pairs]))) if pairs else 0.0
        if pairs and (not best[2] or value > best[0]):
            best = (value, f"{other.name}, {len(pairs)} twins of {owner.name}", pairs)
    return best
