"""The table of text families, of `decoders` and `encoders` together.

A family that is not in it is explored when a model of it loads (`explore`). Either way the shapes are checked.
"""

from __future__ import annotations

from conceptprobe.models.families.decoders import DECODERS
from conceptprobe.models.families.encoders import ENCODERS, OF_ENCODER_DECODERS, TOWERS
from conceptprobe.models.families.text_base import TextFamily

__all__ = ["FAMILIES", "UNSUPPORTED", "TextFamily", "family"]

FAMILIES: dict[str, TextFamily] = {row.model_type: row for row in (*DECODERS, *ENCODERS, *OF_ENCODER_DECODERS, *TOWERS)}

UNSUPPORTED: dict[str, str] = {"albert": "its blocks share their weights: one module runs at every depth"}
"""model_type -> why such a model is refused."""


def family(model_type: str) -> TextFamily | None:
    """The row of that model_type, or None: then `explore` looks into the loaded model."""
    return FAMILIES.get(model_type)
