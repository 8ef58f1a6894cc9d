"""Translations: each of a sentence that is there, once per language, and of whole scenes."""

from __future__ import annotations

from collections.abc import Iterator

from conceptprobe.errors import did_you_mean
from conceptprobe.stimuli.draft import Draft
from conceptprobe.stimuli.problems import Problem, quote
from conceptprobe.stimuli.schema import Sentence, Translation
from conceptprobe.stimuli.source import DataPath

MAX_GUESSES = 200
"""Unknown originals that get a guess: each is compared with all sentences, and nobody reads more."""


def translated(draft: Draft) -> Iterator[tuple[DataPath, Translation, Sentence]]:
    """(place, translation, original) of every translation whose original is there and has the right shape."""
    originals = {s.id: s for _, s in draft.entries("sentences", Sentence)}
    for path, translation in draft.entries("translations", Translation):
        if translation.of in originals:
            yield path, translation, originals[translation.of]


def by_language(draft: Draft) -> dict[str, list[str]]:
    """Language -> labels of its translations, in the order of the file.

    Only languages that are known whole: an entry that does not parse or has no original has its own problem, and must
    not make its language too small as well.
    """
    if draft.broken("translations"):
        return {}
    originals = {s.id: s.label for _, s in draft.entries("sentences", Sentence)}
    entries = [t for _, t in draft.entries("translations", Translation)]
    unclear = {t.lang for t in entries if t.of not in originals}
    labels: dict[str, list[str]] = {t.lang: [] for t in entries if t.lang not in unclear}
    for t in entries:
        if t.lang in labels:
            labels[t.lang].append(originals[t.of])
    return labels


def originals_exist(draft: Draft) -> Iterator[Problem]:
    """CP017, CP018, CP019: the original is there, in another language, and is translated once into this one."""
    # a sentence that does not parse is there all the same, and is reported for that
    ids = [s["id"] for s in draft.raw("sentences") if isinstance(s, dict) and isinstance(s.get("id"), str)]
    there, guesses = frozenset(ids), 0
    for path, translation in draft.entries("translations", Translation):
        if translation.of not in there and not draft.missing("sentences"):
            guesses += 1
            near = did_you_mean(translation.of, ids) if guesses <= MAX_GUESSES else ""
            message = f"no sentence {quote(translation.of)} to be a translation of.{near}"
            yield draft.source.problem("CP017", (*path, "of"), message)
    default = draft.text("lang", "en")
    seen: dict[tuple[str, str], DataPath] = {}
    for path, translation, original in translated(draft):
        if translation.lang == (original.lang or default):
            message = f"sentence {quote(original.id)} is in {translation.lang} itself; a translation is not"
            yield draft.source.problem("CP018", (*path, "lang"), message)
        first = seen.setdefault((original.id, translation.lang), path)
        if first != path:
            line = draft.source.at(first).line
            message = f"sentence {quote(original.id)} is translated into {translation.lang} in line {line} already"
            yield draft.source.problem("CP019", (*path, "of"), message)


def scenes_are_translated_whole(draft: Draft) -> Iterator[Problem]:
    """CP024: where a scene has both labels, so has what a language has of it: positives meet their own controls."""
    scenes: dict[str, set[str]] = {}
    for _, sentence in draft.entries("sentences", Sentence):
        scenes.setdefault(sentence.group, set()).add(sentence.label)
    whole = by_language(draft)
    labels: dict[tuple[str, str], set[str]] = {}
    places: dict[tuple[str, str], DataPath] = {}
    for path, translation, original in translated(draft):
        scene = (translation.lang, original.group)
        labels.setdefault(scene, set()).add(original.label)
        places.setdefault(scene, path)
    for (lang, group), own in labels.items():
        lacking = scenes[group] - own
        if lacking and lang in whole:
            message = f"no {lacking.pop()} sentence of group {quote(group)} is translated into {lang}"
            yield draft.source.problem("CP024", (*places[lang, group], "of"), message)
