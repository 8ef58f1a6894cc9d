"""Image models of the transformers library: one forward pass gives every site under every pooling.

The base model runs without its head and stops above the highest wanted block. Hidden states are positions x width,
whether they are a sequence of patches or the places of a feature map, and are pooled inside the hooks. Pictures are
decoded by the one reader of the project and prepared by the model's own processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models.base import Pooling
from conceptprobe.models.batching import side_by_side
from conceptprobe.models.families.base import at_path, blocks_of, branches_of
from conceptprobe.models.families.explore_images import find_image_family
from conceptprobe.models.families.image import IMAGE_FAMILIES, ImageFamily, both, unexplored
from conceptprobe.models.hooks import Pooled, Reader, Rows, as_rows
from conceptprobe.models.loading import configuration, network, quiet, told
from conceptprobe.models.pooling import check_asked
from conceptprobe.models.sites import BRANCHES

if TYPE_CHECKING:
    from conceptprobe.models.image_folder import ImageSpec
    from conceptprobe.models.processor import Processor
    from conceptprobe.stimuli.stimulus import Stimulus

BATCH_PICTURES = 8
"""Pictures of one batch: each is a few hundred positions, so that more bring no speed on a CPU and cost memory."""


_POOL: dict[Pooling, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mean": lambda positions, seen: torch.einsum("bt,btd->bd", seen / seen.sum(1, keepdim=True), positions),
    "cls": lambda positions, seen: positions[:, 0],
}
"""Pooling -> (positions [b, t, d], which of them [b, t] show a part of the picture: 1, else 0) -> [b, d]."""
_DIMENSIONS = {"btd": 3, "bchw": 4}


def load_image_model(spec: ImageSpec) -> ImageModel:
    """Load an image model, or draw its twin.

    Raises CorruptError when a file is damaged, or lacks a weight the architecture needs; what `device_of` raises.
    """
    from conceptprobe.models.processor import Processor

    known = IMAGE_FAMILIES.get(spec.info.family)
    row = known or unexplored(spec.info.family, "", ())
    with quiet():
        config = configuration(spec)
        config.update(dict(row.config))
        with told(f"the picture processor of '{spec.info.name}' cannot be used"):
            processor = Processor(spec.processor, config)
        settings = {"add_pooling_layer": spec.has_pooler} if row.switch else {}
        net, projection = network(spec, row, config, **settings)
    row = known or find_image_family(net, row, spec.info, spec.specials, processor)
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
        self._scales = _scales(self.blocks, row)
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
            shown = {n: self._inputs(stimuli[n]) for n in numbers}
            done = []
            for shape in dict.fromkeys(inputs["pixel_values"].shape for inputs in shown.values()):
                alike = [n for n in numbers if shown[n]["pixel_values"].shape == shape]
                stacked = {
                    name: torch.from_numpy(np.stack([shown[n][name] for n in alike])) for name in self.row.inputs
                }
                done.append((alike, as_rows(self._forward(stacked, wanted, poolings), self.info.name, poolings)))
            return done

        wanted = set(sites)
        step = self.batch_pictures
        batches = [range(start, min(start + step, len(stimuli))) for start in range(0, len(stimuli), step)]
        with self.reader.reading(wanted), side_by_side(len(batches), self.net.device) as mapped:
            for done in mapped(run, batches):
                yield from done

    def _inputs(self, stimulus: Stimulus) -> dict[str, np.ndarray]:
        from pathlib import Path

        from conceptprobe.stimuli.pictures import read_picture

        picture = read_picture(Path(stimulus.file), stimulus.content)
        made = self.processor(picture, f"the picture of stimulus '{stimulus.id}'")
        if absent := [name for name in self.row.inputs if name not in made]:
            raise self._others(f"it lacks {', '.join(absent)}")
        return made

    @torch.inference_mode()
    def _forward(self, shown: dict[str, torch.Tensor], wanted: set[str], poolings: Sequence[Pooling]) -> Pooled:
        """{site: [b, p, d]}; for `pooled` [b, d]. `shown` has pixels [b, c, h, w], or as patches [b, t, c h w]."""
        found: Pooled = {}
        inputs = {name: value.to(self.net.device) for name, value in shown.items()}
        pixels = inputs["pixel_values"] = inputs["pixel_values"].to(self.net.dtype)
        patches = self._patches(pixels)
        if self.row.order:
            inputs[self.row.order] = torch.arange(patches, device=pixels.device).expand(len(pixels), -1)
        real = inputs[self.row.mask].float() if self.row.mask else None

        def keep(site: str, hidden: torch.Tensor) -> None:
            self._check(site, hidden, patches)
            positions = hidden.flatten(2).mT if hidden.ndim == _DIMENSIONS["bchw"] else hidden
            if site == "final":
                positions = self._norm(positions[:, self.row.summaries :])
            scale = self._scales.get(site)
            positions = (positions if scale is None else positions * scale).float()
            seen = torch.ones_like(positions[..., 0])
            seen[:, : self._specials] = 0
            if real is not None:
                seen[:, self._specials :] = real.to(seen.device)
            found[site] = torch.stack([_POOL[p](positions, seen) for p in poolings], 1)

        try:
            out = self.reader.forward(self.net, inputs, keep)
        except ValueError as error:
            raise self._others(str(error).strip().partition("\n")[0]) from error
        if "final" in wanted:
            keep("final", out.last_hidden_state)
        if "pooled" in wanted:
            found["pooled"] = self._projection(out.pooler_output.flatten(1))
        return found

    def _patches(self, pixels: torch.Tensor) -> int:
        """Patches of one picture: those that the processor cut, or as many as its size has room for; 0 in a map."""
        if pixels.ndim == _DIMENSIONS["btd"]:
            return int(pixels.shape[1])
        size, said = (int(pixels.shape[2]), int(pixels.shape[3])), getattr(self.net.config, "image_size", None)
        if self.row.one_size and said is not None and size != both(said):
            raise self._others(f"{size[0]} x {size[1]} pixels for a model of {said}")
        if self.row.layout == "bchw":
            return 0
        return math.prod(
            -(-side // patch) if self.row.merges else side // patch
            for side, patch in zip(size, both(self.net.config.patch_size), strict=True)
        )

    def _check(self, site: str, hidden: torch.Tensor, patches: int) -> None:
        """UsageError unless a hidden state has the layout and the number of positions that its row in the table says."""
        row, what = self.row, f"'{self.info.name}' ({self.row.model_type})"
        hint = "correct the row in models/families/image.py"
        if site != "final" and hidden.ndim != _DIMENSIONS[row.layout]:
            raise UsageError(f"{what} has a state of {hidden.ndim} dimensions at {site}, not {row.layout}", hint=hint)
        counted = row.layout == "btd" and not (row.merges and site != "embed")
        if counted and hidden.shape[1] != self._specials + patches:
            raise UsageError(
                f"{what} has {hidden.shape[1]} positions, but {self._specials} special ones and {patches} patches",
                hint=hint,
            )

    def _others(self, why: str) -> CorruptError:
        return CorruptError(
            f"'{self.info.name}' does not take the pictures its processor makes ({why})",
            hint="the processor settings in the folder belong to another model",
        )


def _scales(blocks: Sequence[torch.nn.Module], row: ImageFamily) -> dict[str, torch.Tensor]:
    """{`attn_out.i` and `mlp_out.i`: what it is multiplied by}, where the table and the checkpoint have such a scale."""
    named = {
        f"{kind}.{i}": (block, path)
        for i, block in enumerate(blocks)
        for kind, path in zip(BRANCHES, row.scales, strict=True)
    }
    found = {site: at_path(block, path) for site, (block, path) in named.items() if path}
    return {site: scale for site, scale in found.items() if isinstance(scale, torch.Tensor)}
