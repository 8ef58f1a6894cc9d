"""Question 2: is it more than word statistics?

The headline: pairs of sentences made of the same content words, in which the concept word has two senses. A probe
trained on other pairs must tell them apart; a bag of words and any mean of static vectors are at chance by construction,
and are measured all the same. Details: the two senses in free contexts, transfer from literal sentences to paraphrases
that never name the concept, and the gain over the best baseline on templated terms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from conceptprobe.evidence.context import Answer, RunContext, Subject
from conceptprobe.evidence.designs import design_of, term_set
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.fits import Fits, baseline_rows, fits_of
from conceptprobe.evidence.lexical import lexical_spaces
from conceptprobe.evidence.rows import (
    Measured,
    against_baseline,
    baseline_guard,
    finding,
    settle,
    unique,
)
from conceptprobe.models.base import Pooling
from conceptprobe.probes.crossfit import Space
from conceptprobe.probes.transfer import Transfer
from conceptprobe.registry import register
from conceptprobe.stats.design import Design, codes
from conceptprobe.stats.exchange import exchanged_labels
from conceptprobe.stimuli.stimulus import StimulusSet

NAME = "beyond_words"
HEADLINE = "same words, two senses"


@register("question", NAME, order=2)
def beyond_words(run: RunContext) -> Answer:
    """One headline row per trained model."""
    if "same_words" not in run.sets:
        return Answer([], not_asked="the concept file has no pairs of the same words in two senses")
    headline, guards, inflations = [], [], []
    details: list[Finding] = []
    series: dict[str, list[dict[str, Any]]] = {"null": []}
    for subject in run.trained():
        fits = fits_of(run, subject, run.sets["same_words"])
        measured = _gain(run, subject, fits, "same_words")
        times, of = fits.selected.times_chosen
        strongest, reached = fits.strongest
        headline.append(
            finding(
                run,
                NAME,
                subject,
                measured,
                site=fits.selected.most_chosen,
                split=HEADLINE,
                headline=True,
                note=(
                    f"Site chosen on inner folds: {fits.selected.most_chosen} in {times} of {of} folds. The baseline is "
                    f"chosen there, too; the strongest one in hindsight is {strongest} at {reached:.2f}."
                ),
            )
        )
        guards.append(baseline_guard(measured, run.smallest_effect[NAME]))
        inflations.append(measured.c)
        if run.settings.details:
            details += baseline_rows(run, NAME, subject, fits, HEADLINE)
            details += _other_sets(run, subject)
        series["null"] += [
            {"question": NAME, "model": subject.name, "value": float(v)} for v in fits.selected.auroc[1:]
        ]
    return Answer(settle(headline, guards, inflations) + unique(details), series)


def _gain(run: RunContext, subject: Subject, fits: Fits, set_name: str) -> Measured:
    baseline = fits.best_baseline
    return against_baseline(
        fits.selected.scores,
        fits.selected.auroc,
        baseline.scores[0],
        baseline.most_chosen,
        fits.design,
        run.rng("swap", subject.name, set_name),
    )


def _other_sets(run: RunContext, subject: Subject) -> list[Finding]:
    rows = []
    if "homonyms" in run.sets:
        free = fits_of(run, subject, run.sets["homonyms"])
        rows.append(
            finding(
                run,
                NAME,
                subject,
                _gain(run, subject, free, "homonyms"),
                site=free.selected.most_chosen,
                split="same word, two senses, free contexts",
                note="In free contexts the other words betray the sense: read beside the headline, never instead of it.",
            )
        )
    if "paraphrases" in run.sets and "sentences" in run.sets:
        rows.append(_paraphrases(run, subject))
    if "terms" in run.sets:
        terms = fits_of(run, subject, term_set(run, "near"))
        rows.append(
            finding(
                run,
                NAME,
                subject,
                _gain(run, subject, terms, "terms"),
                site=terms.selected.most_chosen,
                split="templated terms, near controls",
            )
        )
    return rows


def _paraphrases(run: RunContext, subject: Subject) -> Finding:
    """Train on sentences that name the concept or a control, read sentences that name neither; `mean` pooling on both."""
    literal, evoked = run.sets["sentences"], run.sets["paraphrases"]
    design = design_of(run, literal)
    labels = np.vstack([design.label, exchanged_labels(design, run.draws(), run.rng("exchange", "paraphrases"))])
    transfer = Transfer(design, labels)
    pooling: Pooling = "mean"

    def stacked(model: str, site: str) -> Space:
        return Space(np.concatenate([run.read(model, s.name, site, pooling) for s in (literal, evoked)]))

    for site in subject.sites:
        transfer.add(site, stacked(subject.name, site))
    for twin in subject.twins:
        for site in twin.sites:
            transfer.add(f"{twin.name}@{site}", stacked(twin.name, site))
    lexical = lexical_spaces(run, subject, (literal.name, evoked.name))
    for name, space in lexical.items():
        transfer.add(name, space)

    scores, site = transfer.select(subject.sites)
    candidates = {name: name for name in lexical} | {t.name: f"{t.name}@{site}" for t in subject.twins}
    baseline, best = transfer.scores_of(candidates)
    read = _one_fold(evoked)
    auroc = np.asarray(read.auroc(scores))
    measured = against_baseline(scores, auroc, baseline, best, read, run.rng("swap", subject.name, "paraphrases"))
    return finding(
        run,
        NAME,
        subject,
        measured,
        site=site,
        split="literal sentences -> paraphrases",
        note="Mean pooling on both sides; the paraphrases contain no term of the concept.",
    )


def _one_fold(stimuli: StimulusSet) -> Design:
    """The design of sentences that are only ever read: nothing is trained on them, so all pairs compare."""
    items = np.arange(len(stimuli))
    nothing = np.zeros(len(stimuli), dtype=np.int64)
    label = np.where(np.array(stimuli.labels) > 0, 1, -1)
    return Design(items, nothing, label, codes([s.group("group") for s in stimuli]), nothing, pooled=False)
