"""Words of a text: one tokeniser and one list of function words for the whole project.

The same definitions decide what a unit is (terms that share a content word), whether two sentences
are a bag-of-words pair, and what a lexical baseline sees. They must therefore never differ.
"""

from __future__ import annotations

import re

# Letters with inner apostrophes: "soul's" is one word, "self-image" is two, so that a shared part is seen.
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")

FUNCTION_WORDS: frozenset[str] = frozenset(
    """
    a an the this that these those such same other another each every either neither both all any some no none
    i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves one oneself who whom whose which what whoever whatever
    am is are was were be been being have has had having do does did doing done will would shall should can could
    may might must ought let
    and or but nor so yet if unless because since although though while whereas whether than as once until till
    not never n't
    of in on at by for with without within about against between among into onto through throughout during before
    after above below under over to from up down out off near behind beside besides beyond across along around
    toward towards upon via per like amid despite except
    here there where when why how then now too very just only even also again ever always often still already
    almost quite rather more most less least much many few several enough own
    """.split()
)
"""English words that carry grammar rather than content; spelled out so that nobody's stop list decides for us."""


def words(text: str) -> list[str]:
    """Lower-cased words of a text, in order; punctuation and digits dropped; a typographic apostrophe made plain."""
    return [w.replace("\u2019", "'") for w in _WORD.findall(text.casefold())]


def content_words(text: str) -> list[str]:
    """Words of a text that are not function words, in order, with repetitions; the possessive 's is dropped."""
    stems = (w.removesuffix("'s") for w in words(text))
    return [w for w in stems if w not in FUNCTION_WORDS]
