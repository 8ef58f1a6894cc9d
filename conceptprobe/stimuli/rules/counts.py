"""How much there must be of everything, and in what balance: one table of thresholds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from conceptprobe.stimuli.draft import Draft
from conceptprobe.stimuli.problems import Problem
from conceptprobe.stimuli.rules.background import pool_words
from conceptprobe.stimuli.rules.translations import by_language
from conceptprobe.stimuli.schema import Category, Homonym, Paraphrase, SameWords, Sense, Sentence, Template, Triple
from conceptprobe.stimuli.units import term_units

LEAST = {
    "templates": 12,
    "templates at each position": 3,
    "units of terms": 20,
    "sentences per label": 60,
    "groups of sentences": 20,
    "translations per label": 40,
    "paraphrases per label": 40,
    "groups of paraphrases": 20,
    "pairs of same words": 30,
    "homonyms per label": 40,
    "pictures or sounds per label": 40,
    "background words": 400,
    "background categories": 16,
    "background templates": 6,
}
"""Fewest of each. Groups count where they hold both labels."""

MAX_IMBALANCE = 2.0

_MAY_BE_LEFT_OUT = ("same_words", "homonyms")


def there_is_enough_of_everything(draft: Draft) -> Iterator[Problem]:
    """CP020 for a concept file. Entries that do not parse count as present: they have their own problem."""
    templates = [t for _, t in draft.entries("templates", Template)]
    yield from _enough(draft, "templates", "templates", len(templates))
    positions = Counter(t.position for t in templates)
    for position in ("early", "middle", "late"):
        n = positions[position]
        yield from _enough(draft, "templates", "templates at each position", n, f"position {position}")
    units = set(term_units(t for _, t in draft.entries("terms", Triple)).values())
    yield from _enough(draft, "terms", "units of terms", len(units))

    sentences = [(s.label, s.group) for _, s in draft.entries("sentences", Sentence)]
    yield from _labels(draft, "sentences", [label for label, _ in sentences], ("positive", "control"))
    yield from _enough(draft, "sentences", "groups of sentences", _mixed(sentences))
    for lang, labels in by_language(draft).items():
        yield from _labels(draft, "translations", labels, ("positive", "control"), f"language {lang}, ")
    paraphrases = [(p.label, p.group) for _, p in draft.entries("paraphrases", Paraphrase)]
    yield from _labels(draft, "paraphrases", [label for label, _ in paraphrases], ("positive", "control"))
    yield from _enough(draft, "paraphrases", "groups of paraphrases", _mixed(paraphrases))

    if any(s.role != "target" for _, s in draft.entries("senses", Sense)):
        yield from _enough(draft, "same_words", "pairs of same words", len(draft.entries("same_words", SameWords)))
        homonyms = [h.label for _, h in draft.entries("homonyms", Homonym)]
        yield from _labels(draft, "homonyms", homonyms, ("target", "other"))


def labels_are_balanced(draft: Draft) -> Iterator[Problem]:
    """CP021: neither label more than twice as often as the other."""
    labelled: list[tuple[str, str, list[str]]] = [
        ("sentences", "", [s.label for _, s in draft.entries("sentences", Sentence)]),
        *(("translations", f" ({lang})", labels) for lang, labels in by_language(draft).items()),
        ("paraphrases", "", [p.label for _, p in draft.entries("paraphrases", Paraphrase)]),
        ("homonyms", "", [h.label for _, h in draft.entries("homonyms", Homonym)]),
    ]
    for section, which, labels in labelled:
        counts = Counter(labels).most_common()
        # a label that is missing altogether is too few, not out of balance
        if len(counts) == 2 and counts[0][1] > MAX_IMBALANCE * counts[1][1] and not draft.broken(section):
            (most, n), (least, m) = counts
            message = f"{section}{which}: {n} {most} to {m} {least}, over {MAX_IMBALANCE:.0f}:1"
            yield draft.source.problem("CP021", (section,), message, key=True)


def the_pool_is_large_enough(draft: Draft) -> Iterator[Problem]:
    """CP020 for a background pool."""
    yield from _enough(draft, "categories", "background categories", len(draft.entries("categories", Category)))
    pool = {w.word.casefold() for _, w in pool_words(draft)}
    # a category with one bad word counts as broken, so this adds at most a few
    yield from _enough(draft, "categories", "background words", len(pool))
    yield from _enough(draft, "templates", "background templates", len(draft.entries("templates", Template)))


def _labels(
    draft: Draft, section: str, labels: Sequence[str], names: tuple[str, str], where: str = ""
) -> Iterator[Problem]:
    counts = Counter(labels)
    for name in names:
        yield from _enough(draft, section, f"{section} per label", counts[name], f"{where}label {name}")


def _enough(draft: Draft, section: str, what: str, n: int, which: str = "") -> Iterator[Problem]:
    if draft.missing(section) and (section in draft.source.data or section not in _MAY_BE_LEFT_OUT):
        return  # reported as missing, or as not a list
    present = n + draft.broken(section)
    if present < LEAST[what]:
        of = f" ({which})" if which else ""
        message = f"too few {what}{of}: {present}, at least {LEAST[what]}"
        yield draft.source.problem("CP020", (section,), message, key=True)


def _mixed(labelled: Sequence[tuple[str, str]]) -> int:
    """Number of groups that hold both labels."""
    labels_of: dict[str, set[str]] = {}
    for label, group in labelled:
        labels_of.setdefault(group, set()).add(label)
    return sum(len(labels) == 2 for labels in labels_of.values())
