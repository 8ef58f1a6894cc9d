"""Pictures for the reference: opened by Pillow, prepared by the processor that transformers itself finds in the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from conceptprobe.doctor.plain import Places, Prepared, Show
from conceptprobe.models.base import Pooling
from conceptprobe.models.checkpoint import holding
from conceptprobe.models.families.base import at_path
from conceptprobe.models.processor import JOINT_FILE, OWN_FILE, Processor

if TYPE_CHECKING:
    from conceptprobe.stimuli.stimulus import Stimulus


class ShowImage(Show):
    """One picture -> pixel values. Special positions are as many as rows of the tensors that the row names."""

    def __init__(self, spec: Any, row: Any, net: Any) -> None:
        super().__init__(spec, row, net)
        self.processor = _processor(spec, net.config)
        pools: dict[Pooling, Places] = {"mean": slice(spec.specials, None), "cls": [0]}
        self.pools = {pooling: places for pooling, places in pools.items() if pooling in spec.poolings}

    def __call__(self, stimulus: Stimulus) -> Prepared:
        """The inputs and the positions of one picture."""
        from PIL import Image

        with Image.open(stimulus.file) as picture:
            pixels = self.processor(picture.convert("RGB"))
        return Prepared({"pixel_values": torch.as_tensor(pixels)[None]}, self.pools)

    def pooled(self, out: Any) -> torch.Tensor:
        """The projected vector of a tower, else what transformers calls the pooler's output."""
        found = getattr(out, "image_embeds", None)
        vector: torch.Tensor = (out.pooler_output if found is None else found)[0]
        return vector.flatten()

    def final(self, last: torch.Tensor) -> torch.Tensor:
        """Behind the final norm at every position, where the model norms only what it pools."""
        if not self.row.norm:
            return last
        norm = at_path(self.net, self.row.norm)
        normed: torch.Tensor = norm(last.to(next(norm.parameters()).device)).cpu()
        return normed


def _processor(spec: Any, config: Any) -> Any:
    """transformers' own of the folder; of a folder without one, what the table of families says."""
    folder = holding(spec.folders, [JOINT_FILE]) or holding(spec.folders, [OWN_FILE])
    if folder is None:
        ours = Processor(spec.processor, config)
        return lambda picture: ours(picture, "the picture")
    from transformers import AutoImageProcessor

    theirs = AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True, trust_remote_code=False)
    return lambda picture: theirs(images=picture, return_tensors="np")["pixel_values"][0]
