"""One sentence, two senses: the two are made of the same content words around the same string."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from conceptprobe.stimuli.draft import Draft
from conceptprobe.stimuli.problems import Problem, quote
from conceptprobe.stimuli.schema import Homonym, SameWords
from conceptprobe.stimuli.spans import find_span
from conceptprobe.stimuli.words import content_words


def pairs_have_the_same_content_words(draft: Draft) -> Iterator[Problem]:
    """CP035: the same multiset of content words, so that no bag of them can tell the two apart."""
    for path, pair in draft.entries("same_words", SameWords):
        target, other = Counter(content_words(pair.target)), Counter(content_words(pair.other))
        if target != other:
            only = [f"only in {n}: {', '.join(map(quote, sorted(c)))}" for n, c in _differences(target, other) if c]
            yield draft.source.problem("CP035", path, f"content words differ; {'; '.join(only)}")


def _differences(target: Counter[str], other: Counter[str]) -> list[tuple[str, Counter[str]]]:
    return [("target", target - other), ("other", other - target)]


def concept_word_is_one_string(draft: Draft) -> Iterator[Problem]:
    """CP016: same surface and same leading space wherever two senses are compared: a tokenizer sees both.

    Pairs: within the pair. Homonyms: the string that most of them have.
    """
    default = draft.text("lang", "en")
    for path, pair in draft.entries("same_words", SameWords):
        spaces = [_leading(text, pair.span, pair.lang or default) for text in (pair.target, pair.other)]
        if None not in spaces and spaces[0] != spaces[1]:
            message = f"{quote(pair.span)} follows {_say(spaces[0])} in the target and {_say(spaces[1])} in the other"
            yield draft.source.problem("CP016", (*path, "span"), message)
    homonyms = draft.entries("homonyms", Homonym)
    if not homonyms:
        return
    usual = Counter(h.span for _, h in homonyms).most_common(1)[0][0]
    for path, homonym in homonyms:
        if homonym.span != usual:
            message = f"span {quote(homonym.span)} where most homonyms have {quote(usual)}; use the very same string"
            yield draft.source.problem("CP016", (*path, "span"), message)
        elif _leading(homonym.text, homonym.span, homonym.lang or default) not in (" ", None):
            message = f"no space before {quote(homonym.span)} in {quote(homonym.text)}"
            yield draft.source.problem("CP016", (*path, "span"), message)


def _leading(text: str, span: str, lang: str) -> str | None:
    """The character before the span: empty at the start of the text, None where the span does not stand once."""
    found = find_span(text, span, lang)
    if len(found) != 1:
        return None
    start = found[0][0]
    return text[start - 1] if start else ""


def _say(character: str | None) -> str:
    return "a space" if character == " " else "nothing" if not character else quote(character)
