"""Labels that never touch."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from conceptprobe.report.labels import readable_ticks, spread, text_width, wrap_text

BOXES = st.lists(st.tuples(st.floats(0, 100), st.floats(1, 12)), min_size=1, max_size=8)


@given(BOXES)
def test_boxes_never_overlap_and_stay_in_order_and_inside(boxes: list[tuple[float, float]]) -> None:
    targets, sizes = sorted(t for t, _ in boxes), [s for _, s in boxes]
    assume(sum(sizes) <= 100)
    centres = spread(targets, sizes, 0, 100)
    for (a, size_a), (b, size_b) in pairwise(zip(centres, sizes, strict=True)):
        assert b - a >= (size_a + size_b) / 2 - 1e-9
    assert centres[0] - sizes[0] / 2 >= -1e-9
    assert centres[-1] + sizes[-1] / 2 <= 100 + 1e-9


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9, unique=True))
def test_boxes_with_room_stay_where_they_are(places: list[int]) -> None:
    targets = [10.0 * p for p in sorted(places)]
    assert spread(targets, [9.0] * len(targets), 0, 100) == pytest.approx(targets)


def test_boxes_at_one_height_spread_around_it() -> None:
    assert spread([50, 50, 50], [10, 10, 10], 0, 100) == pytest.approx([40, 50, 60])


@given(st.text(st.sampled_from("ab-:/ "), max_size=60), st.integers(30, 120))
def test_wrapped_text_fits_and_loses_no_letter(text: str, points: int) -> None:
    wrapped = wrap_text(text, points)
    assert all(text_width(line) <= points for line in wrapped.split("\n"))
    assert "".join(wrapped.split()) == "".join(text.split())


def test_long_names_divide_at_their_signs() -> None:
    assert wrap_text("words:cooccurrence-context 0.51", 85) == "words:cooccurrence-\ncontext 0.51"


@given(st.integers(2, 80), st.integers(60, 500))
def test_named_ticks_do_not_touch_and_keep_both_ends(layers: int, points: int) -> None:
    names = ["embed", *map(str, range(layers)), "final"]
    places = [points * i / (len(names) - 1) for i in range(len(names))]
    kept = readable_ticks(places, names)
    assert {0, len(names) - 1} <= set(kept)
    for a, b in pairwise(kept):
        assert places[b] - places[a] > (text_width(names[a]) + text_width(names[b])) / 2
