"""Image-text generators of the transformers library, as readers of pictures with or without a text beside them.

One forward pass gives the sites of the vision tower and those of the language model. Prompts of equal length and equal
pictures share a batch and none is padded, so that image tokens attend, and are numbered along two axes, exactly as in
a prompt by itself. Hidden states are pooled inside the hooks.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from conceptprobe.errors import CorruptError, UsageError
from conceptprobe.models.base import Pooling
from conceptprobe.models.families.base import at_path, blocks_of, branches_of
from conceptprobe.models.families.text import FAMILIES, TextFamily
from conceptprobe.models.families.vlm import VLM_FAMILIES, VlmFamily
from conceptprobe.models.hooks import Pooled, Reader, Rows, as_rows
from conceptprobe.models.loading import configuration, network, quiet
from conceptprobe.models.pooling import check_asked, pooling_weights
from conceptprobe.models.vlm_folder import VISION
from conceptprobe.models.vlm_prompt import Prompt, Prompts, check_options

if TYPE_CHECKING:
    from jaxtyping import Float

    from conceptprobe.models.vlm_folder import VlmSpec
    from conceptprobe.stimuli.stimulus import Stimulus

BATCH_PICTURES = 8
"""Pictures that are prepared together; those alike among them are read together."""
_OF_PICTURE: tuple[Pooling, ...] = ("mean", "image_tokens")
"""What the vision tower has tokens for: there both are the mean over all patches of all tiles."""


def load_vlm_model(spec: VlmSpec) -> VlmModel:
    """Load an image-text generator, or draw its twin.

    Raises CorruptError when a file is damaged, or lacks a weight the architecture needs; MissingError for a package
    that its processor needs; what `device_of` raises.
    """
    row, text_row = VLM_FAMILIES[spec.info.family], FAMILIES[spec.text_type]
    with quiet():
        config = configuration(spec)
        net, _ = network(spec, replace(row, sdpa=row.sdpa and text_row.sdpa), config)
        at_path(net, row.text).config.use_cache = False
        if row.zero and spec.seed is not None:
            _draw(at_path(net, row.zero), spec.seed, std=net.config.initializer_range)
        prompts = Prompts(spec, row, net.config, frozenset(inspect.signature(net.forward).parameters))
    return VlmModel(spec, net, prompts, row=row, text_row=text_row)


def _draw(matrix: torch.Tensor, seed: int, std: float) -> None:
    """Fill it with normal noise from that seed, wherever it lies."""
    noise = torch.randn(matrix.shape, generator=torch.Generator().manual_seed(seed))
    matrix.copy_(std * noise)


class VlmModel:
    """A loaded image-text generator; made by `VlmSpec.load()`."""

    def __init__(
        self,
        spec: VlmSpec,
        net: Any,
        prompts: Prompts,
        *,
        row: VlmFamily,
        text_row: TextFamily,
        batch_pictures: int = BATCH_PICTURES,
    ) -> None:
        """`batch_pictures` changes speed, never numbers."""
        self.info = spec.info
        self.sites = spec.sites
        self.poolings = spec.poolings
        self.net = net
        self.row = row
        self.prompts = prompts
        self.batch_pictures = batch_pictures
        self._spec = spec
        name = spec.info.name
        blocks = blocks_of(at_path(net, row.text), text_row, spec.info.n_layers, name)
        self.reader = Reader(blocks, branches_of(blocks, text_row, name))
        self.vision_reader = Reader(blocks_of(net, row, spec.vision_layers, name), {})

    def activations(
        self, stimuli: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[Pooling]
    ) -> Iterator[tuple[list[int], Rows]]:
        """Batches of (row numbers, {(site, pooling): float32 rows}); see the contract in base.py.

        Raises UsageError where a site of the vision tower is to be pooled over text, or a stimulus lacks the text or
        span that a pooling needs; what read_picture raises for a picture that is gone, changed, damaged or too large.
        """
        check_asked(self, stimuli, poolings)
        check_options(self._spec, tuple(stimuli))
        _check_pooled(sites, poolings)
        wanted, step = set(sites), self.batch_pictures
        with self._reading(wanted):
            for start in range(0, len(stimuli), step):
                numbers = range(start, min(start + step, len(stimuli)))
                prompts = {n: self.prompts(stimuli[n]) for n in numbers}
                for shape in dict.fromkeys(p.shape for p in prompts.values()):
                    alike = [n for n in numbers if prompts[n].shape == shape]
                    weights = _weights([prompts[n] for n in alike], [stimuli[n] for n in alike], poolings)
                    found = self._forward([prompts[n] for n in alike], weights, wanted)
                    yield alike, as_rows(found, self.info.name, poolings)

    @contextmanager
    def _reading(self, wanted: set[str]) -> Iterator[None]:
        """Hooks on both towers; above the highest wanted block nothing is run."""
        seen = {site.removeprefix(VISION) for site in wanted if site.startswith(VISION)}
        said = {site for site in wanted if not site.startswith(VISION)}
        # Whatever the language model is asked for, the vision tower must be run to its end.
        through = seen | {"final"} if said else seen
        with self.reader.reading(said), self.vision_reader.reading(through):
            yield

    @torch.inference_mode()
    def _forward(self, prompts: Sequence[Prompt], weights: torch.Tensor, wanted: set[str]) -> Pooled:
        """{site: [b, p, d]}."""
        inputs = {name: torch.cat([p.inputs[name] for p in prompts]).to(self.net.device) for name in prompts[0].inputs}
        inputs = {n: v.to(self.net.dtype) if v.is_floating_point() else v for n, v in inputs.items()}
        found: Pooled = {}

        def keep(site: str, hidden: torch.Tensor) -> None:
            found[site] = torch.bmm(weights.to(hidden.device), hidden.float())

        def keep_vision(site: str, hidden: torch.Tensor) -> None:
            pooled = self._patches(hidden, inputs["pixel_values"], len(prompts)).float().mean(1)
            found[f"{VISION}{site}"] = pooled[:, None].expand(-1, weights.shape[1], -1)

        def seen(_: Any, __: Any, output: Any) -> None:
            if f"{VISION}final" in wanted:
                keep_vision("final", output.last_hidden_state)

        def run(**given: torch.Tensor) -> Any:
            return self.vision_reader.forward(self.net, given, keep_vision)

        tower = at_path(self.net, self.row.vision).register_forward_hook(seen)
        try:
            out = self.reader.forward(run, inputs, keep)
        except ValueError as error:
            why = str(error).strip().partition("\n")[0]
            raise CorruptError(
                f"'{self.info.name}' does not take the prompts its processor makes ({why})",
                hint="the processor settings in the folder belong to another model",
            ) from error
        finally:
            tower.remove()
        if "final" in wanted:
            keep("final", out.last_hidden_state)
        return found

    def _patches(self, hidden: torch.Tensor, pixels: torch.Tensor, b: int) -> Float[torch.Tensor, "b patches d"]:
        """States of the patches of each stimulus, all its tiles in a row, without class tokens, which stand first."""
        if self.row.packed:
            return hidden.view(b, -1, hidden.shape[-1])
        patch = int(self.net.config.vision_config.patch_size)
        patches = (pixels.shape[-2] // patch) * (pixels.shape[-1] // patch)
        specials = hidden.shape[1] - patches
        if specials not in (0, 1):
            raise UsageError(
                f"the vision tower of '{self.info.name}' ({self.row.model_type}) has {hidden.shape[1]} positions for"
                f" {patches} patches",
                hint="correct the row in models/families/vlm.py",
            )
        return hidden[:, specials:].reshape(b, -1, hidden.shape[-1])


def _check_pooled(sites: Sequence[str], poolings: Sequence[Pooling]) -> None:
    """UsageError where a site of the vision tower is asked for under a pooling over text."""
    site = next((s for s in sites if s.startswith(VISION)), None)
    over_text = next((p for p in poolings if p not in _OF_PICTURE), None)
    if site is not None and over_text is not None:
        raise UsageError(
            f"the vision tower sees no text, so '{site}' cannot be pooled by '{over_text}'",
            hint="name sites of the language model (embed, resid_post.0, ..., final), or pool by image_tokens",
        )


def _weights(prompts: Sequence[Prompt], stimuli: Sequence[Stimulus], poolings: Sequence[Pooling]) -> torch.Tensor:
    """Weights over tokens, [b, p, t]; UsageError where a pooling finds no token."""
    of_picture = np.stack([p.of_picture for p in prompts])
    content = of_picture | np.stack([p.of_text for p in prompts])
    in_span = np.stack([p.in_span for p in prompts])
    real = np.ones_like(content)
    weights = pooling_weights(poolings, real=real, content=content, in_span=in_span, of_picture=of_picture)
    empty = np.argwhere(weights.sum(-1) == 0)
    if len(empty):
        stimulus, pooling = stimuli[empty[0][0]], poolings[empty[0][1]]
        raise UsageError(
            f"stimulus '{stimulus.id}' has no token to pool by '{pooling}': beside its picture stands {stimulus.text!r}",
            hint="give the stimulus a text and a span in it, or pool by mean or image_tokens",
        )
    return torch.from_numpy(weights)
