"""A folder with an image model, or the image tower of a joint one, -> an ImageSpec, without loading it.

Hashes what decides the numbers: weights, configuration, and the settings of the picture processor.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models.checkpoint import Checkpoint, first_number
from conceptprobe.models.families.image import IMAGE_FAMILIES, ImageFamily, unexplored
from conceptprobe.models.formats import Shapes, count_blocks, count_parameters, without_prefix
from conceptprobe.models.media_folder import MediaSpec
from conceptprobe.models.processor import processor_settings
from conceptprobe.models.sites import branch_kinds

if TYPE_CHECKING:
    from conceptprobe.models.image import ImageModel

CHANNELS = 3
_DEPTHS = ("num_hidden_layers", "num_layers", "n_layers", "depth")
_WIDTHS = ("hidden_size", "embed_dim", "d_model", "dim")
_CLASS_TOKEN = re.compile(r"(.*embed[^.]*\.)?(cls_token|class_token|class_embedding|cls_embedding)(\.weight)?")
"""At the top of a network or in its embeddings: a class token in a head (AIMv2) is none among the patches."""


@dataclass(frozen=True)
class ImageSpec(MediaSpec):
    """A transformers image model on disk, or its untrained twin (`seed` is not None)."""

    has_pooler: bool = False
    """The file holds the layer that the pooled output comes from, if that has one of its own."""

    def load(self) -> ImageModel:
        """The model in memory: no head, no gradients. The heavy step."""
        from conceptprobe.models.image import load_image_model

        return load_image_model(self)

    @property
    def drawn(self) -> dict[str, str]:
        """What decides the numbers of a twin, beside its seed and the options."""
        return {**super().drawn, "pooler": str(self.has_pooler)}


def image_spec(checkpoint: Checkpoint) -> ImageSpec:
    """The checked spec of an image model, or of the image tower of a joint one.

    Raises MissingError (no weights, no processor), UnsafeModelError (only pickled weights), CorruptError (truncated or
    missing shard, weights of another model), UsageError (not a model of RGB pictures).
    """
    row = IMAGE_FAMILIES.get(checkpoint.model_type) or _without_row(checkpoint)
    _ = checkpoint.weights  # without weights nothing else is worth saying
    settings = processor_settings(checkpoint, row)
    channels = checkpoint.config.get("num_channels", CHANNELS)
    if channels != CHANNELS:
        raise UsageError(
            f"'{checkpoint.name}' takes pictures of {channels} channels; pictures are read as RGB",
            hint="use a model of colour pictures",
        )
    projection = row.projection.layer if row.projection else ""
    shapes = without_prefix(checkpoint.shapes, row.prefix, projection)
    n_layers = _depth(checkpoint, row, shapes)
    d_model = _width(checkpoint, row, shapes)
    if not n_layers or not d_model:
        raise CorruptError(
            f"the weights of '{checkpoint.name}' hold no {row.model_type}",
            hint="config.json belongs to other weights, or a part of the model is not in this folder",
        )
    # A head that is not in the file would be drawn at random: its output would be noise under a model's name.
    has_pooler = row.pooled and (not row.head or any(tensor.startswith(f"{row.head}.") for tensor in shapes))
    pooled = ("pooled",) if has_pooler else ()

    hashes = checkpoint.hashes()
    return ImageSpec(
        info=checkpoint.info(
            sha256=checkpoint.identity({**hashes, "processor": settings.sha256}),
            modality="image",
            n_layers=n_layers,
            d_model=d_model,
            n_params=count_parameters(shapes),
        ),
        sites=("embed", *(f"resid_post.{i}" for i in range(n_layers)), "final", *pooled),
        poolings=("mean", "cls") if row.specials else ("mean",),
        folders=checkpoint.folders,
        processor=settings,
        specials=sum(math.prod(shapes[name][:-1]) for name in row.specials if name in shapes),
        has_pooler=has_pooler,
        config_sha256=hashes["config.json"],
        part=checkpoint.part,
        projected=bool(projection) and f"{projection}.weight" in shapes,
        branches=branch_kinds(row.attn, row.mlp),
    )


def _without_row(checkpoint: Checkpoint) -> ImageFamily:
    """What a folder says of a family in no table: which entry is its width, and its class tokens by their usual names."""
    first_number(checkpoint.config, _WIDTHS, checkpoint.name)
    width = next(entry for entry in _WIDTHS if isinstance(checkpoint.config.get(entry), int))
    return unexplored(checkpoint.model_type, width, tuple(filter(_CLASS_TOKEN.fullmatch, checkpoint.shapes)))


def _depth(checkpoint: Checkpoint, row: ImageFamily, shapes: Shapes) -> int:
    """Blocks by the tensors; by the configuration in a family whose blocks are not known yet."""
    if not row.blocks:
        return first_number(checkpoint.config, _DEPTHS, checkpoint.name)
    return max(count_blocks(shapes, path) for path in (row.blocks, row.stored) if path)


def _width(checkpoint: Checkpoint, row: ImageFamily, shapes: Shapes) -> int:
    """Width of `final`, by a tensor or an entry of the configuration; 0 where there is neither."""
    said = shapes.get(row.width) or checkpoint.config.get(row.width) or 0
    last = said[-1] if isinstance(said, list) and said else said
    return last if isinstance(last, int) else 0
