"""A text family that is not in the table: its blocks are found by watching a short text pass through the loaded model."""

from __future__ import annotations

from typing import Any

from conceptprobe.models.families.text_base import TextFamily
from conceptprobe.models.families.watch import Trial, find_blocks

_SHOWN = (2, 5)
"""Texts and tokens of the trial: a list whose members keep [2, 5, d] keeps [b, t, d]."""
_HINT = "a row in models/families/decoders.py or encoders.py says where its blocks are"


def find_family(net: Any, model_type: str, n_layers: int) -> TextFamily:
    """A row for a family that is not in the table, read off the loaded model.

    Nothing is assumed of padding, positions or kernels: batches hold texts of one length. Raises UsageError where
    `find_blocks` does: no list of blocks, or more than one, or another depth than config.json says.
    """
    import torch

    ids = torch.arange(_SHOWN[0] * _SHOWN[1], device=net.device).reshape(_SHOWN) % net.config.vocab_size
    trial = Trial(
        model_type,
        {"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        "text",
        keeps=lambda shape: len(shape) == len(_SHOWN) + 1 and shape[:2] == _SHOWN,
        hint=_HINT,
    )
    return TextFamily(model_type, find_blocks(net, trial, n_layers).path, positions=False, pads=False, sdpa=False)
