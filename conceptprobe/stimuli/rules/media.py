"""Media: files inside the file's own folder, with the hash that is stated, that can be used, and enough of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from conceptprobe.stimuli.draft import Draft
from conceptprobe.stimuli.media import MEDIA, fault, locate_media, media_counts
from conceptprobe.stimuli.problems import Problem, quote
from conceptprobe.stimuli.rules.counts import LEAST
from conceptprobe.stimuli.schema import Media, Picture
from conceptprobe.stimuli.source import DataPath
from conceptprobe.stimuli.stimulus import Modality


def media_of(draft: Draft) -> list[tuple[DataPath, Media]] | list[tuple[DataPath, Picture]]:
    """Media of a concept file or of a pool, with their places."""
    return draft.entries("media", Media) or draft.entries("media", Picture)


def files_are_what_they_say(draft: Draft) -> Iterator[Problem]:
    """CP040, CP041, CP013, CP014: each file is there, inside the folder, has its hash, and is there once."""
    folder = draft.source.folder
    seen: dict[str, tuple[str, int]] = {}
    for path, media in media_of(draft):
        own = media.label if isinstance(media, Media) else media.word
        other, line = seen.setdefault(media.sha256, (own, draft.source.at(path).line))
        if other != own:
            what = "label" if isinstance(media, Media) else "word"
            message = f"the file of {quote(media.id)} has another {what} in line {line}: it cannot be both"
            yield draft.source.problem("CP013", (*path, "sha256"), message)
        elif line != draft.source.at(path).line:
            message = f"the file of {quote(media.id)} is that of line {line} already"
            yield draft.source.problem("CP014", (*path, "sha256"), message)
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


def words_are_different(draft: Draft) -> Iterator[Problem]:
    """CP014: no two pictures of a pool have the same word."""
    seen: dict[str, DataPath] = {}
    for path, picture in draft.entries("media", Picture):
        first = seen.setdefault(picture.word.casefold(), path)
        if first != path:
            line = draft.source.at(first).line
            message = f"{quote(picture.word)} is the word of the picture in line {line} already"
            yield draft.source.problem("CP014", (*path, "word"), message)


def media_can_be_used(draft: Draft) -> Iterator[Problem]:
    """CP055: what is left out of every set, with the partner of its pair."""
    for path, media, reason in _faults(draft):
        partner = ", with its pair" if isinstance(media, Media) else ""
        what = f"{MEDIA[media.modality].one} {quote(media.path)} of entry {quote(media.id)}"
        message = f"{what} {reason}; it is left out{partner}"
        yield draft.source.problem("CP055", (*path, "path"), message)


def there_are_enough_media(draft: Draft) -> Iterator[Problem]:
    """CP056: with fewer, every row on them reads `exploratory`. A file without any asks nothing of that modality."""
    least = LEAST["pictures or sounds per label"]
    for modality, medium in MEDIA.items():
        counts = counts_of(draft, modality)
        if counts and min(counts["positive"], counts["control"]) < least:
            message = (
                f"{counts['positive']} positive and {counts['control']} control {medium.many}, fewer than {least} + "
                f"{least}: every row on {medium.many} will read 'exploratory'"
            )
            yield draft.source.problem("CP056", ("media",), message, key=True)


def pictures_are_not_of_concepts(draft: Draft, concepts: Iterable[Draft]) -> Iterator[Problem]:
    """CP043: no picture of the pool is a picture (of any label) of these concepts."""
    owner: dict[str, str] = {}
    for concept in concepts:
        for _, media in concept.entries("media", Media):
            owner.setdefault(media.sha256, f"{quote(media.id)} of {concept.source.file}")
    for path, picture in draft.entries("media", Picture):
        if picture.sha256 in owner:
            message = f"the file of {quote(picture.id)} is that of {owner[picture.sha256]}"
            yield draft.source.problem("CP043", (*path, "sha256"), message)


def counts_of(draft: Draft, modality: Modality) -> dict[str, int]:
    """How many files of a modality can be used, by label; empty where there are none."""
    return media_counts([m for _, m in media_of(draft)], {media.id for _, media, _ in _faults(draft)}, modality)


def _faults(draft: Draft) -> Iterator[tuple[DataPath, Media | Picture, str]]:
    """(place, entry, reason) of the files that are there but cannot be used."""
    for path, media in media_of(draft) if draft.source.folder else ():
        file, _ = locate_media(draft.source.folder or Path(), media.path)
        if file is not None and (reason := fault(media.modality, file)):
            yield path, media, reason


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
