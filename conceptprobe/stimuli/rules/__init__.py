"""The rules a concept file keeps beyond its shape: one small file per subject, each rule a function of a `Draft`.

`RULES` are cheap and run whenever a file is loaded; `FULL_RULES` need word frequencies, or decode media, and run in
`validate` only.
A new rule is a function here, a code in `problems.py` and a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from conceptprobe.stimuli.draft import Draft
from conceptprobe.stimuli.problems import Problem
from conceptprobe.stimuli.rules import (
    background,
    counts,
    entries,
    groups,
    media,
    naming,
    pairs,
    templates,
    terms,
    translations,
)

Rule = Callable[[Draft], Iterable[Problem]]

RULES: dict[str, tuple[Rule, ...]] = {
    "concept": (
        entries.ids_are_unique,
        entries.senses_exist,
        entries.every_sense_is_used,
        entries.spans_stand_once,
        entries.texts_are_different,
        templates.slots_fit,
        templates.positions_are_true,
        templates.no_term_word_in_a_template,
        terms.terms_have_like_shape,
        translations.originals_exist,
        translations.scenes_are_translated_whole,
        naming.nothing_is_named_that_must_not_be,
        naming.control_translations_do_not_name_it,
        pairs.pairs_have_the_same_content_words,
        pairs.concept_word_is_one_string,
        groups.groups_stay_in_one_section,
        groups.near_copies_stay_in_one_group,
        groups.homonym_contexts_are_spread,
        counts.there_is_enough_of_everything,
        counts.labels_are_balanced,
        media.files_are_what_they_say,
    ),
    "background": (
        entries.ids_are_unique,
        entries.texts_are_different,
        templates.slots_fit,
        templates.positions_are_true,
        background.words_are_single,
        background.no_word_in_a_template,
        counts.the_pool_is_large_enough,
        media.files_are_what_they_say,
        media.words_are_different,
    ),
}
FULL_RULES: dict[str, tuple[Rule, ...]] = {
    "concept": (terms.terms_have_like_frequency, media.media_can_be_used, media.there_are_enough_media),
    "background": (background.frequencies_are_true, media.media_can_be_used),
}
