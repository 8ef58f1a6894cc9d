"""Invented stimulus sets: real `StimulusSet`s with groups, pairs, spans and texts, made of words that nobody knows.

Invented words carry no statistics, so whatever a baseline or a probe finds was planted. Every call makes new words: over
replications no single choice of words can favour a baseline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from conceptprobe.stimuli.stimulus import Modality, Role, Stimulus, StimulusSet

CONCEPT = "planted"
_TIERS: tuple[tuple[Role, str], ...] = (("positive", "positive"), ("control", "near"))
_FAR: tuple[Role, str] = ("control", "far")
_MEDIA: tuple[tuple[str, Modality], ...] = (("pictures", "image"), ("captions", "text"))
_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))
_FILLERS = ("of", "the")


def invented_words(lengths: list[int], rng: np.random.Generator) -> list[str]:
    """Distinct words of random letters, one per length."""
    words: dict[str, None] = {}
    for length in lengths:
        word = "".join(rng.choice(_LETTERS, length))
        while word in words:
            word = "".join(rng.choice(_LETTERS, length))
        words[word] = None
    return list(words)


def terms(units: int, templates: int, rng: np.random.Generator, *, far: bool = False) -> StimulusSet:
    """Matched pairs of a term and its near control, each in every template: 2 x units x templates rows; 3 with far controls.

    Lengths of terms vary and say nothing of the class; where the term stands depends on the template alone.
    """
    tiers = (*_TIERS, _FAR) if far else _TIERS
    names = iter(invented_words([int(n) for n in rng.integers(5, 10, len(tiers) * units)], rng))
    frames = [invented_words([7] * (1 + t % 3), rng) for t in range(templates)]
    end = invented_words([7], rng)[0]
    rows = []
    for u in range(units):
        for role, tier in tiers:
            term = next(names)
            for t, frame in enumerate(frames):
                before = " ".join(frame)
                groups = (("unit", f"u{u}"), ("term", term), ("template", f"t{t}"), ("tier", tier))
                rows.append(_spanned(f"terms/u{u}/{tier}/t{t}", role, (before, term, end), groups, f"u{u}"))
    return StimulusSet("terms", tuple(rows))


def same_words(
    pairs: int, rng: np.random.Generator, *, earlier: float = 0.5, longer: float = 0.5, two_forms: bool = False
) -> StimulusSet:
    """Pairs of sentences of the same content words, one in each sense of the concept word: 2 x pairs rows.

    earlier: share of pairs whose positive member has its span two words before the other's (0.5: both at one place);
    longer: share of pairs whose positive member is two function words longer (0.5: equally long); two_forms: the concept
    word is spelt anew in every sentence, as where a sense has its own inflection, so that words alone may tell.
    """
    names = invented_words([7] * (4 * pairs), rng)
    rows = []
    for u in range(pairs):
        a, b, first, second = names[4 * u : 4 * u + 4]
        forms = (first, second) if two_forms else ("soul", "soul")
        early, long = rng.random() < earlier, rng.random() < longer
        for member, (left, right) in enumerate(((a, b), (b, a))):
            role: Role = "positive" if member == 0 else "homonym"
            before, after = [left], [right]
            if earlier != 0.5:
                (after if (member == 0) == early else before).extend(_FILLERS)
            if longer != 0.5 and (member == 0) == long:
                after.extend(_FILLERS)
            parts = (" ".join(before), forms[member], " ".join(after))
            rows.append(_spanned(f"same_words/w{u}/{role}", role, parts, (("unit", f"w{u}"),), f"w{u}"))
    return StimulusSet("same_words", tuple(rows))


def pool(words: int, positives: int, rng: np.random.Generator, kinds: Sequence[str]) -> dict[str, StimulusSet]:
    """`background`: pool words in one frame; `terms_in_pool`: as many near controls as positive terms, in the same frame.

    kinds: of each pool word. The i-th control belongs to the i-th positive term.
    """
    names = invented_words([7] * (words + 2 * positives), rng)
    background = [
        _in_frame(f"background/{w}", "background", w, (("word", w), ("category", kind)))
        for w, kind in zip(names[:words], kinds, strict=True)
    ]
    own = []
    for i, term in enumerate(names[words:]):
        role, tier = _TIERS[int(i >= positives)]
        groups = (("unit", f"u{i % positives}"), ("term", term), ("tier", tier))
        own.append(_in_frame(f"terms_in_pool/{term}", role, term, groups))
    return {
        "background": StimulusSet("background", tuple(background)),
        "terms_in_pool": StimulusSet("terms_in_pool", tuple(own)),
    }


def captioned(pairs: int, ground: int, categories: int) -> dict[str, StimulusSet]:
    """Matched pictures with captions, and a captioned background that falls into ordinary categories, all equally large."""
    concept = [(f"{role}{i}", role, f"u{i}") for i in range(pairs) for role, _ in _TIERS]
    sets = {}
    for name, modality in _MEDIA:
        rows = [_medium(name, modality, stem, role, (("unit", unit),), unit) for stem, role, unit in concept]
        sets[name] = StimulusSet(name, tuple(rows))
        under = f"background_{name}"
        grounds = [
            _medium(under, modality, f"w{i}", "background", (("word", f"w{i}"), ("category", f"c{i % categories}")), "")
            for i in range(ground)
        ]
        sets[under] = StimulusSet(under, tuple(grounds))
    return sets


def span_words(stimuli: StimulusSet) -> Iterator[tuple[str, list[str]]]:
    """Per stimulus the word of its span and all the others, in alphabetical order: a bag has no order."""
    for stimulus in stimuli:
        start, end = stimulus.span or (0, 0)
        yield (
            stimulus.content[start:end],
            sorted(f"{stimulus.content[:start]} {stimulus.content[end:]}".split()),
        )


def _spanned(
    name: str, role: Role, parts: tuple[str, str, str], groups: tuple[tuple[str, str], ...], pair: str
) -> Stimulus:
    before, word, after = parts
    start = len(before) + 1
    return Stimulus(
        f"{CONCEPT}/{name}",
        CONCEPT,
        "",
        role,
        "text",
        f"{before} {word} {after}",
        groups=groups,
        pair=pair,
        span=(start, start + len(word)),
    )


def _in_frame(name: str, role: Role, word: str, groups: tuple[tuple[str, str], ...]) -> Stimulus:
    return _spanned(name, role, ("the", word, "is"), (*groups, ("template", "frame")), "")


def _medium(
    name: str, modality: Modality, stem: str, role: Role, groups: tuple[tuple[str, str], ...], pair: str
) -> Stimulus:
    return Stimulus(f"{CONCEPT}/{name}/{stem}", CONCEPT, "", role, modality, stem, groups=groups, pair=pair)
