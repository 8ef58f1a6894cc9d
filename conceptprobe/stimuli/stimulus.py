"""Stimulus and StimulusSet: what is shown to a model. A leaf module: it imports nothing of the project."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

Role = Literal["positive", "control", "paraphrase", "homonym", "background"]
Modality = Literal["text", "image", "audio"]


@dataclass(frozen=True, slots=True)
class Stimulus:
    """One sentence, picture or sound with everything the statistics need to know about it.

    `groups` are (kind, name) pairs that must not be split, or by which rows are averaged: `unit`, `term`,
    `template`, `tier` (near or far), `group`, `category`, `word`, `of` (the sentence that this one translates).
    `pair` links rows that are matched. `span` is the half-open character range of the concept word in `content`, of a
    masked sentence that of the blank. Of a picture or a sound, `content` is the sha256 of the file, and `file` is where
    it lies; `text` is what is said beside a picture, to a model that reads both, and `span` then lies in that.
    """

    id: str
    concept: str
    sense: str
    role: Role
    modality: Modality
    content: str
    lang: str = "en"
    groups: tuple[tuple[str, str], ...] = ()
    pair: str = ""
    span: tuple[int, int] | None = None
    file: str = ""
    text: str = ""

    def group(self, kind: str) -> str:
        """Name of the group of that kind; empty when the stimulus has none."""
        return next((name for k, name in self.groups if k == kind), "")

    @property
    def label(self) -> int:
        """1 where the concept is meant (positive, paraphrase), 0 otherwise."""
        return int(self.role in ("positive", "paraphrase"))


@dataclass(frozen=True)
class StimulusSet:
    """Ordered stimuli of one modality under one name (`terms`, `sentences`, `pictures`, `captions`, `sounds`, ...)."""

    name: str
    stimuli: tuple[Stimulus, ...]

    def __len__(self) -> int:
        return len(self.stimuli)

    def __iter__(self) -> Iterator[Stimulus]:
        return iter(self.stimuli)

    def where(self, keep: Callable[[Stimulus], bool], name: str | None = None) -> StimulusSet:
        """The stimuli for which `keep` is true, in the same order."""
        return StimulusSet(name or self.name, tuple(s for s in self.stimuli if keep(s)))

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids in order."""
        return tuple(s.id for s in self.stimuli)

    @property
    def texts(self) -> list[str]:
        """Contents in order. Raises ValueError for pictures and sounds: their content is a hash, which nobody reads."""
        if any(s.modality != "text" for s in self.stimuli):
            raise ValueError(f"the set '{self.name}' holds pictures or sounds, not texts")
        return [s.content for s in self.stimuli]

    @property
    def labels(self) -> list[int]:
        """1 for the concept, 0 for everything else, in order."""
        return [s.label for s in self.stimuli]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over every field of every stimulus: it follows content, not the layout of a file."""
        # Where a file lies is layout; its content is the sha256 of the file. A text that is not there is nothing said.
        lines: list[Mapping[str, object]] = [
            {k: v for k, v in asdict(s).items() if k != "file" and (k != "text" or v)} for s in self.stimuli
        ]
        text = json.dumps(lines, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
