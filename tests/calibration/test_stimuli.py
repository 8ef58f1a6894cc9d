"""Invented stimulus sets keep what they promise: nothing but what is planted can tell the label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptprobe.calibration.stimuli import captioned, invented_words, pool, same_words, span_words, terms
from conceptprobe.stimuli.stimulus import StimulusSet
from conceptprobe.stimuli.words import content_words, words


def members(stimuli: StimulusSet):
    """(positive, control) of each pair."""
    by_pair: dict[str, dict[int, object]] = {}
    for s in stimuli:
        by_pair.setdefault(s.pair, {})[s.label] = s
    return [(pair[1], pair[0]) for pair in by_pair.values()]


def before(stimulus) -> int:
    return len(words(stimulus.content[: stimulus.span[0]]))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(10, 30), st.sampled_from([(0.5, 0.5), (0.9, 0.5), (0.5, 0.9)]))
def test_both_members_of_a_pair_are_made_of_the_same_content_words(seed, pairs, leaning):
    earlier, longer = leaning
    made = same_words(pairs, np.random.default_rng(seed), earlier=earlier, longer=longer)
    for a, b in members(made):
        assert sorted(content_words(a.content)) == sorted(content_words(b.content))
        assert a.content != b.content
        assert {a.content[slice(*a.span)], b.content[slice(*b.span)]} == {"soul"}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_positions_and_lengths_are_balanced_unless_they_are_planted(seed):
    for a, b in members(same_words(20, np.random.default_rng(seed))):
        assert a.span == b.span
        assert len(a.content) == len(b.content)


def test_a_planted_position_follows_the_sense_as_often_as_it_should():
    pairs = members(same_words(2000, np.random.default_rng(0), earlier=0.9))
    first = np.mean([before(a) < before(b) for a, b in pairs])
    assert first == pytest.approx(0.9, abs=0.03)
    assert all(abs(before(a) - before(b)) == 2 for a, b in pairs)
    assert all(sorted(words(a.content)) == sorted(words(b.content)) for a, b in pairs)


def test_a_planted_length_follows_the_sense_and_leaves_the_position_alone():
    pairs = members(same_words(2000, np.random.default_rng(0), longer=0.9))
    assert np.mean([len(a.content) > len(b.content) for a, b in pairs]) == pytest.approx(0.9, abs=0.03)
    assert all(before(a) == before(b) for a, b in pairs)


def test_two_forms_are_never_the_same_word():
    forms = [s.content[slice(*s.span)] for s in same_words(20, np.random.default_rng(0), two_forms=True)]
    assert len(set(forms)) == len(forms)


def test_no_word_of_one_pair_stands_in_another():
    seen: dict[str, str] = {}
    for s in same_words(20, np.random.default_rng(0)):
        for word in content_words(s.content):
            if word != "soul":
                assert seen.setdefault(word, s.pair) == s.pair


def test_terms_are_matched_and_stand_in_every_template_at_its_own_place():
    made = terms(20, 6, np.random.default_rng(0), far=True)
    assert len(made) == 3 * 20 * 6
    places = {s.group("template"): before(s) for s in made}
    assert all(before(s) == places[s.group("template")] for s in made)
    assert len(set(places.values())) > 1
    assert all(s.content[slice(*s.span)] == s.group("term") for s in made)
    assert {(s.group("tier"), s.label) for s in made} == {("positive", 1), ("near", 0), ("far", 0)}


def test_lengths_of_terms_say_nothing_of_the_class():
    made = terms(3000, 1, np.random.default_rng(0))
    length = {label: [len(s.group("term")) for s in made if s.label == label] for label in (0, 1)}
    assert np.mean(length[1]) == pytest.approx(np.mean(length[0]), abs=0.1)
    assert np.std(length[1]) > 1


def test_pools_and_captions_match_row_by_row():
    sets = pool(60, 12, np.random.default_rng(0), ["kind"] * 60)
    assert [len(sets[n]) for n in ("background", "terms_in_pool")] == [60, 24]
    assert sum(s.group("tier") == "positive" for s in sets["terms_in_pool"]) == 12
    media = captioned(8, 20, 5)
    for pictures, captions in (("pictures", "captions"), ("background_pictures", "background_captions")):
        assert [s.content for s in media[pictures]] == [s.content for s in media[captions]]
        assert {s.modality for s in media[pictures]} == {"image"}
    assert len({s.group("category") for s in media["background_pictures"]}) == 5


def test_a_bag_is_read_in_one_order():
    a, b = members(same_words(5, np.random.default_rng(0)))[0]
    made = StimulusSet("x", (a, b))
    (_, first), (_, second) = span_words(made)
    assert first == second


def test_invented_words_are_distinct_whatever_the_lengths():
    made = invented_words([1] * 26, np.random.default_rng(0))
    assert len(set(made)) == 26
