"""Pictures and sounds of a concept file or of a pool: where they lie, which can be used, and which belong together.

Missing files and wrong hashes are errors of the file (`rules/media.py`). A picture that is there but cannot be shown,
or a sound that cannot be played, is left out with the partner it was matched with, so that the labels stay balanced.
What differs between the two is a row of `MEDIA`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import TypeVar

from conceptprobe.errors import MediaError, MissingError
from conceptprobe.stimuli.pictures import read_picture
from conceptprobe.stimuli.problems import quote
from conceptprobe.stimuli.schema import Media, Picture
from conceptprobe.stimuli.sounds import read_sound
from conceptprobe.stimuli.stimulus import Modality
from conceptprobe.stimuli.units import components

Entry = TypeVar("Entry", bound=Media | Picture)


@dataclass(frozen=True)
class Medium:
    """Files of one modality: the words for them, the sets they become, and what finds out whether they can be used."""

    modality: Modality
    one: str
    many: str
    """Also the name of their set."""
    captions: str
    """The set that says, row by row, what is there."""
    read: Callable[[Path], object]
    """Raises MediaError where a file cannot be used."""


def _played(file: Path) -> object:
    return read_sound(file, rate=16_000)


MEDIA: dict[Modality, Medium] = {
    m.modality: m
    for m in (
        Medium("image", "picture", "pictures", "captions", read_picture),
        Medium("audio", "sound", "sounds", "sound_captions", _played),
    )
}
"""Every kind of media file, in the order in which they are spoken of."""


def usable(entries: Sequence[Entry], folder: Path | None, modality: Modality) -> Iterator[tuple[Entry, str]]:
    """(entry, file) of every file of a modality that can be used, in order; without a folder all of them, and no file.

    Raises MissingError where a file is not there: a file that was loaded had them all.
    """
    own = [e for e in entries if e.modality == modality]
    if folder is None:
        yield from ((e, "") for e in own)
        return
    files = {e.id: _file(e, folder) for e in own}
    yield from ((e, str(files[e.id])) for e in kept(own, [e.id for e in own if fault(modality, files[e.id])]))


def left_out(entries: Sequence[Entry], folder: Path | None) -> list[str]:
    """A line for every picture that cannot be shown and every sound that cannot be played, and why."""
    if folder is None:
        return []
    faults = {e.id: (e, fault(e.modality, _file(e, folder))) for e in entries}
    return [
        f"{MEDIA[e.modality].one} {quote(e.path)} of entry {quote(id_)} {reason}; it is left out"
        + (", with its pair" if isinstance(e, Media) else "")
        for id_, (e, reason) in faults.items()
        if reason
    ]


def kept(own: Sequence[Entry], faulty: Collection[str]) -> list[Entry]:
    """The entries of one modality without those of the faulty ids and without their partners."""
    pairs = {e.pair for e in own if isinstance(e, Media) and e.id in faulty}
    return [e for e in own if e.id not in faulty and not (isinstance(e, Media) and e.pair in pairs)]


def fault(modality: Modality, file: Path) -> str:
    """Why a picture cannot be shown or a sound not be played; empty where it can. It is decoded once, until the file
    changes."""
    return _fault(modality, file, file.stat().st_mtime_ns)


def media_units(entries: Sequence[Media]) -> dict[str, str]:
    """Entry id -> unit: what is linked by pair or group, named after its first pair."""
    linked = components([{("pair", e.pair), ("group", e.group) if e.group else ("pair", e.pair)} for e in entries])
    names: dict[int, str] = {}
    return {e.id: names.setdefault(number, e.pair) for e, number in zip(entries, linked, strict=True)}


def media_counts(entries: Sequence[Entry], faulty: Collection[str], modality: Modality) -> dict[str, int]:
    """How many files of a modality there are to use: per label, and in how many units; of a pool, in how many
    categories.

    Empty where there are none at all; `left_out` is there where some cannot be used.
    """
    own = [e for e in entries if e.modality == modality]
    if not own:
        return {}
    used = kept(own, faulty)
    left_out = {"left_out": len(own) - len(used)} if len(used) < len(own) else {}
    if isinstance(own[0], Picture):
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
def _fault(modality: Modality, file: Path, changed: int) -> str:
    try:
        MEDIA[modality].read(file)
    except MediaError as error:
        return error.reason
    except MissingError:
        return ""  # without the decoder nothing is known of the file; a run that needs it will be told so
    return ""
