"""What identifies a model on disk: sha256 of its files, computed once per file and remembered beside the cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from conceptprobe.errors import UsageError
from conceptprobe.files import write_text


def cache_root() -> Path:
    """The cache folder: `CONCEPTPROBE_CACHE` where set, else `conceptprobe` in the user's cache folder. Not created."""
    named = os.environ.get("CONCEPTPROBE_CACHE")
    if named:
        return Path(named).expanduser()
    if sys.platform == "darwin":
        home = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "conceptprobe"


def file_sha256(path: Path) -> str:
    """sha256 of a file, hex. Remembered by (path, size, mtime in ns), so that gigabytes are read once, not per run."""
    return files_sha256([path])[path]


def files_sha256(paths: Iterable[Path]) -> dict[Path, str]:
    """sha256 of each file, hex; one look into the memory and at most one write of it."""
    memory = _Memory(cache_root() / "hashes.json")
    found: dict[Path, str] = {}
    for path in paths:
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        found[path] = memory.get(key) or memory.put(key, _digest(path))
    memory.save()
    return found


def combined(parts: Mapping[str, str]) -> str:
    """One sha256 over named parts, in the order of their names: it does not depend on where files lie."""
    text = json.dumps(dict(sorted(parts.items())), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


class _Memory:
    """{path|size|mtime: sha256} in one JSON file. It only saves time, so a broken or unwritable one is ignored."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, str] = {}
        self.new: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError):
            read = json.loads(path.read_text("utf-8"))
            self.known = {str(k): str(v) for k, v in read.items()} if isinstance(read, dict) else {}

    def get(self, key: str) -> str | None:
        return self.known.get(key)

    def put(self, key: str, value: str) -> str:
        self.known[key] = self.new[key] = value
        return value

    def save(self) -> None:
        if not self.new:
            return
        with contextlib.suppress(UsageError):
            write_text(self.path, json.dumps(self.known, indent=0))
