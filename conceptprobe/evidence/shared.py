"""Question 3: do models agree on it? Alignment of two spaces over one list of words, minus the random twins.

Rows are words: the background pool and the terms of the concept in the same neutral frames, each averaged over them.
Two models, one of them untrained, already agree a good deal, because both see the same letters and tokens; so the
reference of a pair is the larger of metric(A, twin of B) and metric(twin of A, B), and the null renames whole words.
The sites compared are fixed beforehand: two thirds up each model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe import registry
from conceptprobe.alignment.base import Metric
from conceptprobe.alignment.neighbours import MutualKnn
from conceptprobe.evidence.context import Answer, RunContext, Subject
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.rows import NAN, settle
from conceptprobe.registry import register
from conceptprobe.stats.auroc import Z95
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.stats.jackknife import jackknife_error

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

NAME = "shared"
HEADLINE = "mutual_knn"
DETAIL_DRAWS = 199
"""Draws of the null of rows that carry no verdict."""
_GUARD = (
    "geometry alone: whether this concept is shared more than matched control concepts needs the transfer of probes "
    "between models, which was not run."
)


@register("question", NAME, order=3)
def shared(run: RunContext) -> Answer:
    """Headline rows for pairs of unrelated trained models; pairs with a static model, or of relatives, are details."""
    if "background" not in run.sets or "terms_in_pool" not in run.sets:
        return Answer([], not_asked="there is no background pool to compare the models on")
    words = _Words(run)
    independent = {(a.name, b.name) for a, b in run.independent_pairs()}
    headline: list[Finding] = []
    details: list[Finding] = []
    series: dict[str, list[dict[str, Any]]] = {"sites": [], "null": []}
    pairs = list(_pairs(run))
    for done, (a, b, note) in enumerate(pairs):
        run.progress(done, len(pairs))
        counts = (a.name, b.name) in independent
        for metric in ("cka", "mutual_knn", "rsa"):
            row, null = _row(run, words, a, b, metric, counts and metric == HEADLINE, note)
            (headline if row.headline else details).append(row)
            if row.headline:
                series["null"] += [{"question": NAME, "model": f"{a.name} ~ {b.name}", "value": float(v)} for v in null]
        series["sites"] += _site_map(words, a, b)
    reason = "" if headline else "needs two trained models that share no weights, targets or training text"
    rows = settle(headline, [_GUARD] * len(headline), [1.0] * len(headline))
    return Answer(rows + details, series, not_asked=reason)


def _pairs(run: RunContext) -> Iterator[tuple[Subject, Subject, str]]:
    models = [*run.trained, *run.statics]
    for i, a in enumerate(models):
        for b in models[i + 1 :]:
            if "static" in (a.info.kind, b.info.kind):
                if a.info.kind == b.info.kind:
                    continue
                yield (
                    a,
                    b,
                    f"{b.name if b.info.kind == 'static' else a.name} is a static model: word vectors, no context.",
                )
            elif a.info.related_to(b.info):
                shared_lineage = sorted(set(a.info.lineage) & set(b.info.lineage)) or ["the same weights"]
                yield a, b, f"Relatives ({', '.join(shared_lineage)}): agreement is not convergence."
            else:
                yield a, b, ""


def site_at(subject: Subject) -> str:
    """The site two thirds up the model, or its only one: fixed beforehand, so nothing is chosen on the data."""
    blocks = [s for s in subject.sites if s.startswith("resid_post.")]
    return blocks[round(2 * (len(blocks) - 1) / 3)] if blocks else subject.sites[0]


@dataclass
class _Words:
    """Word-averaged rows and prepared metrics, made once per (model, site)."""

    run: RunContext

    def __post_init__(self) -> None:
        pool, terms = self.run.sets["background"], self.run.sets["terms_in_pool"]
        self._groups = {
            pool.name: [s.group("word") for s in pool],
            terms.name: [s.group("term") for s in terms],
        }
        self.names = [*dict.fromkeys(self._groups[pool.name]), *dict.fromkeys(self._groups[terms.name])]
        positive = {s.group("term") for s in terms if s.group("tier") == "positive"}
        self.focus: Bool[np.ndarray, " n"] = np.array([n in positive for n in self.names])
        self._prepared: dict[tuple[str, str, str], Any] = {}

    def vectors(self, model: str, site: str) -> Float[np.ndarray, "n d"]:
        """One row per word: the mean over its frames, both sets in the order of `names`."""
        rows = []
        for name, groups in self._groups.items():
            x = self.run.read(model, name, site, "concept_span")
            order = {g: i for i, g in enumerate(dict.fromkeys(groups))}
            index = np.array([order[g] for g in groups])
            sums = np.zeros((len(order), x.shape[1]))
            np.add.at(sums, index, x)
            rows.append(sums / np.bincount(index)[:, None])
        return np.concatenate(rows)

    def prepared(self, model: str, site: str, metric: str) -> tuple[Metric, Any]:
        """The metric and its prepared form of one space."""
        tool = MutualKnn(self.run.settings.k) if metric == "mutual_knn" else registry.get("metric", metric)
        key = (model, site, metric)
        if key not in self._prepared:
            self._prepared[key] = tool.prepare(self.vectors(model, site))
        return tool, self._prepared[key]


def _row(
    run: RunContext, words: _Words, a: Subject, b: Subject, metric: str, headline: bool, note: str
) -> tuple[Finding, np.ndarray]:
    site_a, site_b = site_at(a), site_at(b)
    focus = words.focus if metric == "mutual_knn" else None
    tool, pa = words.prepared(a.name, site_a, metric)
    _, pb = words.prepared(b.name, site_b, metric)
    value = tool.compare(pa, pb, focus)
    reference, side, compared = _twin_reference(words, a, b, site_a, site_b, metric, focus)
    reference_loo = np.mean([tool.leave_one_out(pt, po, focus) for pt, po in compared], axis=0) if compared else 0.0
    rng = run.rng("words", a.name, b.name)
    draws = run.draws() if headline else min(run.draws(), DETAIL_DRAWS)
    permutations = np.array([rng.permutation(len(words.names)) for _ in range(draws)])
    null = tool.null(pa, pb, permutations, focus)
    error = jackknife_error(tool.leave_one_out(pa, pb, focus) - reference_loo)
    effect = value - reference
    finding = Finding(
        run_id=run.run_id,
        concept=run.concept,
        question=NAME,
        headline=headline,
        model_a=a.name,
        model_b=b.name,
        kind_a=a.info.kind,
        kind_b=b.info.kind,
        modality_a="text",
        modality_b="text",
        site_a=site_a,
        site_b=site_b,
        metric=metric,
        split=f"{int(words.focus.sum())} terms in {int((~words.focus).sum())} other words"
        if focus is not None
        else f"{len(words.names)} words",
        estimate=value,
        reference=reference,
        reference_kind=f"random twins ({side})",
        effect=effect,
        ci_low=effect - Z95 * error,
        ci_high=effect + Z95 * error,
        null_mean=float(null.mean()),
        null_q95=float(np.quantile(null, 0.95)),
        p=add_one_p(value, null),
        q=NAN,
        n=len(words.names),
        units=int(words.focus.sum()) if focus is not None else len(words.names),
        smallest_effect=run.smallest_effect[NAME],
        verdict="detail",
        note=note if headline else f"{note} {draws} draws.".strip(),
    )
    return finding, null


def _twin_reference(
    words: _Words, a: Subject, b: Subject, site_a: str, site_b: str, metric: str, focus: np.ndarray | None
) -> tuple[float, str, list[tuple[Any, Any]]]:
    """The larger of metric(A, twins of B) and metric(twins of A, B), each the mean over twins; which, and of what."""
    best: tuple[float, str, list[tuple[Any, Any]]] = (0.0, "none", [])
    for owner, other, site_own, site_other in ((b, a, site_b, site_a), (a, b, site_a, site_b)):
        pairs = []
        for twin in owner.twins:
            tool, prepared = words.prepared(twin.name, site_own, metric)
            pairs.append((prepared, words.prepared(other.name, site_other, metric)[1]))
        value = float(np.mean([tool.compare(*pair, focus) for pair in pairs])) if pairs else 0.0
        if pairs and (not best[2] or value > best[0]):
            best = (value, f"{other.name}, {len(pairs)} twins of {owner.name}", pairs)
    return best


def _site_map(words: _Words, a: Subject, b: Subject) -> list[dict[str, Any]]:
    """Debiased CKA of every site of A with every site of B, beside the twins' at the same sites: a map, not a choice."""
    out = []
    for site_a, site_b in product(a.sites, b.sites):
        tool, pa = words.prepared(a.name, site_a, "cka")
        _, pb = words.prepared(b.name, site_b, "cka")
        reference, _, _ = _twin_reference(words, a, b, site_a, site_b, "cka", None)
        out.append(
            {
                "model_a": a.name,
                "model_b": b.name,
                "site_a": site_a,
                "site_b": site_b,
                "metric": "cka",
                "value": tool.compare(pa, pb),
                "reference": reference,
                "n": len(words.names),
            }
        )
    return out
