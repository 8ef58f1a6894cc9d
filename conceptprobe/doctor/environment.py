"""The machine, looked at part by part: what is here, what is not, and what of it is not safe to use.

Nothing is loaded or downloaded, and transformers is not imported: a broken environment is to be described, not met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "note", "warning", "unsafe"]
"""`note`: absent, and nothing needs it; `warning`: something will be slower or unavailable; `unsafe`: do not go on."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `found` says what it is, or why it is not; `hint` what to do."""

    part: str
    name: str
    state: State
    found: str
    hint: str = ""


@dataclass(frozen=True)
class Examined:
    """All checks, part by part."""

    checks: tuple[Check, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why this environment is not safe to use; empty where it is."""
        return tuple(f"{check.name}: {check.found}" for check in self.checks if check.state == "unsafe")

    @property
    def safe(self) -> bool:
        """Whether models can be loaded and numbers trusted here, as far as this can be seen without a model."""
        return not self.reasons

    @property
    def verdict(self) -> str:
        """One line."""
        warnings = sum(check.state == "warning" for check in self.checks)
        said = f", with {warnings} warning{'s' * (warnings != 1)}" if warnings else ""
        return f"safe to use{said}" if self.safe else f"not safe to use: {'; '.join(self.reasons)}"


def examine(*, offline: bool = False, hub_cache: Path | None = None) -> Examined:
    """Look at everything; a few seconds. `offline`: the hub is not asked; `hub_cache`: where downloads go, if elsewhere."""
    from conceptprobe.doctor.devices import attention, devices
    from conceptprobe.doctor.packages import packages, pictures
    from conceptprobe.doctor.places import caches, hub

    parts: Mapping[str, Callable[[], list[Check]]] = {
        "packages": packages,
        "torchvision": pictures,
        "devices": devices,
        "attention": attention,
        "caches": lambda: caches(hub_cache),
        "hub": lambda: hub(offline),
    }
    return Examined(tuple(check for name, look in parts.items() for check in _looked(name, look)))


def _looked(part: str, look: Callable[[], list[Check]]) -> list[Check]:
    """What a look gives; where it fails itself, that is what was found."""
    try:
        return look()
    except Exception as error:  # a broken package raises anything when it is touched, and that is the finding
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        return [Check(part, part, "unsafe", f"cannot be examined: {why}", "reinstall what the message names")]
