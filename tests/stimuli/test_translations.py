"""Masked and translated sentences: the original's role and scene, exact spans, one problem per mistake, real letters."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from conceptprobe.stimuli import check_files, expand, load_concept
from conceptprobe.stimuli.draft import Draft, draft
from conceptprobe.stimuli.problems import Problem
from conceptprobe.stimuli.rules import translations as rules
from conceptprobe.stimuli.schema import Concept
from conceptprobe.stimuli.source import Source
from conceptprobe.stimuli.spans import BLANK, blanked, find_span
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet
from conceptprobe.stimuli.words import words

Document = dict[str, Any]
Write = Callable[..., Path]
LANGUAGES = {"de": "äöüß", "fr": "éèàâœ", "es": "áéíóúñ"}


@pytest.fixture
def sets(document: Document, write: Write) -> dict[str, StimulusSet]:
    return expand(load_concept(write(document)))


@pytest.fixture(scope="module")
def soul() -> dict[str, StimulusSet]:
    return expand(load_concept(Path(__file__).parents[2] / "concepts" / "soul.yaml"))


def problems_of(document: Document, write: Write, monkeypatch: pytest.MonkeyPatch) -> list[Problem]:
    from conceptprobe.stimuli import difficulty

    monkeypatch.setattr(difficulty, "measure", lambda *_: difficulty.Difficulty(0, {}, {}))
    return list(check_files([write(document)]).problems)


def about(stimulus: Stimulus) -> str:
    """What stands at the span."""
    start, end = stimulus.span or (0, 0)
    return stimulus.content[start:end]


class TestMasked:
    """Sentences with a blank in the place of what they are about."""

    def test_only_the_span_is_lost(self, sets: dict[str, StimulusSet]) -> None:
        for sentence, masked in zip(sets["sentences"], sets["masked"], strict=True):
            assert masked.id == sentence.id.replace("/sentences/", "/masked/")
            start, end = masked.span or (0, 0)
            assert masked.content[:start] + about(sentence) + masked.content[end:] == sentence.content
            assert about(masked) == BLANK
            for field in ("role", "sense", "groups", "lang", "concept", "modality", "pair"):
                assert getattr(masked, field) == getattr(sentence, field)

    def test_the_blank_is_no_word_to_a_bag_of_words(self, sets: dict[str, StimulusSet]) -> None:
        for sentence, masked in zip(sets["sentences"], sets["masked"], strict=True):
            assert Counter(words(sentence.content)) - Counter(words(masked.content)) == Counter(words(about(sentence)))

    def test_two_sentences_that_differ_in_the_span_alone_become_one_text(self, document: Document) -> None:
        """Nothing is left to tell them apart, as it should be."""
        document["sentences"][1]["text"] = document["sentences"][0]["text"].replace("zoqa", "xyzzyq")
        document["sentences"][1]["span"] = "xyzzyq"
        one, two = expand(Concept.model_validate(document))["masked"].stimuli[:2]
        assert (one.content, one.label, two.label) == (two.content, 1, 0)

    def test_a_span_that_is_not_there_cannot_be_masked(self, document: Document) -> None:
        document["sentences"][0]["span"] = "elsewhere"
        made = expand(Concept.model_validate(document))
        assert made["masked"].ids == tuple(i.replace("/sentences/", "/masked/") for i in made["sentences"].ids[1:])

    @given(st.text("ab é_'-.", max_size=12), st.text("abé", min_size=1, max_size=4), st.text("ab é_'-.", max_size=12))
    def test_the_blank_stands_where_the_span_was(self, before: str, span: str, after: str) -> None:
        text = before + span + after
        found = find_span(text, span)
        assume(found)
        masked, (start, end) = blanked(text, found[0])
        assert masked[start:end] == BLANK
        assert masked[:start] + span + masked[end:] == text


class TestTranslations:
    """Sentences in other languages."""

    def test_role_sense_and_group_are_those_of_the_original(self, sets: dict[str, StimulusSet]) -> None:
        originals = {s.id: s for s in sets["sentences"]}
        for translation in sets["translations"]:
            original = originals[f"zoqa/sentences/{translation.group('of')}"]
            assert (translation.role, translation.sense) == (original.role, original.sense)
            assert translation.group("group") == original.group("group")
            assert (translation.lang, original.lang) == ("de", "en")

    def test_all_languages_are_in_one_set_in_the_order_of_the_file(self, document: Document, write: Write) -> None:
        french = [
            e | {"id": e["id"].replace("de-", "fr-"), "lang": "fr", "text": e["text"].replace("Ein ", "L'une ")}
            for e in document["translations"]
        ]
        document["translations"] = [e for both in zip(french, document["translations"], strict=True) for e in both]
        made = expand(load_concept(write(document)))["translations"]
        assert [s.id.split("/")[-1] for s in made] == [e["id"] for e in document["translations"]]
        assert Counter(s.lang for s in made) == {"de": 80, "fr": 80}

    def test_a_translation_of_nothing_has_no_label_and_is_left_out(self, document: Document) -> None:
        document["translations"][0]["of"] = "nothing"
        assert len(expand(Concept.model_validate(document))["translations"]) == 79

    def test_a_file_needs_none(self, document: Document, write: Write, sets: dict[str, StimulusSet]) -> None:
        del document["translations"]
        without = expand(load_concept(write(document)))
        assert {name: s.fingerprint for name, s in sets.items() if name != "translations"} == {
            name: s.fingerprint for name, s in without.items()
        }

    def test_they_are_left_out_of_the_difficulty(self, document: Document, write: Write) -> None:
        with_, without = write(document, "with.yaml"), write(document | {"translations": []}, "without.yaml")
        one, two = (f.difficulty for f in check_files([with_, without]).files)
        assert one is not None
        assert one == two


class TestRules:
    """What `test_rules.py` does not ask about them: a mistake is one problem."""

    def test_an_original_that_does_not_parse_is_there(
        self, document: Document, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        document["sentences"][0]["label"] = "positve"
        assert [p.code for p in problems_of(document, write, monkeypatch)] == ["CP005"]

    @pytest.mark.parametrize(("key", "to", "code"), [("of", "nothing", "CP017"), ("lang", "German", "CP005")])
    def test_bad_entries_make_neither_their_language_too_small_nor_their_scene_one_sided(
        self, key: str, to: str, code: str, document: Document, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scene = {s["id"] for s in document["sentences"] if s["group"] == "g00" and s["label"] == "control"}
        spoiled = [e for e in document["translations"] if e["of"] in scene]
        for entry in spoiled:
            entry[key] = to
        assert [p.code for p in problems_of(document, write, monkeypatch)] == [code] * len(spoiled)

    def test_a_scene_of_one_label_may_be_translated(
        self, document: Document, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for i, sentence in enumerate(s for s in document["sentences"] if s["group"] == "g03"):
            sentence["group"] = f"alone{i % 2}"
        fresh = {"label": "positive", "group": "g03", "sense": "essence", "span": "zoqa"}
        document["sentences"] += [
            fresh | {"id": "new1", "text": "A xnewaq of zoqa xnewbq."},
            fresh | {"id": "new2", "label": "control", "text": "A xnewcq of xnewdq xneweq.", "span": "xnewdq"},
        ]
        del document["sentences"][-1]["sense"]
        assert problems_of(document, write, monkeypatch) == []

    def test_the_same_sentence_may_be_in_two_languages(
        self, document: Document, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        document["translations"] += [
            e | {"id": f"pt-{i}", "lang": "pt-BR", "text": e["text"].replace("Ein ", "Uma ")}
            for i, e in enumerate(document["translations"])
        ]
        assert problems_of(document, write, monkeypatch) == []

    def test_names_belong_to_a_language(
        self, document: Document, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is a name of the concept in German may be any word in French."""
        french = [
            e | {"id": e["id"].replace("de-", "fr-"), "lang": "fr", "text": e["text"].replace("Ein ", "L'")}
            for e in document["translations"]
        ]
        for entry in french:
            for key in ("span", "text"):
                entry[key] = entry[key].replace("zöqa", "xâmeq")
        french[1]["text"] = french[1]["text"].replace("die ", "zöqa ")
        document["translations"] += french
        assert problems_of(document, write, monkeypatch) == []
        french[1]["text"] = french[1]["text"].replace("zöqa ", "d'xâmeq ")
        assert [p.code for p in problems_of(document, write, monkeypatch)] == ["CP034"]

    @given(st.data())
    def test_the_originals_are_as_a_loop_says(self, data: st.DataObject) -> None:
        """Codes of small files, against a loop over all pairs of entries."""
        ids = st.sampled_from(["s1", "s2", "s3", "s4"])
        sentences = [{"id": f"s{i}", "label": "control", "group": f"g{i}", "span": "x", "text": "x"} for i in (1, 2, 3)]
        sentences[2]["lang"] = "de"
        made = data.draw(st.lists(st.tuples(ids, st.sampled_from(["de", "en", "fr"])), max_size=8))
        entries = [
            {"id": f"t{i}", "of": of, "lang": lang, "span": "y", "text": "y"} for i, (of, lang) in enumerate(made)
        ]
        read = _draft({"lang": "en", "sentences": sentences, "translations": entries})
        languages = {"s1": "en", "s2": "en", "s3": "de"}
        wanted: Counter[str] = Counter()
        for i, (of, lang) in enumerate(made):
            wanted["CP017"] += of not in languages
            wanted["CP018"] += languages.get(of) == lang
            wanted["CP019"] += of in languages and (of, lang) in made[:i]
        assert Counter(p.code for p in rules.originals_exist(read)) == +wanted


