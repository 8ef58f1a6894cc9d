"""The machine, looked at part by part: what is here, what is not, and what of it is not safe to use.

Nothing is loaded or downloaded, and transformers is not imported: a broken environment is to be described, not met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from conceptprobe.doctor.devices import attention, devices
from conceptprobe.doctor.examined import Check, Examined
from conceptprobe.doctor.packages import packages, pictures
from conceptprobe.doctor.places import caches, hub


def examine(*, offline: bool = False, hub_cache: Path | None = None) -> Examined:
    """Look at everything; a few seconds. `offline`: the hub is not asked; `hub_cache`: where downloads go, if elsewhere."""
    parts: Mapping[str, Callable[[], list[Check]]] = {
        "packages": packages,
        "torchvision": pictures,
        "devices": devices,
        "attention": attention,
        "caches": lambda: caches(hub_cache),
        "hub": lambda: hub(offline),
    }
    return Examined(tuple(check for name, look in parts.items() for check in _looked(name, look)))


def _looked(part: str, look: Callable[[], list[Check]]) -> list[Check]:
    """What a look gives; where it fails itself, that is what was found."""
    try:
        return look()
    except Exception as error:  # a broken package raises anything when it is touched, and that is the finding
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        return [Check(part, part, "unsafe", f"cannot be examined: {why}", "reinstall what the message names")]
