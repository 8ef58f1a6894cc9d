"""What question 3 leaves in a run folder: its figures, its control concepts and their balance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.evidence.context import Answer
from conceptprobe.evidence.finding import Finding
from conceptprobe.report.phrases import metric_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from conceptprobe.report.save import Row

MOST = 3
"""Pairs of models that have figures of their own; all are in the model matrix and in findings.csv."""
CARRIED = "auroc (carried probe)"
SENSES = "rsa of senses"

Drawn = tuple[str, "Figure", "Sequence[Row]"]
Records = Sequence[Mapping[str, Any]]


def control_tables(answers: Mapping[str, Answer]) -> dict[str, list[dict[str, Any]]]:
    """Tables by name: the control concepts with their words and the AUROC of each pair of models, and their balance."""
    series = answers["shared"].series if "shared" in answers else {}
    if not series.get("control_concepts"):
        return {}
    carried = series.get("control_aurocs", [])
    pairs = list(dict.fromkeys(r["models"] for r in carried))
    auroc = {(r["models"], r["set"]): r["auroc"] for r in carried}
    concepts = [
        {**record, **{f"AUROC {pair}": auroc.get((pair, record["set"]), float("nan")) for pair in pairs}}
        for record in series["control_concepts"]
    ]
    return {"control_concepts": concepts, "control_balance": list(series["control_balance"])}


def shared_figures(
    concept: str, findings: Sequence[Finding], series: Mapping[str, Records]
) -> Iterator[Callable[[], Drawn]]:
    """The matrix of models, and for up to MOST pairs the map of sites, the score against n and the senses side by side."""
    carried = [f for f in findings if f.metric == CARRIED]
    if carried:
        yield partial(_matrix, concept, carried, len(series.get("null", ())))
    for name, draw in (("sites", _sites), ("sizes", _sizes), ("facets", _senses)):
        records = series.get(name, ())
        pairs = list(dict.fromkeys((r["model_a"], r["model_b"]) for r in records))
        for number, pair in enumerate(pairs[:MOST], start=1):
            own = [r for r in records if (r["model_a"], r["model_b"]) == pair]
            rows = [f for f in findings if (f.model_a, f.model_b) == pair]
            yield partial(draw, concept, "" if number == 1 else f"_{number}", own, rows)


def _matrix(concept: str, rows: Sequence[Finding], draws: int) -> Drawn:
    """draws: of all headline rows together; rows that do not count have DETAIL_DRAWS each."""
    from conceptprobe.evidence.geometry import DETAIL_DRAWS
    from conceptprobe.report.figures.model_matrix import ModelMatrix, model_matrix

    models = {f.model_a: (f.modality_a, f.kind_a) for f in rows} | {f.model_b: (f.modality_b, f.kind_b) for f in rows}
    place = {name: i for i, name in enumerate(models)}
    shape = (len(models), len(models))
    value, mean, high = (np.full(shape, np.nan) for _ in range(3))
    counts, survives = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for f in rows:
        for i, j in ((place[f.model_a], place[f.model_b]), (place[f.model_b], place[f.model_a])):
            value[i, j], mean[i, j], high[i, j] = f.estimate, f.null_mean, f.null_q95
            counts[i, j], survives[i, j] = f.headline, f.verdict == "supported"
    figure, table = model_matrix(
        ModelMatrix(
            concept,
            "AUROC of a carried probe",
            tuple(models),
            tuple(modality for modality, _ in models.values()),
            tuple(kind for _, kind in models.values()),
            value,
            mean,
            high,
            counts,
            survives,
            "verdict supported",
            "word pairs of the map shuffled",
            DETAIL_DRAWS if not counts[np.isfinite(value)].all() else draws // len(rows),
            rows[0].n,
            rows[0].units,
            items="terms",
        )
    )
    return "model_matrix", figure, table


def _sites(concept: str, suffix: str, records: Records, rows: Sequence[Finding]) -> Drawn:
    from conceptprobe.report.figures.site_heatmap import SiteHeatmap, Survivors, site_heatmap

    first = records[0]
    sites_a = tuple(dict.fromkeys(r["site_a"] for r in records))
    sites_b = tuple(dict.fromkeys(r["site_b"] for r in records))
    shape = (len(sites_a), len(sites_b))

    def column(name: str) -> np.ndarray:
        return np.array([r[name] for r in records]).reshape(shape)

    headline = next(f for f in rows if f.metric == CARRIED)
    figure, table = site_heatmap(
        SiteHeatmap(
            first["model_a"],
            first["model_b"],
            sites_a,
            sites_b,
            column("value"),
            np.full(shape, np.nan),
            metric="AUROC of a carried probe",
            n=first["n"],
            margin=headline.smallest_effect,
            remark=f"the headline is read at {headline.site_a} and {headline.site_b}, chosen on other words",
            survivors=Survivors(
                column("survives"), column("z"), column("p"), column("null_mean"), first["permutations"]
            ),
            items="terms",
            floor=0.5,
            drawn="shuffled maps",
        )
    )
    return f"site_heatmap{suffix}", figure, table


def _sizes(concept: str, suffix: str, records: Records, rows: Sequence[Finding]) -> Drawn:
    from conceptprobe.evidence.transfer_maps import SUBSAMPLES
    from conceptprobe.report.figures.score_against_n import MetricSizes, ScoreAgainstN, score_against_n

    metrics = []
    for metric in dict.fromkeys(r["metric"] for r in records):
        own = sorted((r for r in records if r["metric"] == metric), key=lambda r: r["n"])
        row = next(f for f in rows if f.metric == metric)
        metrics.append(
            MetricSizes(
                metric_name(row),
                tuple(r["n"] for r in own),
                tuple(r["mean"] for r in own),
                tuple(r["sd"] for r in own),
                tuple(r["null_mean"] for r in own),
                _interval(row, 0.0),
            )
        )
    first = records[0]
    figure, table = score_against_n(
        ScoreAgainstN(
            (first["model_a"], first["model_b"]), (first["site_a"], first["site_b"]), tuple(metrics), SUBSAMPLES
        )
    )
    return f"score_against_n{suffix}", figure, table


def _interval(row: Finding, lowest: float) -> tuple[float, float]:
    """Of the estimate, inside what the metric can be."""
    return max(row.reference + row.ci_low, lowest), min(row.reference + row.ci_high, 1.0)


def _senses(concept: str, suffix: str, records: Records, rows: Sequence[Finding]) -> Drawn:
    from conceptprobe.evidence.facets import DRAWS
    from conceptprobe.report.figures.rdm_pair import RdmPair, rdm_pair

    sense = {}
    for r in records:
        sense[r["item_a"]] = r["sense_a"]
        sense[r["item_b"]] = r["sense_b"]
    place = {item: i for i, item in enumerate(sense)}
    first, second = np.zeros((2, len(place), len(place)))
    for r in records:
        i, j = place[r["item_a"]], place[r["item_b"]]
        first[i, j] = first[j, i] = r["distance_a"]
        second[i, j] = second[j, i] = r["distance_b"]
    row = next(f for f in rows if f.metric == SENSES)
    figure, table = rdm_pair(
        RdmPair(
            concept,
            row.model_a,
            row.model_b,
            row.site_a,
            row.site_b,
            tuple(item.rpartition("/")[2] for item in sense),
            tuple(sense.values()),
            first,
            second,
            row.estimate,
            _interval(row, -1.0),
            row.reference,
            row.p,
            DRAWS,
            "sentences renamed, and senses turned, within the target and within the other senses",
            statistic="Spearman correlation of the senses' distances",
            kind="sentences",
        )
    )
    return f"rdm_pair{suffix}", figure, table
