"""A frozen plan as a file: what it holds, and how it is read back. Untrusted JSON: checked field by field, never run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from conceptprobe.errors import MissingError, UsageError, did_you_mean
from conceptprobe.models.options import Attention, Dtype, Quantization, Truncation

MOST_BYTES = 20_000_000
"""A plan of a hundred models takes a tenth of a megabyte; a larger file is something else, and is not read."""
_REFREEZE = "`conceptprobe plan CONCEPT --freeze FILE` makes one"
Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class FrozenConcept(_Part):
    """The concept; `file` is the name or path that was typed."""

    id: str
    name: str
    version: str
    file: str


class FrozenSettings(_Part):
    """Options of the run, as `RunConfig` documents them."""

    models: tuple[str, ...]
    background: str
    questions: tuple[str, ...]
    twins: int
    permutations: int
    seed: int
    human: str | None = None
    """Where the tables of human judgements lay; what they hold is in `FrozenPlan.judgements`."""
    dtype: Dtype = "float32"
    quantize: Quantization = ""
    device: str = "auto"
    device_map: Literal["", "auto"] = ""
    attn: Attention = "auto"
    chat: bool = False
    prefix: str = ""
    truncate: Truncation = ""
    revision: str = ""
    """As typed; what it meant is in `FrozenPlan.models`."""


class FrozenModel(_Part):
    """One tower of a model, or a random twin; sha256 over weights, configuration and tokenizer or processor."""

    kind: Literal["trained", "twin", "static"]
    source: str
    revision: str
    sha256: str = Sha256
    lineage: tuple[str, ...]


class FrozenSet(_Part):
    """A stimulus set: number of stimuli and sha256 of their content."""

    n: int
    fingerprint: str = Sha256


class FrozenTable(_Part):
    """A table of human word similarities: number of pairs and sha256 of its name and pairs."""

    n: int
    fingerprint: str = Sha256


class FrozenRule(_Part):
    """How a question is answered, for people; the code's hash is what binds."""

    row: str
    site: str
    metric: str
    reference: str
    null: str
    interval: str


class FrozenPower(_Part):
    """What one kind of headline row can find; null where nothing was simulated or nothing can be found."""

    question: str
    row: str
    rows: int
    units: int
    smallest_effect: float
    simulated: str
    not_simulated: str
    detectable: float | None
    detectable_if_wide: float | None
    p_absent_if_none: float | None
    p_supported_at_smallest: float | None
    units_for_twice: int | None
    units_for_absent: int | None


class FrozenGit(_Part):
    """The commit of the code's checkout, and whether files differed from it."""

    commit: str
    dirty: bool


class FrozenCode(_Part):
    """sha256 of the source of statistics, probes and evidence (findings) and of what turns stimuli into numbers."""

    findings: str = Sha256
    extraction: str = Sha256
    git: FrozenGit | None


class FrozenSeen(_Part):
    """Runs of stimuli of this plan that the results folder held when it was frozen: ids of finished ones, number of
    unfinished ones."""

    results: str
    finished: tuple[str, ...]
    unfinished: int


class FrozenPlan(_Part):
    """Everything that decides the findings, fixed before they are seen; `models` by name and modality."""

    format: Literal["conceptprobe frozen plan 1"]
    frozen: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")
    """UTC, to the second."""
    concept: FrozenConcept
    settings: FrozenSettings
    smallest_effect: dict[str, float]
    splits: dict[str, int]
    rules: dict[str, FrozenRule]
    power: tuple[FrozenPower, ...]
    models: dict[str, FrozenModel]
    stimuli: dict[str, FrozenSet]
    pool: str | None
    """sha256 over the sets of the background; none where no question reads it."""
    judgements: dict[str, FrozenTable] = Field(default_factory=dict)
    """By name; a plan that was frozen without any has none."""
    code: FrozenCode
    plan_hash: str = Sha256
    """Of the run: the ids of its folders end with its beginning."""
    seen: FrozenSeen
    sha256: str = Sha256
    """Of all of the above as canonical JSON: keys sorted, no blanks, other characters escaped."""


@dataclass(frozen=True)
class PlanFile:
    """A frozen plan, where it was read, and its bytes."""

    path: Path
    plan: FrozenPlan
    content: bytes

    @property
    def title(self) -> str:
        """`plan.json (1a2b3c4d, frozen 2026-01-31)`."""
        return f"{self.path} ({self.plan.sha256[:8]}, frozen {self.plan.frozen[:10]})"


def canonical_sha256(content: Mapping[str, Any]) -> str:
    """sha256 of a plan's content without its own `sha256`. ValueError where a number is not finite."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_frozen(path: Path) -> PlanFile:
    """A frozen plan from its file.

    Raises MissingError where there is none, UsageError where it is no frozen plan or was changed after it was frozen.
    """
    raw = _bytes(path)
    try:
        content = json.loads(raw)
        if not isinstance(content, dict) or not isinstance(content.get("sha256"), str) or "frozen" not in content:
            raise ValueError("it lacks what a frozen plan begins with")
        found = canonical_sha256(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a frozen plan: {error}", hint=_REFREEZE) from error
    if found != content["sha256"]:
        raise UsageError(
            f"{path} was changed after it was frozen: it names sha256 {content['sha256'][:12]}, its content has {found[:12]}",
            hint="take the plan as it was frozen; a plan that has to change is frozen anew",
        )
    try:
        return PlanFile(path, FrozenPlan.model_validate(content), raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path} is not a frozen plan: {place}: {first['msg'].lower()}", hint=_REFREEZE) from error


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(
                f"{path} is not a frozen plan: it is larger than {MOST_BYTES // 1_000_000} MB", hint=_REFREEZE
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        beside = [p.name for p in path.parent.glob("*.json")] if path.parent.is_dir() else []
        raise MissingError(f"no plan file '{path}'.{did_you_mean(path.name, beside)}", hint=_REFREEZE) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}", hint="--plan names a file") from error
