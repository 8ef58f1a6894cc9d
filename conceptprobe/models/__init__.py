"""Models: a name -> something with named sites (`embed`, `resid_post.i`, `final`, `pooled`).

`resolve` finds a model without loading it; `base` holds the contracts. How one is found and identified: `folder` (by
`checkpoint` and `formats`, then `text_folder`, `image_folder`, `audio_folder` or `joint`), `hub`, `zoo`, `hashing`. Kinds
of model: `text`, `image` and `audio` (by `loading`), `words`. `families` has the tables of families, `processor` prepares
pictures and `features` sounds, `hooks`, `pooling`, `audio_places` and `batching` are their arithmetic.
"""

from conceptprobe.models.base import POOLINGS, Kind, Model, ModelInfo, ModelSpec, Pooling
from conceptprobe.models.joint import JointSpec, towers
from conceptprobe.models.resolve import resolve
from conceptprobe.models.zoo import ZooEntry, zoo_entries

__all__ = [
    "POOLINGS",
    "JointSpec",
    "Kind",
    "Model",
    "ModelInfo",
    "ModelSpec",
    "Pooling",
    "ZooEntry",
    "resolve",
    "towers",
    "zoo_entries",
]
