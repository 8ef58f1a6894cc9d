"""Entries taken one by one: ids, senses, spans, and no text twice."""

from __future__ import annotations

from collections.abc import Iterator

from conceptprobe.errors import did_you_mean
from conceptprobe.stimuli.draft import SECTIONS, Draft
from conceptprobe.stimuli.problems import Problem, quote
from conceptprobe.stimuli.rules.translations import translated
from conceptprobe.stimuli.schema import (
    Homonym,
    Media,
    Paraphrase,
    SameWords,
    Sense,
    Sentence,
    Template,
    Translation,
    Triple,
)
from conceptprobe.stimuli.source import DataPath
from conceptprobe.stimuli.spans import find_span
from conceptprobe.stimuli.words import words


def ids_are_unique(draft: Draft) -> Iterator[Problem]:
    """CP010: an id (or citation key) stands for one thing in the whole file."""
    seen: dict[str, int] = {}
    for section in SECTIONS[draft.kind]:
        name = "key" if section == "citations" else "id"
        for i, entry in enumerate(draft.raw(section)):
            own = entry.get(name) if isinstance(entry, dict) else None
            if not isinstance(own, str):
                continue
            path = (section, i, name)
            if own in seen:
                message = f"duplicate id {quote(own)}: it is in line {seen[own]} already"
                yield draft.source.problem("CP010", path, message)
            else:
                seen[own] = draft.source.at(path).line


def senses_exist(draft: Draft) -> Iterator[Problem]:
    """CP011, CP015, CP051: senses are defined, and have the role their place asks for."""
    senses = {s.id: s.role for _, s in draft.entries("senses", Sense)}
    for path, sense, wanted in _uses(draft):
        if sense is None:
            if wanted == "target":
                message = "missing key 'sense': a positive text has a target sense"
                yield draft.source.problem("CP015", path[:-1], message)
        elif wanted == "none":
            message = f"sense {quote(sense)} on a control, which has none; leave it out"
            yield draft.source.problem("CP015", path, message)
        elif sense not in senses:
            if not draft.broken("senses") and not draft.missing("senses"):
                message = f"undefined sense {quote(sense)}.{did_you_mean(sense, senses)}"
                yield draft.source.problem("CP011", path, message)
        elif (senses[sense] == "target") != (wanted == "target"):
            wants = "a target sense" if wanted == "target" else "a homonym or idiom sense"
            message = f"sense {quote(sense)} is {_a(senses[sense])}; this place needs {wants}"
            yield draft.source.problem("CP015", path, message)
    if senses and not draft.broken("senses"):
        if "target" not in senses.values():
            message = "no sense has the role target: nothing here is the concept"
            yield draft.source.problem("CP020", ("senses",), message, key=True)
        if set(senses.values()) == {"target"}:
            message = "no homonym or idiom sense: whether the model reads more than the word cannot be asked"
            yield draft.source.problem("CP051", ("senses",), message, key=True)


def every_sense_is_used(draft: Draft) -> Iterator[Problem]:
    """CP054: a sense which nothing has."""
    used = {sense for _, sense, _ in _uses(draft)}
    if any(draft.broken(s) for s in SECTIONS[draft.kind]):
        return
    for path, sense in draft.entries("senses", Sense):
        if sense.id not in used:
            yield draft.source.problem("CP054", (*path, "id"), f"sense {quote(sense.id)} is never used")


def _uses(draft: Draft) -> Iterator[tuple[DataPath, str | None, str]]:
    """(place, sense, wanted role: `target`, `other` or `none`) of every entry that has or needs a sense."""
    for path, triple in draft.entries("terms", Triple):
        yield (*path, "sense"), triple.sense, "target"
    for path, sentence in draft.entries("sentences", Sentence):
        yield (*path, "sense"), sentence.sense, "target" if sentence.label == "positive" else "none"
    for path, paraphrase in draft.entries("paraphrases", Paraphrase):
        yield (*path, "sense"), paraphrase.sense, "target" if paraphrase.label == "positive" else "none"
    for path, pair in draft.entries("same_words", SameWords):
        yield (*path, "target_sense"), pair.target_sense, "target"
        yield (*path, "other_sense"), pair.other_sense, "other"
    for path, homonym in draft.entries("homonyms", Homonym):
        yield (*path, "sense"), homonym.sense, homonym.label
    for path, media in draft.entries("media", Media):
        yield (*path, "sense"), media.sense, "target" if media.label == "positive" else "none"


