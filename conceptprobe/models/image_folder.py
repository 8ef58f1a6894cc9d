"""A folder with an image model, or the image tower of a joint one, -> an ImageSpec, without loading it.

Hashes what decides the numbers: weights, configuration, and the settings of the picture processor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models.base import ModelInfo, Pooling
from conceptprobe.models.checkpoint import Checkpoint, twin_info
from conceptprobe.models.families.image import IMAGE_FAMILIES, ImageFamily
from conceptprobe.models.formats import Shapes, count_blocks, count_parameters, without_prefix
from conceptprobe.models.options import DEFAULT, OF_TEXT, Options
from conceptprobe.models.processor import ProcessorSettings, processor_settings
from conceptprobe.models.sites import branch_kinds, branch_sites

if TYPE_CHECKING:
    from conceptprobe.models.image import ImageModel

CHANNELS = 3


@dataclass(frozen=True)
class ImageSpec:
    """A transformers image model on disk, or its untrained twin (`seed` is not None)."""

    info: ModelInfo
    sites: tuple[str, ...]
    poolings: tuple[Pooling, ...]
    """`mean` over patches or places, and `cls` where the model has a class token."""
    folders: tuple[Path, ...]
    """Weights lie in the first; configuration in the first that has it."""
    processor: ProcessorSettings
    specials: int
    """Positions before the first patch: class token, registers."""
    has_pooler: bool
    config_sha256: str
    part: str = ""
    """Where a joint model's config.json keeps this tower's configuration; empty for a model of its own."""
    projected: bool = False
    """The file holds the projection onto the space shared with another tower."""
    seed: int | None = None
    branches: tuple[str, ...] = ()
    """Of `attn_out` and `mlp_out`, what its blocks have as modules."""
    options: Options = DEFAULT

    ignores: ClassVar[tuple[str, ...]] = OF_TEXT

    @property
    def extra_sites(self) -> tuple[str, ...]:
        """Accepted but not in `sites`: what attention and feed-forward layers add to the residual stream."""
        return branch_sites(self.branches, self.info.n_layers)

    def load(self) -> ImageModel:
        """The model in memory: no head, no gradients. The heavy step."""
        from conceptprobe.models.image import load_image_model

        return load_image_model(self)

    def twin(self, seed: int) -> ImageSpec:
        """Same configuration and processor, weights drawn anew from `seed`; batch norms as settled by loading.py."""
        if self.seed is not None:
            raise UsageError(f"'{self.info.name}' is a random twin already", hint="name it by another '#seed'")
        parts = {
            "config": self.config_sha256,
            "processor": self.processor.sha256,
            "part": self.part,
            "pooler": str(self.has_pooler),
            "projection": str(self.projected),
        }
        return replace(self, seed=seed, info=twin_info(self.info, seed, parts | self.options.decides))


def image_spec(checkpoint: Checkpoint) -> ImageSpec:
    """The checked spec of an image model, or of the image tower of a joint one.

    Raises MissingError (no weights, no processor), UnsafeModelError (only pickled weights), CorruptError (truncated or
    missing shard, weights of another model), UsageError (not a model of RGB pictures).
    """
    row = IMAGE_FAMILIES[checkpoint.model_type]
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
    n_layers = max(count_blocks(shapes, path) for path in (row.blocks, row.stored) if path)
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


def _width(checkpoint: Checkpoint, row: ImageFamily, shapes: Shapes) -> int:
    """Width of `final`, by a tensor or an entry of the configuration; 0 where there is neither."""
    said = shapes.get(row.width) or checkpoint.config.get(row.width) or 0
    last = said[-1] if isinstance(said, list) and said else said
    return last if isinstance(last, int) else 0
