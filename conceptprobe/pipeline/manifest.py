"""manifest.json: what was asked, what was resolved, with which code, data, models and machine. And which run to resume."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from conceptprobe.errors import CorruptError
from conceptprobe.files import write_text
from conceptprobe.pipeline.plan import Plan
from conceptprobe.pipeline.version import code_version

_PACKAGES = (
    "conceptprobe",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "scipy",
    "scikit-learn",
    "umap-learn",
    "matplotlib",
    "pyarrow",
    "pydantic",
    "safetensors",
    "huggingface_hub",
    "accelerate",
    "bitsandbytes",
)
UNFINISHED = ("running", "interrupted", "failed")


def new_manifest(
    plan: Plan, run_id: str, typed: Sequence[str], frozen: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The manifest of a run that starts now; `frozen`: the plan it follows, where one was frozen beforehand."""
    concept = plan.concept
    return {
        "run_id": run_id,
        "status": "running",
        "started": now(),
        "finished": None,
        "plan_hash": plan.plan_hash,
        "frozen_plan": dict(frozen) if frozen else None,
        "arguments": {"typed": list(typed), "resolved": plan.config.model_dump(mode="json")},
        "concept": {
            "id": concept.id,
            "name": concept.name,
            "version": concept.version,
            "definition": concept.definition,
            "file": str(plan.concept_path),
            "smallest_effect": concept.smallest_effect.model_dump(),
            "splits": concept.splits.model_dump(),
        },
        "stimuli": {
            "fingerprint": plan.fingerprint,
            "sets": {name: {"n": len(s), "fingerprint": s.fingerprint} for name, s in plan.sets.items()},
        },
        "judgements": [
            {"name": t.name, "pairs": len(t), "fingerprint": t.fingerprint, "sha256": t.sha256} for t in plan.judgements
        ],
        "left_out": list(plan.left_out),
        "models": [asdict(spec.info) for spec in plan.specs],
        "code": {"version": code_version(), "git": git_state()},
        "packages": {name: _version(name) for name in _PACKAGES},
        "machine": {
            "platform": platform.platform(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "processor": platform.machine(),
        },
        "seeds": {"run": plan.config.seed, "twins": list(range(plan.config.twins))},
        "process": {"pid": os.getpid(), "host": platform.node()},
        "kernels": {},
        "stages": {},
        "failures": [],
        "not_asked": {},
    }


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Replace manifest.json atomically."""
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json of a run folder; CorruptError where it is not one."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text("utf-8"))
        if not isinstance(manifest, dict) or not {"run_id", "status", "plan_hash"} <= manifest.keys():
            raise ValueError("keys are missing")
    except (OSError, ValueError) as error:
        raise CorruptError(f"{path} is not the manifest of a run: {error}", hint="name another run") from error
    return manifest


def resumable(concept_folder: Path, plan_hash: str) -> Path | None:
    """The newest unfinished run of the same plan that no living process is working on."""
    for path in sorted(concept_folder.glob("*/manifest.json"), reverse=True):
        try:
            manifest = read_manifest(path.parent)
        except CorruptError:
            continue
        if manifest["plan_hash"] == plan_hash and manifest["status"] in UNFINISHED and not _alive(manifest):
            return path.parent
    return None


def now() -> str:
    """UTC time, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_run_id(plan_hash: str) -> str:
    """Sortable by time, and telling the plan: 20260131-235959-1a2b3c4d."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{plan_hash[:8]}"


def _alive(manifest: Mapping[str, Any]) -> bool:
    process = manifest.get("process", {})
    if manifest["status"] != "running" or process.get("host") != platform.node() or process.get("pid") == os.getpid():
        return False
    try:
        os.kill(int(process["pid"]), 0)
    except (KeyError, TypeError, ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def git_state() -> dict[str, Any] | None:
    """Commit, and whether files differ from it, where the package is in a checkout of its own repository."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None

    def ask(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
