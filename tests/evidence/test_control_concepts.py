"""Control concepts keep their rule, set by set: sizes, overlaps, what is near, what is matched, and when they fall short."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.evidence import control_concepts
from conceptprobe.evidence.control_concepts import (
    CALIPERS,
    EXCLUDED,
    NEAREST,
    PROPERTIES,
    SETS,
    SIZE,
    ControlConcepts,
    draw_control_concepts,
)


@dataclass(frozen=True)
class Words:
    """What the rule sees of a pool and of a target, rows as words."""

    pool: np.ndarray
    target: np.ndarray
    pool_properties: np.ndarray
    target_properties: np.ndarray

    def drawn(self) -> ControlConcepts:
        return draw_control_concepts(self.pool, self.target, self.pool_properties, self.target_properties)


def words(seed: int, m: int = 240, t: int = 20, d: int = 10) -> Words:
    """A pool without structure but for a common mean, and a target like it."""
    rng = np.random.default_rng(seed)
    sizes = ((m, d), (t, d), (m, 3), (t, 3))
    pool, target, of_pool, of_target = (rng.standard_normal(size) for size in sizes)
    return Words(pool + 2.0, target + 2.0, 4.0 + 2.0 * of_pool, 4.0 + 2.0 * of_target)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt(a @ a) / np.sqrt(b @ b))


def nearest(given_: Words, own: np.ndarray, without: list[int], count: int) -> list[int]:
    """The known words of the pool of highest mean cosine with some vectors, about the pool's mean."""
    known = [i for i, row in enumerate(given_.pool) if row.any()]
    mean = given_.pool[known].mean(axis=0)
    said = {i: np.mean([cosine(given_.pool[i] - mean, v - mean) for v in own]) for i in known if i not in without}
    return sorted(said, key=lambda i: -said[i])[:count]


def z_of(given_: Words) -> tuple[np.ndarray, np.ndarray]:
    """Properties of the pool's words and the mean of the target's, in standard deviations over the pool."""
    mean, spread = np.nanmean(given_.pool_properties, axis=0), np.nanstd(given_.pool_properties, axis=0)
    return (given_.pool_properties - mean) / spread, (np.nanmean(given_.target_properties, axis=0) - mean) / spread


def same(a: ControlConcepts, b: ControlConcepts) -> bool:
    names = ("positives", "controls", "excluded", "around_target")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


# What a set is made of


@settings(max_examples=8)
@given(st.integers(0, 2**31), st.integers(110, 300))
def test_sets_are_of_one_size_and_share_at_most_a_fifth_of_their_words(seed, m):
    drawn = words(seed, m).drawn()
    assert drawn.count == SETS == 99
    assert drawn.positives.shape == drawn.controls.shape == (SETS, SIZE)
    assert drawn.excluded.shape == (SETS, EXCLUDED)
    for row in (*drawn.positives, *drawn.controls, *drawn.excluded):
        assert len(set(row)) == len(row)
        assert 0 <= row.min() <= row.max() < m
    assert max(len(set(a) & set(b)) for a, b in combinations(drawn.positives, 2)) <= SIZE / 5


def test_own_words_and_the_nearest_are_excluded_and_no_control_is_among_them():
    given_ = words(1)
    drawn = given_.drawn()
    sets = zip(drawn.positives, drawn.controls, drawn.excluded, strict=True)
    for positives, controls, excluded in list(sets)[::7]:
        own = [*positives, *controls]
        around = nearest(given_, given_.pool[positives], list(positives), NEAREST)
        assert len(set(own)) == 2 * SIZE
        assert not set(controls) & set(around)
        assert list(excluded[: 2 * SIZE]) == own
        assert list(excluded[2 * SIZE :]) == around


def test_as_many_words_are_excluded_around_the_target_as_around_any_set():
    given_ = words(2)
    drawn = given_.drawn()
    assert list(drawn.around_target) == nearest(given_, given_.target, [], EXCLUDED)
    assert len(drawn.around_target) == drawn.excluded.shape[1] == 2 * SIZE + NEAREST


