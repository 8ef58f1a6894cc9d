"""Tables of human word-similarity judgements: lines `word1 word2 score`, from a folder that the user names.

Tables travel between strangers, as concept files do: sizes are asked before anything is read, nothing but three columns of
text is taken, and every line that cannot be used is named. Columns are parted by tabs, commas (quotes as in CSV) or spaces;
the first line may be a header; blank lines and lines that begin with # are passed over. Case is folded: capitals say nothing
of a meaning. A pair that a table judges twice, in either order, counts once, with the mean of its scores (several published
tables have such pairs, with scores that hardly differ). A word beside itself is passed over: every model calls it the same.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from conceptprobe.errors import MissingError, UsageError, did_you_mean
from conceptprobe.stimuli.problems import printable, quote, shorten

SUFFIXES = (".txt", ".tsv", ".csv")
"""Endings of files that are read as tables; others in the folder are passed over."""
MAX_TABLES = 200
"""Most tables of a folder."""
MAX_BYTES = 5_000_000
"""Largest table that is read. The published ones have about 0.1 MB."""
MAX_LINE = 1_000
"""Longest line, in characters."""
MAX_WORD = 100
"""Longest word, in characters."""
MAX_SCORE = 1e6
"""Largest score, whatever its sign."""
MAX_SHOWN_LINES = 20
"""Lines of a message; of the rest it gives the number."""

_NOT_TABLES = frozenset({"readme", "license", "licence", "copying", "notice", "citation", "changelog"})
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][-+]?[0-9]{1,3})?")
_HINT = "a table has lines `word1 word2 score`, parted by tabs, commas or spaces, with scores like 6.77"

Pair = tuple[str, str, float]


class JudgementsError(UsageError):
    """Tables cannot be used; `lines` holds every reason that was found, each as `file:line: what`."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(lines)
        rest = len(lines) - MAX_SHOWN_LINES
        super().__init__(
            "\n".join([*lines[:MAX_SHOWN_LINES], *([f"and {rest:,} more"] if rest > 0 else [])]), hint=_HINT
        )


