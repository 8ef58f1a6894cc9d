"""YAML text -> plain data, with the line and column of every key and value.

Concept files travel between strangers, so this reader is stricter than YAML: it walks the parser's events (nothing is
constructed, nothing recurses), and refuses anchors, aliases, tags, several documents and deep nesting. A plain scalar
that YAML 1.1 or 1.2 would turn into something other than text keeps its spelling, so that `no` or `1.10` in place of a
word can be explained instead of being converted in silence.
"""

from __future__ import annotations

import codecs
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml

from conceptprobe.stimuli.problems import ConceptFileError, Problem, quote, shorten
from conceptprobe.stimuli.scalars import LOADER, plain_scalar

MAX_BYTES = 5_000_000
"""Largest concept file that is read. The shipped ones have about 0.1 MB."""
MAX_DEPTH = 16
"""Deepest nesting that is read. The schema needs 5."""
MAX_VALUES = 100_000
"""Most values that are read. The shipped files have about 5,000."""

DataPath = tuple[str | int, ...]
"""Where a value stands in the data: ("sentences", 3, "text")."""


class Mark(NamedTuple):
    """A place in a file; both count from 1."""

    line: int
    column: int


_TOP = Mark(1, 1)


@dataclass
class Source:
    """The data of one file and where everything in it stands."""

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    keys: dict[DataPath, Mark] = field(default_factory=dict)
    values: dict[DataPath, Mark] = field(default_factory=dict)
    typed: dict[DataPath, tuple[str, str]] = field(default_factory=dict)
    """Plain scalars that YAML does not read as text: path -> (spelling, what it is read as)."""
    problems: list[Problem] = field(default_factory=list)
    folder: Path | None = None
    """Where the file lies: media are looked up there. None for text that is not in a file."""

    def at(self, path: DataPath, *, key: bool = False) -> Mark:
        """Mark of a value (or of its key); of the nearest thing around it where it does not exist."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Mark(1, 1))

    def problem(self, code: str, path: DataPath, message: str, *, key: bool = False) -> Problem:
        """A problem with the value (or the key) at that path."""
        return Problem(self.file, *self.at(path, key=key), code, message)

    def spelling(self, path: DataPath) -> str:
        """A scalar as it is written in the file."""
        if path in self.typed:
            return self.typed[path][0]
        value: Any = self.data
        for step in path:
            value = value[step]
        return str(value)


def read_source(path: Path, *, name: str | None = None) -> Source:
    """Read one file. Raises ConceptFileError with every problem that keeps it from being data.

    The size is asked before anything is read; devices, pipes and folders are refused. `name` is how messages call it.
    """
    file = name or str(path)
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            _refuse(file, "CP007", "is a folder, not a concept file")
        if not stat.S_ISREG(about.st_mode):
            _refuse(file, "CP007", "is not a regular file")
        if about.st_size > MAX_BYTES:
            size = f"has {about.st_size / 1e6:.1f} MB; a concept file has at most {MAX_BYTES / 1e6:.0f} MB"
            _refuse(file, "CP007", size)
        with path.open("rb") as handle:
            content = handle.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        _refuse(file, "CP007", f"cannot be read: {reason}")
    source = parse_source(content, file)
    source.folder = path.parent
    return source


def parse_source(content: bytes, file: str) -> Source:
    """Data and marks of a file's bytes. Raises ConceptFileError, and nothing else, for whatever bytes."""
    if len(content) > MAX_BYTES:
        _refuse(file, "CP007", f"has over {MAX_BYTES / 1e6:.0f} MB; a concept file has at most that")
    text = _decode(content, file)
    if not text.strip():
        _refuse(file, "CP007", "is empty")
    source = Source(file)
    refused: list[Problem] = []
    try:
        root = _Walk(source, refused).run(text)
    except yaml.YAMLError as error:
        raise ConceptFileError([*source.problems, *refused, _syntax(error, text, file)]) from error
    if refused:
        raise ConceptFileError([*source.problems, *refused])
    if not isinstance(root, dict):
        what = "a list" if isinstance(root, list) else "empty" if root is None else "a single value"
        found = source.problem("CP007", (), f"is {what}; a concept file is a mapping: `schema: 1`, `id: ...`, ...")
        raise ConceptFileError([*source.problems, found])
    source.data = root
    return source


def _refuse(file: str, code: str, message: str, mark: Mark = _TOP) -> NoReturn:
    raise ConceptFileError([Problem(file, *mark, code, message)])


def _decode(content: bytes, file: str) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        _refuse(file, "CP007", "is UTF-16; save it as UTF-8")
    nul = content.find(b"\0")
    if nul >= 0:
        before = content[:nul].decode("utf-8", "replace")
        _refuse(file, "CP007", "holds a NUL byte: it is not text in UTF-8", _mark_in(before))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        _refuse(file, "CP007", f"is not UTF-8: byte 0x{content[error.start]:02x}; save it as UTF-8", _mark_in(before))


