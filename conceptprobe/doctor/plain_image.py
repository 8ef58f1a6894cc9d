"""Pictures for the reference: opened by Pillow, prepared by the processor that transformers itself finds in the folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from conceptprobe.doctor.plain import Places, Prepared, Show
from conceptprobe.models.base import Pooling
from conceptprobe.models.checkpoint import holding
from conceptprobe.models.families.base import at_path
from conceptprobe.models.processor import JOINT_FILE, OWN_FILE, Processor
from conceptprobe.models.rescale_first import OURS
from conceptprobe.models.sites import BRANCHES

if TYPE_CHECKING:
    from conceptprobe.stimuli.stimulus import Stimulus


class ShowImage(Show):
    """One picture -> what the network takes of what the processor makes. Special positions are as many as rows of the
    tensors that the row names; where the processor pads, its own mask says which patches are real."""

    def __init__(self, spec: Any, row: Any, net: Any) -> None:
        super().__init__(spec, row, net)
        self.processor = _processor(spec, net.config)

    @staticmethod
    def settings(row: Any) -> Mapping[str, Any]:
        """As the row says."""
        return row.config

    def __call__(self, stimulus: Stimulus) -> Prepared:
        """The inputs and the positions of one picture."""
        from PIL import Image

        with Image.open(stimulus.file) as picture:
            made = self.processor(picture.convert("RGB"))
        inputs = {name: torch.as_tensor(made[name])[None] for name in self.row.inputs}
        mean: Places = slice(self.spec.specials, None)
        if self.row.mask:
            real = made[self.row.mask]
            mean = [self.spec.specials + i for i in range(len(real)) if real[i]]
        if self.row.order:
            height, width = inputs["pixel_values"].shape[-2:]
            patches = (height // self.net.config.patch_size) * (width // self.net.config.patch_size)
            inputs[self.row.order] = torch.arange(patches)[None].float()
        pools: dict[Pooling, Places] = {"mean": mean, "cls": [0]}
        return Prepared(inputs, {pooling: places for pooling, places in pools.items() if pooling in self.spec.poolings})

    def pooled(self, out: Any) -> torch.Tensor:
        """The projected vector of a tower, else what transformers calls the pooler's output."""
        found = getattr(out, "image_embeds", None)
        vector: torch.Tensor = (out.pooler_output if found is None else found)[0]
        return vector.flatten()

    def final(self, last: torch.Tensor) -> torch.Tensor:
        """Without what summarises a map, and behind the final norm where the model norms only what it pools."""
        places = last[self.row.summaries :]
        if not self.row.norm:
            return places
        norm = at_path(self.net, self.row.norm)
        normed: torch.Tensor = norm(places.to(next(norm.parameters()).device)).cpu()
        return normed

    def scale(self, block: Any, kind: str) -> Any:
        """The layer scale that is a bare parameter of the block (BEiT)."""
        path = self.row.scales[BRANCHES.index(kind)]
        found = at_path(block, path) if path else None
        return 1.0 if found is None else found


def _processor(spec: Any, config: Any) -> Callable[[Any], Mapping[str, Any]]:
    """transformers' own of the folder; where it has none that needs Pillow alone, this project's."""
    folder = holding(spec.folders, [JOINT_FILE]) or holding(spec.folders, [OWN_FILE])
    named = str(spec.processor.values.get("image_processor_type", "")).removesuffix("Fast").removesuffix("Pil")
    if folder is None or named in OURS:
        ours = Processor(spec.processor, config)
        return lambda picture: ours(picture, "the picture")
    from transformers import AutoImageProcessor

    theirs = AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True, trust_remote_code=False)
    return lambda picture: {k: v[0] for k, v in theirs(images=picture, return_tensors="np").items()}
