"""The table of what is planted: each row a world, the questions it is asked, and what the machinery promises there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from conceptprobe.calibration.media import MediaWorld
from conceptprobe.calibration.spaces import SharedWorld
from conceptprobe.calibration.text import SITES, SMALLEST_EFFECT, TextWorld
from conceptprobe.calibration.truth import World
from conceptprobe.errors import UsageError, did_you_mean

Promise = Literal["never supported", "never absent", "coverage", "coverage at least", "bias"]
"""`never supported`, `never absent`: in at most 5% of replications. `coverage`: intervals hold the true effect in 92 to 98%;
`coverage at least`: in 92% or more. `bias`: the mean estimate is within 0.01 of the truth."""


@dataclass(frozen=True)
class Asked:
    """One question asked of a world, and the promises that are checked on its headline.

    truth: the true effect by construction, or None where `truth.true_effect` has to measure it.
    debiased: `bias` is that of the estimate of this metric, a detail row, against the value in the population.
    """

    question: str
    promises: tuple[Promise, ...]
    truth: float | None = 0.0
    debiased: str = ""


@dataclass(frozen=True)
class Planted:
    """One row of the table. `says`: what is planted, for the table's reader.

    reach: the true effect that the world's `concept` is tuned to before anything is replicated; None: as it stands.
    """

    name: str
    says: str
    world: World
    asked: tuple[Asked, ...]
    reach: float | None = None

    @property
    def questions(self) -> tuple[str, ...]:
        """Questions in the order of the evidence ladder."""
        return tuple(a.question for a in self.asked)


_NOTHING: tuple[Promise, ...] = ("never supported", "coverage", "bias")
_NO_GAIN: tuple[Promise, ...] = ("never supported", "coverage")
"""For `beyond_words`: its effect is the smaller of two gains, and a smaller of two is no unbiased number."""
_TRAP: tuple[Promise, ...] = ("never supported",)
_EFFECT: tuple[Promise, ...] = ("never absent", "coverage", "bias")
_GAIN: tuple[Promise, ...] = ("never absent", "coverage")
_AGREEMENT: tuple[Promise, ...] = ("never supported", "coverage at least")
"""For `shared`: its effect is the smallest of three gains, and the interval runs to the smallest of their ends: it is wide."""
_LAST = SITES[-1:]

ROWS: tuple[Planted, ...] = (
    Planted(
        "nothing",
        "noise of units, items and templates",
        TextWorld(),
        (Asked("encoded", _NOTHING), Asked("beyond_words", _NO_GAIN)),
    ),
    Planted(
        "smallest-effect",
        "a direction just strong enough for the smallest effect of interest, at every site",
        TextWorld(),
        (Asked("encoded", _EFFECT, None),),
        reach=SMALLEST_EFFECT["encoded"],
    ),
    Planted(
        "smallest-effect-pairs",
        "the same in pairs of the same words",
        TextWorld(),
        (Asked("beyond_words", _GAIN, None),),
        reach=SMALLEST_EFFECT["beyond_words"],
    ),
    Planted(
        "strong-direction",
        "a strong direction at one depth",
        TextWorld(concept=1.0, concept_sites=_LAST),
        (Asked("encoded", ("never absent", "coverage"), None), Asked("beyond_words", _GAIN, None)),
    ),
    Planted(
        "word-only",
        "the static vector of the word at the span, the same in both senses; words of the concept differ from others",
        TextWorld(word=1.0, word_gap=0.8),
        (Asked("encoded", ("never absent", "coverage"), None), Asked("beyond_words", _NO_GAIN)),
    ),
    Planted(
        "word-vectors",
        "the static vector of the word, which has another form in each sense",
        TextWorld(word=1.0, word_gap=0.8, two_forms=True),
        (Asked("beyond_words", _TRAP, None),),
    ),
    Planted(
        "topic-only",
        "the words around the span",
        TextWorld(topic=3.0),
        (Asked("beyond_words", _NO_GAIN),),
    ),
    Planted(
        "template-only",
        "the template",
        TextWorld(template=3.0),
        (Asked("encoded", _NOTHING),),
    ),
    Planted(
        "length-only",
        "the length of the text, which in pairs goes with the sense",
        TextWorld(length=1.5, longer=0.9),
        (Asked("encoded", _NOTHING), Asked("beyond_words", _TRAP, None)),
    ),
    Planted(
        "position-only",
        "where the span stands, which in pairs goes with the sense",
        TextWorld(position=1.5, earlier=0.9),
        (Asked("encoded", _NOTHING), Asked("beyond_words", _TRAP, None)),
    ),
    Planted(
        "nonlinear-only",
        "two hidden signs, equal in the concept and unequal in controls (exclusive or)",
        TextWorld(opposite=1.0),
        (Asked("encoded", _NOTHING), Asked("beyond_words", _NO_GAIN)),
    ),
    Planted(
        "shared-nothing",
        "two models with nothing in common",
        SharedWorld(),
        (Asked("shared", (*_TRAP, "bias"), debiased="cka"),),
    ),
    Planted(
        "shared-words",
        "all words alike in two models, one of them rotated; those of the concept have nothing in common",
        SharedWorld(meaning=1.0, gathered=0.0),
        (Asked("shared", (*_AGREEMENT, "bias"), None, debiased="cka"),),
    ),
    Planted(
        "shared-ordinary",
        "all words alike, those of the concept as near to each other as those of control concepts",
        SharedWorld(meaning=1.0),
        (Asked("shared", _AGREEMENT, None),),
    ),
    Planted(
        "shared-overlap",
        "what two models share, their untrained twins share, too",
        SharedWorld(letters=1.0),
        (Asked("shared", _AGREEMENT, None),),
    ),
    Planted(
        "shared-background",
        "all words alike but those of the concept and its controls",
        SharedWorld(meaning=1.0, meaning_of="background"),
        (Asked("shared", _TRAP, None),),
    ),
    Planted(
        "shared-more",
        "all words alike, and the concept's nearer to each other in both models than texts tell",
        SharedWorld(meaning=1.0, stressed=2.0),
        (Asked("shared", ("never absent", "coverage at least"), None),),
    ),
    Planted(
        "carried-nothing",
        "captions and pictures share ordinary categories and nothing of the concept",
        MediaWorld(),
        (Asked("crossmodal", _NOTHING),),
    ),
    Planted(
        "carried-apart",
        "captions and pictures each have the concept along a direction of their own",
        MediaWorld(apart=1.0),
        (Asked("crossmodal", _TRAP),),
    ),
    Planted(
        "carried-same",
        "captions and pictures have the concept along one direction of what they share",
        MediaWorld(agreement=0.8),
        (Asked("crossmodal", ("never absent", "coverage"), None),),
    ),
)


def rows_named(names: tuple[str, ...]) -> tuple[Planted, ...]:
    """The rows of these names, all by default; raises UsageError with the nearest known name."""
    known = {row.name: row for row in ROWS}
    for name in names:
        if name not in known:
            raise UsageError(
                f"no planted row named '{name}'.{did_you_mean(name, known)}", hint=f"one of: {', '.join(known)}"
            )
    return tuple(row for row in ROWS if not names or row.name in names)


def tuned(row: Planted, concept: float) -> Planted:
    """The row with its world's `concept` at this strength."""
    if not isinstance(row.world, TextWorld):
        raise TypeError(f"the world of '{row.name}' has no strength to tune")
    return replace(row, world=replace(row.world, concept=concept))
