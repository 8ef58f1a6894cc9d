"""What can be wrong with a concept file: one table of codes, and the problem a person reads.

A code never changes its meaning. CP00x: the file as YAML and its shape; CP01x: ids, senses, texts, spans, translations;
CP02x: how much there is, and groups; CP03x: the craft of the stimuli; CP04x: media; CP05x: warnings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from conceptprobe.errors import UsageError

Severity = Literal["error", "warning"]

MAX_SHOWN = 80
"""Characters of a user's own text that a message repeats."""


class Code(NamedTuple):
    """How bad a problem is, and its title."""

    severity: Severity
    title: str


CODES: dict[str, Code] = {
    "CP001": Code("error", "unknown key"),
    "CP002": Code("error", "duplicate key"),
    "CP003": Code("error", "YAML reads this as something other than text"),
    "CP004": Code("error", "missing key or value"),
    "CP005": Code("error", "wrong type or value"),
    "CP006": Code("error", "not well-formed YAML"),
    "CP007": Code("error", "not a readable concept file"),
    "CP008": Code("error", "YAML feature that is refused: anchor, alias, tag, several documents, deep nesting"),
    "CP009": Code("error", "character that cannot be printed"),
    "CP010": Code("error", "duplicate id"),
    "CP011": Code("error", "undefined sense"),
    "CP012": Code("error", "span does not occur exactly once in its text"),
    "CP013": Code("error", "identical text with two labels"),
    "CP014": Code("error", "identical text twice"),
    "CP015": Code("error", "sense does not fit the role of the entry"),
    "CP016": Code("error", "the concept word is not the same string everywhere in a set of two senses"),
    "CP017": Code("error", "a translation of a sentence that is not there"),
    "CP018": Code("error", "a translation into the language of its original"),
    "CP019": Code("error", "a sentence is translated twice into one language"),
    "CP020": Code("error", "too few stimuli"),
    "CP021": Code("error", "labels out of balance by more than 2:1"),
    "CP022": Code("error", "a group would cross splits"),
    "CP023": Code("error", "homonym contexts share too many content words"),
    "CP024": Code("error", "a scene is translated without its controls, or without its positives"),
    "CP030": Code("error", "a template uses a word of a term"),
    "CP031": Code("error", "a template needs exactly one slot, which fits every term"),
    "CP032": Code("error", "a template's slot is not where its position says"),
    "CP033": Code("error", "terms are not matched"),
    "CP034": Code("error", "a text that must not name the concept names it"),
    "CP035": Code("error", "a pair of one sentence in two senses has different content words"),
    "CP036": Code("error", "a background word is a word of a concept's terms"),
    "CP037": Code("error", "not a single word"),
    "CP038": Code("error", "stated frequency differs from wordfreq"),
    "CP040": Code("error", "media file is missing or outside the concept's folder"),
    "CP041": Code("error", "media file does not have the stated sha256"),
    "CP042": Code("error", "media without a licence"),
    "CP043": Code("error", "a background picture is a picture of a concept"),
    "CP050": Code("warning", "single words give the label away"),
    "CP051": Code("warning", "no homonym sense"),
    "CP052": Code("warning", "the two senses can be told apart without composition"),
    "CP053": Code("warning", "terms differ in number of tokens"),
    "CP054": Code("warning", "a sense is defined but never used"),
    "CP055": Code("warning", "a picture cannot be shown, or a sound cannot be played, and is left out"),
    "CP056": Code("warning", "too few pictures or sounds for more than an exploration"),
}


@dataclass(frozen=True, order=True)
class Problem:
    """One thing to mend, at a place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    code: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", printable(self.message))

    @property
    def severity(self) -> Severity:
        """`error` (nothing runs) or `warning`."""
        return CODES[self.code].severity

    def to_dict(self) -> dict[str, str | int]:
        """Plain data, for JSON."""
        return {**asdict(self), "severity": self.severity}

    def __str__(self) -> str:
        return printable(f"{self.file}:{self.line}:{self.column}: {self.code} {self.message}")


class ConceptFileError(UsageError):
    """A concept file cannot be used; `problems` holds every reason that was found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem], *, hint: str = "") -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems))
        lines = [str(p) for p in self.problems] + [f"{tally(self.problems)}. Nothing was run."]
        super().__init__("\n".join(lines), hint=hint)


def tally(problems: Iterable[Problem]) -> str:
    """`2 errors, 1 warning`."""
    severities = [p.severity for p in problems]
    return ", ".join(_count(severities.count(s), s) for s in ("error", "warning"))


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def quote(text: str) -> str:
    """A user's own text for a message: in quotes and shortened."""
    return f"'{shorten(text)}'"


def shorten(text: str, most: int = MAX_SHOWN) -> str:
    """The beginning of a text that may be megabytes long."""
    return text if len(text) <= most else text[: most - 3] + "..."


def printable(text: str) -> str:
    """A text on one line, without terminal control codes: what a stranger wrote must not move anybody's cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
