"""The arithmetic of pooling, in one place: every pooling is a row of weights over tokens, so that one matrix product
pools a batch for all of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.errors import UsageError, did_you_mean
from conceptprobe.models.base import ALL_POOLINGS, Model, ModelSpec, Pooling

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from conceptprobe.stimuli.stimulus import Stimulus


def pooling_weights(
    poolings: Sequence[Pooling],
    *,
    real: Bool[np.ndarray, "b t"],
    content: Bool[np.ndarray, "b t"],
    in_span: Bool[np.ndarray, "b t"],
    of_picture: Bool[np.ndarray, "b t"] | None = None,
) -> Float[np.ndarray, "b p t"]:
    """Weights over tokens, one row per pooling; each row sums to 1, or to 0 where the pooling has no token.

    `real`: not padding. `content`: real and not special. `in_span`: content tokens of the concept word. `of_picture`:
    content tokens that a picture became; None where there is none.
    """
    shown = np.zeros_like(content) if of_picture is None else of_picture
    chosen = {
        "concept_span": in_span,
        "context": content & ~in_span,
        "last": _one(content, last=True),
        "mean": content,
        "cls": _one(real, last=False),
        "image_tokens": shown,
        "text_tokens": content & ~shown,
    }
    picked = np.stack([chosen[p] for p in poolings], axis=1).astype(np.float32)
    return picked / np.maximum(picked.sum(-1, keepdims=True), 1.0)


def check_asked(model: Model | ModelSpec, stimuli: Sequence[Stimulus], poolings: Sequence[str]) -> None:
    """UsageError where the model cannot do what is asked of it, said before anything is computed.

    Checks the names of the poolings, that the model offers them, that it reads the modality of every stimulus, and that
    the stimuli have the spans a pooling needs.
    """
    check_poolings(poolings)
    info = model.info
    reads = ", ".join(info.modalities)
    refused = next((p for p in poolings if p not in model.poolings), None)
    if refused is not None:
        raise UsageError(
            f"'{info.name}' ({reads}) has no pooling '{refused}'", hint=f"it offers {', '.join(model.poolings)}"
        )
    other = next((s for s in stimuli if s.modality not in info.modalities), None)
    if other is not None:
        raise UsageError(
            f"'{info.name}' reads {reads}, and stimulus '{other.id}' is {other.modality}",
            hint="name a model of that modality",
        )
    beside = next((s for s in stimuli if s.text and "text_tokens" not in model.poolings), None)
    if beside is not None:
        raise UsageError(
            f"'{info.name}' reads a picture alone, and stimulus '{beside.id}' has a text beside it",
            hint="name an image-text model, such as LLaVA or Qwen2.5-VL",
        )
    check_spans(stimuli, poolings)


def check_poolings(poolings: Sequence[str]) -> None:
    """UsageError for a name that is no pooling, or for none at all."""
    if not poolings:
        raise UsageError("no pooling was named", hint=f"one of {', '.join(ALL_POOLINGS)}")
    for name in poolings:
        if name not in ALL_POOLINGS:
            raise UsageError(
                f"no pooling named '{name}'.{did_you_mean(name, ALL_POOLINGS)}",
                hint=f"one of {', '.join(ALL_POOLINGS)}",
            )


def check_spans(stimuli: Sequence[Stimulus], poolings: Sequence[str]) -> None:
    """UsageError naming the first stimulus that lacks the span a pooling needs."""
    needed = [p for p in poolings if p in ("concept_span", "context")]
    bare = next((s for s in stimuli if s.span is None), None) if needed else None
    if bare is not None:
        raise UsageError(
            f"stimulus '{bare.id}' has no span, which the pooling '{needed[0]}' needs", hint="pool by mean, last or cls"
        )


def check_filled(stimuli: Sequence[Stimulus], poolings: Sequence[str], weights: Float[np.ndarray, "b p t"]) -> None:
    """UsageError naming the first stimulus for which a pooling has no token to pool."""
    empty = np.argwhere(weights.sum(-1) == 0)
    if len(empty):
        row, column = empty[0]
        stimulus = stimuli[row]
        raise UsageError(
            f"stimulus '{stimulus.id}' has no token to pool by '{poolings[column]}': {stimulus.content[:60]!r}",
            hint="an empty text, a span of blanks, or nothing beside the span: correct the stimulus or pool by mean",
        )


def _one(mask: Bool[np.ndarray, "b t"], *, last: bool) -> Bool[np.ndarray, "b t"]:
    """Only the first (or last) true entry of each row."""
    counted = np.cumsum(mask[:, ::-1], axis=1)[:, ::-1] if last else np.cumsum(mask, axis=1)
    return mask & (counted == 1)
