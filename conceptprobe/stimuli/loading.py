"""Files -> frozen concepts, or every reason why not; and the full check that `validate` shows.

Loading runs the cheap rules only (a warm run does it each time); `check_files` adds word frequencies, decodes all
media and measures how hard the stimuli are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conceptprobe.stimuli.draft import Draft, draft
from conceptprobe.stimuli.locate import find_concept_file
from conceptprobe.stimuli.media import MEDIA
from conceptprobe.stimuli.problems import ConceptFileError, Problem, tally
from conceptprobe.stimuli.rules import FULL_RULES, RULES
from conceptprobe.stimuli.rules.background import words_are_not_terms
from conceptprobe.stimuli.rules.media import counts_of, pictures_are_not_of_concepts
from conceptprobe.stimuli.rules.terms import terms_have_like_tokens
from conceptprobe.stimuli.schema import Background, Concept
from conceptprobe.stimuli.source import read_source

if TYPE_CHECKING:
    from conceptprobe.stimuli.difficulty import Difficulty, WordVectors

BESIDE = ("soul", "self", "consciousness")
"""Concept files a background pool is compared with where they lie beside it."""


@dataclass(frozen=True)
class FileReport:
    """What was found in one file. `content` is there where no error was found, `difficulty` for such a concept.

    `media` says of `pictures` and of `sounds` how many can be used, by label or category; a kind that the file does not
    have is empty.
    """

    file: str
    kind: str
    problems: tuple[Problem, ...]
    content: Concept | Background | None = None
    difficulty: Difficulty | None = None
    media: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What was found in several files."""

    files: tuple[FileReport, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Problems of all files, file by file."""
        return tuple(p for f in self.files for p in f.problems)

    @property
    def ok(self) -> bool:
        """True where no file has an error; warnings do not count."""
        return all(p.severity != "error" for p in self.problems)

    @property
    def summary(self) -> str:
        """`2 errors, 1 warning`."""
        return tally(self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        return {
            "ok": self.ok,
            "files": [
                {
                    "file": f.file,
                    "kind": f.kind,
                    "problems": [p.to_dict() for p in f.problems],
                    "difficulty": f.difficulty.to_dict() if f.difficulty else None,
                    **{medium.many: f.media.get(medium.many, {}) for medium in MEDIA.values()},
                }
                for f in self.files
            ],
        }


def load_either(name_or_path: str | Path) -> Concept | Background:
    """A concept or a background pool, whichever the file is. Raises as `load_concept` does."""
    read = draft(read_source(find_concept_file(name_or_path)))
    errors = [p for p in _problems(read) if p.severity == "error"]
    if errors or read.whole is None:
        raise ConceptFileError(errors, hint="`conceptprobe validate FILE` shows warnings and word frequencies, too")
    return read.whole


def load_concept(name_or_path: str | Path) -> Concept:
    """A concept by name or path. Raises ConceptFileError with all errors, MissingError where there is no file."""
    content = load_either(name_or_path)
    if not isinstance(content, Concept):
        raise _other_kind(name_or_path, "a background pool, not a concept")
    return content


def load_background(name_or_path: str | Path = "background") -> Background:
    """A background pool by name or path. Raises as `load_concept` does."""
    content = load_either(name_or_path)
    if not isinstance(content, Background):
        raise _other_kind(name_or_path, "a concept, not a background pool")
    return content


def check_files(
    names_or_paths: Iterable[str | Path],
    word_vectors: WordVectors | None = None,
    count_tokens: Callable[[str], int] | None = None,
) -> Report:
    """Every problem of every file, and how hard each concept's sentences are.

    `word_vectors` maps texts to mean static vectors [n, d], `count_tokens` a term to its number of tokens; what needs
    them is left out without them. Raises MissingError where a file does not exist; problems are returned, not raised.
    """
    found = [find_concept_file(n) for n in names_or_paths]
    read = [_try_draft(path) for path in found]
    concepts = [d for d in read if isinstance(d, Draft) and d.kind == "concept"]
    checked = (_check(d, path, concepts, word_vectors, count_tokens) for d, path in zip(read, found, strict=True))
    return Report(tuple(checked))


def _check(
    read: Draft | ConceptFileError,
    path: Path,
    concepts: list[Draft],
    word_vectors: WordVectors | None,
    count_tokens: Callable[[str], int] | None,
) -> FileReport:
    if isinstance(read, ConceptFileError):
        return FileReport(str(path), "unknown", read.problems)
    problems = _problems(read)
    for rule in FULL_RULES[read.kind]:
        problems += rule(read)
    if read.kind == "background":
        around = [*concepts, *_beside(path, concepts)]
        problems += [*words_are_not_terms(read, around), *pictures_are_not_of_concepts(read, around)]
    elif count_tokens is not None:
        problems += terms_have_like_tokens(read, count_tokens)
    content = read.whole if all(p.severity != "error" for p in problems) else None
    measured = None
    if isinstance(read.whole, Concept):
        from conceptprobe.stimuli.difficulty import measure, warnings

        measured = measure(read.whole, word_vectors, count_tokens)
        problems += warnings(read, measured)
    counts = {medium.many: counts_of(read, modality) for modality, medium in MEDIA.items()}
    return FileReport(str(path), read.kind, tuple(sorted(problems)), content, measured, counts)


def _problems(read: Draft) -> list[Problem]:
    problems = list(read.problems)
    for rule in RULES[read.kind]:
        problems += rule(read)
    return problems


def _try_draft(path: Path) -> Draft | ConceptFileError:
    try:
        return draft(read_source(path))
    except ConceptFileError as error:
        return error


def _beside(path: Path, concepts: list[Draft]) -> list[Draft]:
    """The shipped concepts beside a pool, where they are there and were not given already."""
    given = {Path(c.source.file).resolve() for c in concepts}
    beside = (path.parent / f"{name}.yaml" for name in BESIDE)
    drafts = (_try_draft(p) for p in beside if p.is_file() and p.resolve() not in given)
    return [d for d in drafts if isinstance(d, Draft)]


def _other_kind(name: str | Path, what: str) -> ConceptFileError:
    return ConceptFileError([Problem(str(find_concept_file(name)), 1, 1, "CP007", f"is {what}")])
