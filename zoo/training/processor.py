"""The image processor that goes with a model of the zoo, in the hub's format."""

from __future__ import annotations

import json


def processor_json(size: int) -> str:
    """Bilinear resize to `size` x `size`, values to -1 ... 1."""
    settings = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": size, "width": size},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    return json.dumps(settings, indent=2) + "\n"
