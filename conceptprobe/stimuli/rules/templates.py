"""Templates: one slot that fits every term, where it is said to be, and no word of any term."""

from __future__ import annotations

import re
from collections.abc import Iterator

from conceptprobe.stimuli.draft import Draft
from conceptprobe.stimuli.problems import Problem, quote
from conceptprobe.stimuli.schema import Template, Triple
from conceptprobe.stimuli.spans import SLOTS, relative_position
from conceptprobe.stimuli.units import term_words
from conceptprobe.stimuli.words import content_words

POSITIONS = {"early": (0.0, 0.4), "middle": (0.25, 0.75), "late": (0.6, 1.0)}
"""Relative index of the slot among the words; they overlap, because a third of seven words is no clear line."""

_BRACES = re.compile(r"\{[^{}]*\}|[{}]")
_ARTICLE = re.compile(r"\b[Aa]n?\s+$")


def slots_fit(draft: Draft) -> Iterator[Problem]:
    """CP031: one slot, not the first word (terms are written in lower case), no a/an before it, nothing glued to it."""
    slot = SLOTS[draft.kind]
    for path, template in draft.entries("templates", Template):
        text = template.text
        braces = _BRACES.findall(text)
        if braces != [slot]:
            has = "has no slot" if not braces else f"has {', '.join(map(quote, braces))}"
            wrong = f"{has}; it needs {slot} exactly once"
        else:
            before, after = text.split(slot)
            if not before.strip(" \"'("):
                wrong = f"begins with {slot}, which would need a capital; put a word before it"
            elif _ARTICLE.search(before):
                wrong = f"has 'a' or 'an' before {slot}, which fits some terms only; use 'the' or a possessive"
            elif re.search(r"\w-?$", before) or re.match(r"-?\w", after):
                wrong = f"has letters glued to {slot}; put a space between"
            else:
                continue
        yield draft.source.problem("CP031", (*path, "text"), f"template {quote(text)} {wrong}")


def positions_are_true(draft: Draft) -> Iterator[Problem]:
    """CP032: an early slot is in the first part of the words, and so on."""
    slot = SLOTS[draft.kind]
    for path, template in draft.entries("templates", Template):
        if template.text.count(slot) != 1:
            continue
        at = relative_position(template.text, template.text.index(slot))
        low, high = POSITIONS[template.position]
        if not low <= at <= high:
            message = f"position {template.position}: the slot is at {at:.2f} of the words, not {low} to {high}"
            yield draft.source.problem("CP032", (*path, "position"), message)


def no_term_word_in_a_template(draft: Draft) -> Iterator[Problem]:
    """CP030: a content word of a template is never a content word of a term."""
    owner = {word: triple.id for _, triple in draft.entries("terms", Triple) for word in term_words(triple)}
    for path, template in draft.entries("templates", Template):
        for word in sorted(set(content_words(template.text.replace(SLOTS[draft.kind], " "))) & owner.keys()):
            message = f"word {quote(word)} is a word of term {quote(owner[word])}, too; a template hints at no term"
            yield draft.source.problem("CP030", (*path, "text"), message)
