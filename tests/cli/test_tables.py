"""Small tables: whole at 80 and at 140 columns, one line per row off a terminal."""

from __future__ import annotations

import re

import pytest

from conceptprobe.cli.list_ import command as list_command
from conceptprobe.cli.tables import plain_table
from conceptprobe.models.zoo import zoo_entries

ANSI = re.compile(r"\x1b\[[0-9;]*m")
PROSE = "a decoder that read half a shelf of old books: real grammar, old souls, little of the world"
ROWS = [[f"pocket-lm-{i}", "text, image", "6.8 M parameters, 6 layers, d 256", PROSE] for i in range(12)]
COLUMNS = ["name", "modality", "size", "what"]


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rstrip() for line in ANSI.sub("", capsys.readouterr().out).splitlines()]


def terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize("width", [60, 80, 140, 200])
def test_a_table_with_prose_keeps_every_name_whole_on_any_terminal(monkeypatch, capsys, width: int) -> None:
    terminal(monkeypatch, width)
    plain_table("models", COLUMNS, ROWS, prose=True)
    lines = shown(capsys)
    assert max(map(len, lines)) <= width
    for name, modality, size, _ in ROWS:
        assert any(name in line and modality in line and size in line for line in lines), name
    assert "\u2026" not in "".join(lines)
    if width < 140:  # below its row, not beside it
        assert " ".join(" ".join(lines).split()).count(PROSE) == len(ROWS)


def test_columns_line_up_where_prose_stands_below(monkeypatch, capsys) -> None:
    terminal(monkeypatch, 80)
    plain_table("models", COLUMNS, [["a", "text", "small", PROSE], ["a-long-name", "text", "small", PROSE]], prose=True)
    heads = [line for line in shown(capsys) if " small" in line]
    assert len({line.index("text") for line in heads}) == 1


@pytest.mark.parametrize("width", [80, 140])
def test_every_model_of_the_zoo_can_be_read(monkeypatch, capsys, width: int) -> None:
    terminal(monkeypatch, width)
    list_command("models", json_=False)
    lines = shown(capsys)
    words = " ".join(" ".join(lines).split())
    for entry in zoo_entries():
        assert any(entry.name in line and entry.size in line for line in lines), entry.name
        assert " ".join(entry.line.split()) in words
    assert max(map(len, lines)) <= width


def test_off_a_terminal_a_model_is_one_line(capsys) -> None:
    list_command("models", json_=False)
    lines = shown(capsys)
    for entry in zoo_entries():
        assert sum(entry.name in line and entry.line in line for line in lines) == 1
