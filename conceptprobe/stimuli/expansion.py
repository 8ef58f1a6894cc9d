"""A concept -> what models are shown: sets of stimuli, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from conceptprobe.stimuli.media import MEDIA, Medium, media_units, usable
from conceptprobe.stimuli.rules.groups import homonym_components
from conceptprobe.stimuli.schema import Background, Concept
from conceptprobe.stimuli.spans import SLOTS, blanked, fill, find_span
from conceptprobe.stimuli.stimulus import Stimulus, StimulusSet
from conceptprobe.stimuli.units import term_units

TIERS = ("positive", "near", "far")


def expand(concept: Concept) -> dict[str, StimulusSet]:
    """Sets by name: `terms`, `sentences`, `masked`, `translations`, `paraphrases`, `same_words`, `homonyms`, `pictures`
    and `captions`, `sounds` and `sound_captions`.

    Empty ones are left out. `masked` are the sentences with a blank in the place of what they are about;
    `translations` holds all languages. Row i of `captions` says what is on row i of `pictures`, row i of
    `sound_captions` what is heard in row i of `sounds`. A picture that cannot be shown, or a sound that cannot be
    played, is left out with its pair. A concept that was not loaded by `load_concept` may hold a span that does not
    stand in its text: that stimulus has no span, and is not masked; its media have no files. Raises MissingError
    where a file of its media has gone.
    """
    sets: dict[str, Iterable[Stimulus]] = {
        "terms": _terms(concept, "terms", SLOTS["concept"], concept),
        "sentences": _sentences(concept),
        "masked": _masked(concept),
        "translations": _translations(concept),
        "paraphrases": _paraphrases(concept),
        "same_words": _same_words(concept),
        "homonyms": _homonyms(concept),
    }
    for medium in MEDIA.values():
        sets |= _with_captions(medium.many, medium.captions, list(_media(concept, medium)))
    return _filled(sets)


def expand_background(pool: Background) -> StimulusSet:
    """Every word of the pool in every template."""
    return StimulusSet("background", tuple(_background(pool)))


def expand_background_media(pool: Background) -> dict[str, StimulusSet]:
    """The pool's `background_pictures` and, row by row, `background_captions`; nothing where it has no pictures.

    Raises MissingError where a picture's file has gone; one that cannot be shown is left out.
    """
    return _filled(_with_captions("background_pictures", "background_captions", list(_background_pictures(pool))))


def expand_in_pool(concept: Concept, pool: Background) -> StimulusSet:
    """The concept's positive and near terms in the pool's own frames, so that no frame tells them from its words."""
    return StimulusSet("terms_in_pool", tuple(_terms(concept, "terms_in_pool", SLOTS["background"], pool, TIERS[:2])))


def _terms(
    concept: Concept, name: str, slot: str, frames: Concept | Background, tiers: tuple[str, ...] = TIERS
) -> Iterator[Stimulus]:
    """Each triple's terms in each template of their language; the unit is what the triple shares words with."""
    units = term_units(concept.terms)
    for triple in concept.terms:
        lang = triple.lang or concept.lang
        for tier in tiers:
            term: str = getattr(triple, tier)
            for template in frames.templates:
                if (template.lang or frames.lang) != lang:
                    continue
                text, span = fill(template.text, slot, term)
                yield Stimulus(
                    id=f"{concept.id}/{name}/{triple.id}/{tier}/{template.id}",
                    concept=concept.id,
                    sense=triple.sense if tier == "positive" else "",
                    role="positive" if tier == "positive" else "control",
                    modality="text",
                    content=text,
                    lang=lang,
                    groups=(("unit", units[triple.id]), ("term", term), ("template", template.id), ("tier", tier)),
                    pair=triple.id,
                    span=span,
                )


def _sentences(concept: Concept) -> Iterator[Stimulus]:
    for s in concept.sentences:
        lang = s.lang or concept.lang
        yield Stimulus(
            id=f"{concept.id}/sentences/{s.id}",
            concept=concept.id,
            sense=s.sense or "",
            role=s.label,
            modality="text",
            content=s.text,
            lang=lang,
            groups=(("group", s.group),),
            span=_place(s.text, s.span, lang),
        )


def _masked(concept: Concept) -> Iterator[Stimulus]:
    """Every sentence, positive or control, with its span replaced by the blank; roles and groups as in `sentences`.

    The words around the blank are left as they are. An article keeps its form ("an ___" once stood before a vowel), an
    adjective or a verb its number: what that gives away is word statistics, which the lexical baselines measure on the
    same sentences. A sentence whose span does not stand in it cannot be masked and is left out.
    """
    for s in _sentences(concept):
        if s.span is None:
            continue
        text, blank = blanked(s.content, s.span)
        own = s.id.removeprefix(f"{concept.id}/sentences/")
        yield replace(s, id=f"{concept.id}/masked/{own}", content=text, span=blank)


