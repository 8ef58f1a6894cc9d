"""An image family that is not in the table: noise is shown to the loaded model to find what a row would say of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from conceptprobe.models.families.base import blocks_of
from conceptprobe.models.families.image import ImageFamily, both
from conceptprobe.models.families.watch import Shape, Trial, find_blocks
from conceptprobe.models.hooks import Reader

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL.Image import Image

    from conceptprobe.models.base import ModelInfo

_SEQUENCE, _MAP = 3, 4
_USUAL_SIDE = 224
"""Height and width of the noise where a configuration names no size."""
_LARGEST_SIDE = 8192
"""A configuration that says more is wrong, or meant to fill the memory."""
_HINT = "a row in models/families/image.py says where its blocks are and what stands before its patches"


def find_image_family(
    net: Any,
    row: ImageFamily,
    info: ModelInfo,
    specials: int,
    processor: Callable[[Image, str], dict[str, np.ndarray]],
) -> ImageFamily:
    """`row`, which knows no blocks, completed by what is read off the loaded model.

    Two pictures of noise are shown to it as its `processor` makes them; `specials` is how many class tokens its file has.
    States must be sequences [b, t, d] or maps [b, d, h, w], and what the network returns one more of the same shape.

    Raises UsageError where that is not so, where `find_blocks` does, where the numbers are others when the same
    pictures are shown again, and where positions are not the patches of a picture, behind one class token or none.
    """
    import torch

    def keeps(shape: Shape) -> bool:
        if shape[:1] != (len(pixels),):  # windows side by side
            return False
        if len(shape) == _SEQUENCE:
            return shape[2] == info.d_model
        # Where the width is that of a row of places too, nobody can say which is which.
        return len(shape) == _MAP and [axis for axis in (1, 3) if shape[axis] == info.d_model] == [1]

    pixels = _noise(net, processor)
    trial = Trial(row.model_type, {"pixel_values": pixels}, "picture", keeps, _HINT)
    _check_size(trial, pixels, net.config)
    found = find_blocks(net, trial, info.n_layers)
    final = getattr(found.output, "last_hidden_state", None)
    if final is None or tuple(final.shape) != found.shape:
        raise trial.refused("what it returns has not the shape of what its blocks do")

    row = replace(row, blocks=found.path, layout="btd" if len(found.shape) == _SEQUENCE else "bchw")
    entered: dict[str, torch.Tensor] = {}
    reader = Reader(blocks_of(net, row, info.n_layers, info.name), {})
    with reader.reading({"embed", "final"}), torch.inference_mode():
        again = reader.forward(net, dict(trial.inputs), entered.__setitem__).last_hidden_state
    if not torch.allclose(again, final, rtol=1e-2, atol=1e-2 * float(final.abs().max()), equal_nan=True):
        raise trial.refused("it gives other numbers when a picture is shown to it again")
    if row.layout == "btd":
        _check_positions(trial, entered["embed"], specials, _patches(trial, pixels, net.config))
    elif specials:
        raise trial.refused("its file has a class token, but its states are maps")
    return row


def _noise(net: Any, processor: Callable[[Image, str], dict[str, np.ndarray]]) -> torch.Tensor:
    """Two pictures that differ everywhere, as the model is shown them: [2, c, h, w], or what else its processor makes."""
    import numpy as np
    import torch
    from PIL import Image

    height, width = _size(net.config, "image_size") or both(_USUAL_SIDE)
    drawn = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    made = [processor(Image.fromarray(picture), "a picture of noise")["pixel_values"] for picture in drawn]
    return torch.from_numpy(np.stack(made)).to(net.device, net.dtype)


def _check_positions(trial: Trial, embed: torch.Tensor, specials: int, patches: int) -> None:
    """UsageError unless the patches of [b, t, d] are all that depends on the picture, behind one class token or none."""
    first, second = embed[0], embed[1]
    blind = (first - second).abs().amax(-1) <= 1e-5 * first.abs().max()
    same = blind.nonzero().flatten().tolist()
    if specials > 1 or same != list(range(specials)) or len(blind) != specials + patches:
        raise trial.refused(
            f"of the {len(blind)} positions that enter its first block, {len(same)} are the same for every picture:"
            f" by its files there are {patches} patches behind {specials} class tokens, and one at most can be told"
        )


def _check_size(trial: Trial, pixels: torch.Tensor, config: Any) -> None:
    """UsageError unless [2, c, h, w] are pictures of the size that the configuration says, where it says any."""
    shown, said = tuple(pixels.shape[2:]), getattr(config, "image_size", None)
    if pixels.ndim != _MAP or (said is not None and shown != _size(config, "image_size")):
        raise trial.refused(f"its processor makes pictures of the size {shown}, its config.json says {said}")


def _patches(trial: Trial, pixels: torch.Tensor, config: Any) -> int:
    """Patches of one picture. Raises UsageError where the configuration says no size of them."""
    patch = _size(config, "patch_size")
    if patch is None:
        raise trial.refused("its config.json says no patch_size")
    return math.prod(side // by for side, by in zip(pixels.shape[2:], patch, strict=True))


def _size(config: Any, entry: str) -> tuple[int, int] | None:
    """(height, width) that a configuration gives as one number or two; None where it gives none."""
    given = getattr(config, entry, None)
    sides = [given, given] if isinstance(given, int) else given
    if not isinstance(sides, list | tuple) or len(sides) != len(("height", "width")):
        return None
    return both(sides) if all(isinstance(n, int) and 0 < n <= _LARGEST_SIDE for n in sides) else None
