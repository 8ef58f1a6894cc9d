"""What `conceptprobe align` was asked, every field with the range it may have, and the metrics it named with their settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from conceptprobe import registry
from conceptprobe.errors import UsageError
from conceptprobe.pipeline.probe_config import ALL, LEAST_DRAWS, USUAL_DRAWS

if TYPE_CHECKING:
    from conceptprobe.alignment.base import Metric

USUAL = ("cka", "mutual_knn", "rsa")
"""Defined for a dozen items or more in any number of dimensions, and each of another kind."""


@dataclass(frozen=True)
class AlignConfig:
    """What was asked. `groups`: a table with one row per row of the arrays; `group`, `focus`: names of its columns, or empty.

    `sites` keeps only these, in whatever files have them; `k`: neighbours, for metrics that have such a setting.
    """

    files: tuple[Path, ...]
    metrics: tuple[str, ...] = USUAL
    sites: tuple[str, ...] = ()
    groups: Path | None = None
    group: str = ""
    focus: str = ""
    permutations: int = USUAL_DRAWS
    k: int | None = None
    seed: int = 0

    def checked(self) -> AlignConfig:
        """The same with metrics by name, each once; UsageError for what cannot be done."""
        if len(self.files) < 2:
            raise UsageError(
                f"{len(self.files)} file: alignment compares two or more",
                hint="conceptprobe align A.npy B.npy; sites of one file are compared by naming it twice",
            )
        if self.permutations < LEAST_DRAWS:
            raise UsageError(
                f"--permutations {self.permutations}: the smallest p would be {1 / (self.permutations + 1):.3f}, "
                "so nothing could ever be found",
                hint=f"at least {LEAST_DRAWS}; {USUAL_DRAWS} are usual",
            )
        if self.k is not None and self.k < 1:
            raise UsageError(f"--k {self.k}: a list of neighbours has one or more", hint="10 is usual")
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed} is negative", hint="0 or more")
        if self.groups is None and (self.group or self.focus):
            option = "--group" if self.group else "--focus"
            raise UsageError(
                f"{option} {self.group or self.focus}: a column of which table?",
                hint="--groups TABLE, with one row per row of the arrays",
            )
        if self.groups is not None and not (self.group or self.focus):
            raise UsageError(
                f"--groups {self.groups}: which of its columns?",
                hint="--group COLUMN averages the rows of one item; --focus COLUMN says which items ask",
            )
        if self.group and self.group == self.focus:
            raise UsageError(f"'{self.group}' cannot name the items and say which of them ask", hint="two columns")
        return replace(self, metrics=metric_names(self.metrics))


@dataclass(frozen=True)
class Chosen:
    """A metric with its settings, and what its author says of it."""

    name: str
    metric: Metric
    closer: str
    symmetric: bool
    local: bool

    @property
    def sign(self) -> float:
        """+1 where large values mean alike, -1 for a distance."""
        return -1.0 if self.closer == "lower" else 1.0

    @property
    def k(self) -> int | None:
        """Neighbours, where the metric has them."""
        value = getattr(self.metric, "k", None)
        return value if isinstance(value, int) else None


def metric_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of metrics, each once; `all` is every one that is registered, the usual ones first."""
    known = registry.entries("metric")
    out: list[str] = []
    for name in names or USUAL:
        if name == ALL:
            out += [*USUAL, *known]
        else:
            registry.get("metric", name)  # an unknown name is met with the nearest one
            out.append(name)
    return tuple(dict.fromkeys(out))


def chosen_metrics(config: AlignConfig) -> list[Chosen]:
    """The metrics of a checked configuration, with `k` where they have that setting."""
    known = registry.entries("metric")
    return [
        Chosen(
            name,
            _with_k(known[name].value, config.k),
            str(known[name].about.get("closer", "higher")),
            bool(known[name].about.get("symmetric", True)),
            bool(known[name].about.get("local", False)),
        )
        for name in config.metrics
    ]


def _with_k(metric: Metric, k: int | None) -> Metric:
    if k is None or not is_dataclass(metric) or "k" not in {field.name for field in fields(metric)}:
        return metric
    return replace(metric, k=k)
