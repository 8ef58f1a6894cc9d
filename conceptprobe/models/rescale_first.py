"""Picture processors that transformers has for torchvision alone, in Pillow.

DINOv3 rescales a picture to [0, 1] before it is resized, where all others resize its bytes: what lies between two
pixels is then not rounded to a 256th. Pillow does the same on its 32-bit floats, one channel at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image
from transformers.image_processing_backends import PilBackend

if TYPE_CHECKING:
    from jaxtyping import Float
    from transformers.image_utils import SizeDict


class DINOv3ViTImageProcessorPil(PilBackend):
    """The numbers of transformers' DINOv3ViTImageProcessor, but for the last bits."""

    resample = Image.Resampling.BILINEAR
    image_mean = (0.485, 0.456, 0.406)
    image_std = (0.229, 0.224, 0.225)
    size: ClassVar = {"height": 224, "width": 224}
    do_resize = True
    do_rescale = True
    do_normalize = True

    def _preprocess(self, images: list[np.ndarray], *args: Any, **settings: Any) -> Any:
        if settings["do_rescale"]:
            images = [self.rescale(image, settings["rescale_factor"]) for image in images]
        return super()._preprocess(images, *args, **{**settings, "do_rescale": False})

    def resize(
        self,
        image: Float[np.ndarray, "c h w"],
        size: SizeDict,
        resample: Image.Resampling | None = None,
        reducing_gap: int | None = None,
        **_: Any,
    ) -> Float[np.ndarray, "c height width"]:
        """Each channel resized as floats, antialiased. Raises ValueError for a size that is not a height and a width."""
        if not (size.height and size.width):
            raise ValueError("size needs a height and a width")
        side, how = (size.width, size.height), self.resample if resample is None else resample
        channels = [Image.fromarray(np.asarray(channel, np.float32)) for channel in image]
        return np.stack([np.asarray(channel.resize(side, how, reducing_gap=reducing_gap)) for channel in channels])


OURS: dict[str, type[Any]] = {"DINOv3ViTImageProcessor": DINOv3ViTImageProcessorPil}
"""Name of a processor in a folder's settings, as it is called today -> the class that stands in for it."""