def _a(role: str) -> str:
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"


def spans_stand_once(draft: Draft) -> Iterator[Problem]:
    """CP012: every span stands in its text exactly once, as whole words, in this very case."""
    for path, text, span, lang in spanned(draft):
        found = find_span(text, span, lang)
        if len(found) == 1 and text.count(span) == 1:
            continue
        if len(found) > 1:
            how = f"occurs {len(found)} times in"
        elif found:
            how = "occurs inside another word, too, in"
        elif span in text:
            how = "is only a part of a word in"
        elif span.casefold() in text.casefold():
            how = "has another case in"
        else:
            how = "does not occur in"
        yield draft.source.problem("CP012", path, f"span {quote(span)} {how} {quote(text)}")


def spanned(draft: Draft) -> Iterator[tuple[DataPath, str, str, str]]:
    """(place, text, span, language) of every text with a span."""
    default = draft.text("lang", "en")
    for path, sentence in draft.entries("sentences", Sentence):
        yield (*path, "span"), sentence.text, sentence.span, sentence.lang or default
    for path, translation in draft.entries("translations", Translation):
        yield (*path, "span"), translation.text, translation.span, translation.lang
    for path, pair in draft.entries("same_words", SameWords):
        for member in ("target", "other"):
            yield (*path, member), getattr(pair, member), pair.span, pair.lang or default
    for path, homonym in draft.entries("homonyms", Homonym):
        yield (*path, "span"), homonym.text, homonym.span, homonym.lang or default


def texts_are_different(draft: Draft) -> Iterator[Problem]:
    """CP013, CP014: no text twice, whatever its case and punctuation; above all not with two labels."""
    for texts in (_texts(draft), _terms(draft), _templates(draft)):
        seen: dict[str, tuple[int, DataPath]] = {}
        for path, text, label in texts:
            key = " ".join(words(text)) or text.casefold()
            if key not in seen:
                seen[key] = (label, path)
                continue
            first_label, first = seen[key]
            line = draft.source.at(first).line
            if label != first_label:
                message = f"{quote(text)} has another label in line {line}: it cannot be both"
                yield draft.source.problem("CP013", path, message)
            else:
                yield draft.source.problem("CP014", path, f"{quote(text)} is in line {line} already")


def _texts(draft: Draft) -> Iterator[tuple[DataPath, str, int]]:
    for path, sentence in draft.entries("sentences", Sentence):
        yield (*path, "text"), sentence.text, int(sentence.label == "positive")
    for path, translation, original in translated(draft):
        yield (*path, "text"), translation.text, int(original.label == "positive")
    for path, paraphrase in draft.entries("paraphrases", Paraphrase):
        yield (*path, "text"), paraphrase.text, int(paraphrase.label == "positive")
    for path, pair in draft.entries("same_words", SameWords):
        yield (*path, "target"), pair.target, 1
        yield (*path, "other"), pair.other, 0
    for path, homonym in draft.entries("homonyms", Homonym):
        yield (*path, "text"), homonym.text, int(homonym.label == "target")


def _terms(draft: Draft) -> Iterator[tuple[DataPath, str, int]]:
    for path, triple in draft.entries("terms", Triple):
        for tier in ("positive", "near", "far"):
            yield (*path, tier), getattr(triple, tier), int(tier == "positive")


def _templates(draft: Draft) -> Iterator[tuple[DataPath, str, int]]:
    for path, template in draft.entries("templates", Template):
        yield (*path, "text"), template.text, 0