def _draft(data: Document) -> Draft:
    source = Source("file.yaml")
    source.data = data
    return draft(source)


class TestSoul:
    """The shipped translations."""

    @pytest.mark.parametrize("lang", LANGUAGES)
    def test_there_are_forty_pairs_of_whole_scenes(self, lang: str, soul: dict[str, StimulusSet]) -> None:
        own = [s for s in soul["translations"] if s.lang == lang]
        labels = Counter(s.label for s in own)
        assert min(labels.values()) >= 40
        scenes = {s.group("group") for s in own}
        originals = [s.id.split("/")[-1] for s in soul["sentences"] if s.group("group") in scenes]
        assert [s.group("of") for s in own] == originals

    def test_the_same_sentences_are_in_every_language(self, soul: dict[str, StimulusSet]) -> None:
        languages = {lang: [s.group("of") for s in soul["translations"] if s.lang == lang] for lang in LANGUAGES}
        assert languages["de"] == languages["fr"] == languages["es"]

    def test_words_vary_as_in_the_original(self, soul: dict[str, StimulusSet]) -> None:
        for lang in LANGUAGES:
            names = Counter(about(s) for s in soul["translations"] if s.lang == lang and s.label)
            assert len(names) >= 10
            assert max(names.values()) <= 0.4 * sum(names.values())

    @pytest.mark.parametrize(("lang", "letters"), LANGUAGES.items())
    def test_letters_are_real(self, lang: str, letters: str, soul: dict[str, StimulusSet]) -> None:
        """Composed, of the language's own alphabet, and nowhere spelled out in ASCII."""
        texts = [s.content for s in soul["translations"] if s.lang == lang]
        assert all(unicodedata.is_normalized("NFC", t) for t in texts)
        assert set(letters) <= {c for t in texts for c in t}
        assert all(c.isascii() or unicodedata.name(c).startswith("LATIN ") for t in texts for c in t)
        spelled_out = {"fuer", "ueber", "koennen", "haette", "ame", "psyche", "espiritu", "anos", "nino"}
        mine = {"psyche"} if lang == "de" else set()
        assert not {w for t in texts for w in words(t)} & (spelled_out - mine)

    def test_french_articles_and_spanish_genders_agree(self, soul: dict[str, StimulusSet]) -> None:
        """`l'âme`, never `la âme`; `el alma`, never `la alma`."""
        for s in soul["translations"]:
            before = s.content[: (s.span or (0, 0))[0]].lower()
            first = unicodedata.normalize("NFD", about(s))[0].lower()
            if s.lang == "fr" and first in "aeiou":
                assert not before.endswith(("le ", "la ", "de ", "que ", "ma ", "sa ", "ta "))
            if s.lang == "es" and about(s) in ("alma", "ánima"):
                assert not before.endswith(("la ", "una "))
