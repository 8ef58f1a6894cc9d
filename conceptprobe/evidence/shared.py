"""Question 3: do models agree on it? Alignment of two spaces over one list of words, minus the random twins.

Rows are words: the background pool and the terms of the concept in the same neutral frames, each averaged over them.
Two models, one of them untrained, already agree a good deal, because both see the same letters and tokens; so the
reference of a pair is the larger of metric(A, twin of B) and metric(twin of A, B), and the null renames whole words.
The sites compared are fixed beforehand: two thirds up each model.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.evidence.context import Answer, RunContext, Subject
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.geometry import METRICS, Spaces, geometry_row, twin_reference
from conceptprobe.evidence.rows import settle
from conceptprobe.registry import register
from conceptprobe.threads import two_at_a_time

if TYPE_CHECKING:
    from jaxtyping import Float

NAME = "shared"
HEADLINE = "mutual_knn"
_GUARD = (
    "geometry alone: whether this concept is shared more than matched control concepts needs the transfer of probes "
    "between models, which was not run."
)


@register("question", NAME, order=3)
def shared(run: RunContext) -> Answer:
    """Headline rows for pairs of unrelated trained models; pairs with a static model, or of relatives, are details."""
    if "background" not in run.sets or "terms_in_pool" not in run.sets:
        return Answer([], not_asked="there is no background pool to compare the models on")
    words = _words(run)
    independent = {(a.name, b.name) for a, b in run.independent_pairs()}
    headline: list[Finding] = []
    details: list[Finding] = []
    series: dict[str, list[dict[str, Any]]] = {"sites": [], "null": []}
    pairs = list(_pairs(run))
    asked = [(*pair, metric) for pair in pairs for metric in METRICS]

    def compared(job: tuple[Subject, Subject, str, str]) -> tuple[Finding, Float[np.ndarray, " draws"]]:
        a, b, note, metric = job
        counts = metric == HEADLINE and (a.name, b.name) in independent
        return geometry_row(run, NAME, words, a, b, metric, headline=counts, note=note, draw="words")

    for done, (row, null) in enumerate(two_at_a_time(compared, asked)):
        run.progress(done, len(asked))
        (headline if row.headline else details).append(row)
        if row.headline:
            name = f"{row.model_a} ~ {row.model_b}"
            series["null"] += [{"question": NAME, "model": name, "value": float(v)} for v in null]
    for a, b, _ in pairs:
        series["sites"] += _site_map(words, a, b)
    reason = "" if headline else "needs two trained models that share no weights, targets or training text"
    rows = settle(headline, [_GUARD] * len(headline), [1.0] * len(headline))
    return Answer(rows + details, series, not_asked=reason)


def _pairs(run: RunContext) -> Iterator[tuple[Subject, Subject, str]]:
    models = [*run.trained(), *run.statics()]
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


def _words(run: RunContext) -> Spaces:
    """One row per word of the pool and per term: the mean over its frames, terms last."""
    pool, terms = run.sets["background"], run.sets["terms_in_pool"]
    groups = {pool.name: [s.group("word") for s in pool], terms.name: [s.group("term") for s in terms]}
    names = [*dict.fromkeys(groups[pool.name]), *dict.fromkeys(groups[terms.name])]
    positive = {s.group("term") for s in terms if s.group("tier") == "positive"}

    def vectors(subject: Subject, site: str) -> Float[np.ndarray, "n d"]:
        rows = []
        for name, of in groups.items():
            x = run.read(subject.name, name, site, "concept_span")
            order = {g: i for i, g in enumerate(dict.fromkeys(of))}
            index = np.array([order[g] for g in of])
            sizes = np.bincount(index)
            grouped = x[np.argsort(index, kind="stable")]
            sums = np.add.reduceat(grouped, np.cumsum(sizes) - sizes, axis=0, dtype=np.float64)
            rows.append(sums / sizes[:, None])
        return np.concatenate(rows)

    return Spaces(run, "words", np.array([n in positive for n in names]), vectors)


def _site_map(words: Spaces, a: Subject, b: Subject) -> list[dict[str, Any]]:
    """Debiased CKA of every site of A with every site of B, beside the twins' at the same sites: a map, not a choice."""
    out = []
    for site_a, site_b in product(a.sites, b.sites):
        tool, pa = words.prepared(a, site_a, "cka")
        _, pb = words.prepared(b, site_b, "cka")
        reference, _, _ = twin_reference(words, a, b, site_a, site_b, "cka", None)
        out.append(
            {
                "model_a": a.name,
                "model_b": b.name,
                "site_a": site_a,
                "site_b": site_b,
                "metric": "cka",
                "value": tool.compare(pa, pb),
                "reference": reference,
                "n": words.n,
            }
        )
    return out