def _mark_in(before: str) -> Mark:
    return Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _syntax(error: yaml.YAMLError, text: str, file: str) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        place = Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)
        said = " ".join(part for part in (error.problem, error.context) if part)
        return Problem(file, *place, "CP006", f"not well-formed YAML: {shorten(said, 200)}")
    if isinstance(error, yaml.reader.ReaderError):
        # libyaml counts bytes here and pyyaml characters, so the character is looked up again
        bad = next((i for i, c in enumerate(text) if not _readable(c)), 0)
        return Problem(file, *_mark_in(text[:bad]), "CP009", f"character {quote(text[bad])} is not allowed in YAML")
    return Problem(file, 1, 1, "CP006", f"not well-formed YAML: {shorten(str(error), 200)}")


def _readable(character: str) -> bool:
    if character in "\t\n\r\x85":
        return True
    return character >= " " and not "\x7f" <= character <= "\x9f" and character not in "\ufffe\uffff"


@dataclass
class _Open:
    """A mapping or list whose end has not been seen."""

    path: DataPath
    value: dict[str, Any] | list[Any]
    key: str | None = None
    keep: bool = True


class _Walk:
    """Builds the data of one document from parser events, without recursion."""

    def __init__(self, source: Source, refused: list[Problem]) -> None:
        self.source = source
        self.refused = refused
        self.open: list[_Open] = []
        self.root: Any = None
        self.documents = 0
        self.count = 0

    def run(self, text: str) -> Any:
        for event in _events(text):
            if isinstance(event, yaml.DocumentStartEvent):
                self._document(event)
            elif isinstance(event, yaml.AliasEvent):
                self._refuse(event, f"alias *{event.anchor}: write the value out")
                self._place(event, None)
            elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self.open.pop()
            if self._hopeless(event):
                break
        return self.root

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            self._refuse(event, "a second document (`---`): a concept file holds one")
        if event.tags:
            self._refuse(event, "a %TAG directive: tags are not used in concept files")

    def _hopeless(self, event: yaml.Event) -> bool:
        """True where reading on would cost more than it tells."""
        if self.documents > 1:
            return True
        if len(self.open) > MAX_DEPTH:
            self._refuse(event, f"nested more than {MAX_DEPTH} levels deep")
            return True
        if self.count > MAX_VALUES:
            self._refuse(event, f"more than {MAX_VALUES:,} values in one file")
            return True
        return len(self.refused) > 100

    def _node(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.anchor is not None:
            self._refuse(event, f"anchor &{event.anchor}: write the value out wherever it is needed")
        if event.tag is not None:
            self._refuse(event, f"tag {quote(str(event.tag))}: plain text, numbers, lists and mappings are enough")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        else:
            value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
            path, keep = self._place(event, value)
            self.open.append(_Open(path, value, keep=keep))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        top = self.open[-1] if self.open else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._key(top, top.value, event)
            return
        spelling = event.value
        self._printable(event, spelling)
        value: Any = spelling
        read_as = ""
        if event.implicit[0] and not event.style:
            value, read_as = plain_scalar(spelling)
        path, keep = self._place(event, value)
        if read_as and keep:
            self.source.typed[path] = (spelling, read_as)

    def _key(self, top: _Open, mapping: dict[str, Any], event: yaml.ScalarEvent) -> None:
        self._printable(event, event.value)
        top.key = event.value
        path = (*top.path, event.value)
        if not top.keep:
            return
        if event.value in mapping:
            first = self.source.keys[path]
            message = f"duplicate key {quote(event.value)}: it stands in line {first.line} already"
            self.source.problems.append(Problem(self.source.file, *_mark(event), "CP002", message))
        else:
            self.source.keys[path] = _mark(event)

    def _place(self, event: yaml.NodeEvent, value: Any) -> tuple[DataPath, bool]:
        """Put a value where it belongs; the second of two values of one key is dropped, with all that is in it."""
        self.count += 1
        if not self.open:
            self.root = value
            path: DataPath = ()
            keep = True
        else:
            top = self.open[-1]
            keep = top.keep
            if isinstance(top.value, list):
                path = (*top.path, len(top.value))
                top.value.append(value)
            elif top.key is None:
                self._refuse(event, "a key that is not a single word")
                path, keep = top.path, False
                top.key = ""
                return path, keep
            else:
                path = (*top.path, top.key)
                keep = keep and top.key not in top.value
                if keep:
                    top.value[top.key] = value
                top.key = None
        if keep:
            self.source.values[path] = _mark(event)
        return path, keep

    def _printable(self, event: yaml.ScalarEvent, text: str) -> None:
        # escapes in double quotes can spell any character: terminal codes, lone surrogates
        bad = next((c for c in text if not (_readable(c) and not "\ud800" <= c <= "\udfff")), None)
        if bad is not None:
            message = f"character {quote(bad)} in a text: write printable characters only"
            self.source.problems.append(Problem(self.source.file, *_mark(event), "CP009", message))

    def _refuse(self, event: yaml.Event, message: str) -> None:
        self.refused.append(Problem(self.source.file, *_mark(event), "CP008", shorten(message, 200)))


def _events(text: str) -> Iterator[yaml.Event]:
    yield from yaml.parse(text, Loader=LOADER)


def _mark(event: yaml.Event) -> Mark:
    mark = event.start_mark
    return Mark(mark.line + 1, mark.column + 1) if mark else _TOP
