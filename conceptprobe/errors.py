"""Errors a person can act on: what is wrong, what to do, and the exit code of the command line.

Exit codes: 0 done, 1 some cells failed, 2 usage or a bad concept file, 3 something missing, 130 interrupted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConceptprobeError(Exception):
    """Base of every error shown without a traceback; `hint` says what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ConceptprobeError):
    """The arguments, or a concept file, cannot be used as they are."""

    exit_code = 2


class MissingError(ConceptprobeError):
    """A model, a package, a file or the network is not there."""

    exit_code = 3


class UnsafeModelError(MissingError):
    """A model folder offers only files that would run code when loaded."""


class CorruptError(ConceptprobeError):
    """A stored file does not hold what its name or hash says."""


class MediaError(ConceptprobeError):
    """A media file cannot be shown or played, or is not the one it should be; `reason` says why, `file` which."""

    exit_code = 2
    noun = "file"

    def __init__(self, file: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{self.noun} {file} {reason}", hint=hint)
        self.file = file
        self.reason = reason


class PictureError(MediaError):
    """A picture cannot be shown, or is not the one it should be."""

    noun = "picture"


class SoundError(MediaError):
    """A sound cannot be played, or is not the one it should be."""

    noun = "sound"


class TooFewRows(ConceptprobeError, ValueError):
    """A statistic is not defined for so few rows."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest known name, or an empty string when nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""
