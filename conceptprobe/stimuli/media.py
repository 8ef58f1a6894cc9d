"""Pictures of a concept file or of a pool: where they lie, which can be shown, and which belong together.

Missing files and wrong hashes are errors of the file (`rules/media.py`). A picture that is there but cannot be shown
is left out, with the partner it was matched with, so that the labels stay balanced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import TypeVar

from conceptprobe.errors import MissingError, PictureError
from conceptprobe.stimuli.pictures import read_picture
from conceptprobe.stimuli.problems import quote
from conceptprobe.stimuli.schema import Media, Picture
from conceptprobe.stimuli.units import components

Entry = TypeVar("Entry", bound=Media | Picture)


def shown(entries: Sequence[Entry], folder: Path | None) -> Iterator[tuple[Entry, str]]:
    """(entry, file) of every picture that can be shown, in order; without a folder all of them, and no file.

    Raises MissingError where a file is not there: a file that was loaded had them all.
    """
    pictures = [e for e in entries if e.modality == "image"]
    if folder is None:
        yield from ((e, "") for e in pictures)
        return
    files = {e.id: _file(e, folder) for e in pictures}
    yield from ((e, str(files[e.id])) for e in kept(pictures, [e.id for e in pictures if fault(files[e.id])]))


def left_out(entries: Sequence[Entry], folder: Path | None) -> list[str]:
    """A line for every picture that cannot be shown, and why."""
    if folder is None:
        return []
    faults = {e.id: (e, fault(_file(e, folder))) for e in entries if e.modality == "image"}
    return [
        f"picture {quote(e.path)} of entry {quote(id_)} {reason}; it is left out"
        + (", with its pair" if isinstance(e, Media) else "")
        for id_, (e, reason) in faults.items()
        if reason
    ]


def kept(pictures: Sequence[Entry], faulty: Collection[str]) -> list[Entry]:
    """The pictures without those of the faulty ids and without their partners."""
    pairs = {e.pair for e in pictures if isinstance(e, Media) and e.id in faulty}
    return [e for e in pictures if e.id not in faulty and not (isinstance(e, Media) and e.pair in pairs)]


def fault(file: Path) -> str:
    """Why a picture cannot be shown; empty where it can. It is decoded once, until the file changes."""
    return _fault(file, file.stat().st_mtime_ns)


def media_units(entries: Sequence[Media]) -> dict[str, str]:
    """Entry id -> unit: what is linked by pair or group, named after its first pair."""
    linked = components([{("pair", e.pair), ("group", e.group) if e.group else ("pair", e.pair)} for e in entries])
    names: dict[int, str] = {}
    return {e.id: names.setdefault(number, e.pair) for e, number in zip(entries, linked, strict=True)}


def picture_counts(entries: Sequence[Entry], faulty: Collection[str]) -> dict[str, int]:
    """How many pictures there are to show: per label, and in how many units; of a pool, in how many categories.

    Empty where there are no pictures at all; `left_out` is there where some cannot be shown.
    """
    pictures = [e for e in entries if e.modality == "image"]
    if not pictures:
        return {}
    used = kept(pictures, faulty)
    left_out = {"left_out": len(pictures) - len(used)} if len(used) < len(pictures) else {}
    if isinstance(pictures[0], Picture):
        categories = {e.category for e in used if isinstance(e, Picture)}
        return {"background": len(used), "categories": len(categories)} | left_out
    units = media_units([e for e in entries if isinstance(e, Media)])
    labels = Counter(e.label for e in used if isinstance(e, Media))
    used_units = len({units[e.id] for e in used})
    return {"positive": labels["positive"], "control": labels["control"], "units": used_units} | left_out


def locate_media(folder: Path, relative: str) -> tuple[Path | None, str]:
    """The file, or None and why not. Nothing outside the folder is ever touched, by `..`, drive letter or link."""
    windows = PureWindowsPath(relative)  # splits at both kinds of slashes
    if windows.anchor or ".." in windows.parts or "\\" in relative:
        return None, "must be a path relative to the concept file, with / and without .."
    root = folder.resolve()
    try:
        file = (root / relative).resolve()
        inside, exists = file.is_relative_to(root), file.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # too long, or a loop of links
        return None, f"cannot be looked up: {getattr(error, 'strerror', None) or error}"
    if not inside:
        return None, "leads out of the concept file's folder"
    return (file, "") if exists else (None, "does not exist")


def _file(entry: Media | Picture, folder: Path) -> Path:
    file, wrong = locate_media(folder, entry.path)
    if file is None:
        raise MissingError(f"media file {quote(entry.path)} of entry {quote(entry.id)} {wrong}")
    return file


@lru_cache(maxsize=65_536)
def _fault(file: Path, changed: int) -> str:
    try:
        read_picture(file)
    except PictureError as error:
        return error.reason
    return ""
