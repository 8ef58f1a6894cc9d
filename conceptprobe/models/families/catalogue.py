"""All tables of families as one list, with what was proved of each: `conceptprobe list models --families`.

Every file of this folder whose dictionary is called `..FAMILIES` is a table, so a new one joins by itself. Proofs lie in
proofs.json beside them, written by `python benchmarks/parity.py --write`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conceptprobe.models.formats import read_json

PROOFS = Path(__file__).with_name("proofs.json")
BATCHES = ("batching", "padding_right", "padding_left")
"""Checks that compare batches with single stimuli."""


@dataclass(frozen=True)
class Entry:
    """One family: a row of one table."""

    table: str
    """Name of the file the row stands in: text, image, audio, joint, ..."""
    family: str
    reads: str
    example: str
    towers: tuple[str, ...]
    """Keys of the towers' own rows; empty for a family of one network."""
    proofs: tuple[Mapping[str, Any], ...]
    """What was proved, as proofs.json keeps it: one record, or one per tower; empty where nothing was."""

    @property
    def key(self) -> str:
        """`table/family`."""
        return f"{self.table}/{self.family}"

    @property
    def safe(self) -> bool:
        """Everything was proved and nothing failed."""
        return bool(self.proofs) and all(proof["safe"] for proof in self.proofs)

    @property
    def sites(self) -> tuple[str, ...]:
        """Kinds of sites, of all towers."""
        return tuple(dict.fromkeys(site for proof in self.proofs for site in proof["sites"]))

    @property
    def kernel(self) -> str:
        """Attention kernel it is run with, of each tower where they differ."""
        return ", ".join(dict.fromkeys(str(proof["kernel"]) for proof in self.proofs))

    def error(self, *checks: str) -> float | None:
        """Largest error of these checks, over towers; None where none measured one."""
        found = [proof["errors"][name] for proof in self.proofs for name in checks if name in proof["errors"]]
        return max(found, default=None)

    @property
    def proved(self) -> str:
        """In words: the largest error of each kind of comparison, relative to the scale of its site."""
        if not self.proofs:
            return "not yet"
        failed = [f"{name}: {why}" for proof in self.proofs for name, why in proof["failed"].items()]
        if failed:
            return f"fails: {'; '.join(failed)}"
        named = (("as transformers", ("reading",)), ("in batches", BATCHES), ("fused", ("fused",)))
        errors = [(what, self.error(*checks)) for what, checks in (*named, ("float64", ("fused_float64",)))]
        return ", ".join(f"{what} {error:.0e}" for what, error in errors if error is not None)


def tables() -> dict[str, Mapping[str, Any]]:
    """{file: {model_type: row}} of every table in this folder."""
    home = importlib.import_module(__package__ or "")
    found: dict[str, Mapping[str, Any]] = {}
    for module in pkgutil.iter_modules(home.__path__):
        names = vars(importlib.import_module(f"{home.__name__}.{module.name}"))
        for name in ("FAMILIES", f"{module.name.upper()}_FAMILIES"):
            if name in names:
                found[module.name] = names[name]
    return {name: found[name] for name in (*_READS, *sorted(set(found) - set(_READS))) if name in found}


_READS = {"text": "text", "image": "image", "audio": "audio", "joint": "", "vlm": "text + image"}
"""Table -> what its families read; a joint family reads what its towers do."""


def parts() -> set[str]:
    """Keys of rows that are read within other models alone: towers, and language models that no checkpoint holds by
    itself, which have no example."""
    known = tables()
    towers = {f"{t.modality}/{t.model_type}" for row in known.get("joint", {}).values() for t in row.towers}
    inner = {row.text_type for row in known.get("vlm", {}).values()}
    return towers | {f"text/{name}" for name in inner if name in known["text"] and not known["text"][name].example}


def read_proofs(path: Path = PROOFS) -> Mapping[str, Any]:
    """`versions`, and `families`: {key: record}; nothing where there is no such file."""
    return read_json(path) if path.is_file() else {"versions": {}, "families": {}}


def entries() -> list[Entry]:
    """Every family, table by table, in the order of the tables."""
    proofs = read_proofs()["families"]
    return [_entry(table, row, proofs) for table, rows in tables().items() for row in rows.values()]


def _entry(table: str, row: Any, proofs: Mapping[str, Any]) -> Entry:
    towers = tuple(f"{tower.modality}/{tower.model_type}" for tower in getattr(row, "towers", ()))
    reads = _READS.get(table, table) or " + ".join(tower.modality for tower in row.towers)
    keys = towers or (f"{table}/{row.model_type}",)
    records = [record for key in keys for record in proofs.get(key, ())]
    whole = len([key for key in keys if key in proofs]) == len(keys)
    return Entry(table, row.model_type, reads, row.example, towers, tuple(records) if whole else ())
