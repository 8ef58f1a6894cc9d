"""What a model is shown: exact spans, the groups statistics need, and a fingerprint of content alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conceptprobe.stimuli import expand, expand_background, expand_in_pool, load_background, load_concept
from conceptprobe.stimuli.stimulus import StimulusSet
from conceptprobe.stimuli.words import content_words

Write = Callable[..., Path]


@pytest.fixture
def sets(document: dict[str, Any], write: Write) -> dict[str, StimulusSet]:
    return expand(load_concept(write(document)))


def test_the_sets_and_their_sizes(sets: dict[str, StimulusSet]) -> None:
    sizes = {name: len(s) for name, s in sets.items()}
    texts = {"sentences": 120, "masked": 120, "translations": 80, "paraphrases": 80, "same_words": 60, "homonyms": 80}
    assert sizes == {"terms": 20 * 3 * 12} | texts
    assert all(s.name == name for name, s in sets.items())
    ids = [i for s in sets.values() for i in s.ids]
    assert len(ids) == len(set(ids))


def test_spans_are_exact(sets: dict[str, StimulusSet], document: dict[str, Any]) -> None:
    for stimulus in sets["terms"]:
        start, end = stimulus.span or (0, 0)
        assert stimulus.content[start:end] == stimulus.group("term")
        assert "{" not in stimulus.content
    spanned = ("sentences", "translations", "same_words", "homonyms")
    spans = {e["id"]: e["span"] for name in spanned for e in document[name]}
    for name in spanned:
        for stimulus in sets[name]:
            start, end = stimulus.span or (0, 0)
            assert stimulus.content[start:end] == spans[stimulus.pair or stimulus.id.split("/")[-1]]
    assert all(s.span is None for s in sets["paraphrases"])


def test_a_span_is_the_word_and_not_a_part_of_another(document: dict[str, Any], write: Write) -> None:
    """`self` in `himself ... self`: the first occurrence as letters is the wrong one."""
    document["sentences"][0] |= {"span": "zoq", "text": "A prezoq of it met zoq and the xyzzyq."}
    from conceptprobe.stimuli.schema import Concept

    stimulus = expand(Concept.model_validate(document))["sentences"].stimuli[0]
    assert stimulus.span == (19, 22)


def test_terms_carry_unit_template_tier_and_pair(document: dict[str, Any], write: Write) -> None:
    document["terms"][5]["far"] = "xq " + document["terms"][0]["far"]
    for tier in ("positive", "near"):
        document["terms"][5][tier] = "xq " + document["terms"][5][tier]
    document["terms"].append({"id": "u20", "positive": "qqb", "near": "qqc", "far": "qqd", "sense": "essence"})
    terms = expand(load_concept(write(document)))["terms"]
    by_id = {s.id: s for s in terms}
    one = by_id["zoqa/terms/u05/near/t0early"]
    assert (one.pair, one.group("unit"), one.group("tier"), one.group("template")) == ("u05", "u00", "near", "t0early")
    assert (one.role, one.label, one.sense) == ("control", 0, "")
    assert by_id["zoqa/terms/u05/positive/t0early"].label == 1
    assert by_id["zoqa/terms/u05/positive/t0early"].sense == "essence"
    assert set(Counter(s.group("tier") for s in terms).values()) == {21 * 12}


def test_roles_and_groups_of_sentences(sets: dict[str, StimulusSet]) -> None:
    def roles(name: str) -> Counter[tuple[str, int]]:
        return Counter((s.role, s.label) for s in sets[name])

    assert roles("sentences") == {("positive", 1): 60, ("control", 0): 60}
    assert roles("masked") == {("positive", 1): 60, ("control", 0): 60}
    assert roles("translations") == {("positive", 1): 40, ("control", 0): 40}
    assert roles("paraphrases") == {("paraphrase", 1): 40, ("control", 0): 40}
    assert roles("same_words") == {("positive", 1): 30, ("homonym", 0): 30}
    assert roles("homonyms") == {("positive", 1): 40, ("homonym", 0): 40}
    assert set(Counter(s.group("group") for s in sets["sentences"]).values()) == {6}
    assert set(Counter(s.group("unit") for s in sets["same_words"]).values()) == {2}
    assert all(s.group("unit") == s.pair for s in sets["same_words"])


def test_pairs_are_equal_bags_of_different_order(sets: dict[str, StimulusSet]) -> None:
    rows = sets["same_words"].stimuli
    for target, other in zip(rows[::2], rows[1::2], strict=True):
        assert (target.sense, other.sense) == ("essence", "music")
        assert Counter(content_words(target.content)) == Counter(content_words(other.content))
        assert target.content != other.content


def test_contexts_that_share_a_word_are_one_unit(document: dict[str, Any], write: Write) -> None:
    shared = content_words(document["homonyms"][0]["text"])[0]
    document["homonyms"][7]["text"] = document["homonyms"][7]["text"].replace(".", f" and {shared}.")
    homonyms = expand(load_concept(write(document)))["homonyms"].stimuli
    assert homonyms[7].group("unit") == homonyms[0].group("unit")
    assert len({s.group("unit") for s in homonyms}) == 79


def test_every_pool_word_in_every_template(pool: dict[str, Any], write: Write) -> None:
    made = expand_background(load_background(write(pool, "pool.yaml")))
    assert len(made) == 400 * 6
    assert {s.role for s in made} == {"background"}
    for s in made:
        start, end = s.span or (0, 0)
        assert s.content[start:end] == s.group("word")
    assert set(Counter((s.group("word"), s.group("template")) for s in made).values()) == {1}
    assert len({s.group("category") for s in made}) == 16


def test_terms_and_pool_words_stand_in_the_same_frames(
    document: dict[str, Any], pool: dict[str, Any], write: Write
) -> None:
    concept, words = load_concept(write(document)), load_background(write(pool, "pool.yaml"))
    made = expand_in_pool(concept, words)
    assert (made.name, len(made)) == ("terms_in_pool", 20 * 2 * 6)
    assert {s.group("tier") for s in made} == {"positive", "near"}
    frames = {s.group("template"): s.content.replace(s.group("word"), "_") for s in expand_background(words)}
    for s in made:
        start, end = s.span or (0, 0)
        assert s.content[:start] + "_" + s.content[end:] == frames[s.group("template")]
        assert s.content[start:end] == s.group("term")


def test_fingerprints_follow_content_not_layout(
    document: dict[str, Any], write: Write, as_yaml: Callable[..., str], sets: dict[str, StimulusSet]
) -> None:
    before = {name: s.fingerprint for name, s in sets.items()}
    shuffled = dict(sorted(document.items()))
    for layout in (
        as_yaml(document, default_flow_style=True),
        as_yaml(shuffled, indent=3),
        "# a comment\n" + as_yaml(document, indent=7).replace("\nsenses:", "\n\n\nsenses:"),
        json.dumps(document, indent=1),
        as_yaml(document).replace("\n", "\r\n"),
    ):
        again = expand(load_concept(write(layout)))
        assert {name: s.fingerprint for name, s in again.items()} == before
    document["homonyms"][3]["text"] = document["homonyms"][3]["text"].replace("A ", "The ")
    changed = {name: s.fingerprint for name, s in expand(load_concept(write(document))).items()}
    assert {name for name in before if before[name] != changed[name]} == {"homonyms"}


def test_a_sentence_is_in_two_fingerprints_and_its_translation_in_one(
    document: dict[str, Any], write: Write, sets: dict[str, StimulusSet]
) -> None:
    def different() -> set[str]:
        after = expand(load_concept(write(document)))
        return {name for name in sets if sets[name].fingerprint != after[name].fingerprint}

    document["translations"][3]["text"] = document["translations"][3]["text"].replace("Ein ", "Kein ")
    assert different() == {"translations"}
    document["sentences"][0]["text"] = document["sentences"][0]["text"].replace("A ", "The ")
    assert different() == {"translations", "sentences", "masked"}


def test_empty_sets_are_left_out(document: dict[str, Any], write: Write) -> None:
    document["senses"] = document["senses"][:1]
    del document["same_words"], document["homonyms"], document["translations"]
    assert set(expand(load_concept(write(document)))) == {"terms", "sentences", "masked", "paraphrases"}


def test_entries_of_another_language_meet_their_own_templates_only(document: dict[str, Any], write: Write) -> None:
    document["templates"].append(
        {"id": "de1", "position": "early", "text": "Ihr {term} blieb ganz ohne xqa.", "lang": "de"}
    )
    document["terms"].append(
        {"id": "de", "positive": "xqb", "near": "xqc", "far": "xqd", "sense": "essence", "lang": "de"}
    )
    terms = expand(load_concept(write(document)))["terms"]
    assert [s.content for s in terms if s.lang == "de"] == [
        f"Ihr {w} blieb ganz ohne xqa." for w in ("xqb", "xqc", "xqd")
    ]
    assert len(terms) == 20 * 3 * 12 + 3
