"""Question 3: do models agree on it? A probe of the concept, carried from one model to another, against control concepts.

Two models, one of them untrained, already agree a good deal, because both see the same letters and tokens; and trained models
agree about any word that texts use alike. So the headline asks for more: a probe learns the concept's words in one model and
is read in the other, over a map fitted on other words, and has to do better there than over shuffled maps, than with random
twins, and than matched control concepts, 95% of them. The sites are chosen on other words. Beside it stand local alignment,
geometry, maps of every pair of sites, and what is left without word statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from conceptprobe.evidence.anchored import anchored
from conceptprobe.evidence.beyond_shared import beyond_shared
from conceptprobe.evidence.carry import TRAIN_UNITS, Carry
from conceptprobe.evidence.context import Answer, RunContext, Subject
from conceptprobe.evidence.control_concepts import EXCLUDED
from conceptprobe.evidence.facets import Facets, facets
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.geometry import DETAIL_DRAWS, site_at
from conceptprobe.evidence.local import geometry
from conceptprobe.evidence.pool_words import PoolWords
from conceptprobe.evidence.rows import settle
from conceptprobe.evidence.site_choice import chosen_sites
from conceptprobe.evidence.transfer_details import are_siblings, over_siblings, transfer_details
from conceptprobe.evidence.transfer_maps import against_n, site_map
from conceptprobe.evidence.transferred import (
    Between,
    Exchanges,
    Transfer,
    guard,
    measured,
    remark,
    transfer,
    transfer_row,
)
from conceptprobe.registry import register
from conceptprobe.stats.verdict import units_guard
from conceptprobe.threads import two_at_a_time

NAME = "shared"
_BAGS = "tfidf"
"""Bags of words have no space of words: every word is as far from every other."""
LEAST_TESTED = 2
"""Units that must be left to test beside those a probe learns from."""
LEAST_POOL = EXCLUDED + 20
"""Words of a pool: what a map leaves out, and some for it to rest on."""


@register("question", NAME, order=3)
def shared(run: RunContext) -> Answer:
    """Headline rows for pairs of unrelated trained models; pairs with a static model, or of relatives, are details."""
    if "background" not in run.sets or "terms_in_pool" not in run.sets:
        return Answer([], not_asked="there is no background pool to compare the models on")
    words = PoolWords(run)
    if int(words.unit.max()) + 1 < TRAIN_UNITS + LEAST_TESTED:
        return Answer([], not_asked=f"fewer than {TRAIN_UNITS + LEAST_TESTED} independent pairs of terms")
    if words.ground < LEAST_POOL:
        return Answer([], not_asked=f"the background pool has {words.ground} words, at least {LEAST_POOL} are needed")
    carry = Carry(words)
    pairs = list(_pairs(run))
    chosen = chosen_sites(carry, [(a, b) for a, b, _ in pairs])
    between = [Between(at.a, at.b, not note, note) for at, (_, _, note) in zip(chosen, pairs, strict=True)]
    exchanges = Exchanges(carry, run.draws())

    def carried(pair: Between) -> Transfer:
        return transfer(carry, pair, exchanges, run.draws() if pair.counts else min(run.draws(), DETAIL_DRAWS))

    found = []
    for done, one in enumerate(two_at_a_time(carried, between)):
        run.progress(done, 2 * len(between))
        found.append(one)
    rows = [transfer_row(carry, pair, one, headline=pair.counts) for pair, one in zip(between, found, strict=True)]
    counting = [i for i, pair in enumerate(between) if pair.counts]
    guards = [
        between[i].a.subject.without_twin or between[i].b.subject.without_twin or guard(carry, chosen[i].ordinary)
        for i in counting
    ]
    settled = settle(
        [rows[i] for i in counting],
        guards,
        [measured(found[i], carry.windows.n_units, len(carry.items)).c for i in counting],
        explain=False,
    )
    headline = [
        row if held or units_guard(row.units) else replace(row, note=f"{row.note} {remark(row, found[i])}".strip())
        for i, row, held in zip(counting, settled, guards, strict=True)
    ]
    details = [row for row in rows if not row.headline]
    details += geometry(words, between)
    series = _series(words, between, found)
    if run.settings.details:
        beside_all = two_at_a_time(lambda i: _beside(carry, between, found, i, exchanges), counting)
        for done, beside in enumerate(beside_all, start=1):
            run.progress(len(between) + len(between) * done // len(counting), 2 * len(between))
            details += beside.rows
            for name, records in beside.series.items():
                series.setdefault(name, []).extend(records)
        details += anchored(run, words.pool, words.vectors, site_at, run.judgements)
    reason = "" if headline else "needs two trained models that share no weights, targets or training text"
    return Answer(headline + details, series, not_asked=reason)


@dataclass(frozen=True)
class _Beside:
    """What stands beside one headline row."""

    rows: list[Finding]
    series: dict[str, list[dict[str, Any]]]


def _beside(carry: Carry, between: list[Between], found: list[Transfer], i: int, exchanges: Exchanges) -> _Beside:
    pair, run = between[i], carry.words.run
    siblings = [
        (other, found[j])
        for j, other in enumerate(between)
        if "static" not in (other.a.subject.info.kind, other.b.subject.info.kind)
        and are_siblings(other.a.subject, other.b.subject)
    ]
    rows = [
        *transfer_details(carry, pair, found[i], exchanges),
        *over_siblings(carry, pair, found[i], siblings),
        *beyond_shared(carry, pair, found[i], min(run.draws(), DETAIL_DRAWS)),
    ]
    series = {
        "sites": site_map(carry, pair, exchanges),
        "sizes": against_n(carry, pair, found[i]),
    }
    senses = facets(run, pair.a.subject, pair.b.subject, pair.a.site, pair.b.site)
    if not isinstance(senses, str):
        rows.append(senses.row)
        series["facets"] = _facet_records(senses)
    return _Beside(rows, series)


def _facet_records(found: Facets) -> list[dict[str, Any]]:
    """Distances between sentences, ordered by sense: one record per pair."""
    upper = [(i, j) for i in range(len(found.items)) for j in range(i + 1, len(found.items))]
    return [
        {
            "model_a": found.row.model_a,
            "model_b": found.row.model_b,
            "item_a": found.items[i],
            "item_b": found.items[j],
            "sense_a": found.senses[i],
            "sense_b": found.senses[j],
            "distance_a": float(found.distances_a[i, j]),
            "distance_b": float(found.distances_b[i, j]),
        }
        for i, j in upper
    ]


def _pairs(run: RunContext) -> Iterator[tuple[Subject, Subject, str]]:
    """(a, b, why the pair does not count, a full sentence or empty)."""
    models = [*run.trained(), *(s for s in run.statics() if s.info.family != _BAGS)]
    for i, a in enumerate(models):
        for b in models[i + 1 :]:
            if "static" in (a.info.kind, b.info.kind):
                if a.info.kind == b.info.kind:
                    continue
                static = b.name if b.info.kind == "static" else a.name
                yield a, b, f"{static} is a static model: word vectors, no context."
            elif a.info.related_to(b.info):
                entries = sorted(set(a.info.lineage) & set(b.info.lineage)) or ["the same weights"]
                yield a, b, f"Relatives ({', '.join(entries)}): agreement is not convergence."
            else:
                yield a, b, ""


def _series(words: PoolWords, between: list[Between], found: list[Transfer]) -> dict[str, list[dict[str, Any]]]:
    """What figures and tables are made of: draws of the headlines' nulls, the control concepts and their balance."""
    null: list[dict[str, Any]] = []
    carried: list[dict[str, Any]] = []
    for pair, one in zip(between, found, strict=True):
        name = f"{pair.a.subject.name} ~ {pair.b.subject.name}"
        if pair.counts:
            null += [{"question": NAME, "model": name, "value": float(v)} for v in one.map_null]
        carried += [{"models": name, "set": number, "auroc": float(v)} for number, v in enumerate(one.controls)]
    drawn = words.control_concepts
    sets = [
        {
            "set": number,
            "words": " ".join(words.pool[i] for i in own),
            "controls": " ".join(words.pool[i] for i in others),
        }
        for number, (own, others) in enumerate(zip(drawn.positives, drawn.controls, strict=True))
    ]
    return {
        "null": null,
        "control_aurocs": carried,
        "control_concepts": sets,
        "control_balance": [{**record, "caliper": drawn.caliper} for record in drawn.balance],
    }
