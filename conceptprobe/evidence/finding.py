"""Finding: the one type of every answer, with its reference, its null, its n and its interval."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

Verdict = Literal["supported", "absent", "inconclusive", "detail"]

QUESTIONS: dict[str, str] = {
    "encoded": "Is the concept linearly there?",
    "beyond_words": "Is it more than word statistics?",
    "shared": "Do models agree on it?",
    "crossmodal": "Do modalities agree on it?",
    "decomposed": "Does it decompose?",
    "causal": "Does it do anything?",
    "emergent": "When does it appear?",
}
"""The evidence ladder, in order: name -> the question in a person's words."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One row. `effect` is `estimate - reference`; the interval (95%, two-sided) is the effect's.

    `headline` rows were declared before data were seen, and only they carry a verdict; other rows have the verdict
    `detail`. `units` is the number of independent units per class, `n` the number of rows. `p` is the add-one p of the
    exchange named in DESIGN's procedures, `q` its Benjamini-Hochberg value among the headline rows of one question
    (nan where the row has none). `note` is a full sentence or empty. `kind_a`, `kind_b` say what the models are
    (trained, twin, static).
    """

    run_id: str
    concept: str
    question: str
    headline: bool
    model_a: str
    model_b: str
    kind_a: str
    kind_b: str
    modality_a: str
    modality_b: str
    site_a: str
    site_b: str
    metric: str
    split: str
    estimate: float
    reference: float
    reference_kind: str
    effect: float
    ci_low: float
    ci_high: float
    null_mean: float
    null_q95: float
    p: float
    q: float
    n: int
    units: int
    smallest_effect: float
    verdict: Verdict
    note: str


COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(Finding))
