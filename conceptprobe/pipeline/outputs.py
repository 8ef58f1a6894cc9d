"""Findings and figures into the run folder: each question's series become the arrays that a figure draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.evidence.context import Answer
from conceptprobe.evidence.finding import Finding
from conceptprobe.report.save import save
from conceptprobe.report.tables import write_findings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from conceptprobe.report.figures.projection import Projection
    from conceptprobe.report.save import Row

MAX_BASELINES = 3
"""Baselines drawn in the depth curve: the strongest; all of them are in findings.csv."""

Drawn = tuple[str, "Figure", "Sequence[Row]"]


def write_outputs(
    folder: Path,
    concept: str,
    findings: Sequence[Finding],
    answers: Mapping[str, Answer],
    picture: Projection | None,
) -> None:
    """findings.csv, findings.parquet and figures/*.pdf|svg|png|csv, each atomically."""
    write_findings(findings, folder)
    for name, figure, table in _figures(concept, findings, answers, picture):
        save(figure, table, folder / "figures", name)


def _figures(
    concept: str, findings: Sequence[Finding], answers: Mapping[str, Answer], picture: Projection | None
) -> Iterator[Drawn]:
    headline = [f for f in findings if f.headline]
    if "encoded" in answers and answers["encoded"].series.get("depth"):
        yield _depth(concept, headline, answers["encoded"])
    if "shared" in answers:
        yield from _heatmaps(findings, answers["shared"])
    draws = [record for answer in answers.values() for record in answer.series.get("null", [])]
    if draws:
        yield _nulls(concept, headline, draws)
    if picture is not None:
        from conceptprobe.report.figures.projection import projection

        yield "projection", *projection(picture)


def _depth(concept: str, headline: Sequence[Finding], answer: Answer) -> Drawn:
    from conceptprobe.report.figures.depth_curve import DepthCurve, ModelCurve, depth_curve

    records = answer.series["depth"]
    rows = [f for f in headline if f.question == "encoded"]
    draws = answer.series["null"]
    models = []
    for row in rows:
        own = [r for r in records if r["model"] == row.model_a]
        others = [r for r in records if r["of"] == row.model_a and r["kind"] == "twin"]
        twins = [
            [r["auroc"] for r in others if r["model"] == name] for name in dict.fromkeys(r["model"] for r in others)
        ]
        fixed = [(r["model"], r["auroc"]) for r in records if r["of"] == row.model_a and r["kind"] == "static"]
        models.append(
            ModelCurve(
                name=row.model_a,
                sites=tuple(r["site"] for r in own),
                depth=_column(own, "relative_depth"),
                auroc=_column(own, "auroc"),
                low=_column(own, "ci_low"),
                high=_column(own, "ci_high"),
                null_low=_column(own, "null_low"),
                null_high=_column(own, "null_high"),
                twins=np.array(twins).reshape(len(twins), len(own)),
                n=row.n,
                units=row.units,
                permutations=sum(d["model"] == row.model_a for d in draws),
                baselines=tuple(sorted(fixed, key=lambda b: -b[1])[:MAX_BASELINES]),
                chosen=row.site_a,
            )
        )
    figure, table = depth_curve(DepthCurve(concept, rows[0].split, tuple(models)))
    return "depth_curve", figure, table


def _heatmaps(findings: Sequence[Finding], answer: Answer) -> Iterator[Drawn]:
    """One figure per pair of models: pairs of trained models first, at most three."""
    from conceptprobe.report.figures.site_heatmap import SiteHeatmap, site_heatmap

    records = answer.series.get("sites", [])
    rows = {(f.model_a, f.model_b): f for f in findings if f.question == "shared" and f.metric == "cka"}
    pairs = list(dict.fromkeys((r["model_a"], r["model_b"]) for r in records))
    pairs.sort(key=lambda pair: "static" in (rows[pair].kind_a, rows[pair].kind_b))
    for i, (a, b) in enumerate(pairs[:3]):
        own = [r for r in records if (r["model_a"], r["model_b"]) == (a, b)]
        sites_a = tuple(dict.fromkeys(r["site_a"] for r in own))
        sites_b = tuple(dict.fromkeys(r["site_b"] for r in own))
        shape = (len(sites_a), len(sites_b))
        figure, table = site_heatmap(
            SiteHeatmap(
                a,
                b,
                sites_a,
                sites_b,
                _column(own, "value").reshape(shape),
                _column(own, "reference").reshape(shape),
                metric="debiased CKA",
                n=own[0]["n"],
                margin=rows[a, b].smallest_effect,
                remark=rows[a, b].note.split(". ")[0].rstrip("."),
            )
        )
        yield "site_heatmap" if i == 0 else f"site_heatmap_{i + 1}", figure, table


def _nulls(concept: str, headline: Sequence[Finding], draws: Sequence[Mapping[str, Any]]) -> Drawn:
    from conceptprobe.report.figures.null_plot import NullPlot, NullRow, null_plot

    rows = []
    for f in headline:
        model = f"{f.model_a} ~ {f.model_b}" if f.model_b else f.model_a
        own = np.array([d["value"] for d in draws if d["question"] == f.question and d["model"] == model])
        rows.append(
            NullRow(
                title=f"{f.question}: {model}, {f.split}",
                axis="AUROC" if f.metric.startswith("auroc") else f.metric,
                draws=own,
                value=f.estimate,
                low=f.ci_low + f.reference,
                high=f.ci_high + f.reference,
                p=f.p,
                n=f.n,
                units=f.units,
                reference=f.reference,
                reference_name=f.reference_kind,
            )
        )
    figure, table = null_plot(NullPlot(concept, tuple(rows)))
    return "null_plot", figure, table


def _column(records: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([r[name] for r in records], dtype=np.float64)
