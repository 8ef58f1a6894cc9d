"""name -> object for metrics, probes and figures; third parties add theirs through entry points.

A new metric is one new file with `@register("metric", "name", ...)`: the registry imports the modules of the
package that holds a kind, so no list has to be edited. Plugins are entry points of the group
`conceptprobe.plugins` (a module that registers on import), or files named on the command line.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from conceptprobe.errors import MissingError, UsageError, did_you_mean

T = TypeVar("T")

_HOMES: Mapping[str, str] = {
    "metric": "conceptprobe.alignment",
    "probe": "conceptprobe.probes",
    "question": "conceptprobe.evidence",
    "figure": "conceptprobe.report.figures",
}


@dataclass(frozen=True)
class Entry:
    """One registered object and what its author says about it."""

    kind: str
    name: str
    value: Any
    about: Mapping[str, Any] = field(default_factory=dict)


_entries: dict[tuple[str, str], Entry] = {}
_loaded: set[str] = set()


def register(kind: str, name: str, **about: Any) -> Callable[[T], T]:
    """Decorator: make an object known as `name` of `kind`; a second object of one name is an error."""

    def keep(value: T) -> T:
        known = _entries.get((kind, name))
        if known is not None and known.value is not value:
            raise UsageError(f"two {kind}s are named '{name}'", hint="rename the one in your plugin")
        _entries[kind, name] = Entry(kind, name, value, about)
        return value

    return keep


def get(kind: str, name: str) -> Any:
    """The object registered as `name`; raises UsageError with the nearest known name."""
    known = entries(kind)
    if name not in known:
        raise UsageError(
            f"no {kind} named '{name}'.{did_you_mean(name, known)}",
            hint=f"`conceptprobe list {kind}s` shows them all",
        )
    return known[name].value


def entries(kind: str) -> dict[str, Entry]:
    """All entries of a kind, by name, in alphabetical order."""
    _load(kind)
    return {n: e for (k, n), e in sorted(_entries.items()) if k == kind}


def load_plugin_file(path: Path) -> None:
    """Import one Python file that registers things. It runs code: only ever called for a file the user named."""
    if not path.is_file():
        raise MissingError(f"no plugin file {path}", hint="--plugin takes the path of a Python file")
    name = f"conceptprobe_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file", hint="--plugin takes the path of a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _load(kind: str) -> None:
    if kind in _loaded:
        return
    if kind not in _HOMES:
        raise UsageError(f"no kind named '{kind}'.{did_you_mean(kind, _HOMES)}")
    home = importlib.import_module(_HOMES[kind])
    for module in pkgutil.iter_modules(home.__path__):
        importlib.import_module(f"{_HOMES[kind]}.{module.name}")
    if "plugins" not in _loaded:
        _loaded.add("plugins")
        for point in metadata.entry_points(group="conceptprobe.plugins"):
            point.load()
    _loaded.add(kind)
