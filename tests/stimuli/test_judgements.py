"""Tables of human word similarity: what is a table, what a line of one, and every slip told with its line."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.errors import MissingError, UsageError
from conceptprobe.stimuli import judgements as reader
from conceptprobe.stimuli.judgements import (
    MAX_BYTES,
    MAX_LINE,
    MAX_SCORE,
    MAX_SHOWN_LINES,
    MAX_WORD,
    Judgements,
    JudgementsError,
    load_judgements,
    read_table,
)

TABLE = "car\tautomobile\t3.92\ngem\tjewel\t3.84\n"
PAIRS = (("car", "automobile", 3.92), ("gem", "jewel", 3.84))


def table(tmp_path: Path, content: str | bytes, name: str = "t.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def wrong(tmp_path: Path, content: str | bytes) -> list[str]:
    """Every reason that was told, without the folder."""
    with pytest.raises(JudgementsError) as caught:
        read_table(table(tmp_path, content))
    assert "word1 word2 score" in caught.value.hint
    return [line.removeprefix(f"{tmp_path}{os.sep}") for line in caught.value.lines]


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        TABLE.replace("\t", "  "),
        TABLE.replace("\t", ","),
        TABLE.replace("\t", ", "),
        '"car","automobile","3.92"\n"gem","jewel",3.84',
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        "\ufeff" + TABLE,
        "# from a paper\n\n" + TABLE + "\n\n",
        "word1\tword2\tSimLex999\n" + TABLE,
        "Word 1,Word 2,Human (mean)\n" + TABLE.replace("\t", ","),
        "Word 1 Word 2 Human (mean)\n" + TABLE.replace("\t", " "),
        "Car\tAUTOMOBILE\t3.92\nGem\tJewel\t+384e-2\n",
        TABLE + "tiger\ttiger\t10\n",
    ],
)
def test_however_it_is_written_the_pairs_are_the_same(tmp_path, content):
    read = read_table(table(tmp_path, content))
    assert read.pairs == PAIRS
    assert read.fingerprint == Judgements("t", PAIRS, "").fingerprint
    assert read.sha256 == hashlib.sha256((tmp_path / "t.txt").read_bytes()).hexdigest()


def test_a_pair_judged_twice_counts_once_with_the_mean(tmp_path):
    read = read_table(table(tmp_path, "money bank 8.12\ncar auto 1\nBank money 8.50\nbank money 8.80\n"))
    assert [p[:2] for p in read.pairs] == [("money", "bank"), ("car", "auto")]
    assert [p[2] for p in read.pairs] == pytest.approx([(8.12 + 8.50 + 8.80) / 3, 1.0])
    assert len(read) == 2


def test_the_fingerprint_follows_names_words_and_scores(tmp_path):
    read = read_table(table(tmp_path, TABLE))
    others = [
        Judgements("u", PAIRS, ""),
        Judgements("t", PAIRS[:1], ""),
        Judgements("t", (PAIRS[0], ("gem", "jewel", 3.85)), ""),
        Judgements("t", (PAIRS[0], ("gem", "jewels", 3.84)), ""),
    ]
    assert len({read.fingerprint, *(o.fingerprint for o in others)}) == 5


def test_pairs_are_found_among_names_whatever_their_case():
    read = Judgements("t", (*PAIRS, ("car", "gem", 1.0), ("car", "lorry", 2.0)), "")
    assert read.among(["Gem", "car", "AUTOMOBILE", "CAR"]) == ((1, 2, 3.92), (1, 0, 1.0))
    assert read.among([]) == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("car\tautomobile", "t.txt:3: has 2 columns where 3 belong: word1, word2, score"),
        ("car\tautomobile\tn\t3.92", "t.txt:3: has 4 columns where 3 belong"),
        ("car;automobile;3.92", "t.txt:3: has 1 column where 3 belong"),
        ("car\tautomobile\t3,92", "t.txt:3: score '3,92' is not a number"),
        ("car\tautomobile\t3.9x", "t.txt:3: score '3.9x' is not a number"),
        ("car\tautomobile\t1_000", "t.txt:3: score '1_000' is not a number"),
        ("car\tautomobile\t\u0663", "t.txt:3: score '\u0663' is not a number"),
        ("car\tautomobile\t", "t.txt:3: has 2 columns"),
        ("car\tautomobile\tnan", "t.txt:3: score 'nan' is not finite"),
        ("car\tautomobile\t-Infinity", "t.txt:3: score '-Infinity' is not finite"),
        ("car\tautomobile\t1e999", f"t.txt:3: score '1e999' is beyond {MAX_SCORE:g}"),
        ("car\t\t3.92", "t.txt:3: lacks a word"),
        (f"car\t{'a' * (MAX_WORD + 1)}\t3.92", f"t.txt:3: '{'a' * 77}...' is longer than {MAX_WORD} characters"),
        ("car\tau\x1b[2Jto\t3.92", "t.txt:3: 'au\\x1b[2Jto' holds a character that cannot be printed"),
        ("a " * MAX_LINE + "b", f"t.txt:3: has more than {MAX_LINE:,} characters"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path, line, message):
    (told,) = wrong(tmp_path, f"gem\tjewel\t3.84\n\n{line}\nsun\tmoon\t5\n")
    assert told.startswith(message)
    assert told.isprintable()


def test_a_first_line_with_a_slip_in_its_score_is_no_header(tmp_path):
    for score in ("3.9x", "nan", "3,92", "-.", "."):
        (told,) = wrong(tmp_path, f"car\tautomobile\t{score}\n{TABLE}")
        assert told.startswith("t.txt:1: score"), score


def test_only_the_first_line_may_be_a_header(tmp_path):
    (told,) = wrong(tmp_path, f"# a comment\nw1\tw2\tscore\n{TABLE}w1\tw2\tscore\n")
    assert told == "t.txt:5: score 'score' is not a number"


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing\n", "word1\tword2\tscore\n", "tiger tiger 10\n"])
def test_a_table_of_no_pair_is_refused(tmp_path, content):
    assert wrong(tmp_path, content) == ["t.txt:1: holds no pair of two words"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"car auto 3\ncaf\xe9 bar 2\n", "t.txt:2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (b"car auto 3\r\n\r\ncar\0 auto 3\n", "t.txt:3: holds a NUL byte: it is not text in UTF-8"),
        ("car auto 3\n".encode("utf-16"), "t.txt:1: holds a NUL byte"),
    ],
)
def test_what_is_not_utf_8_is_named_with_its_line(tmp_path, content, message):
    (told,) = wrong(tmp_path, content)
    assert told.startswith(message)


def test_a_huge_file_is_refused_unread(tmp_path, monkeypatch):
    path = table(tmp_path, "")
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    monkeypatch.setattr(Path, "open", lambda *a, **k: pytest.fail("it was read"))
    with pytest.raises(JudgementsError, match=r"t\.txt:1: has more than 5 MB"):
        read_table(path)


def test_pipes_and_dangling_links_are_refused(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "b.txt").symlink_to(tmp_path / "nowhere")
    with pytest.raises(JudgementsError) as caught:
        load_judgements(tmp_path)
    assert "a.txt:1: is not a regular file" in caught.value.lines[0]
    assert "b.txt:1: cannot be read" in caught.value.lines[1]


def test_every_slip_of_every_table_is_told_at_once_and_a_flood_is_counted(tmp_path):
    table(tmp_path, "sun moon 1\nsun\n", "a.txt")
    table(tmp_path, TABLE, "b.tsv")
    table(tmp_path, "sun,moon\n" * 100, "c.csv")
    with pytest.raises(JudgementsError) as caught:
        load_judgements(tmp_path)
    shown = caught.value.message.split("\n")
    assert [line.removeprefix(f"{tmp_path}{os.sep}").split(": ")[0] for line in shown[:2]] == ["a.txt:2", "c.csv:1"]
    assert len(caught.value.lines) == 101
    assert len(shown) == MAX_SHOWN_LINES + 1
    assert shown[-1] == f"and {101 - MAX_SHOWN_LINES} more"
    assert caught.value.exit_code == 2


def test_a_folder_is_its_tables_by_name_and_nothing_else(tmp_path):
    for name in ("b.tsv", "a.txt", "C.CSV"):
        table(tmp_path, TABLE, name)
    for name in ("README.txt", "readme.md", "LICENSE", "License.txt", ".hidden.txt", "notes.yaml"):
        table(tmp_path, "not a table", name)
    (tmp_path / "more.txt").mkdir()
    table(tmp_path / "more.txt", "not a table")
    assert [t.name for t in load_judgements(tmp_path)] == ["C", "a", "b"]


def test_a_folder_that_is_not_there_is_met_with_the_nearest_one(tmp_path):
    (tmp_path / "similarity").mkdir()
    with pytest.raises(MissingError, match="Did you mean 'similarity'"):
        load_judgements(tmp_path / "similarty")


def test_a_folder_without_tables_a_file_and_a_path_of_nonsense_are_refused(tmp_path):
    table(tmp_path, "MIT", "LICENSE")
    with pytest.raises(UsageError, match=r"holds no table of word similarities \(\*\.txt"):
        load_judgements(tmp_path)
    with pytest.raises(UsageError, match="is a file, not a folder"):
        load_judgements(table(tmp_path, TABLE))
    with pytest.raises(MissingError, match=r"no folder 'a\\x00b'"):
        load_judgements(Path("a\0b"))
    with pytest.raises(UsageError, match="cannot be read"):
        load_judgements(Path("a" * 5000))


def test_two_tables_of_one_name_and_a_heap_of_tables_are_refused(tmp_path, monkeypatch):
    table(tmp_path, TABLE, "a.txt")
    table(tmp_path, TABLE, "a.csv")
    with pytest.raises(UsageError, match="two tables called 'a'"):
        load_judgements(tmp_path)
    monkeypatch.setattr(reader, "MAX_TABLES", 1)
    with pytest.raises(UsageError, match="holds 2 tables, more than 1"):
        load_judgements(tmp_path)


PIECES = [
    "car",
    "Auto",
    "\t",
    " ",
    ",",
    '"',
    "\n",
    "\r",
    "3.5",
    "nan",
    "-",
    "1e9",
    "#",
    "\x1b",
    "\u00e9",
    "\u2028",
    ";",
]


@settings(max_examples=300)
@given(
    st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=25).map(lambda p: "".join(p).encode()))
)
def test_any_bytes_are_a_table_or_are_refused_line_by_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    try:
        pairs, told = read_table(path).pairs, ()
    except JudgementsError as error:
        pairs, told = (), error.lines
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
    assert bool(pairs) != bool(told)
    for line in told:
        assert line.isprintable()
        assert 1 <= int(line.removeprefix(f"{path}:").split(":")[0]) <= lines
    for a, b, score in pairs:
        assert a != b
        assert a == a.casefold()
        assert abs(score) <= MAX_SCORE


def test_the_published_tables_are_read_whole(shared_data):
    folder = shared_data / "data" / "word-similarity" if shared_data else None
    if folder is None or not folder.is_dir():
        pytest.skip("the published tables are not beside the project")
    found = {t.name: t for t in load_judgements(folder)}
    assert len(found) == len(list(folder.glob("*.txt")))
    for name, read in found.items():
        lines = [line.split() for line in (folder / f"{name}.txt").read_text().splitlines() if line.strip()]
        expected = {frozenset(w.casefold() for w in line[:2]) for line in lines}
        assert {frozenset(p[:2]) for p in read.pairs} == {pair for pair in expected if len(pair) == 2}
