"""Models: a name -> something with named sites (`embed`, `resid_post.i`, `final`, `pooled`).

`resolve` finds a model without loading it; `base` holds the contracts; `folder`, `hub`, `zoo` and `hashing` are how it
is found and identified; `text` (by `loading`) and `words`
are the two kinds of model there are, `blocks` the table of families, `pooling` and `batching` their arithmetic.
"""

from conceptprobe.models.base import POOLINGS, Kind, Model, ModelInfo, ModelSpec, Pooling
from conceptprobe.models.resolve import resolve
from conceptprobe.models.zoo import ZooEntry, zoo_entries

__all__ = ["POOLINGS", "Kind", "Model", "ModelInfo", "ModelSpec", "Pooling", "ZooEntry", "resolve", "zoo_entries"]
