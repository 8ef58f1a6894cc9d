"""Packages against what this project declares, and the one package that breaks others: torchvision."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from conceptprobe.doctor.examined import Check

PROJECT = "conceptprobe"
OPTIONAL = {
    "accelerate": "needed by --device-map and --quantize",
    "bitsandbytes": "needed by --quantize",
    "flash-attn": "needed by --attn flash_attention_2",
}
"""Packages that nothing needs by default, and what they are for."""

SECONDS = 120
"""For a process that imports torch and torchvision, on a slow disk."""
REMOVE = "pip uninstall torchvision: nothing here needs it; where other work does, install the build that belongs to this torch"


def packages() -> list[Check]:
    """Python, what the project requires, and what it can use beside that."""
    try:
        about = metadata.metadata(PROJECT)
    except metadata.PackageNotFoundError:
        return [
            _python(SpecifierSet()),
            Check("packages", PROJECT, "warning", "not installed as a package, so no versions are declared"),
        ]
    required = [_required(r) for line in about.get_all("Requires-Dist") or [] for r in _always(line)]
    named = {check.name for check in required}
    optional = [_optional(name, why) for name, why in OPTIONAL.items() if name not in named]
    return [_python(SpecifierSet(about["Requires-Python"] or "")), *required, *optional]


def _python(wanted: SpecifierSet) -> Check:
    here = platform.python_version()
    fits = wanted.contains(here, prereleases=True)
    return Check("packages", "python", "ok" if fits else "unsafe", here if fits else f"{here}, and {wanted} is needed")


def _always(line: str) -> Iterator[Requirement]:
    """The requirement, unless it belongs to an extra or to another system."""
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return
    if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
        yield requirement


def _required(requirement: Requirement) -> Check:
    hint = f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        here = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Check("packages", requirement.name, "unsafe", "not installed", hint)
    if not requirement.specifier.contains(here, prereleases=True):
        found = f"{here} is outside the range that was tested, {requirement.specifier}"
        return Check("packages", requirement.name, "unsafe", found, hint)
    return Check("packages", requirement.name, "ok", here)


def _optional(name: str, why: str) -> Check:
    try:
        return Check("packages", name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check("packages", name, "note", f"not installed; {why}")


def pictures() -> list[Check]:
    """torchvision, which transformers imports wherever it is installed: one that does not fit torch breaks all models.

    Its declared torch is compared, and it is imported in a process of its own, since half an import cannot be undone.
    """
    if find_spec("torchvision") is None:
        return [Check("torchvision", "torchvision", "ok", "not installed, and not needed")]
    reason = _mismatch() or _broken()
    version = _version("torchvision") or "of unknown version"
    if reason:
        found = f"{version} {reason}: no model of transformers can be loaded"
        return [Check("torchvision", "torchvision", "unsafe", found, REMOVE)]
    return [Check("torchvision", "torchvision", "ok", f"{version}, works with torch {_version('torch')}")]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _mismatch() -> str:
    """Why the two cannot fit by their versions; empty where they may."""
    torch = _version("torch")
    try:
        lines = metadata.requires("torchvision") or []
    except metadata.PackageNotFoundError:
        return ""
    wanted = next((r.specifier for line in lines for r in _always(line) if r.name == "torch"), SpecifierSet())
    public = torch.partition("+")[0]
    return (
        f"was built for torch {wanted}, not {torch}" if torch and not wanted.contains(public, prereleases=True) else ""
    )


def _broken() -> str:
    """Why it cannot be imported, or lacks its operators; empty where all is well."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "import torch, torchvision\n"
        "torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)\n"
    )
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"could not be imported within {SECONDS} s"
    if done.returncode == 0:
        return ""
    last = (done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"])[-1]
    return f"cannot be used with torch {_version('torch')} ({last})"
