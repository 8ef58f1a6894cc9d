"""The answer of a proof: one `Check` per question, the errors of every site, and whether the model is safe to use."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from conceptprobe.files import finite

QUESTIONS: dict[str, str] = {
    "loads": "can be loaded and read",
    "shown": "stimuli it was shown",
    "blocks": "blocks found, run once each, in order",
    "sites": "sites and their widths",
    "finite": "every state is finite",
    "runs": "every row is finite",
    "hidden_states": "agrees with transformers' hidden_states",
    "branches": "branches add up to the stream",
    "tokenizer": "tokenizer is the model's",
    "bos": "at most one begin-of-text",
    "special": "special tokens are masked",
    "offsets": "characters of every token",
    "terms": "tokens of each term",
    "reading": "rows are those of transformers alone",
    "batching": "batches as single stimuli",
    "padding_right": "padded on the right as single",
    "padding_left": "padded on the left as single",
    "position_ids": "position ids matter",
    "fused": "fused attention as eager",
    "eager_float64": "eager float32 against float64",
    "fused_float64": "float32 as run against float64",
    "dtype": "the dtype asked for, against float32",
    "speed": "how fast",
}
"""Name of a check -> what it asks, in the order in which they are shown."""


@dataclass(frozen=True)
class Check:
    """One question. `passed` is None where it tells something and decides nothing, or cannot be asked; `note` says which."""

    name: str
    passed: bool | None
    note: str = ""
    error: float | None = None
    """Largest difference, relative to the largest value of its site; None where the check measures none."""
    limit: float | None = None
    """What the error may be."""


@dataclass(frozen=True)
class SiteError:
    """One site: its width, and how far each way of computing it lies from float64, relative to its largest value."""

    site: str
    width: int
    eager: float | None = None
    """The plain reference in float32; None where float64 was not computed, as below."""
    fused: float | None = None
    """This project's rows in float32, with the kernel it chose."""
    asked: float | None = None
    """This project's rows in the dtype that was asked for; None where that is float32."""


@dataclass(frozen=True)
class Proof:
    """What was found out about one model, or one tower of a model, on this machine."""

    model: str
    family: str
    modality: str
    revision: str
    sha256: str
    n_layers: int
    d_model: int
    dtype: str
    device: str
    kernel: str
    checks: tuple[Check, ...]
    sites: tuple[SiteError, ...] = ()

    @property
    def safe(self) -> bool:
        """No check failed."""
        return all(check.passed is not False for check in self.checks)

    @property
    def reason(self) -> str:
        """What failed, and why; empty for a model that is safe to use."""
        return "; ".join(f"{c.name}: {c.note}" for c in self.checks if c.passed is False)

    def check(self, name: str) -> Check | None:
        """The check of that name, or None where it was not made."""
        return next((check for check in self.checks if check.name == name), None)

    def record(self) -> dict[str, Any]:
        """For JSON: every field, and the verdict; a number that is not finite is null."""
        return finite({**asdict(self), "safe": self.safe, "reason": self.reason})
