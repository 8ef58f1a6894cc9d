"""Reading untrusted YAML: the right data, the right places, and one kind of error for whatever bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.stimuli import source as reader
from conceptprobe.stimuli.problems import ConceptFileError, Problem
from conceptprobe.stimuli.scalars import NotText, plain_scalar
from conceptprobe.stimuli.source import Mark, parse_source, read_source


def problems_in(content: bytes) -> list[Problem]:
    """All problems of some bytes, fatal or not; a refusal always has one."""
    try:
        return parse_source(content, "file.yaml").problems
    except ConceptFileError as error:
        return list(error.problems) or pytest.fail("refused without a reason")


def problems_of(content: str | bytes) -> list[tuple[str, int, int, str]]:
    data = content.encode() if isinstance(content, str) else content
    with pytest.raises(ConceptFileError) as caught:
        parse_source(data, "file.yaml")
    return [(p.code, p.line, p.column, p.message) for p in caught.value.problems]


def places_of(content: str | bytes) -> list[tuple[str, int, int]]:
    return [p[:3] for p in problems_of(content)]


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_concept_file_errors(content: bytes) -> None:
    assert all(str(p).isprintable() for p in problems_in(content))


YAML_PIECES = [
    "a",
    ": ",
    "- ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&x ",
    "*x",
    "!t ",
    "!!int ",
    "? ",
    "|",
    ">",
    "'",
    '"',
]
YAML_PIECES += [
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "%TAG ! x\n",
    "<<: ",
    "#",
    "\\x1b",
    "\t",
    "no",
    "1.10",
    "\u2028",
    "~",
    "\ufeff",
]


@given(st.lists(st.sampled_from(YAML_PIECES), max_size=40).map("".join))
def test_random_yaml_raises_nothing_but_concept_file_errors(content: str) -> None:
    assert all(p.line >= 1 and p.column >= 1 for p in problems_in(content.encode()))


# without `e`: 1e5 is a number in YAML 1.2 and here, but text for PyYAML
TEXTS = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"], exclude_characters="eE"), max_size=9
)
SCALARS = TEXTS | st.integers(-(10**12), 10**12)
TREES = st.recursive(
    SCALARS | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text("abcxyz", min_size=1), TREES, max_size=5), st.booleans())
def test_data_are_what_pyyaml_reads(data: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True)
    if not data or "*id0" in text:
        return
    source = parse_source(text.encode(), "file.yaml")
    assert source.data == yaml.safe_load(text)


def test_marks_are_lines_and_columns_from_one() -> None:
    source = parse_source(b"# comment\nid: soul\nlist:\n  - {a: x,  b: 'y'}\n  - z\n", "file.yaml")
    assert source.keys[("id",)] == Mark(2, 1)
    assert source.values[("id",)] == Mark(2, 5)
    assert source.keys[("list", 0, "b")] == Mark(4, 13)
    assert source.values[("list", 0, "b")] == Mark(4, 16)
    assert source.values[("list", 1)] == Mark(5, 5)
    # what does not exist is marked where it would be
    assert source.at(("list", 0, "c", 3)) == Mark(4, 5)


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert parse_source(b"\xef\xbb\xbfid: soul\n", "file.yaml").data == {"id": "soul"}


def test_duplicate_keys_are_found_at_every_depth_and_the_first_value_stays() -> None:
    source = parse_source(b"a: 1\nb:\n  - {x: 1, x: {y: 2, y: 3}}\na: 2\n", "file.yaml")
    assert [(p.code, p.line, p.column) for p in source.problems] == [("CP002", 3, 12), ("CP002", 4, 1)]
    assert source.data == {"a": 1, "b": [{"x": 1}]}
    assert source.values[("a",)] == Mark(1, 4)


@pytest.mark.parametrize(
    ("spelling", "value", "read_as"),
    [
        ("no", False, "the boolean false"),
        ("On", True, "the boolean true"),
        ("1.10", 1.1, "the number 1.1"),
        ("-3", -3, "the number -3"),
        ("1e-3", 1e-3, "the number 0.001"),
        (".5", 0.5, "the number 0.5"),
        ("~", None, "nothing"),
        ("", None, "nothing"),
        ("soul", "soul", ""),
        ("1.0.0", "1.0.0", ""),
        ("not", "not", ""),
    ],
)
def test_plain_scalars(spelling: str, value: object, read_as: str) -> None:
    assert plain_scalar(spelling) == (value, read_as)


@pytest.mark.parametrize(
    "spelling", ["2024-01-01", "0x1F", "017", "1_000", "12:30:45", ".inf", ".nan", "9" * 5000, "="]
)
def test_odd_plain_scalars_are_kept_as_they_are_written(spelling: str) -> None:
    value, read_as = plain_scalar(spelling)
    assert read_as
    assert value == NotText(spelling)


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=12))
def test_whatever_pyyaml_would_convert_is_seen(spelling: str) -> None:
    """Never a value of another type in silence: anything PyYAML does not read as this very text has `read_as`."""
    try:
        value = yaml.safe_load(f"- {spelling}\n")
        events = [e for e in yaml.parse(f"- {spelling}\n") if isinstance(e, yaml.ScalarEvent)]
    except (yaml.YAMLError, ValueError):
        return
    if len(events) != 1 or events[0].style or not events[0].implicit[0]:
        return
    if not isinstance(value[0], str):
        assert plain_scalar(events[0].value)[1]


def test_aliases_anchors_tags_and_documents_are_refused_all_at_once() -> None:
    text = "a: &x 1\nb: *x\nc: !!python/object/apply:os.system [ls]\nd: !mine z\n---\ne: 1\n"
    assert places_of(text) == [("CP008", 1, 4), ("CP008", 2, 4), ("CP008", 3, 4), ("CP008", 4, 4), ("CP008", 5, 1)]


def test_a_billion_laughs_cost_nothing() -> None:
    lines = ["a0: &a0 [ha, ha]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 60)]
    assert {p[0] for p in problems_of("\n".join(lines))} == {"CP008"}


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 100_000, "? " * 50_000])
def test_deep_nesting_is_refused_without_recursion(text: str) -> None:
    assert {p[0] for p in problems_of(text)} == {"CP008"}


def test_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_VALUES", 1000)
    assert parse_source(b"a: [" + b"1," * 990 + b"]", "file.yaml").data["a"] == [1] * 990
    assert problems_of("a: [" + "1," * 1100 + "]")[-1][0] == "CP008"


@pytest.mark.parametrize(
    ("content", "place", "says"),
    [
        (b"", ("CP007", 1, 1), "empty"),
        (b" \n\n", ("CP007", 1, 1), "empty"),
        (b"# only a comment\n", ("CP007", 1, 1), "empty"),
        (b"- a\n- b\n", ("CP007", 1, 1), "list"),
        (b"soul\n", ("CP007", 1, 1), "single value"),
        (b"id: soul\nname: s\xf6ul\n", ("CP007", 2, 8), "UTF-8"),
        (b"id: soul\nname: so\0ul\n", ("CP007", 2, 9), "NUL"),
        ("id: soul\n".encode("utf-16"), ("CP007", 1, 1), "UTF-8"),
        (b"id: soul\nname: so\x07ul\n", ("CP009", 2, 9), "\\x07"),
        (b'id: soul\nname: "so\\x1b[31mul"\n', ("CP009", 2, 7), "\\x1b"),
        (b"id: soul\n  name: soul\n", ("CP006", 2, 7), "mapping values"),
        (b"id: 'soul\nname: soul\n", ("CP006", 3, 1), "quoted scalar"),
        (b"[a, b]: c\n", ("CP008", 1, 1), "key"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(content: bytes, place: tuple[str, int, int], says: str) -> None:
    if place[0] == "CP009" and b"\\x" in content:
        source = parse_source(content, "file.yaml")  # an escape is well-formed: the rest is still checked
        found = [(p.code, p.line, p.column, p.message) for p in source.problems]
    else:
        found = problems_of(content)
    assert found[0][:3] == place
    assert says in found[0][3]


def test_large_files_are_refused_by_size_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as handle:
        handle.truncate(50_000_000)

    def no_reading(*args: object, **kwargs: object) -> None:
        raise AssertionError("the file was opened")

    monkeypatch.setattr(Path, "open", no_reading)
    with pytest.raises(ConceptFileError, match=r"50\.0 MB"):
        read_source(path)


def test_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConceptFileError, match="folder"):
        read_source(tmp_path)
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ConceptFileError, match="regular file"):
        read_source(pipe)


@pytest.mark.parametrize("name", ["missing.yaml", "a\0b.yaml", "x" * 5000])
def test_what_is_not_there_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConceptFileError, match="cannot be read"):
        read_source(tmp_path / name)


def test_messages_hold_no_control_codes(write: Callable[..., Path]) -> None:
    path = write('"\\e[31m\\u202ekey": 1\n"\\e[31m\\u202ekey": 2\n')
    source = read_source(path)
    assert source.problems
    assert all(str(p).isprintable() for p in source.problems)