def test_the_words_of_a_set_stand_nearer_to_each_other_than_words_of_the_pool_do():
    given_ = words(3)
    mean = given_.pool.mean(axis=0)

    def together(rows: np.ndarray) -> float:
        return float(np.mean([cosine(given_.pool[i] - mean, given_.pool[j] - mean) for i, j in combinations(rows, 2)]))

    rng = np.random.default_rng(0)
    drawn = [together(row) for row in given_.drawn().positives]
    at_random = [together(rng.choice(240, SIZE, replace=False)) for _ in range(SETS)]
    assert np.quantile(drawn, 0.05) > np.quantile(at_random, 0.95)
    record = next(r for r in given_.drawn().balance if r["property"] == "coherence")
    assert record["controls"] == pytest.approx(np.mean(drawn))


# Matching


@pytest.mark.parametrize("away", [(0.0, 0.0, 0.0), (1.2, 0.0, -1.0), (2.2, 0.0, 0.0)])
def test_means_of_sets_stay_within_the_caliper(away):
    given_ = words(4)
    given_ = replace(given_, target_properties=given_.target_properties + 2.0 * np.array(away))
    drawn = given_.drawn()
    z, goal = z_of(given_)
    apart = np.abs(z[drawn.positives].mean(axis=1) - goal)
    assert drawn.count == SETS
    assert apart.max() <= drawn.caliper
    # Sets follow the target where it is not as the pool is on average, which is 0.
    far = np.abs(goal) > 0.5
    assert np.all(np.abs(z[drawn.positives].mean(axis=(0, 1)) - goal)[far] < 0.8 * np.abs(goal)[far])


def test_the_caliper_is_no_wider_than_sets_need():
    """An ordinary target is met within half a standard deviation; for one at the edge of the pool the caliper opens."""
    given_ = words(5)
    edge = replace(given_, target_properties=given_.target_properties + np.array([4.6, 0.0, 0.0]))
    assert given_.drawn().caliper == CALIPERS[0] == 0.5
    wider = edge.drawn()
    assert wider.caliper > 0.5
    z, goal = z_of(edge)
    apart = np.abs(z[wider.positives].mean(axis=1) - goal).max(axis=1)
    before = CALIPERS[CALIPERS.index(wider.caliper) - 1]
    assert (apart > before).any()  # some set would not have been one under the caliper before
    assert (apart <= before).any()  # and those that were are kept


def test_every_control_is_the_free_word_most_like_its_positive():
    given_ = words(6)
    drawn = given_.drawn()
    z, _ = z_of(given_)
    for positives, controls in list(zip(drawn.positives, drawn.controls, strict=True))[::9]:
        taken = {*positives, *nearest(given_, given_.pool[positives], list(positives), NEAREST)}
        for word, control in zip(positives, controls, strict=True):
            free = [i for i in range(240) if i not in taken]
            assert control == min(free, key=lambda i: float(((z[i] - z[word]) ** 2).sum()))
            taken.add(control)


def test_balance_tells_the_means_that_were_matched():
    given_ = words(7)
    drawn = given_.drawn()
    records = {r["property"]: r for r in drawn.balance}
    assert list(records) == [*PROPERTIES, "coherence"]
    for column, name in enumerate(PROPERTIES):
        of_sets = given_.pool_properties[:, column][drawn.positives].mean(axis=1)
        of_target = given_.target_properties[:, column].mean()
        assert records[name]["target"] == pytest.approx(of_target)
        assert records[name]["controls"] == pytest.approx(of_sets.mean())
        apart = (of_target - of_sets.mean()) / given_.pool_properties[:, column].std()
        assert records[name]["difference_in_sd"] == pytest.approx(apart)
        assert records[name]["controls_q05"] < records[name]["controls"] < records[name]["controls_q95"]


# What the sets depend on


def test_the_same_words_give_the_same_sets_whatever_was_drawn_before():
    first = words(8).drawn()
    control_concepts._drawn.cache_clear()
    np.random.default_rng(0).standard_normal(100)
    again = words(8).drawn()
    assert again is not first
    assert same(first, again)
    assert not same(first, words(9).drawn())


