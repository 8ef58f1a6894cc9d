"""Groups: what is held out together really is all there is of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from conceptprobe.stimuli.draft import Draft
from conceptprobe.stimuli.problems import Problem, quote
from conceptprobe.stimuli.rules.translations import translated
from conceptprobe.stimuli.schema import Homonym, Media, Paraphrase, SameWords, Sentence
from conceptprobe.stimuli.source import DataPath
from conceptprobe.stimuli.units import sentence_components
from conceptprobe.stimuli.words import content_words, words

MIN_SHARED = 4
"""Content words (besides the span) that two texts must share, all but at most one, to count as near copies."""
MIN_COMPONENTS = 20
"""Independent contexts per sense."""
MAX_COMPONENT_SHARE = 0.05
"""Largest share of all homonym contexts in one component."""


def groups_stay_in_one_section(draft: Draft) -> Iterator[Problem]:
    """CP022: a group is one scene of one section; a media pair is in one group."""
    home: dict[str, tuple[str, DataPath]] = {}
    for section, path, group in _groups(draft):
        first_section, first = home.setdefault(group, (section, path))
        if first_section != section:
            line = draft.source.at(first).line
            message = f"group {quote(group)} is in {first_section}, too (line {line}); a group belongs to one section"
            yield draft.source.problem("CP022", path, message)
    pairs: dict[str, str | None] = {}
    for path, media in draft.entries("media", Media):
        group_ = pairs.setdefault(media.pair, media.group)
        if group_ != media.group:
            message = f"pair {quote(media.pair)} is in two groups; a pair is held out as a whole"
            yield draft.source.problem("CP022", (*path, "pair"), message)


def _groups(draft: Draft) -> Iterator[tuple[str, DataPath, str]]:
    for path, sentence in draft.entries("sentences", Sentence):
        yield "sentences", (*path, "group"), sentence.group
    for path, paraphrase in draft.entries("paraphrases", Paraphrase):
        yield "paraphrases", (*path, "group"), paraphrase.group
    for path, homonym in draft.entries("homonyms", Homonym):
        yield "homonyms", (*path, "group"), homonym.group
    for path, media in draft.entries("media", Media):
        if media.group is not None:
            yield "media", (*path, "group"), media.group


def near_copies_stay_in_one_group(draft: Draft) -> Iterator[Problem]:
    """CP022: two texts with the same content words but one (their spans left out) are of one group.

    Every bag of words is looked up whole and with each word left out, so the cost is linear in the number of texts.
    """
    seen: dict[frozenset[str], tuple[str, DataPath]] = {}
    for path, text, span, group in _grouped_texts(draft):
        bag = frozenset(content_words(text)) - set(words(span))
        if len(bag) < MIN_SHARED:
            continue
        keys = [bag, *(bag - {w} for w in sorted(bag) if len(bag) > MIN_SHARED)]
        hit = next((seen[key] for key in keys if key in seen and seen[key][0] != group), None)
        if hit is not None:
            line = draft.source.at(hit[1]).line
            message = f"{quote(text)} is nearly the text of line {line} in group {quote(hit[0])}; put both in one group"
            yield draft.source.problem("CP022", path, message)
        for key in keys:
            seen.setdefault(key, (group, path))


def _grouped_texts(draft: Draft) -> Iterator[tuple[DataPath, str, str, str]]:
    for path, sentence in draft.entries("sentences", Sentence):
        yield (*path, "text"), sentence.text, sentence.span, sentence.group
    for path, translation, original in translated(draft):
        yield (*path, "text"), translation.text, translation.span, original.group
    for path, paraphrase in draft.entries("paraphrases", Paraphrase):
        yield (*path, "text"), paraphrase.text, "", paraphrase.group
    for path, pair in draft.entries("same_words", SameWords):
        yield (*path, "target"), pair.target, pair.span, pair.id
        yield (*path, "other"), pair.other, pair.span, pair.id


def homonym_contexts_are_spread(draft: Draft) -> Iterator[Problem]:
    """CP023: at least 20 components per sense label, none over 5% of all contexts."""
    entries = draft.entries("homonyms", Homonym)
    if not entries or draft.broken("homonyms"):
        return
    homonyms = [h for _, h in entries]
    numbers = homonym_components(homonyms)
    for label in ("target", "other"):
        n = len({c for c, h in zip(numbers, homonyms, strict=True) if h.label == label})
        if n < MIN_COMPONENTS:
            message = f"homonyms labelled {label} form {n} components by shared words; at least {MIN_COMPONENTS}"
            yield draft.source.problem("CP023", ("homonyms",), message, key=True)
    for component, size in Counter(numbers).most_common():
        # with few contexts there is no way below 5%, and CP020 says that already
        if size > max(1.0, MAX_COMPONENT_SHARE * len(homonyms)):
            members = [i for i, c in enumerate(numbers) if c == component]
            shared = Counter(w for i in members for w in set(content_words(homonyms[i].text)) - _ignored(homonyms))
            common = [w for w, n in shared.most_common(5) if n > 1]
            ids = ", ".join(homonyms[i].id for i in members[:8])
            message = (
                f"{size} of {len(homonyms)} homonym contexts hang together (at most {MAX_COMPONENT_SHARE:.0%}): {ids}; "
                f"shared words: {', '.join(map(quote, common)) or 'none'}"
            )
            yield draft.source.problem("CP023", (*entries[members[0]][0], "text"), message)


def homonym_components(homonyms: list[Homonym]) -> list[int]:
    """Component of each context: linked by a shared content word other than the concept word, or by group."""
    return sentence_components([h.text for h in homonyms], _ignored(homonyms), [h.group for h in homonyms])


def _ignored(homonyms: list[Homonym]) -> set[str]:
    return {w for h in homonyms for w in words(h.span)}
