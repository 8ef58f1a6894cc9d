"""Naming: a paraphrase names the concept with no word of it, and a control sentence does not name it at all."""

from __future__ import annotations

from collections.abc import Iterator

from conceptprobe.stimuli.draft import Draft
from conceptprobe.stimuli.problems import Problem, quote
from conceptprobe.stimuli.rules.translations import translated
from conceptprobe.stimuli.schema import Paraphrase, Sentence, Triple
from conceptprobe.stimuli.spans import find_span
from conceptprobe.stimuli.words import content_words, words


def nothing_is_named_that_must_not_be(draft: Draft) -> Iterator[Problem]:
    """CP034: a paraphrase holds no content word of a positive term and no form of the concept's name.

    A control sentence holds no whole positive term and no form of the name. Terms are of the file's own language; for
    others see `control_translations_do_not_name_it`.
    """
    terms = [t.positive for _, t in draft.entries("terms", Triple)]
    forbidden = {word for term in terms for word in content_words(term)}
    stems = name_stems(draft.text("name"))
    for path, paraphrase in draft.entries("paraphrases", Paraphrase):
        for word in dict.fromkeys(words(paraphrase.text)):
            if _singular(word) & forbidden or is_form_of(word, stems):
                message = f"paraphrase names the concept: {quote(word)} in {quote(paraphrase.text)}"
                yield draft.source.problem("CP034", (*path, "text"), message)
    phrases = {" ".join(words(term)): term for term in terms}
    for path, sentence in draft.entries("sentences", Sentence):
        if sentence.label == "positive":
            continue
        text = f" {' '.join(words(sentence.text))} "
        named = [term for phrase, term in phrases.items() if phrase and f" {phrase} " in text]
        named += [word for word in words(sentence.text) if is_form_of(word, stems) and word not in named]
        for term in named:
            message = f"control sentence names the concept: {quote(term)} in {quote(sentence.text)}"
            yield draft.source.problem("CP034", (*path, "text"), message)


def control_translations_do_not_name_it(draft: Draft) -> Iterator[Problem]:
    """CP034: a control in another language holds no word or phrase that a positive sentence of it is about."""
    names: dict[str, dict[str, None]] = {}
    entries = list(translated(draft))
    for _, translation, original in entries:
        if original.label == "positive":
            names.setdefault(translation.lang, {})[translation.span.casefold()] = None
    for path, translation, original in entries:
        if original.label == "positive":
            continue
        text = translation.text.casefold()
        for name in names.get(translation.lang, {}):
            # the word list would take the French "l'esprit" for one word; places of spans do not
            if find_span(text, name, translation.lang):
                message = f"control translation names the concept: {quote(name)} in {quote(translation.text)}"
                yield draft.source.problem("CP034", (*path, "text"), message)


def name_stems(name: str) -> frozenset[str]:
    """What forms of the concept's name begin with: `conscious` for `consciousness`, `soul` for `soul`."""
    own = content_words(name)
    return frozenset(own) | frozenset(w.removesuffix("ness") for w in own if len(w) > 8)


def is_form_of(word: str, stems: frozenset[str]) -> bool:
    """True for a derived form: `soulless`, `selfish`, `unconsciously`; reflexives (`herself`) are grammar."""
    return any(word.startswith(s) or (len(s) >= 6 and s in word) for s in stems)


def _singular(word: str) -> set[str]:
    bare = word.removesuffix("'s")
    return {bare, bare.removesuffix("s"), bare.removesuffix("es")}
