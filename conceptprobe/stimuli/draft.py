"""Data -> entries that parsed and problems of those that did not, so that one bad line does not hide the next.

A `Draft` is what the rules look at: every entry of every section that has the right shape, with its place in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from conceptprobe.stimuli.explain import explain
from conceptprobe.stimuli.problems import Problem
from conceptprobe.stimuli.schema import (
    Background,
    Category,
    Citation,
    Concept,
    Homonym,
    Media,
    Paraphrase,
    Picture,
    SameWords,
    Sense,
    Sentence,
    Template,
    Translation,
    Triple,
)
from conceptprobe.stimuli.source import DataPath, Source

T = TypeVar("T", bound=BaseModel)

SECTIONS: Mapping[str, Mapping[str, type[BaseModel]]] = {
    "concept": {
        "citations": Citation,
        "senses": Sense,
        "templates": Template,
        "terms": Triple,
        "sentences": Sentence,
        "translations": Translation,
        "paraphrases": Paraphrase,
        "same_words": SameWords,
        "homonyms": Homonym,
        "media": Media,
    },
    "background": {"citations": Citation, "templates": Template, "categories": Category, "media": Picture},
}
"""The lists of each kind of file."""

MODELS: Mapping[str, type[Concept] | type[Background]] = {"concept": Concept, "background": Background}


@dataclass
class Draft:
    """One file as far as it parses. `whole` is the frozen model where its shape is right throughout."""

    source: Source
    kind: str
    whole: Concept | Background | None = None
    problems: list[Problem] = field(default_factory=list)
    _entries: dict[str, list[tuple[DataPath, BaseModel]]] = field(default_factory=dict)

    def entries(self, section: str, model: type[T]) -> list[tuple[DataPath, T]]:
        """Entries of a section that have the right shape, with their places."""
        return [(path, item) for path, item in self._entries.get(section, []) if isinstance(item, model)]

    def broken(self, section: str) -> int:
        """How many entries of a section do not have the right shape (and are reported for that)."""
        return len(self.raw(section)) - len(self._entries.get(section, []))

    def missing(self, section: str) -> bool:
        """True where a section is not a list at all, which is reported as such."""
        return not isinstance(self.source.data.get(section), list)

    def raw(self, section: str) -> list[Any]:
        """A section as it stands in the file."""
        value = self.source.data.get(section)
        return value if isinstance(value, list) else []

    def text(self, key: str, default: str = "") -> str:
        """A top-level string, or the default where it is something else."""
        value = self.source.data.get(key)
        return value if isinstance(value, str) else default


def draft(source: Source) -> Draft:
    """Parse a file's data by its kind; problems of shape are in the result, with the source's own."""
    # a misspelt kind should be one error, not one per key
    pool_like = "categories" in source.data and "terms" not in source.data
    kind = "background" if source.data.get("kind") == "background" or pool_like else "concept"
    result = Draft(source, kind, problems=list(source.problems))
    try:
        result.whole = MODELS[kind].model_validate(source.data)
        result.whole._folder = source.folder
    except ValidationError as error:
        result.problems += explain(error.errors(include_url=False), source, MODELS[kind])
    for section, model in SECTIONS[kind].items():
        result._entries[section] = _parsed(result, section, model)
    return result


def _parsed(result: Draft, section: str, model: type[BaseModel]) -> list[tuple[DataPath, BaseModel]]:
    if result.whole is not None:
        return [((section, i), item) for i, item in enumerate(getattr(result.whole, section))]
    parsed: list[tuple[DataPath, BaseModel]] = []
    for i, raw in enumerate(result.raw(section)):
        try:
            parsed.append(((section, i), model.model_validate(raw)))
        except ValidationError:
            continue  # the whole file's validation has reported it
    return parsed
