"""Image models of the transformers library: one forward pass gives every site under every pooling.

The base model runs without its head and stops above the highest wanted block. Hidden states are positions x width,
whether they are a sequence of patches or the places of a feature map, and are pooled inside the hooks. Pictures are
decoded by the one reader of the project and prepared by the model's own processor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models.base import Pooling
from conceptprobe.models.batching import side_by_side
from conceptprobe.models.families.base import at_path, blocks_of, branches_of
from conceptprobe.models.families.image import IMAGE_FAMILIES, ImageFamily
from conceptprobe.models.hooks import Pooled, Reader, Rows, as_rows
from conceptprobe.models.loading import configuration, network, quiet, told
from conceptprobe.models.pooling import check_asked

if TYPE_CHECKING:
    from jaxtyping import Float

    from conceptprobe.models.image_folder import ImageSpec
    from conceptprobe.models.processor import Processor
    from conceptprobe.stimuli.stimulus import Stimulus

BATCH_PICTURES = 8
"""Pictures of one batch: each is a few hundred positions, so that more bring no speed on a CPU and cost memory."""


_POOL: dict[Pooling, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "mean": lambda positions, specials: positions[:, specials:].mean(1),
    "cls": lambda positions, specials: positions[:, 0],
}
"""Pooling -> (positions [b, t, d], how many of them are special) -> [b, d]."""


def load_image_model(spec: ImageSpec) -> ImageModel:
    """Load an image model, or draw its twin.

    Raises CorruptError when a file is damaged, or lacks a weight the architecture needs; what `device_of` raises.
    """
    from conceptprobe.models.processor import Processor

    row = IMAGE_FAMILIES[spec.info.family]
    with quiet():
        config = configuration(spec)
        with told(f"the picture processor of '{spec.info.name}' cannot be used"):
            processor = Processor(spec.processor, config)
        settings = {"add_pooling_layer": spec.has_pooler} if row.switch else {}
        net, projection = network(spec, row, config, **settings)
    return ImageModel(spec, net, processor, row=row, projection=projection)


class ImageModel:
    """A loaded image model; made by `ImageSpec.load()`."""

    def __init__(
        self,
        spec: ImageSpec,
        net: Any,
        processor: Processor,
        *,
        row: ImageFamily,
        projection: torch.nn.Module | None = None,
        batch_pictures: int = BATCH_PICTURES,
    ) -> None:
        """`projection` follows the pooled output of a tower; `batch_pictures` changes speed, never numbers."""
        self.info = spec.info
        self.sites = spec.sites
        self.poolings = spec.poolings
        self.net = net
        self.processor = processor
        self.row = row
        self.blocks = blocks_of(net, row, spec.info.n_layers, spec.info.name)
        self.reader = Reader(self.blocks, branches_of(self.blocks, row, spec.info.name))
        self.batch_pictures = batch_pictures
        self._specials = spec.specials
        self._norm = at_path(net, row.norm) if row.norm else torch.nn.Identity()
        self._projection = projection or torch.nn.Identity()

    def activations(
        self, stimuli: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[Pooling]
    ) -> Iterator[tuple[list[int], Rows]]:
        """Batches of (row numbers, {(site, pooling): float32 rows}); see the contract in base.py.

        `pooled` is the model's own pooling: the same rows under every pooling asked for. Raises what read_picture
        raises for a picture that is gone, changed, damaged or too large.
        """
        check_asked(self, stimuli, poolings)

        def run(numbers: range) -> list[tuple[list[int], Rows]]:
            pixels = {n: self._pixels(stimuli[n]) for n in numbers}
            done = []
            for shape in dict.fromkeys(p.shape for p in pixels.values()):
                alike = [n for n in numbers if pixels[n].shape == shape]
                stacked = torch.from_numpy(np.stack([pixels[n] for n in alike]))
                done.append((alike, as_rows(self._forward(stacked, wanted, poolings), self.info.name, poolings)))
            return done

        wanted = set(sites)
        step = self.batch_pictures
        batches = [range(start, min(start + step, len(stimuli))) for start in range(0, len(stimuli), step)]
        with self.reader.reading(wanted), side_by_side(len(batches), self.net.device) as mapped:
            for done in mapped(run, batches):
                yield from done

    def _pixels(self, stimulus: Stimulus) -> Float[np.ndarray, "c h w"]:
        from pathlib import Path

        from conceptprobe.stimuli.pictures import read_picture

        picture = read_picture(Path(stimulus.file), stimulus.content)
        return self.processor(picture, f"the picture of stimulus '{stimulus.id}'")

    @torch.inference_mode()
    def _forward(self, pixels: Float[torch.Tensor, "b c h w"], wanted: set[str], poolings: Sequence[Pooling]) -> Pooled:
        """{site: [b, p, d]}; for `pooled` [b, d]."""
        found: Pooled = {}
        size = (int(pixels.shape[2]), int(pixels.shape[3]))

        def keep(site: str, hidden: torch.Tensor) -> None:
            positions = hidden.flatten(2).mT if self.row.feature_map else hidden
            self._check_positions(positions.shape[1], size)
            if site == "final":
                positions = self._norm(positions)
            found[site] = torch.stack([_POOL[p](positions.float(), self._specials) for p in poolings], 1)

        try:
            out = self.reader.forward(self.net, {"pixel_values": pixels.to(self.net.device, self.net.dtype)}, keep)
        except ValueError as error:
            why = str(error).strip().partition("\n")[0]
            raise CorruptError(
                f"'{self.info.name}' does not take the pictures its processor makes ({why})",
                hint="the processor settings in the folder belong to another model",
            ) from error
        if "final" in wanted:
            keep("final", out.last_hidden_state)
        if "pooled" in wanted:
            found["pooled"] = self._projection(out.pooler_output.flatten(1))
        return found

    def _check_positions(self, positions: int, size: tuple[int, int]) -> None:
        """UsageError unless there are as many positions as special ones and patches: a table row may be wrong."""
        if self.row.feature_map:
            return
        patch = int(self.net.config.patch_size)
        expected = self._specials + (size[0] // patch) * (size[1] // patch)
        if positions != expected:
            raise UsageError(
                f"'{self.info.name}' ({self.row.model_type}) has {positions} positions, but {self._specials} special"
                f" ones and {expected - self._specials} patches",
                hint="correct the row in models/families/image.py",
            )
