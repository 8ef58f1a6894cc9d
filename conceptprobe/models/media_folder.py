"""What specs of models of pictures and of sounds have in common: a folder, a processor of media, and an untrained twin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from conceptprobe.errors import UsageError
from conceptprobe.models.base import ModelInfo, Pooling
from conceptprobe.models.checkpoint import twin_info
from conceptprobe.models.options import DEFAULT, OF_TEXT, Options
from conceptprobe.models.processor import ProcessorSettings
from conceptprobe.models.sites import branch_sites


@dataclass(frozen=True)
class MediaSpec:
    """A transformers model of media on disk, or its untrained twin (`seed` is not None)."""

    info: ModelInfo
    sites: tuple[str, ...]
    poolings: tuple[Pooling, ...]
    """`mean` over what shows the picture or holds the sound, and `cls` where the model has a class token."""
    folders: tuple[Path, ...]
    """Weights lie in the first; configuration in the first that has it."""
    processor: ProcessorSettings
    """Of the picture processor, or of the feature extractor."""
    specials: int
    """Positions before the first patch: class token, registers, distillation token."""
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

    @property
    def drawn(self) -> dict[str, str]:
        """What decides the numbers of a twin, beside its seed and the options: what is drawn moves the generator."""
        return {
            "config": self.config_sha256,
            "processor": self.processor.sha256,
            "part": self.part,
            "projection": str(self.projected),
        }

    def twin(self, seed: int) -> Self:
        """Same configuration and processor, weights drawn anew from `seed`; batch norms as settled by loading.py."""
        if self.seed is not None:
            raise UsageError(f"'{self.info.name}' is a random twin already", hint="name it by another '#seed'")
        return replace(self, seed=seed, info=twin_info(self.info, seed, self.drawn | self.options.decides))