def test_the_target_decides_by_its_properties_alone():
    """Its vectors say what its own map leaves out, and nothing of the sets."""
    given_ = words(10)
    elsewhere = replace(given_, target=np.random.default_rng(0).standard_normal(given_.target.shape))
    one, other = given_.drawn(), elsewhere.drawn()
    for name in ("positives", "controls", "excluded"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert not np.array_equal(one.around_target, other.around_target)


def test_rotation_scale_and_shift_of_the_vectors_and_units_of_the_properties_change_nothing():
    given_ = words(11)
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((10, 10)))[0]
    unit, zero = np.array([100.0, -0.5, 3.0]), np.array([0.0, 7.0, -40.0])
    moved = Words(
        3.0 * given_.pool @ q + 5.0,
        3.0 * given_.target @ q + 5.0,
        given_.pool_properties * unit + zero,
        given_.target_properties * unit + zero,
    )
    assert same(given_.drawn(), moved.drawn())


# What is not known


@settings(max_examples=8)
@given(st.integers(0, 2**31))
def test_unknown_words_are_in_no_set(seed):
    """Without a vector, or without one of the properties, a word can be neither near nor matched."""
    rng = np.random.default_rng(seed)
    given_ = words(seed)
    unknown = rng.choice(240, 60, replace=False)
    given_.pool[unknown[:30]] = 0.0
    given_.pool_properties[unknown[30:], rng.integers(0, 3, 30)] = np.nan
    drawn = given_.drawn()
    assert drawn.count == SETS
    assert not np.isin(drawn.positives, unknown).any()
    assert not np.isin(drawn.controls, unknown).any()
    assert not np.isin(drawn.around_target, unknown[:30]).any()
    assert np.isfinite([r["controls"] for r in drawn.balance]).all()


def test_unknown_words_of_the_target_move_nothing():
    given_ = words(12)
    more = replace(
        given_,
        target=np.vstack([given_.target, np.zeros((3, 10))]),
        target_properties=np.vstack([given_.target_properties, np.full((3, 3), np.nan)]),
    )
    assert same(given_.drawn(), more.drawn())
    for one, other in zip(given_.drawn().balance, more.drawn().balance, strict=True):
        assert one == pytest.approx(other)


@pytest.mark.parametrize("value", [np.nan, 7.0])
def test_a_property_unknown_or_constant_throughout_asks_for_nothing(value):
    """As frequencies do in a language that has no list of them."""
    given_ = words(13)
    given_.pool_properties[:, 0] = value
    given_.target_properties[:, 0] = value
    drawn = given_.drawn()
    assert drawn.count == SETS
    assert drawn.caliper == 0.5
    assert not drawn.shortfall


# When they do not suffice


def test_a_small_pool_has_too_few_sets_and_says_so():
    drawn = words(14, m=60).drawn()
    assert 0 < drawn.count < SETS
    assert drawn.shortfall.startswith(f"only {drawn.count} of {SETS} matched control concepts")
    assert not words(14).drawn().shortfall


def test_a_target_unlike_the_pool_has_no_sets():
    given_ = words(15)
    drawn = replace(given_, target_properties=given_.target_properties + 8.0).drawn()
    assert drawn.count == 0
    assert drawn.caliper == CALIPERS[-1]
    assert drawn.shortfall.startswith("only 0 of 99")


def test_a_concept_that_hangs_together_more_than_its_controls_says_so():
    given_ = words(16)
    centre = 30.0 * np.eye(10)[0]
    drawn = replace(given_, target=given_.target + centre).drawn()
    record = next(r for r in drawn.balance if r["property"] == "coherence")
    assert record["target"] > record["controls_q95"]
    assert "hang together more" in drawn.shortfall
    assert f"{record['target']:.2f}" in drawn.shortfall


@pytest.mark.parametrize("m", [3, 12, 35, 39])
def test_a_pool_of_a_few_words_is_a_shortfall_and_no_crash(m):
    drawn = words(17, m=m).drawn()
    assert drawn.count < SETS
    assert drawn.shortfall.startswith("only ")


def test_controls_are_known_words_and_no_word_twice_even_where_few_words_are_known():
    """Of 100 words 35 are known: a set and its nearest leave five to be controls, and ten are needed."""
    given_ = words(18, m=100)
    given_.pool[:65] = 0.0
    drawn = given_.drawn()
    assert drawn.shortfall
    assert not np.isin(drawn.controls, np.arange(65)).any()
    assert all(len(set(row)) == SIZE for row in drawn.controls)
