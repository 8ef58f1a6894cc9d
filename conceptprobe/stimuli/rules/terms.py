"""Terms: matched in number of words and length by shape, in frequency by wordfreq, in tokens by a given tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import fmean

from conceptprobe.stimuli.draft import Draft
from conceptprobe.stimuli.problems import Problem, quote
from conceptprobe.stimuli.schema import Triple
from conceptprobe.stimuli.source import DataPath
from conceptprobe.stimuli.words import words

MAX_LENGTH_DIFFERENCE = {"word": 4, "phrase": 6}
"""Characters by which a control may differ from its positive."""
MAX_MEAN_LENGTH_DIFFERENCE = {"near": 1.0, "far": 1.5}
"""Characters by which a tier may differ from the positives on average."""
MAX_ZIPF_DIFFERENCE = 1.0
"""Zipf units (factors of ten) by which a control may differ from its positive."""
MAX_MEAN_ZIPF_DIFFERENCE = {"near": 0.1, "far": 0.25}
"""Zipf units by which a tier may differ from the positives on average; the headline uses `near`."""
MAX_TOKEN_DIFFERENCE = 1
MAX_MEAN_TOKEN_DIFFERENCE = 0.2

TIERS = ("near", "far")

Measure = Callable[[str], float]


def terms_have_like_shape(draft: Draft) -> Iterator[Problem]:
    """CP033: same number of words in a triple, like lengths in a triple and on average."""
    triples = draft.entries("terms", Triple)
    for path, triple in triples:
        for tier in TIERS:
            control: str = getattr(triple, tier)
            n, own = len(words(triple.positive)), len(words(control))
            kind = "word" if n == 1 else "phrase"
            if n != own:
                message = f"{tier} {quote(control)} has {own} words, {quote(triple.positive)} has {n}"
                yield draft.source.problem("CP033", (*path, tier), message)
            elif abs(len(control) - len(triple.positive)) > MAX_LENGTH_DIFFERENCE[kind]:
                message = (
                    f"{tier} {quote(control)} has {len(control)} characters, {quote(triple.positive)} has "
                    f"{len(triple.positive)}; at most {MAX_LENGTH_DIFFERENCE[kind]} apart"
                )
                yield draft.source.problem("CP033", (*path, tier), message)
    for tier in TIERS:
        yield from _tiers_match(draft, triples, len, MAX_MEAN_LENGTH_DIFFERENCE[tier], "length in characters", (tier,))


def terms_have_like_frequency(draft: Draft) -> Iterator[Problem]:
    """CP033: like frequencies in a triple and on average. Languages wordfreq does not know are not checked."""
    zipf = zipf_of(draft.text("lang", "en"))
    if zipf is None:
        return
    triples = draft.entries("terms", Triple)
    for path, triple in triples:
        base = zipf(triple.positive)
        for tier in TIERS:
            control: str = getattr(triple, tier)
            if abs(zipf(control) - base) > MAX_ZIPF_DIFFERENCE:
                message = (
                    f"{tier} {quote(control)} has zipf {zipf(control):.2f}, {quote(triple.positive)} has {base:.2f}; "
                    f"at most {MAX_ZIPF_DIFFERENCE} apart"
                )
                yield draft.source.problem("CP033", (*path, tier), message)
    for tier in TIERS:
        yield from _tiers_match(draft, triples, zipf, MAX_MEAN_ZIPF_DIFFERENCE[tier], "zipf frequency", (tier,))


def terms_have_like_tokens(draft: Draft, count_tokens: Callable[[str], int]) -> Iterator[Problem]:
    """CP053: like numbers of tokens, by the tokenizer of one model (a warning, because models differ)."""
    triples = draft.entries("terms", Triple)
    for path, triple in triples:
        for tier in TIERS:
            control: str = getattr(triple, tier)
            own, base = count_tokens(control), count_tokens(triple.positive)
            if abs(own - base) > MAX_TOKEN_DIFFERENCE:
                message = f"{tier} {quote(control)} has {own} tokens, {quote(triple.positive)} has {base}"
                yield draft.source.problem("CP053", (*path, tier), message)
    yield from _tiers_match(draft, triples, count_tokens, MAX_MEAN_TOKEN_DIFFERENCE, "number of tokens", code="CP053")


def mean_difference(triples: list[Triple], tier: str, measure: Measure) -> float:
    """Mean over triples of measure(control) - measure(positive)."""
    return fmean(measure(getattr(t, tier)) - measure(t.positive) for t in triples) if triples else 0.0


def zipf_of(lang: str) -> Measure | None:
    """Zipf frequency of a word or phrase; None for a language wordfreq has no list of."""
    from wordfreq import available_languages, zipf_frequency

    if lang.split("-")[0] not in available_languages("small"):
        return None
    return lambda text: float(zipf_frequency(text, lang))


def _tiers_match(
    draft: Draft,
    triples: list[tuple[DataPath, Triple]],
    measure: Measure,
    most: float,
    name: str,
    tiers: tuple[str, ...] = TIERS,
    code: str = "CP033",
) -> Iterator[Problem]:
    for tier in tiers:
        difference = mean_difference([t for _, t in triples], tier, measure)
        if abs(difference) > most:
            message = f"{tier} controls differ from the positives in mean {name} by {difference:+.2f}; at most {most}"
            yield draft.source.problem(code, ("terms",), message, key=True)