def _translations(concept: Concept) -> Iterator[Stimulus]:
    """All languages, in the order of the file; role, sense and group are those of the original.

    A translation of a sentence that is not there is left out: it has no label.
    """
    originals = {s.id: s for s in concept.sentences}
    for t in concept.translations:
        original = originals.get(t.of)
        if original is None:
            continue
        yield Stimulus(
            id=f"{concept.id}/translations/{t.id}",
            concept=concept.id,
            sense=original.sense or "",
            role=original.label,
            modality="text",
            content=t.text,
            lang=t.lang,
            groups=(("group", original.group), ("of", original.id)),
            span=_place(t.text, t.span, t.lang),
        )


def _paraphrases(concept: Concept) -> Iterator[Stimulus]:
    for p in concept.paraphrases:
        yield Stimulus(
            id=f"{concept.id}/paraphrases/{p.id}",
            concept=concept.id,
            sense=p.sense or "",
            role="paraphrase" if p.label == "positive" else "control",
            modality="text",
            content=p.text,
            lang=p.lang or concept.lang,
            groups=(("group", p.group),),
        )


def _same_words(concept: Concept) -> Iterator[Stimulus]:
    """Target first, then the other sense; the unit is the pair."""
    for pair in concept.same_words:
        lang = pair.lang or concept.lang
        for member in ("target", "other"):
            text: str = getattr(pair, member)
            yield Stimulus(
                id=f"{concept.id}/same_words/{pair.id}/{member}",
                concept=concept.id,
                sense=pair.target_sense if member == "target" else pair.other_sense,
                role="positive" if member == "target" else "homonym",
                modality="text",
                content=text,
                lang=lang,
                groups=(("unit", pair.id),),
                pair=pair.id,
                span=_place(text, pair.span, lang),
            )


def _homonyms(concept: Concept) -> Iterator[Stimulus]:
    """The unit is the component of contexts that share a content word, named after its first context."""
    names: dict[int, str] = {}
    components = homonym_components(list(concept.homonyms))
    for h, component in zip(concept.homonyms, components, strict=True):
        lang = h.lang or concept.lang
        yield Stimulus(
            id=f"{concept.id}/homonyms/{h.id}",
            concept=concept.id,
            sense=h.sense,
            role="positive" if h.label == "target" else "homonym",
            modality="text",
            content=h.text,
            lang=lang,
            groups=(("unit", names.setdefault(component, h.id)), ("group", h.group)),
            span=_place(h.text, h.span, lang),
        )


def _media(concept: Concept, medium: Medium) -> Iterator[tuple[Stimulus, str]]:
    """(picture or sound, caption); the unit is what entries share pairs and groups with."""
    units = media_units(concept.media)
    for entry, file in usable(concept.media, concept.folder, medium.modality):
        group = (("group", entry.group),) if entry.group else ()
        stimulus = Stimulus(
            id=entry.id,
            concept=concept.id,
            sense=entry.sense or "",
            role=entry.label,
            modality=medium.modality,
            content=entry.sha256,
            lang=concept.lang,
            groups=(("unit", units[entry.id]), *group),
            pair=entry.pair,
            file=file,
        )
        yield stimulus, entry.caption


def _background_pictures(pool: Background) -> Iterator[tuple[Stimulus, str]]:
    for entry, file in usable(pool.media, pool.folder, "image"):
        picture = Stimulus(
            id=entry.id,
            concept=pool.id,
            sense="",
            role="background",
            modality="image",
            content=entry.sha256,
            lang=pool.lang,
            groups=(("unit", entry.word), ("word", entry.word), ("category", entry.category)),
            file=file,
        )
        yield picture, entry.caption


def _with_captions(media: str, captions: str, rows: list[tuple[Stimulus, str]]) -> dict[str, Iterable[Stimulus]]:
    """The same rows twice: as pictures or sounds and as sentences, with the same roles, groups and pairs."""
    return {
        media: [replace(s, id=f"{s.concept}/{media}/{s.id}") for s, _ in rows],
        captions: [
            replace(s, id=f"{s.concept}/{captions}/{s.id}", modality="text", content=caption, file="")
            for s, caption in rows
        ],
    }


def _filled(sets: Mapping[str, Iterable[Stimulus]]) -> dict[str, StimulusSet]:
    made = {name: StimulusSet(name, tuple(stimuli)) for name, stimuli in sets.items()}
    return {name: made_set for name, made_set in made.items() if len(made_set)}


def _background(pool: Background) -> Iterator[Stimulus]:
    for category in pool.categories:
        for entry in category.words:
            for template in pool.templates:
                if (template.lang or pool.lang) != pool.lang:
                    continue
                text, span = fill(template.text, SLOTS["background"], entry.word)
                yield Stimulus(
                    id=f"{pool.id}/{entry.word}/{template.id}",
                    concept=pool.id,
                    sense="",
                    role="background",
                    modality="text",
                    content=text,
                    lang=pool.lang,
                    groups=(("word", entry.word), ("category", category.id), ("template", template.id)),
                    span=span,
                )


def _place(text: str, span: str, lang: str) -> tuple[int, int] | None:
    return next(iter(find_span(text, span, lang)), None)
