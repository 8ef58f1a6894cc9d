"""Streamed tiles: the maps of all pairs in memory, whatever the tile, and a memory plan that adds up."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conceptprobe.alignment.pairs import all_pairs
from conceptprobe.alignment.streaming import METRICS, plan, stream_pairs, tile_bytes
from conceptprobe.errors import TooFewRows, UsageError


def stacks(rng, n=90, widths_a=(40, 50, 33), widths_b=(45, 38)):
    latent = rng.standard_normal((n, 6))

    def one(d):
        x = latent @ rng.standard_normal((6, d)) + 2 * rng.standard_normal((n, d)) + 5 * rng.standard_normal(d)
        return x * rng.uniform(0.01, 100)

    return [one(d) for d in widths_a], [one(d) for d in widths_b]


def same_maps(found, a, b, **how):
    for name, streamed in found.maps.items():
        expected = all_pairs(a, b, name, **(how if name == "mutual_knn" else {}))
        np.testing.assert_allclose(streamed.value, expected.value, atol=1e-6)
        if streamed.null is not None:
            np.testing.assert_allclose(streamed.null, expected.null, atol=1e-12)


@pytest.mark.parametrize("tile", [90, 45, 31, 13])
def test_tiles_of_any_size_give_the_maps_of_all_pairs(tile, rng):
    a, b = stacks(rng)
    widths = [x.shape[1] for x in (*a, *b)]
    permutations = np.array([rng.permutation(90) for _ in range(3)])
    focus = rng.random(90) < 0.4
    how = {"k": 4, "permutations": permutations, "focus": focus}
    found = stream_pairs(a, b, METRICS, memory=tile_bytes(tile, 90, widths, 4), **how)
    assert found.plan.tile <= tile
    assert set(found.maps) == set(METRICS)
    assert found.maps["mutual_knn"].null.shape == (3, 3, 2)
    same_maps(found, a, b, **how)


def test_a_stack_with_itself_is_read_once(rng):
    a, _ = stacks(rng)
    found = stream_pairs(a, a, METRICS, k=3, memory=tile_bytes(20, 90, [40, 50, 33], 3))
    assert found.plan.tiles > 1
    same_maps(found, a, a, k=3)


@pytest.mark.parametrize("rows", [1000, 37])
def test_few_dimensions_stream_cross_covariances(rows, rng):
    a, b = stacks(rng, 300, (3, 4), (5, 2))
    widths = [3, 4, 5, 2]
    memory = 1e9 if rows == 1000 else plan(300, widths, 2, k=None, memory=1e9).bytes_ - (300 - rows) * 8 * 42
    found = stream_pairs(a, b, ("cka", "cka_lange", "cka_biased"), memory=memory)
    assert found.plan.form == "features"
    assert found.plan.tile == min(rows, 300)
    for name, streamed in found.maps.items():
        np.testing.assert_allclose(streamed.value, all_pairs(a, b, name).value, atol=1e-10)


def test_neighbours_are_searched_in_tiles_even_where_cross_covariances_are_cheaper(rng):
    a, b = stacks(rng, 300, (3, 4), (5, 2))
    found = stream_pairs(a, b, METRICS, k=5)
    assert found.plan.form == "tiles"
    same_maps(found, a, b, k=5)


def test_memory_maps_in_half_precision_are_read_as_they_are(rng, tmp_path):
    a, b = stacks(rng)
    mapped = []
    for i, x in enumerate((*a, *b)):
        np.save(tmp_path / f"{i}.npy", (x / np.abs(x).max()).astype(np.float16))
        mapped.append(np.load(tmp_path / f"{i}.npy", mmap_mode="r"))
    found = stream_pairs(mapped[:3], mapped[3:], METRICS, k=4, memory=tile_bytes(25, 90, [40, 50, 33, 45, 38], 4))
    assert found.plan.tiles > 1
    same_maps(found, mapped[:3], mapped[3:], k=4)


@given(
    st.integers(50, 5000),
    st.lists(st.integers(1, 600), min_size=2, max_size=8),
    st.one_of(st.none(), st.integers(1, 20)),
    st.floats(2.0, 10.0),
)
def test_the_plan_keeps_to_its_memory_and_covers_every_pair_of_items_once(n, widths, k, log_memory):
    memory = 10**log_memory
    try:
        chosen = plan(n, widths, 1, k=k, memory=memory)
    except UsageError:
        assert tile_bytes(1, n, widths, k) > memory
        return
    assert chosen.bytes_ <= memory
    assert chosen.tile * (chosen.tiles - 1) < n <= chosen.tile * chosen.tiles
    if chosen.form == "tiles":
        assert chosen.bytes_ == tile_bytes(chosen.tile, n, widths, k)
        # One tile fewer on a side would be too large.
        larger = -(-n // (chosen.tiles - 1)) if chosen.tiles > 1 else None
        assert larger is None or tile_bytes(larger, n, widths, k) > memory
        ends = [min(n, (i + 1) * chosen.tile) for i in range(chosen.tiles)]
        cells = sum((end - i * chosen.tile) * (n - i * chosen.tile) for i, end in enumerate(ends))
        assert chosen.multiplications == pytest.approx(cells * (sum(widths) + len(widths) - 1))


def test_the_plan_of_a_large_map_is_what_the_arithmetic_says():
    widths = [4096] * 66
    chosen = plan(20_000, widths, 33, k=10, memory=6e9)
    tile = chosen.tile
    rows, other, cells = 4 * tile * 4096 * 66, 4 * tile * 4096, 4 * tile * tile * 66
    reading, kept, lists = 2 * 3 * 8 * 256 * 4096, 8 * 20_000 * 66, 66 * 20_000 * 16 * 12
    search = 2 * 13 * tile * (tile + 16)
    assert chosen.bytes_ == rows + other + cells + reading + kept + lists + search
    assert chosen.form == "tiles"
    # Half of 216 TFLOP, and the lower halves of the tiles on the diagonal.
    assert 108e12 < 2 * chosen.multiplications < 126e12


def test_the_arrays_stay_within_the_plan(rng):
    a = [rng.standard_normal((1500, 64), dtype=np.float32) for _ in range(3)]
    b = [rng.standard_normal((1500, 64), dtype=np.float32) for _ in range(3)]
    stream_pairs(a[:1], b[:1], k=5)  # What is imported on the way does not count.
    memory = tile_bytes(400, 1500, [64] * 6, 5)
    tracemalloc.start()
    stream_pairs(a, b, k=5, memory=memory)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert memory / 3 < peak < 1.15 * memory


def test_the_note_says_that_cka_has_no_null(rng):
    a, b = stacks(rng)
    permutations = np.array([rng.permutation(90)])
    found = stream_pairs(a, b, permutations=permutations, k=3)
    assert "without permutations" in found.note
    assert found.maps["cka"].null is None
    assert stream_pairs(a, b, ("mutual_knn",), permutations=permutations, k=3).note == ""
    assert stream_pairs(a, b, k=3).note == ""


def test_what_cannot_be_streamed_is_refused(rng):
    a, b = stacks(rng)
    with pytest.raises(UsageError, match="no 'rbf_cka'"):
        stream_pairs(a, b, ("rbf_cka",))
    with pytest.raises(UsageError, match="too little"):
        stream_pairs(a, b, memory=1000)
    with pytest.raises(UsageError, match="not finite"):
        stream_pairs([np.where(np.arange(90)[:, None] == 3, np.nan, a[0])], b)
    with pytest.raises(TooFewRows):
        stream_pairs([x[:12] for x in a], [y[:12] for y in b], k=10)
    with pytest.raises(UsageError, match="same n items"):
        stream_pairs(a, [b[0][:50]])
