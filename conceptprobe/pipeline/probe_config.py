"""What `conceptprobe probe` was asked, every field with the range it may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from conceptprobe import registry
from conceptprobe.errors import UsageError

RIDGE, ALL = "ridge", "all"
DETAIL_DRAWS = 99
"""Draws of rows beside the headline: enough for p = 0.01; the width of their intervals follows ridge's null."""
LEAST_DRAWS, USUAL_DRAWS = 20, 999


@dataclass(frozen=True)
class ProbeConfig:
    """What was asked. `kinds`: the first is the headline. `pair`, `item`, `crossed`: names of columns, or empty."""

    x: Path
    labels: Path
    label: str = "label"
    positive: str = ""
    groups: tuple[str, ...] = ()
    pair: str = ""
    item: str = ""
    crossed: str = ""
    sites: tuple[str, ...] = ()
    kinds: tuple[str, ...] = (RIDGE,)
    permutations: int = USUAL_DRAWS
    smallest_effect: float = 0.10
    seed: int = 0

    def checked(self) -> ProbeConfig:
        """The same with kinds by name, each once, and groups in alphabetical order; UsageError for what cannot be done."""
        if self.permutations < LEAST_DRAWS:
            raise UsageError(
                f"--permutations {self.permutations}: the smallest p would be {1 / (self.permutations + 1):.3f}, "
                "so nothing could ever be found",
                hint=f"at least {LEAST_DRAWS}; {USUAL_DRAWS} are usual",
            )
        if not 0.0 < self.smallest_effect < 0.5:
            raise UsageError(
                f"--smallest-effect {self.smallest_effect}: an AUROC is at most 0.5 above chance",
                hint="a number between 0 and 0.5; 0.10 is the rule here",
            )
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed} is negative", hint="0 or more")
        return replace(self, kinds=probe_kinds(self.kinds), groups=tuple(sorted(set(self.groups))))


def probe_kinds(names: Sequence[str]) -> tuple[str, ...]:
    """Names of probes for rows of vectors, each once; `all` is every one that is registered, ridge first."""
    known = {name: entry for name, entry in registry.entries("probe").items() if not entry.about.get("positions")}
    out: list[str] = []
    for name in names or (RIDGE,):
        if name != ALL and name not in known:
            registry.get("probe", name)  # an unknown name is met with the nearest one
            raise UsageError(
                f"probe '{name}' reads token positions, and these arrays have one row per stimulus",
                hint=f"one of {', '.join(known)}, or all",
            )
        out += [RIDGE, *known] if name == ALL else [name]
    return tuple(dict.fromkeys(out))
