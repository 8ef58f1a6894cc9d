"""Question 4: do modalities agree on it? A probe trained on words reads pictures, and back.

Every picture has a caption. A map from the space of pictures to that of captions is fitted on the background alone; the
probe is trained on captions of the concept and its controls, and reads the pictures it has not been told of through the
map. The headline is its AUROC, less that of the same with random twins, whichever side's twins do better; the nulls
exchange labels, and shuffle who is paired with whom in the fit of the map. Beside it: the way back, geometry over all
pictures, and ordinary categories of the background carried over in the same way: what they reach is what these two
models could have shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.evidence.captioned import Captioned, Pair
from conceptprobe.evidence.context import NO_TWIN, Answer, RunContext
from conceptprobe.evidence.encoded import exploratory
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.geometry import DETAIL_DRAWS, METRICS, geometry_row, site_at
from conceptprobe.evidence.rows import Measured, against_chance, finding, settle, with_other
from conceptprobe.registry import register
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.stats.jackknife import jackknife_interval
from conceptprobe.threads import two_at_a_time

if TYPE_CHECKING:
    from jaxtyping import Float

NAME = "crossmodal"
SETS = ("captions", "pictures", "background_captions", "background_pictures")
GATE = 0.60
"""Median AUROC that ordinary categories must reach: a pair of models that carries nothing over can refute nothing."""


@register("question", NAME, order=4)
def crossmodal(run: RunContext) -> Answer:
    """One headline row per pair of an image model and an unrelated text model; the others are details."""
    if any(name not in run.sets for name in SETS):
        return Answer([], not_asked="the concept file or the background pool has no pictures")
    if not run.trained("image") or not run.trained("text"):
        lacking = "pictures" if run.trained("text") else "text"
        return Answer([], not_asked=f"no trained model of {lacking} was given")
    captioned = Captioned(run)
    headline: list[Finding] = []
    details: list[Finding] = []
    guards, spread, yardsticks = [], [], []
    series: dict[str, list[dict[str, Any]]] = {"null": [], "carried": []}
    pairs = list(_pairs(run))
    for done, pair in enumerate(pairs):
        run.progress(done, len(pairs))
        row, measured, null = _transfer(run, captioned, pair, headline=pair.counts)
        ordinary = captioned.ordinary(pair)
        series["carried"] += _records(run, pair, row, ordinary)
        if pair.counts:
            headline.append(row)
            spread.append(measured.c)
            guards.append(_twinless(pair) or _gate(ordinary))
            yardsticks.append(ordinary)
            name = f"{pair.text.name} > {pair.image.label}"
            series["null"] += [{"question": NAME, "model": name, "value": float(v)} for v in null]
        else:
            details.append(row)
        if run.settings.details:
            details.append(_transfer(run, captioned, pair, headline=False, back=True)[0])
            details += _geometry(run, captioned, pair)
            details += _ordinary_row(run, captioned, pair, row, ordinary)
    settled = settle(headline, guards, spread, explain=run.settings.details)
    reason = "" if headline else "needs a text model and an image model that share no training data"
    return Answer(
        [
            replace(row, note=_join(row.note, _null_remark(row, guard, ordinary)))
            for row, guard, ordinary in zip(settled, guards, yardsticks, strict=True)
        ]
        + details,
        series,
        not_asked=reason,
    )


def _pairs(run: RunContext) -> Iterator[Pair]:
    for text in (*run.trained("text"), *run.statics("text")):
        for image in run.trained("image"):
            if text.info.kind == "static":
                note = f"{text.name} is a static model: word vectors, no context."
            elif text.name == image.name:
                note = "Ceiling: the two towers of one model, trained to agree."
            elif text.info.related_to(image.info):
                entries = ", ".join(sorted(set(text.info.lineage) & set(image.info.lineage))) or "the same weights"
                note = f"Relatives ({entries}): agreement is not convergence."
            else:
                note = ""
            yield Pair(text, image, counts=not note, note=note)


def _transfer(
    run: RunContext, captioned: Captioned, pair: Pair, *, headline: bool, back: bool = False
) -> tuple[Finding, Measured, Float[np.ndarray, " draws"]]:
    source, target = (pair.image, pair.text) if back else (pair.text, pair.image)
    draws = run.draws() if headline else min(run.draws(), DETAIL_DRAWS)
    scores = captioned.scores(source, target, pair, draws)
    twins, side = captioned.twins(source, target, pair)
    measured, null = _measured(captioned, scores, twins, side, draws)
    row = finding(
        run,
        NAME,
        source,
        measured,
        site=site_at(source),
        metric="auroc (carried probe)",
        split=f"{'pictures to captions' if back else 'captions to pictures'}, map from "
        f"{len(run.sets['background_pictures'])} background pairs",
        headline=headline,
        note=_join(pair.note, exploratory(run.sets["pictures"]), "" if headline else f"{draws} draws."),
    )
    return with_other(row, target, site_at(target)), measured, null


def _measured(
    captioned: Captioned,
    scores: Float[np.ndarray, "1+2*draws n"],
    twins: Float[np.ndarray, "t n"],
    side: str,
    draws: int,
) -> tuple[Measured, Float[np.ndarray, " draws"]]:
    """AUROC of the carried probe less the larger of 0.5 and its twins' mean, and the null of shuffled maps.

    Both exchanges must speak against chance: labels within pairs (do the scores know the concept?) and pairings of the
    background (do they know it through the map?); p is the larger. The interval runs from the smaller lower to the
    smaller upper end of those over 0.5 and over the twins, and its width follows the exchange of labels: shuffled maps
    spread far more, because a direction at random may part pictures well by luck.
    """
    design, labels = captioned.design, captioned.labels[: 1 + draws]
    chance = against_chance(np.asarray(design.auroc(scores[: 1 + draws], labels)), design)
    null = np.asarray(design.auroc(scores[1 + draws :]))
    reference = float(np.mean(design.auroc(twins)))
    left_out = design.auroc_without_each_unit(np.vstack([scores[:1], twins]))
    low, high = jackknife_interval(chance.estimate - reference, left_out[0] - left_out[1:].mean(axis=0), chance.c)
    return (
        replace(
            chance,
            reference=max(0.5, reference),
            reference_kind=f"random twins ({side})" if reference > 0.5 else f"chance; random twins below ({side})",
            ci_low=min(chance.ci_low, low),
            ci_high=min(chance.ci_high, high),
            null_mean=float(null.mean()),
            null_q95=float(np.quantile(null, 0.95)),
            p=max(chance.p, add_one_p(chance.estimate, null)),
        ),
        null,
    )


def _geometry(run: RunContext, captioned: Captioned, pair: Pair) -> list[Finding]:
    spaces = captioned.spaces

    def row(metric: str) -> Finding:
        return geometry_row(
            run, NAME, spaces, pair.text, pair.image, metric, headline=False, note=pair.note, draw="pictures"
        )[0]

    return list(two_at_a_time(row, METRICS))


def _ordinary_row(
    run: RunContext, captioned: Captioned, pair: Pair, row: Finding, ordinary: dict[str, float]
) -> list[Finding]:
    """The concept beside ordinary categories: how many of them carry over no better."""
    if not ordinary:
        return []
    values = np.array(list(ordinary.values()))
    beaten = int((values < row.estimate).sum())
    median = float(np.median(values))
    return [
        replace(
            row,
            headline=False,
            metric="auroc (carried probe) beside ordinary categories",
            reference=median,
            reference_kind=f"median of {len(values)} categories of the background",
            effect=row.estimate - median,
            ci_low=row.ci_low + row.reference - median,
            ci_high=row.ci_high + row.reference - median,
            null_mean=float(values.mean()),
            null_q95=float(np.quantile(values, 0.95)),
            p=(1 + len(values) - beaten) / (1 + len(values)),
            verdict="detail",
            note=_join(
                pair.note,
                f"Carries over better than {beaten} of {len(values)} ordinary categories "
                f"({', '.join(f'{name} {value:.2f}' for name, value in ordinary.items())}).",
            ),
        )
    ]


def _twinless(pair: Pair) -> str:
    return pair.text.without_twin or pair.image.without_twin


def _gate(ordinary: dict[str, float]) -> str:
    if not ordinary:
        return ""
    median = float(np.median(list(ordinary.values())))
    if median >= GATE:
        return ""
    return (
        f"ordinary categories of pictures carry over at a median AUROC of {median:.2f} only, so these two models could "
        "not show agreement on any concept."
    )


def _null_remark(row: Finding, guard: str, ordinary: dict[str, float]) -> str:
    """What a null result would look like, and whether this is one."""
    if guard.startswith(NO_TWIN):
        return ""
    if guard:
        return "No null result either: to be one, ordinary categories would have to carry over and the concept not."
    yardstick = (
        f"ordinary categories carry over (median {np.median(list(ordinary.values())):.2f}) and " if ordinary else ""
    )
    would = (
        f"A null result would be: {yardstick}the concept stays below its twins by all but {row.smallest_effect:.2f}."
    )
    if row.verdict == "absent":
        return f"{would} This is one."
    if row.verdict == "supported":
        return f"{would} This is none."
    return f"{would} This is none: effects up to {row.ci_high:+.2f} are still possible."


def _records(run: RunContext, pair: Pair, row: Finding, ordinary: dict[str, float]) -> list[dict[str, Any]]:
    """What the figure of carried probes draws."""
    own = {
        "model_a": pair.text.name,
        "model_b": pair.image.label,
        "counts": pair.counts,
        "ceiling": pair.text.name == pair.image.name,
        "reference": row.reference,
    }
    concept = {"what": run.concept, "kind": "concept", "auroc": row.estimate, "ci_low": row.reference + row.ci_low}
    concept["ci_high"] = row.reference + row.ci_high
    others = [
        {"what": name, "kind": "ordinary", "auroc": value, "ci_low": float("nan"), "ci_high": float("nan")}
        for name, value in ordinary.items()
    ]
    return [{**own, **record} for record in (concept, *others)]


def _join(*sentences: str) -> str:
    return " ".join(s for s in sentences if s)
