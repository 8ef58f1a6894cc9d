"""The bytes of a media file that came from a stranger: looked at before it is read, never read without a limit."""

from __future__ import annotations

import hashlib
from pathlib import Path

from conceptprobe.errors import MediaError


def media_bytes(path: Path, name: str, sha256: str | None, most: int, error: type[MediaError]) -> bytes:
    """The whole file. `name` is what messages call it, `most` the largest size in bytes, `sha256` what it must have.

    Raises `error` where the file is missing, empty, a folder or a pipe, too large, unreadable, or another one.
    """
    content = _content(path, name, most, error)
    if sha256 is not None and (digest := hashlib.sha256(content).hexdigest()) != sha256:
        raise error(name, f"has sha256 {digest}, not {sha256}", hint="the file or the hash is another one")
    return content


def _content(path: Path, name: str, most: int, error: type[MediaError]) -> bytes:
    try:
        if not path.exists():
            raise error(name, "does not exist")
        if not path.is_file():  # a folder, or a pipe that would never end
            raise error(name, "is not a file")
        size = path.stat().st_size
        if size == 0:
            raise error(name, "is empty: it has no bytes")
        if size > most:
            raise error(name, f"has {size / 1e6:.1f} MB; at most {most / 1e6:.0f} MB are read")
        with path.open("rb") as handle:
            return handle.read(most)
    except (OSError, ValueError) as wrong:  # ValueError: a NUL in the path
        raise error(name, f"cannot be read: {getattr(wrong, 'strerror', None) or wrong}") from wrong
