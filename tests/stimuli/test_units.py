"""Units against a slow oracle: flood fill over an explicit graph."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from conceptprobe.stimuli.units import components, sentence_components, term_units
from conceptprobe.stimuli.words import content_words

WORDS = st.sampled_from(["inner", "light", "soul", "self", "lamp", "hope", "the", "of", "mood", "Inner", "soul's"])
PHRASES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)


def flood(keys: Sequence[set[str]]) -> list[frozenset[int]]:
    """The component of each item as the set of its members."""
    result = []
    for start in range(len(keys)):
        seen, frontier = {start}, [start]
        while frontier:
            here = frontier.pop()
            for other in range(len(keys)):
                if other not in seen and keys[here] & keys[other]:
                    seen.add(other)
                    frontier.append(other)
        result.append(frozenset(seen))
    return result


def as_sets(numbers: Sequence[object]) -> list[frozenset[int]]:
    return [frozenset(j for j, m in enumerate(numbers) if m == n) for n in numbers]


@given(st.lists(st.sets(st.sampled_from("abcdefgh"), max_size=3), max_size=12))
def test_components_are_those_of_a_flood_fill(keys: list[set[str]]) -> None:
    numbers = components(keys)
    assert as_sets(numbers) == flood(keys)
    assert list(dict.fromkeys(numbers)) == list(range(len(set(numbers))))


@given(st.lists(st.tuples(PHRASES, PHRASES, PHRASES), max_size=8))
def test_terms_are_linked_over_all_tiers(phrases: list[tuple[str, str, str]]) -> None:
    triples = [SimpleNamespace(id=f"u{i}", positive=p, near=n, far=f) for i, (p, n, f) in enumerate(phrases)]
    units = term_units(triples)
    keys = [{w for text in texts for w in content_words(text)} for texts in phrases]
    assert as_sets([units[t.id] for t in triples]) == flood(keys)
    assert all(units[unit] == unit for unit in units.values())


def test_inner_self_and_inner_light_are_one_unit() -> None:
    triples = [
        SimpleNamespace(id="a", positive="inner self", near="public mood", far="iron gate"),
        SimpleNamespace(id="b", positive="soul", near="hope", far="lamp"),
        SimpleNamespace(id="c", positive="inner light", near="old news", far="tin cup"),
    ]
    assert term_units(triples) == {"a": "a", "b": "b", "c": "a"}


@given(st.lists(PHRASES, max_size=8))
def test_ignored_words_link_nothing(texts: list[str]) -> None:
    keys = [set(content_words(t)) - {"soul"} for t in texts]
    assert as_sets(sentence_components(texts, {"soul"})) == flood(keys)


def test_groups_link_sentences_without_a_common_word() -> None:
    assert sentence_components(["mood", "lamp", "gate"], set(), ["g", "h", "g"]) == [0, 1, 0]
