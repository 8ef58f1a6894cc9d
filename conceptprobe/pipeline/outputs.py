"""Findings and figures into the run folder: each question's series become the arrays that a figure draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.evidence.context import Answer
from conceptprobe.evidence.finding import Finding
from conceptprobe.pipeline.aside import Aside
from conceptprobe.pipeline.outputs_shared import control_tables, shared_figures
from conceptprobe.report.phrases import model_name, tower_name
from conceptprobe.report.save import save
from conceptprobe.report.tables import write_findings, write_records
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.stimuli.stimulus import StimulusSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from conceptprobe.pipeline.scenes import Picture
    from conceptprobe.report.figures.pictures import Block
    from conceptprobe.report.save import Row

MAX_BASELINES = 3
"""Baselines drawn in the depth curve: the strongest; all of them are in findings.csv."""

Drawn = tuple[str, "Figure", "Sequence[Row]"]
Records = Sequence[Mapping[str, Any]]


def write_outputs(
    folder: Path,
    concept: str,
    findings: Sequence[Finding],
    answers: Mapping[str, Answer],
    layouts: Sequence[Picture],
    sets: Mapping[str, StimulusSet],
) -> None:
    """findings.csv, findings.parquet and figures/*.pdf|svg|png|csv, each atomically. Two processes draw the figures."""
    write_findings(findings, folder)
    for name, records in control_tables(answers).items():
        write_records(records, folder / "tables" / f"{name}.csv")
    given = (folder / "figures", concept, findings, answers, layouts, sets)
    with Aside(_draw, *given, every=2, start=1) as beside:
        _draw(*given, every=2, start=0)
        beside.result()


def _draw(folder: Path, *given: Any, every: int, start: int) -> None:
    for make in islice(_figures(*given), start, None, every):
        name, figure, table = make()
        save(figure, table, folder, name)


def _figures(
    concept: str,
    findings: Sequence[Finding],
    answers: Mapping[str, Answer],
    layouts: Sequence[Picture],
    sets: Mapping[str, StimulusSet],
) -> Iterator[Callable[[], Drawn]]:
    """What draws each figure that there are data for."""
    headline = [f for f in findings if f.headline]
    series = {name: records for answer in answers.values() for name, records in answer.series.items() if name != "null"}
    if "encoded" in answers:
        yield from _depths(concept, headline, answers["encoded"])
    if "beyond_words" in answers:
        yield from _survivals(concept, findings)
    if series.get("nearest"):
        yield partial(_pictures, concept, series["nearest"], sets)
    if "shared" in answers:
        yield from shared_figures(concept, [f for f in findings if f.question == "shared"], answers["shared"].series)
    if series.get("carried"):
        yield partial(_carried, concept, findings, series["carried"])
    for question, answer in answers.items():
        if draws := answer.series.get("null"):
            own = [f for f in headline if f.question == question]
            yield partial(_nulls, concept, question, own, draws, answer.series.get("control_aurocs", ()))
    for layout in layouts:
        yield partial(_layout, layout)


def _depths(concept: str, headline: Sequence[Finding], answer: Answer) -> Iterator[Callable[[], Drawn]]:
    """One figure per modality: terms, pictures and sounds are different splits."""
    rows = [f for f in headline if f.question == "encoded"]
    names = {"text": "depth_curve", "image": "depth_curve_pictures", "audio": "depth_curve_sounds"}
    for modality, name in names.items():
        own = [f for f in rows if f.modality_a == modality]
        if own and answer.series.get("depth"):
            yield partial(_depth, name, concept, own, answer.series["depth"], answer.series["null"])


_READINGS = {
    "same words, two senses": "two senses, other pairs",
    "terms and literal sentences -> same words, two senses": "two senses, from afar",
    "literal sentences, held-out scenes": "sentences that name it",
    "literal sentences -> the same with the word masked": "word masked",
    "literal sentences -> paraphrases": "paraphrased",
    "literal sentences -> translations": "translated",
}
"""Split of question 2 -> its name in a figure, in the order to be shown."""


def _survivals(concept: str, findings: Sequence[Finding]) -> Iterator[Callable[[], Drawn]]:
    own = [
        f
        for f in findings
        if f.question == "beyond_words" and f.kind_a == "trained" and f.split.split(" (")[0] in _READINGS
    ]
    if any(not f.headline for f in own):
        yield partial(_survival, concept, own)


def _survival(concept: str, rows: Sequence[Finding]) -> Drawn:
    from conceptprobe.report.figures.survives import ModelReadings, Reading, Survives, survives

    order = list(_READINGS)
    models = []
    for model in dict.fromkeys(f.model_a for f in rows):
        own = sorted((f for f in rows if f.model_a == model), key=lambda f: order.index(f.split.split(" (")[0]))
        readings = []
        for f in own:
            split, _, languages = f.split.partition(" (")
            what = _READINGS[split] + (f" ({languages}" if languages else "")
            # No AUROC lies outside 0 and 1, whatever the interval of a gain does.
            low, high = max(f.reference + f.ci_low, 0.0), min(f.reference + f.ci_high, 1.0)
            readings.append(Reading(what, f.estimate, low, high, f.reference, f.n, f.units))
        models.append(ModelReadings(model, tuple(readings)))
    figure, table = survives(Survives(concept, tuple(models)))
    return "survives", figure, table


def _depth(name: str, concept: str, rows: Sequence[Finding], records: Records, draws: Records) -> Drawn:
    from conceptprobe.report.figures.depth_curve import DepthCurve, ModelCurve, depth_curve

    models = []
    for row in rows:
        model = tower_name(row.model_a, row.modality_a)
        own = [r for r in records if r["model"] == model]
        others = [r for r in records if r["of"] == model and r["kind"] == "twin"]
        twins = [
            [r["auroc"] for r in others if r["model"] == twin] for twin in dict.fromkeys(r["model"] for r in others)
        ]
        fixed = [(r["model"], r["auroc"]) for r in records if r["of"] == model and r["kind"] == "static"]
        models.append(
            ModelCurve(
                name=model,
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
                permutations=sum(d["model"] == model for d in draws),
                baselines=tuple(sorted(fixed, key=lambda b: -b[1])[:MAX_BASELINES]),
                chosen=row.site_a,
            )
        )
    figure, table = depth_curve(DepthCurve(concept, rows[0].split, tuple(models)))
    return name, figure, table


def _pictures(concept: str, records: Records, sets: Mapping[str, StimulusSet]) -> Drawn:
    """The contact sheet: evidence knows ids and scores, the sets know files and captions."""
    from conceptprobe.report.figures.pictures import Pictures, pictures

    models = list(dict.fromkeys(r["model"] for r in records))
    blocks = tuple(_block([r for r in records if r["model"] == model], sets) for model in models)
    figure, table = pictures(Pictures(concept, blocks))
    return "pictures", figure, table


def _block(records: Records, sets: Mapping[str, StimulusSet]) -> Block:
    from conceptprobe.report.figures.pictures import Block, Tile

    shown = {
        picture.id: (picture.file, caption.content)
        for pictures, captions in (("pictures", "captions"), ("background_pictures", "background_captions"))
        if pictures in sets
        for picture, caption in zip(sets[pictures], sets[captions], strict=True)
    }
    ends: dict[str, list[Tile]] = {"nearest": [], "farthest": []}
    for r in records:
        file, caption = shown[r["id"]]
        ends[r["end"]].append(Tile(r["id"], Path(file) if file else None, caption, r["label"], r["score"]))
    first = records[0]
    return Block(first["model"], first["site"], tuple(ends["nearest"]), tuple(ends["farthest"]), first["ranked"])


def _carried(concept: str, findings: Sequence[Finding], records: Records) -> Drawn:
    """One row per pair of a text and an image model: those that count first."""
    from conceptprobe.report.figures.carried import Carried, Carry, carried

    rows = {
        (f.model_a, tower_name(f.model_b, f.modality_b)): f
        for f in findings
        if f.question == "crossmodal" and f.metric == "auroc (carried probe)" and f.modality_a == "text"
    }
    pairs = []
    for (source, target), row in rows.items():
        own = [r for r in records if (r["model_a"], r["model_b"]) == (source, target)]
        for r in (r for r in own if r["kind"] == "concept"):
            static = row.kind_a == "static"
            aside = "" if r["counts"] else "ceiling" if r["ceiling"] else "static" if static else "relatives"
            ordinary = tuple((o["what"], o["auroc"]) for o in own if o["kind"] == "ordinary")
            pairs.append(
                Carry(
                    source,
                    target,
                    r["auroc"],
                    r["ci_low"],
                    r["ci_high"],
                    r["reference"],
                    row.n,
                    row.units,
                    ordinary,
                    aside,
                )
            )
    order = ("", "ceiling", "relatives", "static")
    figure, table = carried(Carried(concept, tuple(sorted(pairs, key=lambda pair: order.index(pair.aside)))))
    return "carried", figure, table


def _nulls(concept: str, question: str, headline: Sequence[Finding], draws: Records, controls: Records) -> Drawn:
    """A row per headline and null: the draws of its exchange, and the control concepts where it was held against some."""
    from conceptprobe.report.figures.null_plot import NullPlot, NullRow, null_plot

    rows = []
    for f in headline:
        own = np.array([d["value"] for d in draws if d["model"] == _drawn_as(f)])
        others = np.array([r["auroc"] for r in controls if r["models"] == _drawn_as(f)])
        rows.append(
            NullRow(
                title=f"{question}: {model_name(f)}, {f.split}",
                axis="AUROC" if f.metric.startswith("auroc") else f.metric,
                draws=own,
                value=f.estimate,
                low=f.ci_low + f.reference,
                high=f.ci_high + f.reference,
                # A row's p is the largest over its nulls; where each is drawn, each has its own.
                p=add_one_p(f.estimate, own) if len(others) else f.p,
                n=f.n,
                units=f.units,
                reference=f.reference,
                reference_name=f.reference_kind,
                drawn="shuffled pairings" if question in ("shared", "crossmodal") else "permutations",
            )
        )
        if len(others):
            beside = f"{question}: {model_name(f)}, matched control concepts"
            rows.append(
                replace(rows[-1], title=beside, draws=others, p=add_one_p(f.estimate, others), drawn="control concepts")
            )
    figure, table = null_plot(NullPlot(concept, tuple(rows)))
    return f"null_plot_{question}", figure, table


def _drawn_as(row: Finding) -> str:
    """What evidence calls a row beside the draws of its null."""
    names = [tower_name(row.model_a, row.modality_a)]
    names += [tower_name(row.model_b, row.modality_b)] if row.model_b else []
    return (" > " if row.question == "crossmodal" else " ~ ").join(names)


def _layout(layout: Picture) -> Drawn:
    from conceptprobe.report.figures.projection import Projection, projection
    from conceptprobe.report.figures.projection_media import projection_media

    if isinstance(layout, Projection):
        return "projection", *projection(layout)
    return "projection_media", *projection_media(layout)


def _column(records: Records, name: str) -> np.ndarray:
    return np.array([r[name] for r in records], dtype=np.float64)
