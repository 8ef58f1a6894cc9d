"""What `conceptprobe probe` leaves on disk: the rows, two figures, the direction, and one JSON object with it all."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.files import finite, write_bytes, write_text
from conceptprobe.pipeline.blocks import CROSSED_FOLDS, FOLDS, Blocks, exchange_said
from conceptprobe.pipeline.labels import LabelTable
from conceptprobe.pipeline.probe import Probed
from conceptprobe.pipeline.probe_config import ProbeConfig
from conceptprobe.report.save import save
from conceptprobe.report.tables import write_findings
from conceptprobe.stats.relabel import exchange_of

if TYPE_CHECKING:
    from conceptprobe.report.figures.depth_curve import ModelCurve


def as_dict(config: ProbeConfig, probed: Probed, blocks: Blocks, table: LabelTable) -> dict[str, Any]:
    """Everything as plain data, as --json prints it."""
    config = config.checked()
    of_concept, of_controls = probed.design.units_per_class
    return {
        "arguments": {name: str(v) if isinstance(v, Path) else v for name, v in asdict(config).items()},
        "labels": {"concept": table.meaning[0], "control": table.meaning[1]},
        "rows": len(table),
        "items": probed.design.n_items,
        "units": {"concept": of_concept, "control": of_controls},
        "design": {
            "units": list(blocks.unit_columns),
            "crossed": blocks.crossed or None,
            "folds": FOLDS,
            "crossed_folds": CROSSED_FOLDS if blocks.crossed else 1,
            "exchange": exchange_of(probed.design),
            "compared": "items of all folds" if probed.design.pooled else "items of one fold",
            "said": said(probed, blocks),
        },
        "findings": [asdict(row) for row in probed.findings],
        "sites": probed.curve,
        "direction_site": probed.site,
        "warnings": probed.warnings,
    }


def said(probed: Probed, blocks: Blocks) -> list[str]:
    """What was held out, averaged and exchanged, in sentences."""
    compared = (
        "Scores are centred in each test cell; the AUROC is over all pairs of items."
        if probed.design.pooled
        else "The AUROC is over pairs of items of one fold, because units differ in their share of the concept."
    )
    return [*blocks.said, compared, f"{exchange_said(probed.design)} {len(probed.null):,} draws."]


def write_probe(folder: Path, config: ProbeConfig, probed: Probed, blocks: Blocks, table: LabelTable) -> list[Path]:
    """findings.csv and .parquet, figures with their csv, direction.safetensors, probe.json, each written whole.

    Returns the paths. Raises UsageError where the folder cannot be written.
    """
    name = config.labels.stem
    paths = list(_null(folder, name, probed))
    if len(probed.curve) > 1:
        paths += _curve(folder, name, config, probed)
    paths.append(folder / "direction.safetensors")
    write_bytes(paths[-1], _direction(config, probed, table))
    paths += write_findings(probed.findings, folder)
    paths.append(folder / "probe.json")
    record = as_dict(config, probed, blocks, table)
    write_text(paths[-1], json.dumps(finite(record), indent=1, ensure_ascii=False) + "\n")
    return paths


def _null(folder: Path, name: str, probed: Probed) -> tuple[Path, ...]:
    from conceptprobe.report.figures.null_plot import NullPlot, NullRow, null_plot

    row = probed.findings[0]
    shown = NullRow(
        title=f"{row.model_a}, {row.metric.removeprefix('auroc ').strip('()')} probe: {row.split}",
        axis="AUROC",
        draws=probed.null,
        value=row.estimate,
        low=row.ci_low + row.reference,
        high=row.ci_high + row.reference,
        p=row.p,
        n=row.n,
        units=row.units,
    )
    figure, table = null_plot(NullPlot(name, (shown,)))
    return save(figure, table, folder, "null_plot")


def _curve(folder: Path, name: str, config: ProbeConfig, probed: Probed) -> tuple[Path, ...]:
    from conceptprobe.report.figures.depth_curve import DepthCurve, depth_curve

    figure, table = depth_curve(DepthCurve(name, probed.findings[0].split, (_model_curve(config, probed),)))
    return save(figure, table, folder, "depth_curve")


def _model_curve(config: ProbeConfig, probed: Probed) -> ModelCurve:
    from conceptprobe.report.figures.depth_curve import ModelCurve

    def column(key: str) -> np.ndarray:
        return np.array([record[key] for record in probed.curve], dtype=np.float64)

    row = probed.findings[0]
    return ModelCurve(
        name=config.x.stem,
        sites=tuple(record["site"] for record in probed.curve),
        depth=np.linspace(0.0, 1.0, len(probed.curve)),
        auroc=column("auroc"),
        low=column("ci_low"),
        high=column("ci_high"),
        null_low=column("null_low"),
        null_high=column("null_high"),
        twins=np.zeros((0, len(probed.curve))),
        n=row.n,
        units=row.units,
        permutations=config.permutations,
        chosen=probed.site,
    )


def _direction(config: ProbeConfig, probed: Probed, table: LabelTable) -> bytes:
    """One tensor [d] per linear kind, float64, unit norm; `conceptprobe` in the metadata says of what, as JSON."""
    from safetensors.numpy import save as to_bytes

    about = {
        "site": probed.site,
        "plus_means": table.meaning[0],
        "fitted_on": f"all {len(table)} rows of {config.x.name}",
        "space": "raw features, unit norm",
    }
    tensors = {kind: np.ascontiguousarray(vector, dtype=np.float64) for kind, vector in probed.directions.items()}
    # one entry only: the format does not keep the order of several, and the same data give the same bytes
    return bytes(to_bytes(tensors, metadata={"conceptprobe": json.dumps(about)}))
