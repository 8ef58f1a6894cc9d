"""Pictures for the reference of an image-text generator: the whole model, shown a prompt of one picture alone.

The prompt is made as this project makes it, because transformers' own processors of several families insist on a video
processor; everything after it is transformers' own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from conceptprobe.doctor.plain import Pass, Places, Prepared, Show, flat
from conceptprobe.models.base import Pooling
from conceptprobe.models.families.base import all_at_path, at_path
from conceptprobe.models.families.text import FAMILIES
from conceptprobe.models.families.vlm import VLM_FAMILIES, within
from conceptprobe.models.vlm_folder import VISION
from conceptprobe.models.vlm_prompt import Prompts

if TYPE_CHECKING:
    from conceptprobe.stimuli.stimulus import Stimulus


class ShowGenerator(Show):
    """One picture -> a prompt of image tokens. The blocks are the language model's; the vision tower is watched too."""

    between: ClassVar[bool] = True

    def __init__(self, spec: Any, row: Any, net: Any) -> None:
        super().__init__(spec, row, net)
        self.generator = VLM_FAMILIES[spec.info.family]

    @staticmethod
    def row_of(spec: Any, model: Any) -> Any:
        """The row of the language model, as a part of the generator."""
        return within(VLM_FAMILIES[spec.info.family], FAMILIES[spec.text_type])

    def called(self, whole: Any, runs: Any) -> Any:
        """The generator without its head."""
        self.model = at_path(whole, self.generator.trunk)
        taken = frozenset(inspect.signature(self.model.forward).parameters)
        self.prompts = Prompts(self.spec, self.generator, self.model.config, taken)
        return self.model

    def __call__(self, stimulus: Stimulus) -> Prepared:
        """The inputs and the positions of one picture."""
        prompt = self.prompts(stimulus)
        self.size = prompt.inputs["pixel_values"].shape[-2:]
        places: Places = [k for k in range(len(prompt.of_picture)) if prompt.of_picture[k]]
        pools: dict[Pooling, Places] = {"mean": places, "image_tokens": places}
        return Prepared(dict(prompt.inputs), pools, whole=VISION)

    def pooled(self, out: Any) -> torch.Tensor:
        """None of these families has such an output. Raises KeyError."""
        raise KeyError("pooled")

    def watched(self, seen: Pass) -> list[Any]:
        """Hooks on the vision tower: states of the patches of all tiles in a row."""

        def leaving(name: str) -> Callable[..., None]:
            def hook(_: Any, __: Any, output: Any) -> None:
                state = getattr(output, "last_hidden_state", output)
                seen.states[f"{VISION}{name}"] = self._patches(state[0] if isinstance(state, tuple) else state)

            return hook

        def entering(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            seen.states[f"{VISION}embed"] = self._patches(args[0] if args else kwargs["hidden_states"])

        blocks = [block for found in all_at_path(self.model, self.generator.blocks) for block in found]
        tower = at_path(self.model, self.generator.vision)
        handles = [blocks[0].register_forward_pre_hook(entering, with_kwargs=True)]
        handles += [block.register_forward_hook(leaving(f"resid_post.{i}")) for i, block in enumerate(blocks)]
        return [*handles, tower.register_forward_hook(leaving("final"))]

    def _patches(self, state: torch.Tensor) -> torch.Tensor:
        """[tiles x patches, d] without class tokens, of [tiles, t, d] or packed [patches, d]."""
        if self.generator.packed:
            return flat(state)
        patch = self.model.config.vision_config.patch_size
        patches = (self.size[0] // patch) * (self.size[1] // patch)
        return state[:, state.shape[1] - patches :].flatten(0, 1).detach().to("cpu", copy=True)
