"""pydantic's errors -> problems a person can act on, at the right place of the file."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from conceptprobe.errors import did_you_mean
from conceptprobe.stimuli.problems import Problem, quote, shorten
from conceptprobe.stimuli.scalars import NotText
from conceptprobe.stimuli.source import DataPath, Source

MAX_GUESSED = 64
"""Characters of a misspelt name that are compared with the known ones: the comparison is quadratic."""


def explain(errors: list[ErrorDetails], source: Source, model: type[BaseModel]) -> list[Problem]:
    """One problem per mistake of shape: unknown and missing keys, type traps, values that do not fit."""
    unknown = [e for e in errors if e["type"] == "extra_forbidden"]
    known = {_path(e)[:-1]: _known_keys(model, _path(e)[:-1]) for e in unknown}
    # a file of nothing but unknown keys gets no more guesses than anybody reads
    guesses = {_path(e): did_you_mean(_key(e)[:MAX_GUESSED], known[_path(e)[:-1]]) for e in unknown[:200]}
    # a misspelt key is one mistake, not an unknown key and a missing one
    meant = {(*path[:-1], guess.split("'")[1]) for path, guess in guesses.items() if guess}
    problems = []
    for error in errors:
        path = _path(error)
        if error["type"] == "extra_forbidden":
            hint = guesses.get(path) or f" Known keys here: {', '.join(known[path[:-1]])}."
            problems.append(source.problem("CP001", path, f"unknown key {quote(_key(error))}.{hint}", key=True))
        elif error["type"] != "missing":
            problems.append(_wrong_value(error, path, source))
        elif path not in meant:
            problems.append(source.problem(_code(path, "CP004"), path, f"missing key {quote(_key(error))}"))
    return problems


def _wrong_value(error: ErrorDetails, path: DataPath, source: Source) -> Problem:
    name, kind, value = _name(path), error["type"], error["input"]
    spelling, read_as = source.typed.get(path, ("", ""))
    if value == "" or (read_as == "nothing" and not spelling):
        return source.problem(_code(path, "CP004"), path, f"{name} is empty")
    if read_as and kind in _WANT_TEXT and path != ("schema",):
        message = f'{name}: YAML reads {shorten(spelling)} as {read_as}; quote it: "{shorten(spelling)}"'
        return source.problem(_code(path, "CP003"), path, message)
    context = error.get("ctx", {})
    wanted = _WANTED[kind].format(**context) if kind in _WANTED else error["msg"]
    written = f", not {quote(source.spelling(path))}" if isinstance(value, str | int | float | NotText) else ""
    if kind == "literal_error" and isinstance(value, str):
        choices = str(context.get("expected", "")).replace(" or ", ", ").split(", ")
        written += f".{did_you_mean(value[:MAX_GUESSED], [c.strip(chr(39)) for c in choices])}"
    return source.problem(_code(path, "CP005"), path, f"{name} {wanted}{written}")


def _code(path: DataPath, code: str) -> str:
    """Whatever is wrong with a licence of media has one code."""
    return "CP042" if path[0] == "media" and path[-1] == "licence" else code


_WANT_TEXT = ("string_type", "literal_error")

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
    "value_error": "{error}",
}
"""pydantic's types of errors -> what the value must be, in a person's words."""


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
