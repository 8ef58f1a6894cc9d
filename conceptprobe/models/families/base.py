"""The columns that rows of every modality share, and the walk along a path of modules."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

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
    """One row: how to read a model of this model_type. Paths are attributes of the network that runs."""

    model_type: str
    blocks: str
    """Path of the list of blocks; `*` stands for every entry of a list on the way."""
    _: KW_ONLY
    attn: str = ""
    """Path within a block of the module whose output is what attention adds to the residual stream (the site
    `attn_out.i`; a norm or a scale between attention and the sum belongs to it); empty where no module has it."""
    mlp: str = ""
    """The same of the feed-forward layer (`mlp_out.i`)."""
    norm: str = ""
    """Path of the norm after the last block, where it is one by itself."""
    sdpa: bool = True
    """Takes torch's scaled_dot_product_attention in transformers; else eager attention."""
    not_eager: str = ""
    """Entry of the configuration that, where true, transformers' eager attention gets wrong (Falcon adds ALiBi twice)."""
    head: str = ""
    """The layer the pooled output comes from, where it is one with weights: `pooled` exists where the file has them."""
    switch: bool = False
    """Is loaded without that layer by `add_pooling_layer=False`."""
    prefix: str = ""
    """Where a file that holds a head or another tower keeps this network."""
    net: str = "AutoModel"
    """The class of transformers that loads it."""
    trunk: str = ""
    """Path, in that class, of the part that runs: the encoder of an encoder-decoder. Empty for the whole."""
    projection: Projection | None = None
    unread: tuple[str, ...] = ()
    """Beginnings of names, in that class, of tensors that reading never uses (the decoder of an encoder that is read
    alone, what training puts in place of masked frames): a file may lack them."""
    example: str = ""
    """A model of the family on the hub."""


def eager_fails(row: Family, config: Any) -> bool:
    """Whether a model of this configuration must not be run in eager attention, not even as a reference."""
    return bool(row.not_eager) and bool(getattr(config, row.not_eager, False))


def blocks_of(net: nn.Module, row: Family, n_layers: int, model_name: str) -> list[nn.Module]:
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


def branches_of(blocks: list[nn.Module], row: Family, model_name: str) -> dict[str, nn.Module]:
    """{`attn_out.i` and `mlp_out.i`: module whose output is that}. Raises UsageError where a path leads nowhere."""
    found: dict[str, nn.Module] = {}
    for kind, path in (("attn_out", row.attn), ("mlp_out", row.mlp)):
        for i, block in enumerate(blocks if path else ()):
            try:
                found[f"{kind}.{i}"] = at_path(block, path)
            except AttributeError as error:
                raise UsageError(
                    f"'{model_name}' ({row.model_type}): block {i} has no module at '{path}'",
                    hint="this version of transformers names its modules otherwise: correct its row in the table",
                ) from error
    return found


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