@dataclass(frozen=True)
class Judgements:
    """One table. name: the file's, without its ending; pairs: (word, word, score) in the order of the file, words in lower
    case, no pair twice; sha256: of the file's bytes."""

    name: str
    pairs: tuple[Pair, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the name and the pairs: it follows what is judged, not the layout of the file."""
        return hashlib.sha256(json.dumps([self.name, self.pairs], separators=(",", ":")).encode()).hexdigest()

    def among(self, names: Sequence[str]) -> tuple[tuple[int, int, float], ...]:
        """The pairs both of whose words are among the names, as (place, place, score). Case is folded; of names that become
        the same, the first counts."""
        places: dict[str, int] = {}
        for place, name in enumerate(names):
            places.setdefault(_folded(name), place)
        return tuple((places[a], places[b], score) for a, b, score in self.pairs if a in places and b in places)


def load_judgements(folder: Path) -> tuple[Judgements, ...]:
    """Every table (*.txt, *.tsv, *.csv) that lies directly in the folder, by name; READMEs, licences and hidden files are none.

    Raises MissingError where there is no such folder; UsageError where it is a file, cannot be read or holds no table; with
    every line that has to be mended, JudgementsError where a table is not one.
    """
    paths = _tables(folder)
    wrong: list[str] = []
    tables: list[Judgements] = []
    for path in paths:
        try:
            tables.append(read_table(path))
        except JudgementsError as error:
            wrong += error.lines
    if wrong:
        raise JudgementsError(wrong)
    names = [table.name for table in tables]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"{printable(str(folder))} holds two tables called '{twice}'", hint="rename or remove one of them"
        )
    return tuple(tables)


def read_table(path: Path) -> Judgements:
    """One table. Raises JudgementsError with every line that has to be mended."""
    content = _bytes(path)
    lines = re.split(r"\r\n|\r|\n", _decode(content, path))
    wrong: list[str] = []
    scores: dict[tuple[str, str], list[float]] = {}
    for number, fields in _rows(lines):
        found = _pair(fields)
        if isinstance(found, str):
            wrong.append(_at(path, number, found))
            continue
        a, b, score = found
        if a != b:
            # either order is the same pair, and the first one stays
            scores.setdefault((b, a) if (b, a) in scores else (a, b), []).append(score)
    if not wrong and not scores:
        wrong.append(_at(path, 1, "holds no pair of two words"))
    if wrong:
        raise JudgementsError(wrong)
    pairs = tuple((a, b, math.fsum(own) / len(own)) for (a, b), own in scores.items())
    return Judgements(printable(shorten(path.stem)), pairs, hashlib.sha256(content).hexdigest())


def _tables(folder: Path) -> list[Path]:
    try:
        if not folder.exists():
            beside = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
            near = did_you_mean(folder.name, beside)
            raise MissingError(
                printable(f"no folder '{folder}' of word-similarity tables.{near}"),
                hint="name the folder that holds them",
            )
        if not folder.is_dir():
            raise UsageError(
                f"{printable(str(folder))} is a file, not a folder of word-similarity tables",
                hint="name the folder that holds it",
            )
        found = [p for p in folder.iterdir() if _may_be_table(p)]
    except OSError as error:
        raise UsageError(
            f"{printable(str(folder))} cannot be read: {error.strerror or error}",
            hint="name a folder of word-similarity tables",
        ) from error
    if not found:
        raise UsageError(
            f"{printable(str(folder))} holds no table of word similarities ({', '.join('*' + s for s in SUFFIXES)})",
            hint=_HINT,
        )
    if len(found) > MAX_TABLES:
        raise UsageError(
            f"{printable(str(folder))} holds {len(found)} tables, more than {MAX_TABLES}",
            hint="put those to be used into a folder of their own",
        )
    return sorted(found, key=lambda p: (p.stem, p.suffix))


def _may_be_table(path: Path) -> bool:
    ends = path.suffix.lower() in SUFFIXES
    return ends and not path.name.startswith(".") and path.stem.lower() not in _NOT_TABLES and not path.is_dir()


def _bytes(path: Path) -> bytes:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise JudgementsError([_at(path, 1, "is not a regular file")])
        if about.st_size <= MAX_BYTES:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
            if len(content) <= MAX_BYTES:
                return content
    except OSError as error:
        raise JudgementsError([_at(path, 1, f"cannot be read: {error.strerror or error}")]) from error
    raise JudgementsError(
        [_at(path, 1, f"has more than {MAX_BYTES / 1e6:.0f} MB, which no table of word similarities has")]
    )


def _decode(content: bytes, path: Path) -> str:
    bad, reason = content.find(b"\0"), "holds a NUL byte: it is not text in UTF-8"
    if bad < 0:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            bad, reason = error.start, f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
    line = len(re.split(rb"\r\n|\r|\n", content[:bad]))
    raise JudgementsError([_at(path, line, reason)])


def _rows(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """(line, counted from 1, and its fields), without blank lines, comments and a header."""
    first = True
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        fields = _fields(text) if len(text) <= MAX_LINE else [text]
        if not (first and _is_header(fields)):
            yield number, fields
        first = False


def _fields(line: str) -> list[str]:
    if "\t" in line:
        return [field.strip() for field in line.split("\t")]
    if "," in line:
        return [field.strip() for field in next(csv.reader([line], skipinitialspace=True))]
    return line.split()


def _is_header(fields: Sequence[str]) -> bool:
    """At the end, where a score belongs, stands a name: `SimLex999`, `Human (mean)`; a number with a slip in it is none."""
    last = fields[-1]
    named = any(c.isalpha() for c in last) and not re.match(r"[-+.]?\d", last) and not _not_finite(last)
    return named and len(fields) > 2


def _not_finite(text: str) -> bool:
    return text.lower().lstrip("+-") in ("nan", "inf", "infinity")


def _pair(fields: Sequence[str]) -> Pair | str:
    """Two words and their score, or what is wrong with them."""
    if len(fields) == 1 and len(fields[0]) > MAX_LINE:
        return f"has more than {MAX_LINE:,} characters, which no line of three columns has"
    if len(fields) != 3:
        return f"has {len(fields)} column{'s' * (len(fields) != 1)} where 3 belong: word1, word2, score"
    *words, score = fields
    for word in words:
        if not word:
            return "lacks a word"
        if len(word) > MAX_WORD:
            return f"{quote(word)} is longer than {MAX_WORD} characters: no word"
        if not word.isprintable():
            return f"{quote(word)} holds a character that cannot be printed"
    if _not_finite(score):
        return f"score {quote(score)} is not finite"
    if not _NUMBER.fullmatch(score):
        return f"score {quote(score)} is not a number"
    if abs(float(score)) > MAX_SCORE:
        return f"score {quote(score)} is beyond {MAX_SCORE:g}, which no scale of judgements is"
    return _folded(words[0]), _folded(words[1]), float(score)


def _folded(word: str) -> str:
    return unicodedata.normalize("NFC", word.casefold())


def _at(path: Path, line: int, what: str) -> str:
    return printable(f"{path}:{line}: {what}")
