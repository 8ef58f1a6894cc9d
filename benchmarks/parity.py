"""Parity of every family: `python benchmarks/parity.py [--device cuda] [--write] [--results] [--only text/llama,image/vit]`.

A tiny checkpoint of every row of every table is made on the fly by the recipes of the tests, saved, loaded back by its path
and proved as `conceptprobe doctor --model` proves a model: against the untouched transformers model, one stimulus at a time.
A row without a recipe ends the run.

With `--write` (on the CPU) what was found goes to conceptprobe/models/families/proofs.json and docs/models.md. With
`--results`, and on any other device, each family is read in bfloat16 as well, its error reported, and a table goes to
benchmarks/results/parity_<device>.csv and .md. On a GPU TF32 is off, and float32 is held to 1e-4.

Exit code 1 where a family fails, 3 where the device is not here.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from side_by_side import machine

from conceptprobe.doctor.proof import Proof
from conceptprobe.doctor.prove import prove_all
from conceptprobe.files import write_text
from conceptprobe.models import resolve
from conceptprobe.models.checkpoint import library_version
from conceptprobe.models.families.catalogue import PROOFS, parts, read_proofs, tables
from conceptprobe.models.families.page import page
from conceptprobe.models.options import Options

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "models.md"
COLUMNS = ("family", "tower", "attention", "safe", "reading", "batches", "fused", "float64", "bfloat16", "failed")


@dataclass(frozen=True)
class Recipe:
    """How the tests make tiny checkpoints of families."""

    module: str
    known: str
    """Name of the dictionary whose keys are the families it makes; else the one family itself."""
    make: str

    def makes(self, model_type: str) -> bool:
        """Has a recipe for that family."""
        if importlib.util.find_spec(self.module) is None:
            return False
        return model_type in getattr(importlib.import_module(self.module), self.known, (self.known,))

    def save(self, folder: Path, model_type: str) -> None:
        """The checkpoint in `folder`."""
        make = getattr(importlib.import_module(self.module), self.make)
        make(folder) if model_type == self.known else make(folder, model_type)


RECIPES: dict[str, tuple[Recipe, ...]] = {
    "text": (Recipe("models.tiny_models", "TEXT", "save_named"),),
    "image": (
        Recipe("models.tiny_images", "VISION", "save_image_model"),
        Recipe("models.tiny_images", "SPECIFIC", "save_image_model"),
    ),
    "audio": (Recipe("models.tiny_sounds", "SPECIFIC", "save_audio_model"),),
    "joint": (
        Recipe("models.tiny_images", "JOINT", "save_joint_model"),
        Recipe("models.tiny_sounds", "clap", "save_clap"),
    ),
    "vlm": (Recipe("models.tiny_vlms", "RECIPES", "save_vlm"),),
}
"""Table -> recipes, asked one after the other."""


def main() -> int:
    """Exit code."""
    arguments = _arguments()
    sys.path.append(str(ROOT / "tests"))  # where the recipes are
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        print("parity: torch sees no CUDA device here, so nothing was run", file=sys.stderr)
        return 3
    _quiet()
    results = arguments.results or arguments.device != "cpu"
    wanted = [key for key in arguments.only.split(",") if key]
    found: dict[str, list[Proof]] = {}
    coarse: dict[str, list[Proof]] = {}
    with tempfile.TemporaryDirectory() as room:
        for name, folder in checkpoints(Path(room), wanted):
            for key, proofs in proved(name, folder, Options(device=arguments.device)).items():
                found[key] = proofs
                print(f"{key:<36} {' '.join(_said(proof) for proof in proofs)}", flush=True)
            if results:
                coarse |= proved(name, folder, Options(device=arguments.device, dtype="bfloat16"))
    if arguments.write and arguments.device == "cpu":
        write_proofs(found, whole=not wanted)
        write_text(PAGE, page())
    if results:
        write_results(arguments.device.partition(":")[0], found, coarse)
    failed = [key for key, proofs in found.items() if not all(proof.safe for proof in proofs)]
    print(f"{len(found) - len(failed)} of {len(found)} rows pass" + (f"; not {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def checkpoints(room: Path, wanted: list[str]) -> Iterator[tuple[str, Path]]:
    """(`table/family`, folder of its tiny checkpoint) of every row but those that other models bring along."""
    within = parts()
    for table, rows in tables().items():
        for model_type in rows:
            key = f"{table}/{model_type}"
            if key in within or (wanted and key not in wanted):
                continue
            folder = room / table / model_type
            folder.mkdir(parents=True)
            _save(table, folder, model_type)
            yield key, folder


def proved(name: str, folder: Path, options: Options) -> dict[str, list[Proof]]:
    """{`table/family`: proofs}: of a joint model one per tower, under the tower's own row; of a generator both,
    and its language model's under a row of its own where no other checkpoint has it."""
    spec = resolve(str(folder), options=options)
    if name.startswith("joint/"):
        return {f"{p.modality}/{p.family}": [p] for p in prove_all(spec)}
    found = {name: list(prove_all(spec))}
    inner = {f"{p.modality}/{p.family}": [p] for p in found[name]}
    return found | {key: proofs for key, proofs in inner.items() if key in parts()}


