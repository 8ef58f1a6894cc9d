"""Data -> entries that parsed and problems of those that did not, so that one bad line does not hide the next.

A `Draft` is what the rules look at: every entry of every section that has the right shape, with its place in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from conceptprobe.errors import did_you_mean
from conceptprobe.stimuli.problems import Problem, quote, shorten
from conceptprobe.stimuli.schema import (
    Background,
    Category,
    Citation,
    Concept,
    Homonym,
    Media,
    Paraphrase,
    SameWords,
    Sense,
    Sentence,
    Template,
    Triple,
)
from conceptprobe.stimuli.source import DataPath, NotText, Source

T = TypeVar("T", bound=BaseModel)

SECTIONS: Mapping[str, Mapping[str, type[BaseModel]]] = {
    "concept": {
        "citations": Citation,
        "senses": Sense,
        "templates": Template,
        "terms": Triple,
        "sentences": Sentence,
        "paraphrases": Paraphrase,
        "same_words": SameWords,
        "homonyms": Homonym,
        "media": Media,
    },
    "background": {"citations": Citation, "templates": Template, "categories": Category},
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
    except ValidationError as error:
        result.problems += _explain(error.errors(include_url=False), source, MODELS[kind])
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


def _explain(errors: list[ErrorDetails], source: Source, model: type[BaseModel]) -> list[Problem]:
    unknown = [e for e in errors if e["type"] == "extra_forbidden"]
    known = {_path(e)[:-1]: _known_keys(model, _path(e)[:-1]) for e in unknown}
    guesses = {_path(e): did_you_mean(_key(e)[:64], known[_path(e)[:-1]]) for e in unknown[:200]}
    # a misspelt key is one mistake, not an unknown key and a missing one
    meant = {(*path[:-1], guess.split("'")[1]) for path, guess in guesses.items() if guess}
    problems = []
    for error in errors:
        path = _path(error)
        if error["type"] == "extra_forbidden":
            hint = guesses.get(path) or f" Known keys here: {', '.join(known[path[:-1]])}."
            problems.append(source.problem("CP001", path, f"unknown key {quote(_key(error))}.{hint}", key=True))
        elif error["type"] == "missing":
            if path not in meant:
                code = "CP042" if path[0] == "media" and path[-1] == "licence" else "CP004"
                problems.append(source.problem(code, path, f"missing key {quote(_key(error))}"))
        else:
            problems.append(_wrong_value(error, path, source))
    return problems


def _wrong_value(error: ErrorDetails, path: DataPath, source: Source) -> Problem:
    name = _name(path)
    wants_text = error["type"] in ("string_type", "literal_error") and path != ("schema",)
    if path in source.typed:
        spelling, read_as = source.typed[path]
        if read_as == "nothing" and not spelling:
            code = "CP042" if path[0] == "media" and path[-1] == "licence" else "CP004"
            return source.problem(code, path, f"{name} has no value")
        if wants_text:
            message = f'{name}: YAML reads {shorten(spelling)} as {read_as}; quote it: "{shorten(spelling)}"'
            return source.problem("CP003", path, message)
    template = _WANTED.get(error["type"])
    wanted = template.format(**error.get("ctx", {})) if template else error["msg"]
    written = f", not {quote(source.spelling(path))}" if isinstance(error["input"], str | int | float | NotText) else ""
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        written += f".{did_you_mean(error['input'][:64], _choices(error))}"
    if error["type"] == "string_too_short":
        code = "CP042" if path[0] == "media" and path[-1] == "licence" else "CP004"
        return source.problem(code, path, f"{name} is empty")
    return source.problem("CP005", path, f"{name} {wanted}{written}")


_WANTED = {
    "string_type": "must be text",
    "literal_error": "must be {expected}",
    "float_type": "must be a number (without quotes)",
    "int_type": "must be a whole number (without quotes)",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "greater_than": "must be over {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be under {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must look like {pattern}",
    "value_error": "{error}",
}
"""pydantic's types of errors -> what the value must be, in a person's words."""


def _choices(error: ErrorDetails) -> list[str]:
    return [part.strip(" '") for part in str(error.get("ctx", {}).get("expected", "")).replace(" or ", ",").split(",")]


def _path(error: ErrorDetails) -> DataPath:
    return tuple(error["loc"])


def _key(error: ErrorDetails) -> str:
    return str(error["loc"][-1])


def _name(path: DataPath) -> str:
    """`text` for ("sentences", 3, "text"); `entry 4 of sentences` for ("sentences", 3)."""
    if not path:
        return "the file"
    if isinstance(path[-1], str):
        return quote(path[-1])
    return f"entry {path[-1] + 1} of {quote(str(path[-2]))}"


def _known_keys(model: type[BaseModel], path: DataPath) -> list[str]:
    """Keys that the mapping at a path may have: follows the field annotations down."""
    for step in path:
        if isinstance(step, str):
            field_ = model.model_fields.get(step)
            inner = _model_in(field_.annotation) if field_ else None
            if inner is None:
                return []
            model = inner
    return [f.alias or name for name, f in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_in, getattr(annotation, "__args__", ())) if m is not None), None)
