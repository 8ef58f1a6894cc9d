"""The terminal report: at any width every number is there, whole, with its reference, null, interval and n."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from conceptprobe.evidence.finding import QUESTIONS, Finding
from conceptprobe.report.card import concept_card
from conceptprobe.report.console import RunSummary, render
from conceptprobe.report.numbers import count, interval, number, p_value
from conceptprobe.report.phrases import model_name, reference_name
from conceptprobe.report.style import VERDICTS
from report.samples import NOT_ASKED, crossmodal_rows, headline, row, run_rows

ANSI = re.compile(r"\x1b\[[0-9;]*m")
INTERVAL = re.compile(r"\[-?\d+\.\d+, -?\d+\.\d+\]")
SUMMARY = RunSummary(
    "20250711-a1b2c3",
    definition="What makes a person the one they are, as spoken of. Not the music; not a head count.",
    models=(
        ("minilm", "trained", "text"),
        ("words:tfidf", "static", "text"),
        ("random:minilm#0", "twin", "text"),
        ("random:minilm#1", "twin", "text"),
    ),
    stimuli={"terms": 1080, "same_words": 80, "background": 2472},
    folder="results/soul/20250711-a1b2c3",
)


def report(rows: Sequence[Finding], width: int | None, run: RunSummary = SUMMARY, encoding: str = "utf-8") -> str:
    """The raw output on a terminal of that width, or off a terminal."""
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding=encoding, newline="\n")
    colours = None if width is None else "standard"
    console = Console(
        file=file, force_terminal=width is not None, width=width, color_system=colours, legacy_windows=False
    )
    render(console, concept_card(rows, "soul", NOT_ASKED), rows, run)
    file.flush()
    return written.getvalue().decode(encoding)


def text(rows: Sequence[Finding], width: int | None, **kwargs: Any) -> str:
    return ANSI.sub("", report(rows, width, **kwargs))


def any_places(value: float) -> str:
    return rf"(?:{re.escape(number(value, 2))}|{re.escape(number(value, 3))})"


def assert_all_numbers(rows: Sequence[Finding], shown: str) -> None:
    words = re.sub(r"[│\s]+", " ", shown)
    for r in rows:
        assert interval(r.ci_low, r.ci_high, 2) in shown or interval(r.ci_low, r.ci_high, 3) in shown
        for value in (r.estimate, r.null_q95, r.reference):
            assert re.search(rf"(?<![\d.]){any_places(value)}(?!\d)", words), value
        assert re.search(rf"(?<![\d.]){p_value(r.p)}(?!\d)", words)
        assert f"{count(r.n)} rows, {count(r.units)} units" in words
        assert r.note in words


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_every_number_of_every_row_is_shown_whole(width: int) -> None:
    rows = run_rows()
    shown = text(rows, width)
    assert_all_numbers(rows, shown)
    in_card = 2
    assert len(INTERVAL.findall(shown)) == len(rows) + in_card


@settings(max_examples=25, deadline=None)
@given(st.integers(40, 220))
def test_no_line_is_longer_than_the_terminal_and_nothing_is_cut(width: int) -> None:
    shown = text(run_rows(), width)
    assert max(cell_len(line) for line in shown.splitlines()) <= width
    assert "…" not in shown
    assert "..." not in shown
    assert len(INTERVAL.findall(shown)) == len(run_rows()) + 2


@pytest.mark.parametrize("width", [80, 140])
def test_details_are_one_line_per_row_in_columns_that_line_up(width: int) -> None:
    rows = [headline("supported"), *(row(0.5 + i / 100, model_a=f"random:minilm#{i}", kind_a="twin") for i in range(5))]
    lines = [line for line in text(rows, width).splitlines() if line.strip().startswith("random:minilm#")]
    assert len(lines) == 5
    assert len({line.index("]") for line in lines}) == 1
    assert len({len(line) for line in lines}) == 1


def test_off_a_terminal_each_row_is_one_plain_line() -> None:
    rows = run_rows()
    raw = report(rows, None)
    assert "\x1b" not in raw
    assert not set(raw) & set("╭╮╰╯│─…")
    tables = [line for line in raw.splitlines() if INTERVAL.search(line) and not line.startswith("   ")]
    assert len(tables) == len(rows)
    for r in rows:
        wanted = [r.model_a, r.site_a, r.split, count(r.n), str(r.units), p_value(r.p)]
        assert any(all(word in line for word in wanted) for line in tables)
    for note in {r.note for r in rows if r.note}:
        assert any(note in line for line in raw.splitlines())


def test_no_color_leaves_no_colour_and_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = report(run_rows(), 80)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = report(run_rows(), 80)
    colours = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7])[;m]")
    assert colours.search(coloured)
    assert not colours.search(plain)
    assert ANSI.sub("", plain) == ANSI.sub("", coloured)


def test_an_ascii_terminal_gets_ascii() -> None:
    for width in (80, None):
        shown = text(run_rows(), width, encoding="ascii")
        assert "+ supported" in shown
        assert "? inconclusive" in shown


def test_no_two_verdicts_look_alike_without_colour() -> None:
    shown = [v for name, v in VERDICTS.items() if name != "detail"]
    assert len({v.symbol for v in shown}) == len({v.ascii_symbol for v in shown}) == len(shown)


def test_the_card_comes_first_with_seven_questions_and_reasons() -> None:
    shown = text(run_rows(), 140)
    card = shown[: shown.index("╰")]
    places = [card.index(question) for question in QUESTIONS.values()]
    assert places == sorted(places)
    assert card.count("not asked") == 5
    assert NOT_ASKED["crossmodal"] in card
    assert "run 20250711-a1b2c3" in shown
    assert "Not the music" not in card  # only the first sentence of the definition
    assert "random:minilm #0 #1 (twins)" in card


def test_an_inconclusive_card_line_says_why_and_the_section_what_to_do() -> None:
    words = " ".join(text(run_rows(), 80).replace("│", " ").split())
    assert words.count("effects from 0.17 up are found in 80% of cases") == 2
    assert VERDICTS["inconclusive"].meaning in words


def test_one_model_per_line_when_models_disagree() -> None:
    rows = [headline("supported"), headline("absent", model_a="org/other", estimate=0.52)]
    shown = text(rows, 140)
    assert "◐ mixed" in shown
    assert re.search(r"minilm\s+· ● supported", shown)
    assert re.search(r"org/other · ○ absent", shown)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_rows_over_modalities_say_which_side_reads_pictures(width: int) -> None:
    rows = crossmodal_rows()
    shown = text(rows, width)
    words = re.sub(r"[│\s]+", " ", shown)
    assert_all_numbers(rows, shown)
    for r in rows:
        assert model_name(r) in words
    assert "pocket-lm > pocket-vision (image)" in words
    assert "pocket-joint > pocket-joint (image)" in words
    assert "words:tfidf (static) > pocket-vision (image)" in words
    assert "minilm vs pocket-vision (image)" in words  # geometry has no direction
    assert max(cell_len(line) for line in shown.splitlines()) <= width


@pytest.mark.parametrize("width", [60, 80, 140, None])
def test_what_a_null_result_would_be_is_told_whole_for_every_headline(width: int | None) -> None:
    words = re.sub(r"[│\s]+", " ", text(crossmodal_rows(), width))
    notes = {r.note for r in crossmodal_rows() if r.headline}
    assert len(notes) == 3
    assert all(note in words for note in notes)
    assert all("null result would be" in note for note in notes)


def test_a_card_of_many_rows_keeps_their_numbers_and_leaves_notes_to_the_section() -> None:
    rows = crossmodal_rows()
    counting = [r for r in rows if r.headline]
    shown = text(rows, 140)
    card = shown[: shown.index("╰")]
    words = re.sub(r"[│\s]+", " ", card)
    assert "84 rows, 34 units" in words
    for r in counting:
        pattern = rf"{re.escape(model_name(r))}\s+· \? inconclusive"
        assert re.search(pattern, card), r.model_a
        assert f"over random twins {r.reference:.2f}" in words
    assert len(INTERVAL.findall(card)) == len(counting)
    assert words.count("With 34 units per class") == 1  # what all notes say is said once
    assert "A null result would be" not in words
    assert "Notes on each: section 4." in words


def test_words_may_answer_what_pictures_leave_open() -> None:
    texts = [headline("supported", model_a=name, n=720) for name in ("a", "b", "c")]
    shown = text([*texts, headline("inconclusive", model_a="d", modality_a="image", n=84)], 140)
    assert re.search(r"Is the concept linearly there\? +\? inconclusive", shown)
    assert "720 rows, 24 units · ● supported" in shown
    assert "84 rows, 24 units · ? inconclusive" in shown
    assert "720 rows, 24 units ·" not in text(texts, 140)


def test_towers_and_twins_of_several_models_are_named_once() -> None:
    towers = (("minilm", "text"), ("pocket-vision", "image"), ("pocket-joint", "text"), ("pocket-joint", "image"))
    models = [(name, "trained", modality) for name, modality in towers]
    models += [(f"random:{name}#{seed}", "twin", modality) for name, modality in towers for seed in range(3)]
    words = text(run_rows(), 140, run=RunSummary("r", models=tuple(models)))
    for said in (
        "minilm ·", "pocket-vision (image)", "pocket-joint (text, image)", "random:NAME #0 #1 #2 (twins of 3 models)"
    ):  # fmt: skip
        assert said in words


def test_references_that_differ_have_a_column_and_those_of_a_part_one_line() -> None:
    rows = [r for r in crossmodal_rows() if r.headline]
    lines = text(rows, 200).splitlines()
    head = next(line for line in lines if "estimate" in line and "over" in line)
    for r in rows:
        line = next(one for one in lines if model_name(r) in one and "[" in one and "│" not in one)
        assert number(r.reference) in line.split()
    assert head.index("over") < head.index("effect")
    assert sum("reference: 3 twins of" in line for line in lines) == len(rows)
    same = [headline("supported", model_a=name) for name in ("a", "b")]
    assert "over chance 0.50" in text(same, 140)
    assert " over " not in next(
        line for line in text(same, 140).splitlines() if "estimate" in line and "p" in line.split()
    )


def test_static_and_twin_partners_are_marked() -> None:
    assert "minilm vs words:cooccurrence (static)" in text(run_rows(), 140)


def test_what_a_file_says_cannot_steer_the_terminal() -> None:
    evil = headline("inconclusive", note="\x1b[31mred\x07 [bold]not markup[/bold]\nnext")
    shown = report([evil], 80)
    assert "\x1b[31mred" not in shown
    assert "\x07" not in shown
    assert "[bold]not markup[/bold] next" in ANSI.sub("", shown)


def test_rows_of_a_question_from_a_plugin_are_shown_too() -> None:
    shown = text([*run_rows(), headline("supported", question="my_question")], 140)
    assert "my_question   ● supported" in shown


def test_a_run_without_rows_is_a_card_and_nothing_else() -> None:
    shown = text([], 80, run=RunSummary("r"))
    assert shown.count("not asked") == 7
    assert "headline" not in shown


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("chance", "chance 0.50"),
        ("words:cooccurrence", "words:cooccurrence 0.50"),
        ("best lexical baseline: words:tfidf", "best lexical baseline 0.50: words:tfidf"),
        ("chance; best lexical baseline below: words:tfidf", "chance 0.50; best lexical baseline below: words:tfidf"),
        ("random twins (minilm, 3 twins)", "random twins 0.50 (minilm, 3 twins)"),
        ("", "0.50"),
    ],
)
def test_a_reference_has_its_value_beside_its_name(kind: str, shown: str) -> None:
    assert reference_name(row(reference_kind=kind), 2) == shown