def write_proofs(found: dict[str, list[Proof]], *, whole: bool) -> None:
    """proofs.json: what is kept of each proof; of a run of some families alone, the others stay as they were."""
    kept = {} if whole else dict(read_proofs()["families"])
    kept |= {key: [record(proof) for proof in proofs] for key, proofs in found.items()}
    versions = {package: library_version(package) for package in ("torch", "transformers", "tokenizers")}
    write_text(PROOFS, json.dumps({"versions": versions, "families": dict(sorted(kept.items()))}, indent=1) + "\n")


def record(proof: Proof) -> dict[str, Any]:
    """What is kept of a proof: no names of folders, no speed, errors to two digits."""
    branches = proof.check("branches")
    return {
        "modality": proof.modality,
        "safe": proof.safe,
        "kernel": proof.kernel,
        "sites": list(dict.fromkeys(site.site.partition(".")[0] for site in proof.sites)),
        "branches": branches.note.rpartition("(")[2].rstrip(")") if branches and branches.passed else "",
        "passed": [check.name for check in proof.checks if check.passed],
        "failed": {check.name: check.note for check in proof.checks if check.passed is False},
        "errors": {c.name: float(f"{c.error:.1e}") for c in proof.checks if c.error is not None},
    }


def write_results(device: str, found: dict[str, list[Proof]], coarse: dict[str, list[Proof]]) -> None:
    """parity_<device>.csv, and a line about the machine beside the worst of each column."""
    rows = [
        _row(key, proof, rough)
        for key, proofs in found.items()
        for proof, rough in zip(proofs, coarse[key], strict=True)
    ]
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"parity_{device}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    worst = {name: max((float(row[name]) for row in rows if row[name]), default=0.0) for name in COLUMNS[4:9]}
    named = torch.cuda.get_device_name() if device == "cuda" else device
    said = ", ".join(f"{name} {value:.1e}" for name, value in worst.items())
    safe = sum(row["safe"] == "yes" for row in rows)
    text = (
        f"{named}; {machine(torch.get_num_threads())}, torch {torch.__version__}: {safe} of {len(rows)} networks pass"
    )
    write_text(RESULTS / f"parity_{device}.md", f"{text}; largest errors: {said}.\n")


def _row(key: str, proof: Proof, rough: Proof) -> dict[str, str]:
    def error(of: Proof, *names: str) -> str:
        made = [check.error for name in names if (check := of.check(name)) and check.error is not None]
        return f"{max(made):.1e}" if made else ""

    batches = ("batching", "padding_right", "padding_left")
    values = (
        *(error(proof, *names) for names in (("reading",), batches, ("fused",), ("fused_float64",))),
        error(rough, "dtype"),
    )
    return dict(
        zip(
            COLUMNS,
            (key, proof.modality, proof.kernel, "yes" if proof.safe else "no", *values, proof.reason),
            strict=True,
        )
    )


def _save(table: str, folder: Path, model_type: str) -> None:
    recipe = next((r for r in RECIPES.get(table, ()) if r.makes(model_type)), None)
    if recipe is not None:
        recipe.save(folder, model_type)
        return
    sys.exit(f"parity: no recipe makes a tiny checkpoint of {table}/{model_type}: add one to tests/models/tiny_*.py")


def _said(proof: Proof) -> str:
    check = proof.check("reading")
    error = f"{check.error:.0e}" if check and check.error is not None else "?"
    return f"{proof.modality} {proof.kernel} {error}" if proof.safe else f"FAILS ({proof.reason})"


def _quiet() -> None:
    """One thread, TF32 off, no bars of transformers."""
    from transformers.utils import logging

    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Parity of every family of models.")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1")
    parser.add_argument("--write", action="store_true", help="write proofs.json and docs/models.md (on the CPU)")
    parser.add_argument("--results", action="store_true", help="also bfloat16, and a table in benchmarks/results")
    parser.add_argument("--only", default="", help="comma-separated rows, such as text/llama,joint/clip")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
