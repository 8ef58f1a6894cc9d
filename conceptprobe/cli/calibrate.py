"""`conceptprobe calibrate`: planted truth through the real questions, and whether every promise held."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conceptprobe.cli import options as o
from conceptprobe.cli.errors import print_json

if TYPE_CHECKING:
    from conceptprobe.calibration.table import Check, Line

NAME = "calibrate"
MOST_REPLICATIONS, MOST_WORKERS = 100_000, 64
LEAST_REPLICATIONS = 10
"""With fewer, no interval could exclude anything."""


def command(
    replications: Annotated[int, typer.Option("--replications", help="Of every row.")] = 200,
    rows: Annotated[str, typer.Option("--rows", help="Comma-separated names of rows; all by default.")] = "",
    seed: Annotated[int, typer.Option("--seed", help="Of everything that is planted.")] = 0,
    workers: Annotated[int, typer.Option("--workers", help="Processes.")] = 2,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for calibration.csv and the figure.", show_default=False)
    ] = None,
    json_: o.Json = False,
) -> None:
    """Plant known effects in invented models, ask the real questions many times, and check what is promised.

    Exit code 1 when a promise failed. An interrupted table resumes when the same command is given again.
    """
    _check_range("--replications", replications, LEAST_REPLICATIONS, MOST_REPLICATIONS)
    _check_range("--workers", workers, 1, MOST_WORKERS)
    _check_range("--seed", seed, 0, 2**63 - 1)
    if out is not None:
        _check_folder(out)
    from conceptprobe.activations import Store
    from conceptprobe.calibration.replicate import replicate
    from conceptprobe.calibration.rows import rows_named
    from conceptprobe.calibration.table import tabulate
    from conceptprobe.cli.progress import Terminal

    asked = rows_named(tuple(name.strip() for name in rows.split(",") if name.strip()))
    with Terminal() as reporter, reporter.task(f"{len(asked)} rows x {replications} replications") as advance:
        store = Store(warn=reporter.message)
        store.check_writable()
        lines = tabulate(replicate(asked, replications, seed, store, workers=workers, progress=advance))
    if out is not None:
        from conceptprobe.calibration.output import write

        for path in write(lines, out):
            typer.echo(f"wrote {path}", err=True)
    if json_:
        print_json(_as_dict(lines, replications, seed))
    else:
        _print(lines, replications, seed)
    if any(line.failed for line in lines):
        raise typer.Exit(1)


def _check_range(option: str, value: int, low: int, high: int) -> None:
    from conceptprobe.errors import UsageError

    if not low <= value <= high:
        raise UsageError(f"{option} must be from {low} to {high}, not {value}", hint="--help shows the options")


def _check_folder(folder: Path) -> None:
    # Now rather than after an hour of replications.
    from conceptprobe.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write {folder}: {error.strerror or error}", hint="name another folder, or check its permissions"
        ) from error


def _as_dict(lines: list[Line], replications: int, seed: int) -> dict[str, Any]:
    return {
        "held": not any(line.failed for line in lines),
        "replications": replications,
        "seed": seed,
        "rows": [
            {
                **{k: v for k, v in vars(line).items() if k not in ("truth", "checks")},
                "true_effect": line.truth.effect,
                "true_effect_se": line.truth.error,
                "checks": [{**vars(check), "held": check.held} for check in line.checks],
            }
            for line in lines
        ],
    }


def _print(lines: list[Line], replications: int, seed: int) -> None:
    from conceptprobe.cli.tables import plain_table
    from conceptprobe.report.numbers import number, signed

    columns = ["row", "question", "supported", "absent", "p <= 0.05", "true effect", "coverage", "bias", "plan's power"]
    cells = [
        [
            line.row,
            line.question,
            _share(line.supported, line.n, any(c.promise == "never supported" for c in line.checks)),
            _share(line.absent, line.n, any(c.promise == "never absent" for c in line.checks)),
            _share(line.small_p, line.n),
            signed(line.truth.effect, 3),
            _share(line.covered, line.n, any(c.promise.startswith("coverage") for c in line.checks)),
            signed(line.bias, 3) + ("*" if any(c.promise == "bias" for c in line.checks) else ""),
            number(line.power),
        ]
        for line in lines
    ]
    plain_table(
        f"planted truth, {replications} replications per row, seed {seed}",
        columns,
        cells,
        right=set(columns[2:]),
        foot=(
            "* promised: at most 5% false verdicts, coverage of 92 to 98% (shared: 92% or more), bias below 0.01. The effect "
            "of beyond_words is the smaller of its gains over chance and over its baselines, that of shared the smallest of "
            "its gains over chance, over twins and over control concepts."
        ),
    )
    failures = [_sentence(line, check) for line in lines for check in line.failed]
    for failure in failures:
        typer.echo(failure)
    checks = sum(len(line.checks) for line in lines)
    typer.echo(f"{len(failures)} of {checks} promises failed" if failures else f"every promise held ({checks} checks)")


def _share(count: int, n: int, promised: bool = False) -> str:
    return f"{100 * count / n:.1f}%" + ("*" if promised else "")


def _sentence(line: Line, check: Check) -> str:
    low, high = check.promised
    return (
        f"failed: {line.row}, {line.question}: {check.promise}: found {check.found:.3f}, interval "
        f"[{check.low:.3f}, {check.high:.3f}], promised [{low:.2f}, {high:.2f}]"
    )
