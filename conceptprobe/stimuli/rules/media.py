"""Media: files inside the concept's own folder, with the hash that is stated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from conceptprobe.stimuli.draft import Draft
from conceptprobe.stimuli.problems import Problem, quote
from conceptprobe.stimuli.schema import Media


def files_are_what_they_say(draft: Draft) -> Iterator[Problem]:
    """CP040, CP041, CP013: the file is there, inside the folder, has its hash, and no picture has two labels."""
    folder = draft.source.folder
    labels: dict[str, tuple[str, int]] = {}
    for path, media in draft.entries("media", Media):
        label, line = labels.setdefault(media.sha256, (media.label, draft.source.at(path).line))
        if label != media.label:
            message = f"the file of {quote(media.id)} has another label in line {line}: it cannot be both"
            yield draft.source.problem("CP013", (*path, "sha256"), message)
        if folder is None:
            continue
        file, wrong = locate_media(folder, media.path)
        if file is None:
            yield draft.source.problem("CP040", (*path, "path"), f"media file {quote(media.path)} {wrong}")
            continue
        try:
            digest = _sha256(file)
        except OSError as error:
            message = f"media file {quote(media.path)} cannot be read: {error.strerror or error}"
            yield draft.source.problem("CP040", (*path, "path"), message)
            continue
        if digest != media.sha256:
            message = f"media file {quote(media.path)} has sha256 {digest}; the file or the hash is another one"
            yield draft.source.problem("CP041", (*path, "sha256"), message)


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


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
