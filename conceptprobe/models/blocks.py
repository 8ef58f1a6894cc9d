"""Where each family of transformers text models keeps what we read: one row per model_type, no branches.

Paths are attributes of the base model (AutoModel, without a head). A family that is not in the table is found by
search: the one ModuleList that is as long as the model has layers. Either way the shapes are checked when a model
loads (the idea is nnterp's). A family that needs an `if` needs a column here instead. Image models have a table of
their own, in image_blocks.py.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from conceptprobe.errors import UsageError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Projection:
    """A linear map of a tower's pooled output onto the space it shares with another tower."""

    net: str
    """The class of transformers that loads a tower with it."""
    trunk: str
    """Path of the tower in that class."""
    layer: str
    """Path of the map in that class, and its name in the file."""


@dataclass(frozen=True)
class Family:
    """One row: how to read a model of this model_type."""

    model_type: str
    blocks: str
    """Path of the ModuleList of blocks."""
    norm: str = ""
    """Path of the norm after the last block; empty for post-norm families, where `final` is the last block's output."""
    positions: bool = True
    """Takes position_ids (Bloom does not: its distances come from the attention mask)."""
    positions_after_pad: bool = False
    """Numbers positions from pad_token_id + 1, as fairseq did (RoBERTa)."""
    causal: bool = False
    """No token sees a later one: what stands behind the words that are asked for need not be read."""
    sdpa: bool = True
    """Takes torch's scaled_dot_product_attention in transformers; else eager attention."""
    reads_at: Literal["", "first", "eos", "last"] = ""
    """Position the model's own pooled output is read at: the first or the end-of-text token, or the last position,
    padding included; empty where it has none."""
    head: str = ""
    """Path of what is applied there. The site `pooled` exists where its weights are in the file."""
    switch: bool = False
    """Is loaded without that head by `add_pooling_layer=False`."""
    full_length: bool = False
    """Reads every text padded to the model's full length, and attends to the padding: so it was trained (SigLIP)."""
    prefix: str = ""
    """Where a file that holds another tower as well keeps this one."""
    net: str = "AutoModel"
    """The class of transformers that loads it."""
    projection: Projection | None = None


_ROWS = (
    Family("bert", "encoder.layer", reads_at="first", head="pooler", switch=True),
    Family("roberta", "encoder.layer", positions_after_pad=True, reads_at="first", head="pooler", switch=True),
    Family("xlm-roberta", "encoder.layer", positions_after_pad=True, reads_at="first", head="pooler", switch=True),
    Family(
        "mpnet", "encoder.layer", positions_after_pad=True, sdpa=False, reads_at="first", head="pooler", switch=True
    ),
    Family("electra", "encoder.layer"),
    Family("distilbert", "transformer.layer"),
    Family("gpt2", "h", "ln_f", causal=True),
    Family("gpt_neo", "h", "ln_f", sdpa=False, causal=True),
    Family("gpt_neox", "layers", "final_layer_norm", causal=True),
    Family("bloom", "h", "ln_f", positions=False, sdpa=False, causal=True),
    Family("falcon", "h", "ln_f", causal=True),
    Family("opt", "decoder.layers", "decoder.final_layer_norm", causal=True),
    Family("llama", "layers", "norm", causal=True),
    Family("mistral", "layers", "norm", causal=True),
    Family("qwen2", "layers", "norm", causal=True),
    Family("qwen3", "layers", "norm", causal=True),
    Family("gemma", "layers", "norm", causal=True),
    Family("gemma2", "layers", "norm", sdpa=False, causal=True),
    Family("gemma3_text", "layers", "norm", causal=True),
    Family("olmo", "layers", "norm", causal=True),
    Family("olmo2", "layers", "norm", causal=True),
    Family("phi", "layers", "final_layernorm", causal=True),
    Family("phi3", "layers", "norm", causal=True),
    Family("stablelm", "layers", "norm", causal=True),
    Family(
        "clip_text_model",
        "encoder.layers",
        "final_layer_norm",
        causal=True,
        reads_at="eos",
        prefix="text_model",
        projection=Projection("CLIPTextModelWithProjection", "text_model", "text_projection"),
    ),
    Family(
        "siglip_text_model",
        "encoder.layers",
        "final_layer_norm",
        positions=False,
        reads_at="last",
        head="head",
        full_length=True,
        prefix="text_model",
        net="SiglipTextModel",
    ),
)
FAMILIES: dict[str, Family] = {row.model_type: row for row in _ROWS}

_RECURRENT = "it is recurrent: padding enters its state, so a batch would change the numbers"
UNSUPPORTED: dict[str, str] = dict.fromkeys(("mamba", "mamba2", "falcon_mamba", "rwkv", "recurrent_gemma"), _RECURRENT)
"""model_type -> why such a model is refused."""


def family(model_type: str) -> Family | None:
    """The row of that model_type, or None: then `find_family` looks into the loaded model."""
    return FAMILIES.get(model_type)


def find_family(net: nn.Module, model_type: str, n_layers: int) -> Family:
    """A row for a family that is not in the table, read off the loaded model.

    Raises UsageError unless exactly one ModuleList has `n_layers` entries.
    """
    from torch import nn

    found = [path for path, m in net.named_modules() if isinstance(m, nn.ModuleList) and len(m) == n_layers]
    if len(found) != 1:
        what = "no list of blocks" if not found else f"{len(found)} lists of blocks ({', '.join(found)})"
        raise UsageError(
            f"the family '{model_type}' is not in the table of models/blocks.py, and {what} was found in it",
            hint="add one row to that table",
        )
    return Family(
        model_type,
        found[0],
        positions="position_ids" in inspect.signature(net.forward).parameters,
        sdpa=bool(getattr(net, "_supports_sdpa", False)),
    )


class HasBlocks(Protocol):
    """What is asked of a row of a table of families."""

    @property
    def model_type(self) -> str:
        """Name of the family."""
        ...

    @property
    def blocks(self) -> str:
        """Path of the list of blocks; `*` stands for every entry of a list on the way."""
        ...


def blocks_of(net: nn.Module, row: HasBlocks, n_layers: int, model_name: str) -> list[nn.Module]:
    """The blocks, in order. Raises UsageError when the path does not lead to `n_layers` of them."""
    try:
        blocks: list[nn.Module] = [block for found in all_at_path(net, row.blocks) for block in found]
    except (AttributeError, TypeError):
        blocks = []
    if len(blocks) != n_layers:
        raise UsageError(
            f"'{model_name}' ({row.model_type}): {len(blocks)} blocks at '{row.blocks}', but {n_layers} in its files",
            hint="this version of transformers names its modules otherwise: correct its row in the table of families",
        )
    return blocks


def at_path(root: Any, path: str) -> Any:
    """The attribute a dotted path leads to; the root for an empty path."""
    (found,) = all_at_path(root, path)
    return found


def all_at_path(root: Any, path: str) -> list[Any]:
    """Everything a dotted path leads to, in order; `*` stands for every entry of a list."""
    found = [root]
    for part in path.split(".") if path else ():
        found = [entry for f in found for entry in f] if part == "*" else [getattr(f, part) for f in found]
    return found
