"""The background pool: single words with true frequencies, disjoint from the terms of the concepts they surround."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from conceptprobe.stimuli.draft import Draft
from conceptprobe.stimuli.problems import Problem, quote
from conceptprobe.stimuli.rules.terms import zipf_of
from conceptprobe.stimuli.schema import BackgroundWord, Template, Triple
from conceptprobe.stimuli.source import DataPath
from conceptprobe.stimuli.spans import SLOTS
from conceptprobe.stimuli.units import term_words
from conceptprobe.stimuli.words import content_words, words

MAX_ZIPF_ERROR = 0.1
"""Zipf units by which a stated frequency may differ from wordfreq's (its lists change a little between versions)."""


def pool_words(draft: Draft) -> Iterator[tuple[DataPath, BackgroundWord]]:
    """Every word of the pool that has the right shape, with its place; a bad word does not hide its category."""
    for i, category in enumerate(draft.raw("categories")):
        listed = category.get("words") if isinstance(category, dict) else None
        for j, raw in enumerate(listed if isinstance(listed, list) else []):
            try:
                yield ("categories", i, "words", j), BackgroundWord.model_validate(raw)
            except ValidationError:
                continue  # reported with the shape of the file


def words_are_single(draft: Draft) -> Iterator[Problem]:
    """CP037, CP014: one word each, each once."""
    seen: dict[str, DataPath] = {}
    for path, entry in pool_words(draft):
        place = (*path, "word")
        if words(entry.word) != [entry.word.casefold()]:
            yield draft.source.problem("CP037", place, f"{quote(entry.word)} is not a single word")
        elif not content_words(entry.word):
            yield draft.source.problem("CP037", place, f"{quote(entry.word)} is a function word")
        first = seen.setdefault(entry.word.casefold(), place)
        if first != place:
            line = draft.source.at(first).line
            yield draft.source.problem("CP014", place, f"word {quote(entry.word)} is in line {line} already")


def no_word_in_a_template(draft: Draft) -> Iterator[Problem]:
    """CP030: a content word of a template is not a word of the pool."""
    pool = {entry.word.casefold() for _, entry in pool_words(draft)}
    for path, template in draft.entries("templates", Template):
        for word in sorted(set(content_words(template.text.replace(SLOTS[draft.kind], " "))) & pool):
            message = f"word {quote(word)} is a word of the pool, too; a template must not name one"
            yield draft.source.problem("CP030", (*path, "text"), message)


def words_are_not_terms(draft: Draft, concepts: Iterable[Draft]) -> Iterator[Problem]:
    """CP036: no word of the pool or of its templates is a content word of a term (of any tier) of these concepts."""
    owner: dict[str, str] = {}
    for concept in concepts:
        for _, triple in concept.entries("terms", Triple):
            for word in sorted(term_words(triple)):
                owner.setdefault(word, f"term {quote(triple.id)} of {concept.source.file}")
    used = [((*path, "word"), entry.word.casefold()) for path, entry in pool_words(draft)]
    for path, template in draft.entries("templates", Template):
        used += [((*path, "text"), w) for w in content_words(template.text.replace(SLOTS[draft.kind], " "))]
    for place, word in used:
        if word in owner:
            yield draft.source.problem("CP036", place, f"word {quote(word)} is a word of {owner[word]}")


def frequencies_are_true(draft: Draft) -> Iterator[Problem]:
    """CP038: the stated frequency is wordfreq's. Languages wordfreq does not know are not checked."""
    zipf = zipf_of(draft.text("lang", "en"))
    if zipf is None:
        return
    for path, entry in pool_words(draft):
        true = zipf(entry.word)
        if abs(true - entry.zipf) > MAX_ZIPF_ERROR:
            message = f"zipf {entry.zipf} for {quote(entry.word)}; wordfreq says {true:.2f}"
            yield draft.source.problem("CP038", (*path, "zipf"), message)
