"""What `conceptprobe align` leaves on disk: rows, a map per pair and metric, score against n, one JSON object."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conceptprobe.evidence.finding import Finding
from conceptprobe.files import finite, write_text
from conceptprobe.pipeline.align import NO_TWIN, Aligned, SiteMap
from conceptprobe.pipeline.align_config import AlignConfig
from conceptprobe.pipeline.progress import Advance
from conceptprobe.report.phrases import SPELLING
from conceptprobe.report.save import save
from conceptprobe.report.tables import write_findings


def findings_of(config: AlignConfig, aligned: Aligned) -> list[Finding]:
    """One row per cell that was measured.

    The effect is the value minus the mean of its null, so below 0 where lower is closer. Headline: the first metric at the last
    site of each file, fixed before any number was seen; its verdict is `inconclusive`, because there is no twin.
    """
    out = []
    for one in aligned.maps:
        last = (len(one.sites_a) - 1, len(one.sites_b) - 1)
        first = one.chosen.name == next(m.chosen.name for m in aligned.maps if {m.a, m.b} == {one.a, one.b})
        for i, site_a in enumerate(one.sites_a):
            for j, site_b in enumerate(one.sites_b):
                if one.measured[i, j]:
                    headline = first and (i, j) == last
                    out.append(_finding(config, one, (i, j), site_a, site_b, headline))
    return out


def _finding(
    config: AlignConfig, one: SiteMap, cell: tuple[int, int], site_a: str, site_b: str, headline: bool
) -> Finding:
    value, mean = float(one.value[cell]), float(one.null_mean[cell])
    note = ["Lower is closer."] if one.chosen.closer == "lower" else []
    if not one.chosen.symmetric:
        note.append("Not symmetric: the first asks about the second.")
    if one.value.size > 1:
        stands = "stands out" if one.survives[cell] else "does not stand out"
        note.append(f"On the map of {one.value.size:,} cells it {stands}: family-wise p {one.p_map[cell]:.3g}.")
    if headline:
        note.append(NO_TWIN)
    return Finding(
        run_id="align",
        concept=config.groups.stem if config.groups else "arrays",
        question="shared",
        headline=headline,
        model_a=one.a,
        model_b=one.b,
        kind_a="array",
        kind_b="array",
        modality_a="",
        modality_b="",
        site_a=site_a,
        site_b=site_b,
        metric=one.chosen.name,
        split=f"items by {config.group}" if config.group else "every row an item",
        estimate=value,
        reference=mean,
        reference_kind="mean of the null (items renamed)",
        effect=value - mean,
        ci_low=float(one.ci_low[cell]) - mean,
        ci_high=float(one.ci_high[cell]) - mean,
        null_mean=mean,
        null_q95=float(one.null_q95[cell]),
        p=float(one.p[cell]),
        q=math.nan,
        n=one.rows,
        units=one.n,
        smallest_effect=math.nan,
        verdict="inconclusive" if headline else "detail",
        note=" ".join(note),
    )


def said(config: AlignConfig, aligned: Aligned) -> list[str]:
    """What was averaged, renamed and compared, in sentences."""
    cells = max(one.value.size for one in aligned.maps)
    out = [*aligned.spaces.items.said]
    out.append(
        f"Null: the items of the second array are renamed, {config.permutations:,} times; p is add-one. "
        "The interval is the jackknife's, each item left out."
    )
    if cells > 1:
        out.append(
            "All cells of a map share these permutations: a cell stands out where it exceeds the best cell of a map of renamed "
            "items (max-statistic of null z-scores, family-wise 5%). The best cell of a map is no estimate of anything."
        )
    if any(one.chosen.closer == "lower" for one in aligned.maps):
        out.append("Where lower is closer, null 95% is the value that 95% of the null stay above.")
    if not all(one.chosen.symmetric for one in aligned.maps):
        out.append(
            "A metric that is not symmetric has two rows: > where the first file asks about the second, < the other way round."
        )
    return [*out, NO_TWIN]


def cells_of(one: SiteMap) -> Iterator[dict[str, Any]]:
    """Flat records of a map, one per cell that was measured."""
    for i, site_a in enumerate(one.sites_a):
        for j, site_b in enumerate(one.sites_b):
            if one.measured[i, j]:
                yield {
                    "a": one.a,
                    "b": one.b,
                    "site_a": site_a,
                    "site_b": site_b,
                    "metric": one.chosen.name,
                    "k": one.chosen.k,
                    "closer": one.chosen.closer,
                    "symmetric": one.chosen.symmetric,
                    "local": one.chosen.local,
                    **{name: float(getattr(one, name)[i, j]) for name in _NUMBERS},
                    "survives": bool(one.survives[i, j]),
                    "n": one.n,
                }


_NUMBERS = ("value", "ci_low", "ci_high", "null_mean", "null_q95", "p", "z", "p_map")


def as_dict(config: AlignConfig, aligned: Aligned) -> dict[str, Any]:
    """Everything as plain data, as --json prints it."""
    config = config.checked()
    focus = aligned.spaces.items.focus
    return {
        "arguments": {
            name: [str(v) for v in value] if name == "files" else str(value) if isinstance(value, Path) else value
            for name, value in asdict(config).items()
        },
        "files": {
            space.name: {"rows": space.rows, "items": space.n, "sites": {s: x.shape[1] for s, x in space.sites.items()}}
            for space in aligned.spaces.files
        },
        "focus": None if focus is None else int(focus.sum()),
        "cells": [cell for one in aligned.maps for cell in cells_of(one)],
        "against_n": [asdict(size) for size in aligned.sizes],
        "findings": [asdict(row) for row in findings_of(config, aligned)],
        "failures": [asdict(failure) for failure in aligned.failures],
        "warnings": aligned.warnings,
        "said": said(config, aligned),
    }


def write_align(
    folder: Path, config: AlignConfig, aligned: Aligned, advance: Advance = lambda done, total: None
) -> list[Path]:
    """findings.csv and .parquet, a site_heatmap per pair and metric where there are several sites, score_against_n, align.json.

    Figures come as png, pdf and svg with the csv of what is drawn. Returns the paths, each file written whole. Raises
    UsageError where the folder cannot be written.
    """
    paths = list(write_findings(findings_of(config, aligned), folder))
    names: Counter[str] = Counter()
    for done, one in enumerate(aligned.maps, start=1):
        if one.value.size > 1:
            advance(done, len(aligned.maps))
            name = "-".join(["site_heatmap", _plain(one.a), _plain(one.b), _plain(one.chosen.name)])
            names[name] += 1  # two files in folders of their own may have one name
            paths += _heatmap(folder, f"{name}-{names[name]}" if names[name] > 1 else name, config, one)
    if aligned.sizes:
        paths += _against_n(folder, aligned)
    paths.append(folder / "align.json")
    text = json.dumps(finite(as_dict(config, aligned)), indent=1, ensure_ascii=False)
    write_text(paths[-1], text + "\n")
    return paths


def _plain(name: str) -> str:
    """A name fit for a file."""
    return re.sub(r"[^\w.+]+", "_", Path(name).stem or name).strip("_")


def _heatmap(folder: Path, name: str, config: AlignConfig, one: SiteMap) -> tuple[Path, ...]:
    import numpy as np

    from conceptprobe.report.figures.site_heatmap import SiteHeatmap, Survivors, site_heatmap

    figure, table = site_heatmap(
        SiteHeatmap(
            one.a,
            one.b,
            one.sites_a,
            one.sites_b,
            one.value,
            np.full(one.value.shape, np.nan),
            SPELLING.get(one.chosen.name, one.chosen.name),
            one.n,
            margin=0.0,
            survivors=Survivors(one.survives, one.z, one.p_map, one.null_mean, config.permutations),
            closer="lower" if one.chosen.closer == "lower" else "higher",
            remark="" if one.chosen.symmetric else f"{one.a} asks about {one.b}",
            items="items" if config.group else "rows",
        )
    )
    return save(figure, table, folder, name)


def _against_n(folder: Path, aligned: Aligned) -> tuple[Path, ...]:
    from conceptprobe.report.figures.score_against_n import MetricSizes, ScoreAgainstN, score_against_n

    first = aligned.sizes[0]
    panels: dict[tuple[str, str], list[Any]] = {}
    for size in aligned.sizes:
        panels.setdefault((size.metric, size.a), []).append(size)
    symmetric = {one.chosen.name: one.chosen for one in aligned.maps}
    shown = tuple(
        MetricSizes(
            name=SPELLING.get(metric, metric) + ("" if symmetric[metric].symmetric else " >" if a == first.a else " <"),
            n=tuple(size.n for size in own),
            mean=tuple(size.mean for size in own),
            sd=tuple(size.sd for size in own),
            null_mean=tuple(size.null_mean for size in own),
            ci=(own[-1].ci_low, own[-1].ci_high),
            closer="lower" if symmetric[metric].closer == "lower" else "higher",
        )
        for (metric, a), own in panels.items()
    )
    draws = max(size.subsamples for size in aligned.sizes)
    figure, table = score_against_n(ScoreAgainstN((first.a, first.b), (first.site_a, first.site_b), shown, draws))
    return save(figure, table, folder, "score_against_n")
