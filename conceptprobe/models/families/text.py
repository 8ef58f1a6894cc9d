"""Families of text models, encoders and decoders, without a language-modelling head.

A family that is not in the table is found by search: the one ModuleList that is as long as the model has layers. Either
way the shapes are checked when a model loads.
"""

from __future__ import annotations

import inspect
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal

from conceptprobe.errors import UsageError
from conceptprobe.models.families.base import Family, Projection

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TextFamily(Family):
    """One row: how to read a text model of this model_type. `norm` is empty for post-norm families, where `final` is
    the output of the last block."""

    _: KW_ONLY
    positions: bool = True
    """Takes position_ids (Bloom does not: its distances come from the attention mask)."""
    positions_after_pad: bool = False
    """Numbers positions from pad_token_id + 1, as fairseq did (RoBERTa)."""
    pads: bool = True
    """Padding can be masked. Where it cannot (a recurrent state reads it), a batch holds texts of one length."""
    causal: bool = False
    """No token sees a later one: what stands behind the words that are asked for need not be read."""
    reads_at: Literal["", "first", "eos", "last"] = ""
    """Position the model's own pooled output is read at: the first or the end-of-text token, or the last position,
    padding included; empty where it has none. `head` is what is applied there."""
    full_length: bool = False
    """Reads every text padded to the model's full length, and attends to the padding: so it was trained (SigLIP)."""


_ROWS = (
    TextFamily("bert", "encoder.layer", reads_at="first", head="pooler", switch=True),
    TextFamily("roberta", "encoder.layer", positions_after_pad=True, reads_at="first", head="pooler", switch=True),
    TextFamily("xlm-roberta", "encoder.layer", positions_after_pad=True, reads_at="first", head="pooler", switch=True),
    TextFamily(
        "mpnet", "encoder.layer", positions_after_pad=True, sdpa=False, reads_at="first", head="pooler", switch=True
    ),
    TextFamily("electra", "encoder.layer"),
    TextFamily("distilbert", "transformer.layer"),
    TextFamily("gpt2", "h", attn="attn", mlp="mlp", norm="ln_f", causal=True),
    TextFamily("gpt_neo", "h", norm="ln_f", sdpa=False, causal=True),
    TextFamily("gpt_neox", "layers", norm="final_layer_norm", causal=True),
    TextFamily("bloom", "h", norm="ln_f", positions=False, sdpa=False, causal=True),
    TextFamily("falcon", "h", norm="ln_f", causal=True),
    TextFamily("opt", "decoder.layers", norm="decoder.final_layer_norm", causal=True),
    TextFamily("llama", "layers", attn="self_attn", mlp="mlp", norm="norm", causal=True),
    TextFamily("mistral", "layers", norm="norm", causal=True),
    TextFamily("qwen2", "layers", norm="norm", causal=True),
    TextFamily("qwen3", "layers", norm="norm", causal=True),
    TextFamily("gemma", "layers", norm="norm", causal=True),
    TextFamily("gemma2", "layers", norm="norm", sdpa=False, causal=True),
    TextFamily("gemma3_text", "layers", norm="norm", causal=True),
    TextFamily("olmo", "layers", norm="norm", causal=True),
    TextFamily("olmo2", "layers", norm="norm", causal=True),
    TextFamily("phi", "layers", norm="final_layernorm", causal=True),
    TextFamily("phi3", "layers", norm="norm", causal=True),
    TextFamily("stablelm", "layers", norm="norm", causal=True),
    TextFamily(
        "clip_text_model",
        "encoder.layers",
        norm="final_layer_norm",
        causal=True,
        reads_at="eos",
        prefix="text_model",
        projection=Projection("CLIPTextModelWithProjection", "text_model", "text_projection"),
    ),
    TextFamily(
        "siglip_text_model",
        "encoder.layers",
        norm="final_layer_norm",
        positions=False,
        reads_at="last",
        head="head",
        full_length=True,
        prefix="text_model",
        net="SiglipTextModel",
    ),
)
FAMILIES: dict[str, TextFamily] = {row.model_type: row for row in _ROWS}

_RECURRENT = "it is recurrent: padding enters its state, so a batch would change the numbers"
UNSUPPORTED: dict[str, str] = dict.fromkeys(("mamba", "mamba2", "falcon_mamba", "rwkv", "recurrent_gemma"), _RECURRENT)
"""model_type -> why such a model is refused."""


def family(model_type: str) -> TextFamily | None:
    """The row of that model_type, or None: then `find_family` looks into the loaded model."""
    return FAMILIES.get(model_type)


def find_family(net: nn.Module, model_type: str, n_layers: int) -> TextFamily:
    """A row for a family that is not in the table, read off the loaded model.

    Raises UsageError unless exactly one ModuleList has `n_layers` entries.
    """
    from torch import nn

    found = [path for path, m in net.named_modules() if isinstance(m, nn.ModuleList) and len(m) == n_layers]
    if len(found) != 1:
        what = "no list of blocks" if not found else f"{len(found)} lists of blocks ({', '.join(found)})"
        raise UsageError(
            f"the family '{model_type}' is not in the table of models/families/text.py, and {what} was found in it",
            hint="add one row to that table",
        )
    return TextFamily(
        model_type,
        found[0],
        positions="position_ids" in inspect.signature(net.forward).parameters,
        sdpa=bool(getattr(net, "_supports_sdpa", False)),
    )
