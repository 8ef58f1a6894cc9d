"""conceptprobe: is a concept represented in models, is it the same in all of them, and is it more than words?

The names below are imported when they are first used, so `import conceptprobe` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conceptprobe.activations import extract
    from conceptprobe.models.options import Options
    from conceptprobe.models.resolve import resolve as load_model
    from conceptprobe.pipeline.config import RunConfig
    from conceptprobe.pipeline.results import load_run
    from conceptprobe.pipeline.run import run
    from conceptprobe.stimuli import expand, load_background, load_concept

__version__ = "0.1.0"

_HOMES = {
    "Options": ("conceptprobe.models.options", "Options"),
    "RunConfig": ("conceptprobe.pipeline.config", "RunConfig"),
    "expand": ("conceptprobe.stimuli", "expand"),
    "extract": ("conceptprobe.activations", "extract"),
    "load_background": ("conceptprobe.stimuli", "load_background"),
    "load_concept": ("conceptprobe.stimuli", "load_concept"),
    "load_model": ("conceptprobe.models.resolve", "resolve"),
    "load_run": ("conceptprobe.pipeline.results", "load_run"),
    "run": ("conceptprobe.pipeline.run", "run"),
}

__all__ = [
    "Options",
    "RunConfig",
    "expand",
    "extract",
    "load_background",
    "load_concept",
    "load_model",
    "load_run",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
