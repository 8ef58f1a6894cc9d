"""What a concept file can find, before anything is run: the verdict rule simulated at its number of units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from conceptprobe.pipeline.plan import Plan
from conceptprobe.stats.power import auroc_power


@dataclass(frozen=True)
class Detectable:
    """One headline row: effects from `detectable` up are found in 80% of cases (nan: none up to the ceiling), and an
    absent effect is called absent with probability `p_absent_if_none`."""

    question: str
    row: str
    units: int
    smallest_effect: float
    detectable: float
    p_absent_if_none: float


def detectable(plan: Plan) -> Iterator[Detectable]:
    """One row per headline that is an AUROC."""
    effects = plan.concept.smallest_effect
    for question, set_name, row, smallest in (
        ("encoded", "terms", "terms x templates, near controls", effects.encoded),
        ("beyond_words", "same_words", "same words, two senses", effects.beyond_words),
    ):
        if question in plan.config.questions and set_name in plan.sets:
            units = len({s.group("unit") for s in plan.sets[set_name]})
            power = auroc_power(units, smallest)
            yield Detectable(question, row, units, smallest, power.detectable, power.p_absent_if_none)
