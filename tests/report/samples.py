"""Findings and figure data with the shape of a real run; all numbers are made up for the tests."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from conceptprobe.evidence.finding import Finding
from conceptprobe.report.clouds import Maps
from conceptprobe.report.figures.carried import Carried, Carry
from conceptprobe.report.figures.depth_curve import DepthCurve, ModelCurve
from conceptprobe.report.figures.null_plot import NullPlot, NullRow
from conceptprobe.report.figures.pictures import Block, Pictures, Tile
from conceptprobe.report.figures.projection import Projection
from conceptprobe.report.figures.projection_media import ProjectionMedia
from conceptprobe.report.figures.score_against_n import MetricSizes, ScoreAgainstN
from conceptprobe.report.figures.site_heatmap import SiteHeatmap, Survivors
from conceptprobe.report.figures.survives import ModelReadings, Reading, Survives

NEAR = "terms x templates, near controls"
SENSES = "same words, two senses"


def row(estimate: float = 0.8, reference: float = 0.5, **values: Any) -> Finding:
    """A detail row of `encoded`, changed by `values`; the interval is 0.1 to either side unless given."""
    effect = values.pop("effect", estimate - reference)
    base: dict[str, Any] = {
        "run_id": "run-1", "concept": "soul", "question": "encoded", "headline": False, "model_a": "minilm",
        "model_b": "", "kind_a": "trained", "kind_b": "", "modality_a": "text", "modality_b": "",
        "site_a": "resid_post.2", "site_b": "", "metric": "auroc", "split": NEAR, "estimate": estimate,
        "reference": reference, "reference_kind": "chance", "effect": effect, "ci_low": effect - 0.1,
        "ci_high": effect + 0.1, "null_mean": 0.5, "null_q95": 0.61, "p": 0.001, "q": math.nan, "n": 1080, "units": 24,
        "smallest_effect": 0.1, "verdict": "detail", "note": "",
    }  # fmt: skip
    return Finding(**(base | values))


def headline(verdict: str, **values: Any) -> Finding:
    """A headline row with that verdict."""
    return row(**({"headline": True, "verdict": verdict, "q": 0.001} | values))


def run_rows() -> list[Finding]:
    """Three questions, as a run with one trained model gives them: headlines, baselines, twins, a comparison."""
    rows = [
        headline("supported", estimate=0.983, ci_low=0.402, ci_high=0.498, note="Site chosen in 13 of 15 folds."),
        row(0.512, model_a="words:tfidf", kind_a="static", site_a=""),
        row(0.941, model_a="words:cooccurrence-context", kind_a="static", site_a=""),
        row(0.733, model_a="random:minilm#0", kind_a="twin"),
        row(0.702, model_a="random:minilm#1", kind_a="twin"),
        row(0.979, metric="auroc (logistic)", site_a="resid_post.3"),
        row(1.0, split="terms x templates, far controls", ci_high=0.5),
        row(0.996, 0.871, metric="selectivity", reference_kind="random term labels", note="A control task."),
        headline(
            "inconclusive", question="beyond_words", estimate=0.66, reference=0.53, split=SENSES, n=80, units=40,
            reference_kind="best lexical baseline: static:minilm-context", smallest_effect=0.05, p=0.052, q=0.052,
            note="With 40 units per class, effects from 0.17 up are found in 80% of cases.",
        ),
        row(0.74, 0.58, question="beyond_words", split="transfer to paraphrases", n=80, units=20, p=0.0005),
    ]  # fmt: skip
    rows += [
        row(
            value, twin, question="shared", model_b="words:cooccurrence", kind_b="static", site_b="embed", n=472,
            units=472, metric=metric, split="472 words", reference_kind="random twins (minilm, 3 twins)",
            note="words:cooccurrence is a static model.",
        )
        for metric, value, twin in (("cka", 0.412, 0.388), ("mutual_knn", 0.233, 0.121))
    ]  # fmt: skip
    return rows


REMARK = (
    "With 34 units per class, effects from 0.21 up are found in 80% of cases; more units narrow the interval. A null result "
    "would be: ordinary categories carry over (median {:.2f}) and the concept stays below its twins by all but 0.05. This "
    "is none: effects up to +0.16 are still possible."
)


def crossmodal_rows() -> list[Finding]:
    """Question 4 for three text models, one of them a tower of the second image model; a ceiling, a static model."""
    rows = []
    for b, twins in (("pocket-vision", 0.52), ("pocket-joint", 0.54)):
        for i, (a, kind) in enumerate(
            (("minilm", "trained"), ("pocket-lm", "trained"), ("pocket-joint", "trained"), ("words:tfidf", "static"))
        ):
            about = {
                "question": "crossmodal", "model_a": a, "model_b": b, "kind_a": kind, "kind_b": "trained",
                "modality_b": "image", "site_b": "resid_post.4", "metric": "auroc (carried probe)", "n": 84, "units": 34,
                "split": "captions to pictures, map from 265 background pairs", "smallest_effect": 0.05, "p": 0.2,
                "reference_kind": f"random twins (3 twins of {b} (image))",
            }  # fmt: skip
            about |= {"estimate": 0.58 + 0.02 * i, "reference": twins + 0.01 * i}
            if a == b or kind == "static":
                note = "Ceiling: the two towers of one model." if a == b else f"{a} is a static model."
                rows.append(row(**about, note=note))
            else:
                rows.append(headline("inconclusive", q=0.3, note=REMARK.format(0.6 + 0.1 * i), **about))
            rows.append(row(**(about | {"metric": "cka", "split": "349 captioned pictures"})))
    return rows


NOT_ASKED = {
    "shared": "It needs two trained models that share no weights, targets or training text.",
    "crossmodal": "The concept file has no pictures and no sound.",
}


def _curve(name: str, sites: tuple[str, ...], baselines: tuple[tuple[str, float], ...], twins: int) -> ModelCurve:
    rng = np.random.default_rng(7)
    s = len(sites)
    auroc = np.linspace(0.95, 0.62, s)
    return ModelCurve(
        name, sites, np.linspace(0, 1, s), auroc, auroc - 0.08, np.minimum(auroc + 0.05, 1), np.full(s, 0.39),
        np.full(s, 0.61), 0.55 + 0.1 * rng.random((twins, s)), 1080, 24, 999, baselines, sites[1],
    )  # fmt: skip


def sites(layers: int) -> tuple[str, ...]:
    """Names of the sites of a model with that many layers."""
    return ("embed", *(f"resid_post.{i}" for i in range(layers)), "final")


MANY_BASELINES = tuple(
    (f"words:{name}", 0.5 + 0.004 * i)
    for i, name in enumerate(
        ("tfidf", "tfidf-chars", "cooccurrence", "cooccurrence-context", "static mean", "position")
    )
)


def depth_data() -> DepthCurve:
    """Two models: one small, one deep with a long name."""
    return DepthCurve(
        "consciousness",
        NEAR,
        (
            _curve("minilm", sites(6), MANY_BASELINES, 3),
            _curve("openai-community/gpt2-with-a-rather-long-name@0123456789abcdef", sites(30), (("tf-idf", 0.5),), 0),
        ),
    )


def heatmap_data(a: int = 6, b: int = 3) -> SiteHeatmap:
    """Two models whose alignment falls off with the distance of their depths; one pair was not measured."""
    shape = (a + 2, b + 2)
    value = 0.6 - 0.4 * np.abs(np.linspace(0, 1, shape[0])[:, None] - np.linspace(0, 1, shape[1])[None])
    value[0, -1] = np.nan
    return SiteHeatmap(
        "minilm", "pocket-lm", sites(a), sites(b), value, np.full(shape, 0.45), "debiased CKA", 472, 0.05
    )


def survivors_data(a: int = 6, b: int = 3) -> SiteHeatmap:
    """The same map with what a max-statistic found instead of twins, and the unmeasured pair."""
    data = heatmap_data(a, b)
    z = np.where(np.isfinite(data.value), 12 * data.value - 5, np.nan)
    p = np.clip(0.2 - 0.1 * z, 0.001, 1.0)
    found = Survivors(np.nan_to_num(p, nan=1.0) < 0.05, z, p, np.full(z.shape, 0.01), 999)
    return replace(data, reference=np.full(z.shape, np.nan), survivors=found, items="items")


def sizes_data(metrics: int = 5) -> ScoreAgainstN:
    """Metrics at four sizes: one that falls with n like its null, one that is a distance, one refused at small n."""
    n, nan = (2500, 5000, 10000, 20000), math.nan
    sd, flat = (0.02, 0.01, 0.01, nan), (0.0,) * 4
    falls, null = (0.62, 0.51, 0.4, 0.33), (0.3, 0.2, 0.1, 0.05)
    late = ((nan, nan, 0.8, 0.7), (nan, nan, 0.01, nan), (nan, nan, 0.6, 0.5))
    panels = [
        MetricSizes("debiased CKA", n, (0.41, 0.42, 0.42, 0.42), (0.05, 0.03, 0.01, nan), flat, (0.39, 0.45)),
        MetricSizes("mutual kNN", n, falls, sd, null, (0.31, 0.35)),
        MetricSizes("information_imbalance <", n, (0.2, 0.21, 0.22, 0.22), sd, (1.0,) * 4, (0.2, 0.24), "lower"),
        MetricSizes("CCA", n, *late, (0.65, 0.75)),
        MetricSizes("RSA", n, (0.3, 0.31, 0.3, 0.3), sd, flat, (nan, nan)),
    ]
    return ScoreAgainstN(
        ("a-model-of-a-long-name.npy", "b.npy"), ("resid_post.11", "final"), tuple(panels[:metrics]), 10
    )


def null_data() -> NullPlot:
    """Two rows on different scales, one with a reference."""
    rng = np.random.default_rng(3)
    return NullPlot(
        "soul",
        (
            NullRow(f"encoded: minilm, {NEAR}", "held-out AUROC", rng.normal(0.5, 0.05, 999), 0.98, 0.9, 1, 0.001, 1080, 24),
            NullRow(
                f"beyond words: minilm, {SENSES}", "held-out AUROC", rng.normal(0.5, 0.07, 999), 0.66, 0.51, 0.81, 0.052,
                80, 40, 0.53, "best lexical baseline (position and length, over the whole sentence)",
            ),
        ),
    )  # fmt: skip


def projection_data() -> Projection:
    """Four clouds."""
    rng = np.random.default_rng(5)
    roles = ("positive",) * 12 + ("near",) * 12 + ("far",) * 12 + ("background",) * 150
    centres = {"positive": (0, 4), "near": (3, 3), "far": (-4, 0), "background": (0, 0)}
    points = np.array([centres[r] for r in roles]) + rng.normal(0, 1, (len(roles), 2))
    terms = ("soul", "spirit", "inner self", "psyche", "breath of life", "anima")
    names = tuple([*terms, *(f"word{i}" for i in range(len(roles) - len(terms)))])
    return Projection(
        "soul",
        "minilm",
        "resid_post.3",
        names,
        roles,
        Maps(points, points[:, ::-1], 0, 15, 0.1, pca_shares=(0.2, 0.1)),
        named=terms,
    )


CATEGORIES = ("animals", "plants", "food", "tools", "vehicles", "buildings", "clothing", "weather")


def carried_data() -> Carried:
    """Four pairs: two that count, one with long names, and the ceiling."""
    rng = np.random.default_rng(11)

    def pair(source: str, target: str, value: float, aside: str = "") -> Carry:
        ordinary = tuple((name, float(v)) for name, v in zip(CATEGORIES, rng.uniform(0.4, 1, 8), strict=True))
        return Carry(source, target, value, value - 0.13, value + 0.1, 0.52, 84, 34, ordinary, aside)

    return Carried(
        "soul",
        (
            pair("minilm", "pocket-vision (image)", 0.66),
            pair("pocket-lm", "pocket-vision (image)", 0.48),
            pair("org/a-text-model-of-some-length@0123456789ab", "org/a-vision-model-with-registers (image)", 0.71),
            pair("pocket-joint", "pocket-joint (image)", 0.88, "ceiling"),
        ),
    )


def survives_data() -> Survives:
    """Two models, one of which cannot read translations; a long name, and an interval at the ceiling."""
    rng = np.random.default_rng(4)
    kinds = ("two senses, other pairs", "two senses, from afar", "sentences that name it", "word masked", "paraphrased")

    def reading(what: str) -> Reading:
        value = float(rng.uniform(0.5, 1))
        return Reading(what, value, value - 0.12, min(value + 0.1, 1.0), float(rng.uniform(0.5, 0.8)), 132, 22)

    return Survives(
        "soul",
        (
            ModelReadings("minilm", tuple(reading(k) for k in (*kinds, "translated (de, fr, es)", "translated (de)"))),
            ModelReadings("org/a-text-model-of-some-length@0123456789ab", tuple(reading(k) for k in kinds)),
        ),
    )


MEDIA = Path(__file__).resolve().parents[2] / "concepts" / "media"


def pictures_data() -> Pictures:
    """Two models, one of which has few pictures; all three labels, a long caption, and a picture without a file."""
    files = sorted(MEDIA.glob("*.png"))
    labels = ("concept", "control", "background")

    def tiles(many: int, sign: int) -> tuple[Tile, ...]:
        return tuple(
            Tile(f"soul/pictures/pic-{i}", files[i], "A picture of something.", labels[i % 3], sign * (1.5 - 0.1 * i))
            for i in range(many)
        )

    long = Tile("soul/pictures/pic-odd", None, "Unspeakably $long$ words: incomprehensibilities", "concept", 0.0)
    return Pictures(
        "soul",
        (
            Block("pocket-vision (image)", "resid_post.4", tiles(8, 1), tiles(8, -1), 349),
            Block("pocket-joint (image)", "resid_post.3", (*tiles(2, 1), long), tiles(3, -1), 6),
        ),
    )


def projection_media_data() -> ProjectionMedia:
    """Captions and pictures of three roles; a picture lies beside its caption."""
    rng = np.random.default_rng(9)
    roles = ("concept",) * 12 + ("control",) * 12 + ("background",) * 60
    centres = {"concept": (3, 3), "control": (-3, 2), "background": (0, 0)}
    half = np.array([centres[role] for role in roles]) + rng.normal(0, 1.5, (len(roles), 2))
    points = np.concatenate([half, half + rng.normal(0, 0.3, half.shape)])
    n = len(roles)
    return ProjectionMedia(
        "soul",
        "pocket-joint",
        tuple(f"thing {i}" for i in range(n)) * 2,
        roles * 2,
        ("text",) * n + ("image",) * n,
        Maps(points, points[:, ::-1], 0, 15, 0.1, pca_shares=(0.13, 0.12)),
        named=tuple(range(n, n + 6)),
    )


FIGURES = {
    "carried": carried_data,
    "survives": survives_data,
    "pictures": pictures_data,
    "projection_media": projection_media_data,
    "depth_curve": depth_data,
    "site_heatmap": heatmap_data,
    "score_against_n": sizes_data,
    "null_plot": null_data,
    "projection": projection_data,
}
