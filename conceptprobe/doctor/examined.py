"""What was found of the machine: one line a thing, and whether all of it is safe to use."""

from __future__ import annotations

from dataclasses import dataclass
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
