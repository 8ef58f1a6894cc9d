"""Run folders as read back: one run by its folder, its id, or its concept's newest."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conceptprobe.errors import CorruptError, MissingError, did_you_mean
from conceptprobe.evidence.finding import Finding
from conceptprobe.pipeline.manifest import read_manifest
from conceptprobe.report.tables import read_findings


@dataclass(frozen=True)
class Run:
    """A run folder: its manifest and, once it is done, its findings."""

    folder: Path
    manifest: dict[str, Any]
    findings: list[Finding]

    @property
    def run_id(self) -> str:
        """The run's id, which is also its folder's name."""
        return str(self.manifest["run_id"])

    @property
    def failures(self) -> list[dict[str, str]]:
        """Models that could not be run: {model, message}."""
        return list(self.manifest.get("failures", []))

    @property
    def contact_sheet(self) -> Path:
        """Where the sheet of pictures is, in a run that has one."""
        return self.folder / "figures" / "pictures.png"

    @property
    def pictures(self) -> list[dict[str, str]]:
        """The pictures of that sheet: {model, site, end, rank, id, file, caption, label, score}; none without a sheet."""
        table = self.contact_sheet.with_suffix(".csv")
        if not table.is_file():
            return []
        try:
            with table.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            if any(None in row.values() or float(row["score"]) != float(row["score"]) for row in rows):
                raise ValueError("cells are missing")
        except (OSError, ValueError, KeyError) as error:
            raise CorruptError(f"{table} is not the table of a contact sheet: {error}", hint="run again") from error
        return rows


def load_run(folder: Path) -> Run:
    """A run from its folder. Raises CorruptError where the folder is not one."""
    manifest = read_manifest(folder)
    table = folder / "findings.csv"
    return Run(folder, manifest, read_findings(table) if table.is_file() else [])


def runs(results: Path) -> Iterator[Run]:
    """All runs below a results folder, oldest first by id; folders that hold none are passed over."""
    found = [path.parent for path in results.glob("*/*/manifest.json")]
    for folder in sorted(found, key=lambda f: (f.name, f.parent.name)):
        try:
            yield load_run(folder)
        except CorruptError:
            continue


def find_run(name: str, results: Path) -> Run:
    """A run by its folder, its id (or the beginning of one), or the newest finished one of a concept.

    Raises MissingError, with the nearest known name, where there is none.
    """
    if (Path(name) / "manifest.json").is_file():
        return load_run(Path(name))
    known = list(runs(results))
    by_id = [run for run in known if run.run_id.startswith(name)]
    of_concept = [run for run in known if run.folder.parent.name == name]
    done = [run for run in of_concept if run.manifest["status"] == "done"]
    for found in (by_id, done, of_concept):
        if found:
            return found[-1]
    names = [*(r.run_id for r in known), *{r.folder.parent.name for r in known}]
    raise MissingError(
        f"no run '{name}' in {results}.{did_you_mean(name, names)}",
        hint="`conceptprobe show` lists the runs; `conceptprobe run concepts/soul.yaml` makes one",
    )
