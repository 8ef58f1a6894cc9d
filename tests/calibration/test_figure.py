"""The figure shows the counts of the table, marks what failed, and gives the same bytes twice."""

from __future__ import annotations

import pytest

from conceptprobe.calibration.output import figure_data, write
from conceptprobe.calibration.replicate import Outcome, Replicated
from conceptprobe.calibration.rows import ROWS
from conceptprobe.calibration.table import tabulate
from conceptprobe.calibration.truth import Truth
from conceptprobe.errors import UsageError
from conceptprobe.report.figures.calibration import Calibration, calibration
from conceptprobe.report.save import save


def lines(supported: int):
    """The whole table with made-up outcomes, `supported` of 40 false ones in its first row."""
    made = []
    for i, row in enumerate(ROWS):
        outcomes = [
            Outcome(n, q, "supported" if i == 0 and n < supported else "absent", 0.5, 0.0, -0.1, 0.1, 0.5, 20, 0.0)
            for n in range(40)
            for q in row.questions
        ]
        made.append(Replicated(row, dict.fromkeys(row.questions, Truth(0.0)), tuple(outcomes)))
    return tabulate(made)


def test_the_figure_draws_what_the_table_counts():
    table = lines(3)
    figure, records = calibration(figure_data(table))
    assert [(r["row"], r["question"]) for r in records] == [(line.row, line.question) for line in table]
    assert records[0]["supported"] == 3
    assert records[0]["absent"] == 37
    shares = figure.axes[0]
    drawn = [patch.get_width() for patch in shares.patches[:3]]
    assert drawn == pytest.approx([3 / 40, 37 / 40, 0.0])


def test_a_row_whose_promise_failed_is_bold():
    weights = [
        [label.get_fontweight() for label in calibration(figure_data(lines(n)))[0].axes[0].get_yticklabels()]
        for n in (0, 40)
    ]
    assert weights[0][0] == "normal"
    assert weights[1][0] == "bold"


def test_all_text_lies_inside_the_page():
    figure, _ = calibration(figure_data(lines(0)))
    renderer = figure.canvas.get_renderer()
    page = figure.bbox
    for axes in figure.axes:
        for text in (*axes.get_yticklabels(), *axes.get_xticklabels(), axes.xaxis.label, axes.title):
            box = text.get_window_extent(renderer)
            assert box.x0 >= page.x0 - 1, text.get_text()
            assert box.x1 <= page.x1 + 1, text.get_text()


def test_the_same_table_gives_the_same_bytes(tmp_path):
    one, other = (save(*calibration(figure_data(lines(1))), tmp_path / name, "calibration") for name in "ab")
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in other]


def test_no_row_is_an_error():
    with pytest.raises(UsageError):
        calibration(Calibration((), 0.05, (0.92, 0.98)))


def test_the_page_of_text_says_what_the_table_says(tmp_path):
    table = lines(12)  # 12 of 40 false verdicts: the promise of the first row fails
    paths = write(table, tmp_path)
    page = next(p for p in paths if p.suffix == ".md").read_text()
    rows = [line.split(" | ") for line in page.splitlines()[2:]]
    assert len(rows) == len(table)
    assert rows[0][3] == "**30.0%**"
    assert [row[1] for row in rows] == [f"`{line.question}`" for line in table]
    unpromised = next(i for i, line in enumerate(table) if all(c.promise != "never absent" for c in line.checks))
    assert rows[unpromised][4].startswith("(")
