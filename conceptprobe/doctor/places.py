"""Where things are kept, and the hub: folders that can be written, room on the disk, whether the hub answers."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from conceptprobe.doctor.examined import Check, State
from conceptprobe.files import size
from conceptprobe.models.hashing import cache_root

ACTIVATIONS = "activations"
LITTLE = 2 * 10**9
"""Bytes free on the disk of a cache; below them a single model may not fit."""
SECONDS = 3.0
"""That the hub may take to answer."""


def caches(hub_cache: Path | None = None) -> list[Check]:
    """The cache of activations and that of the hub: place, size, room, and whether they can be written."""
    if hub_cache is None:
        from huggingface_hub import constants

        hub_cache = Path(constants.HF_HUB_CACHE)
    return [
        _folder(ACTIVATIONS, cache_root(), "CONCEPTPROBE_CACHE in the environment names another folder"),
        _folder(
            "hub downloads", hub_cache.expanduser(), "--cache-dir, or HF_HOME in the environment, names another folder"
        ),
    ]


def _folder(name: str, folder: Path, hint: str) -> Check:
    # Nothing is created by looking: of a folder that is not there yet, what it would be made in is examined.
    here = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    free = shutil.disk_usage(here).free
    found = f"{folder}, {size(_bytes(folder))}, {size(free)} free on its disk"
    why = _not_writable(here)
    if why:
        # What was downloaded can be read from a read-only folder; without a place for activations nothing runs.
        state: State = "unsafe" if name == ACTIVATIONS else "warning"
        return Check("caches", name, state, f"{folder} cannot be written: {why}", hint)
    if free < LITTLE:
        return Check("caches", name, "warning", f"{found}: little room", f"`conceptprobe cache --clear`, or {hint}")
    return Check("caches", name, "ok", found)


def _not_writable(folder: Path) -> str:
    """Why no file can be made in it; empty where one can. Tried, since permissions do not tell of a read-only disk."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".conceptprobe-"):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _bytes(folder: Path) -> int:
    """Size of all files; links, which the hub's cache is full of, are not counted twice."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                try:
                    total += os.stat(path).st_size
                except OSError:  # another process has just removed it
                    continue
    return total


def hub(offline: bool = False) -> list[Check]:
    """Whether the hub answers, and whether a token is there for gated models; the token itself is never shown."""
    from huggingface_hub import constants, get_token

    token = "there is one" if get_token() else "none: gated and private models need `hf auth login`"
    return [_reached(constants.ENDPOINT, offline or constants.HF_HUB_OFFLINE), Check("hub", "token", "ok", token)]


def _reached(endpoint: str, offline: bool) -> Check:
    from huggingface_hub import get_session
    from huggingface_hub.errors import HfHubHTTPError

    if offline:
        return Check("hub", "reachable", "note", f"not asked: offline; {endpoint}")
    # huggingface_hub changed its transport library twice; its own HTTP error always inherits the transport's base.
    transport_error: type[Exception] = HfHubHTTPError.__bases__[0]
    try:
        status = get_session().get(f"{endpoint}/api/models?limit=1", timeout=SECONDS).status_code
    except (transport_error, OSError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        hint = "models of the zoo, local folders and what is cached need no hub; --offline keeps runs from asking"
        return Check("hub", "reachable", "warning", f"{endpoint} does not answer: {why}", hint)
    if status >= 400:
        return Check("hub", "reachable", "warning", f"{endpoint} answers with status {status}", "try again later")
    return Check("hub", "reachable", "ok", endpoint)
