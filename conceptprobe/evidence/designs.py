"""From a stimulus set to a design: what is an item, a unit and a template in each kind of set."""

from __future__ import annotations

from conceptprobe.evidence.context import RunContext
from conceptprobe.stats.design import Design, make_design
from conceptprobe.stimuli.stimulus import StimulusSet

_UNIT = {"terms": "unit", "same_words": "unit", "homonyms": "unit", "sentences": "group", "paraphrases": "group"}


def term_set(run: RunContext, tier: str) -> StimulusSet:
    """Templated positive terms with the controls of one tier (near or far)."""
    return run.sets["terms"].where(lambda s: s.group("tier") in ("positive", tier), name=f"terms-{tier}")


def design_of(run: RunContext, stimuli: StimulusSet) -> Design:
    """The design of a set: terms are averaged over templates and pooled, matched pictures or sounds are pooled;
    sentences compare within a fold."""
    kind = stimuli.name.split("-")[0]
    folds, template_folds = run.splits
    rng = run.rng("folds", stimuli.name)
    if kind in ("pictures", "sounds"):
        return make_design(
            item=list(stimuli.ids),
            positive=stimuli.labels,
            unit=[s.group("unit") for s in stimuli],
            template=None,
            folds=folds,
            template_folds=1,
            pooled=True,
            rng=rng,
        )
    if kind == "terms":
        return make_design(
            item=[f"{s.group('tier')}:{s.pair}" for s in stimuli],
            positive=stimuli.labels,
            unit=[s.group("unit") for s in stimuli],
            template=[s.group("template") for s in stimuli],
            folds=folds,
            template_folds=template_folds,
            pooled=True,
            rng=rng,
        )
    return make_design(
        item=list(stimuli.ids),
        positive=stimuli.labels,
        unit=[s.group(_UNIT[kind]) for s in stimuli],
        template=None,
        folds=folds,
        template_folds=1,
        pooled=False,
        rng=rng,
    )
