"""The table of a calibration as files: calibration.csv, the same for a page of text, and the figure with what it draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from conceptprobe.calibration.table import ALLOWED, COVERAGE, Line, clopper_pearson
from conceptprobe.files import write_text
from conceptprobe.report.figures.calibration import Calibration, CalibrationRow, calibration
from conceptprobe.report.save import save, write_csv

if TYPE_CHECKING:
    from conceptprobe.report.save import Row

NAME = "calibration"


def write(lines: Sequence[Line], folder: Path) -> tuple[Path, ...]:
    """Write calibration.csv, calibration.md and figures/calibration.pdf, .svg, .png, .csv; returns their paths."""
    records = [_record(line) for line in lines]
    table, page = write_csv(records, folder / f"{NAME}.csv"), folder / f"{NAME}.md"
    write_text(page, markdown(records))
    return (table, page, *save(*calibration(figure_data(lines)), folder / "figures", NAME))


def markdown(records: Sequence[Row]) -> str:
    """The table in Markdown; a failed promise is bold, a number without a promise stands in brackets."""
    head = "| planted | question | true effect | supported | absent | coverage | bias | p <= 0.05 | plan's power |"
    lines = [head, "|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    for record in records:
        promises, failed = str(record["promises"]), str(record["failed"])

        def cell(text: str, promise: str, promises: str = promises, failed: str = failed) -> str:
            return f"**{text}**" if promise in failed else text if promise in promises else f"({text})"

        power = float(record["expected_power"] or "nan")
        columns = (
            f"{record['row']}: {record['planted']}",
            f"`{record['question']}`",
            f"{float(record['true_effect']):+.3f}",
            cell(f"{float(record['supported']):.1%}", "never supported"),
            cell(f"{float(record['absent']):.1%}", "never absent"),
            cell(f"{float(record['coverage']):.1%}", "coverage"),
            cell(f"{float(record['bias']):+.3f}", "bias"),
            f"{float(record['p_up_to_0.05']):.1%}",
            f"{power:.2f}" if power == power else "",
        )
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines) + "\n"


def figure_data(lines: Sequence[Line]) -> Calibration:
    """What the figure draws; coverage with its own exact 95% interval."""
    return Calibration(tuple(_figure_row(line) for line in lines), ALLOWED, COVERAGE)


def _figure_row(line: Line) -> CalibrationRow:
    low, high = clopper_pearson(line.covered, line.n, 0.05)
    promised = {check.promise for check in line.checks}
    return CalibrationRow(
        line.row,
        line.question,
        line.n,
        line.supported,
        line.absent,
        line.inconclusive,
        line.covered,
        low,
        high,
        no_supported="never supported" in promised,
        no_absent="never absent" in promised,
        coverage_promised=any(promise.startswith("coverage") for promise in promised),
        held=not line.failed,
    )


def _record(line: Line) -> Row:
    supported = clopper_pearson(line.supported, line.n, 0.05)
    absent = clopper_pearson(line.absent, line.n, 0.05)
    covered = clopper_pearson(line.covered, line.n, 0.05)
    return {
        "row": line.row,
        "planted": line.says,
        "question": line.question,
        "replications": line.n,
        "units": line.units,
        "true_effect": line.truth.effect,
        "true_effect_se": line.truth.error,
        "supported": line.supported / line.n,
        "supported_low": supported[0],
        "supported_high": supported[1],
        "absent": line.absent / line.n,
        "absent_low": absent[0],
        "absent_high": absent[1],
        "inconclusive": line.inconclusive / line.n,
        "p_up_to_0.05": line.small_p / line.n,
        "coverage": line.covered / line.n,
        "coverage_low": covered[0],
        "coverage_high": covered[1],
        "bias_of": line.biased,
        "bias": line.bias,
        "bias_se": line.bias_error,
        "expected_power": line.power,
        "promises": "; ".join(check.promise for check in line.checks),
        "failed": "; ".join(check.promise for check in line.failed),
    }
