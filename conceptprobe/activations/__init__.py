"""Activations: stimuli x model -> arrays, computed once. `extract` is the door; `store` is the cache."""

from conceptprobe.activations.extract import (
    Activations,
    LoadedModels,
    cell_key,
    extract,
    extractor_version,
    missing_cells,
    texts_cut,
)
from conceptprobe.activations.store import Entry, Store, key_of

__all__ = [
    "Activations",
    "Entry",
    "LoadedModels",
    "Store",
    "cell_key",
    "extract",
    "extractor_version",
    "key_of",
    "missing_cells",
    "texts_cut",
]
