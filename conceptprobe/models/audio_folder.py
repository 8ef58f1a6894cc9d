"""A folder with an audio model, or the audio tower of a joint one, -> an AudioSpec, without loading it.

Hashes what decides the numbers: weights, configuration, and the settings of the feature extractor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conceptprobe.errors import CorruptError
from conceptprobe.models.checkpoint import Checkpoint
from conceptprobe.models.families.audio import AUDIO_FAMILIES
from conceptprobe.models.features import feature_settings
from conceptprobe.models.formats import count_blocks, count_parameters, without_prefix
from conceptprobe.models.media_folder import MediaSpec
from conceptprobe.models.sites import branch_kinds

if TYPE_CHECKING:
    from conceptprobe.models.audio import AudioModel


@dataclass(frozen=True)
class AudioSpec(MediaSpec):
    """A transformers audio model on disk, or its untrained twin (`seed` is not None).

    Of an encoder-decoder the encoder alone is meant: `info` counts its blocks and parameters. `d_model` is the width of
    what leaves the last block.
    """

    def load(self) -> AudioModel:
        """The model in memory: no head, no gradients. The heavy step."""
        from conceptprobe.models.audio import load_audio_model

        return load_audio_model(self)


def audio_spec(checkpoint: Checkpoint) -> AudioSpec:
    """The checked spec of an audio model, or of the audio tower of a joint one.

    Raises MissingError (no weights, no feature extractor), UnsafeModelError (only pickled weights), CorruptError
    (truncated or missing shard, weights of another model, settings that cannot be used).
    """
    row = AUDIO_FAMILIES[checkpoint.model_type]
    _ = checkpoint.weights  # without weights nothing else is worth saying
    settings = feature_settings(checkpoint, row)
    projection = row.projection.layer if row.projection else ""
    shapes = without_prefix(without_prefix(checkpoint.shapes, row.prefix, projection), row.trunk)
    n_layers = max(count_blocks(shapes, row.stored or row.blocks), count_blocks(shapes, row.blocks))
    if not n_layers or row.width not in shapes:
        raise CorruptError(
            f"the weights of '{checkpoint.name}' hold no {row.model_type}",
            hint="config.json belongs to other weights, or a part of the model is not in this folder",
        )
    hashes = checkpoint.hashes()
    return AudioSpec(
        info=checkpoint.info(
            sha256=checkpoint.identity({**hashes, "processor": settings.sha256}),
            modality="audio",
            n_layers=n_layers,
            d_model=shapes[row.width][-1],
            n_params=count_parameters(shapes),
        ),
        sites=("embed", *(f"resid_post.{i}" for i in range(n_layers)), "final", *(("pooled",) if row.pooled else ())),
        poolings=("mean", "cls") if row.specials else ("mean",),
        folders=checkpoint.folders,
        processor=settings,
        specials=sum(math.prod(shapes[name][:-1]) for name in row.specials if name in shapes),
        config_sha256=hashes["config.json"],
        part=checkpoint.part,
        projected=bool(projection) and any(tensor.startswith(f"{projection}.") for tensor in shapes),
        branches=branch_kinds(row.attn, row.mlp),
    )
