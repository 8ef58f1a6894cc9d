"""What a concept file can find, before anything is run: the verdict rule simulated at its number of units."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product

from conceptprobe.evidence.needs import READINGS
from conceptprobe.models.base import ModelSpec
from conceptprobe.pipeline.plan import Plan
from conceptprobe.stats.power import Rule, detectable_effect, power_curve, rule_power, units_needed
from conceptprobe.stimuli.stimulus import StimulusSet

SHARED = (
    "it has to carry over better than 95% of the control concepts, and how far these spread depends on the models: no number "
    "of words can tell it"
)
WIDE = 1.5
"""Inflation c of a null under which held-out scores share much: probes trained on a few dozen terms gave 1.3 to 1.5."""


@dataclass(frozen=True)
class Detectable:
    """One kind of headline row before data are seen.

    rows: headline rows of the question, corrected together; units: independent units per class; simulated: against
    what, in words; not_simulated: why there are no figures (then these are nan, None and empty).
    detectable: effects from there up are found in 80% of cases (nan: none up to the ceiling); detectable_if_wide: the
    same where the null is WIDE times as wide as its units make it.
    p_absent_if_none: how often no effect is called absent; p_supported_at_smallest: how often an effect exactly as large
    as the smallest of interest is called supported.
    units_for_twice, units_for_absent: units per class to find twice the smallest effect, and to call none absent, in 80%
    of cases (None: more than 1000). curve: (true effect, share called supported).
    """

    question: str
    row: str
    units: int
    smallest_effect: float
    rows: int = 0
    simulated: str = ""
    not_simulated: str = ""
    detectable: float = math.nan
    detectable_if_wide: float = math.nan
    p_absent_if_none: float = math.nan
    p_supported_at_smallest: float = math.nan
    units_for_twice: int | None = None
    units_for_absent: int | None = None
    curve: tuple[tuple[float, float], ...] = field(default=(), repr=False)


def detectable(plan: Plan) -> Iterator[Detectable]:
    """One entry per kind of headline row of the questions asked."""
    asked, sets, effects = plan.config.questions, plan.sets, plan.concept.smallest_effect
    texts = _trained(plan, "text")
    if "encoded" in asked:
        readings = [
            (r, n) for modality, r in READINGS.items() if r.set_name in sets and (n := _trained(plan, modality))
        ]
        counted = sum(n for _, n in readings)
        for reading, _ in readings:
            near = sets[reading.set_name].where(lambda s: s.group("tier") != "far")
            yield _simulated("encoded", reading.split, _rule(plan, near, effects.encoded, counted))
    if "beyond_words" in asked and texts and "same_words" in sets:
        rule = _rule(
            plan,
            sets["same_words"],
            effects.beyond_words,
            texts,
            folds=plan.concept.splits.term_folds,
            scorers=1,
            swap=True,
        )
        yield _simulated("beyond_words", "same words, two senses", rule)
    if "shared" in asked and "terms_in_pool" in sets:
        words = len({s.group("term") or s.id for s in sets["terms_in_pool"] if s.label})
        yield Detectable("shared", "probes carried between models", words, effects.shared, not_simulated=SHARED)
    if "crossmodal" in asked and "pictures" in sets:
        yield _crossmodal(plan)


def _crossmodal(plan: Plan) -> Detectable:
    row, smallest = "captions to pictures", plan.concept.smallest_effect.crossmodal
    pairs = sum(
        a.name != b.name and not a.related_to(b)
        for a, b in product(*([s.info for s in _specs(plan, modality)] for modality in ("text", "image")))
    )
    rule = _rule(plan, plan.sets["pictures"], smallest, pairs, scorers=plan.config.twins)
    if pairs:
        return _simulated("crossmodal", row, rule)
    lacking = "no text model and image model that share no training data were named"
    return Detectable("crossmodal", row, rule.units, smallest, not_simulated=lacking)


def _simulated(question: str, row: str, rule: Rule) -> Detectable:
    power = rule_power(rule)
    return Detectable(
        question,
        row,
        rule.units,
        rule.smallest_effect,
        rule.rows,
        simulated=_words(rule),
        detectable=power.detectable,
        detectable_if_wide=detectable_effect(replace(rule, c=WIDE)),
        p_absent_if_none=power.p_absent_if_none,
        p_supported_at_smallest=power.p_supported_at_smallest,
        units_for_twice=units_needed(round(2 * rule.smallest_effect, 10), rule),
        units_for_absent=units_needed(0.0, rule),
        curve=power_curve(rule),
    )


def _words(rule: Rule) -> str:
    if rule.swap:
        return "against a baseline at chance that is measured, too"
    if rule.scorers:
        twins = "1 random twin" if rule.scorers == 1 else f"{rule.scorers} random twins"
        return f"against the mean of {twins} at chance; the null of shuffled maps, which is wider, is left out"
    return "against chance"


def _rule(
    plan: Plan,
    stimuli: StimulusSet,
    smallest_effect: float,
    rows: int,
    *,
    folds: int = 1,
    scorers: int = 0,
    swap: bool = False,
) -> Rule:
    units = _units(stimuli)
    return Rule(
        units,
        smallest_effect,
        folds=min(folds, max(units, 1)),
        scorers=scorers,
        swap=swap,
        rows=max(rows, 1),
        permutations=plan.config.permutations,
    )


def _units(stimuli: StimulusSet) -> int:
    """Independent units per class: the smaller of the two numbers, as a row reports it."""
    return min(len({s.group("unit") for s in stimuli if s.label == label}) for label in (0, 1))


def _specs(plan: Plan, modality: str) -> list[ModelSpec]:
    return [m.spec for m in plan.models if m.spec.info.kind == "trained" and modality in m.spec.info.modalities]


def _trained(plan: Plan, modality: str) -> int:
    return len(_specs(plan, modality))
