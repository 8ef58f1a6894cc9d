"""Question 2: is it more than word statistics?

The headline: pairs of sentences made of the same content words, in which the concept word has two senses. A probe
trained on other pairs must tell them apart; a bag of words and any mean of static vectors are at chance by construction,
and are measured all the same. Details: the same pairs read by a probe that was trained on none of them, the two senses in
free contexts, what survives of literal sentences when the word is masked, paraphrased and translated, and the gain over
the best baseline on templated terms.
"""

from __future__ import annotations

from typing import Any

from conceptprobe.evidence.context import Answer, RunContext, Subject
from conceptprobe.evidence.designs import term_set
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.fits import Fits, baseline_rows, fits_of
from conceptprobe.evidence.rows import Measured, against_baselines, finding, guard_of, settle, unique
from conceptprobe.evidence.survives import pairs_from_afar, what_survives
from conceptprobe.registry import register

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
                    f"chosen on inner folds, too. {fits.hindsight.sentence if fits.hindsight else ''}"
                ).strip(),
            )
        )
        # A twin is among the baselines that must be beaten: without one nothing may be claimed.
        guards.append(subject.without_twin or guard_of(measured, run.smallest_effect[NAME]))
        inflations.append(measured.c)
        if run.settings.details:
            details += baseline_rows(run, NAME, subject, fits, HEADLINE)
            details += _other_sets(run, subject)
        series["null"] += [
            {"question": NAME, "model": subject.name, "value": float(v)} for v in fits.selected.auroc[1:]
        ]
    return Answer(settle(headline, guards, inflations, explain=run.settings.details) + unique(details), series)


def _gain(run: RunContext, subject: Subject, fits: Fits, set_name: str) -> Measured:
    return against_baselines(
        fits.selected.scores,
        fits.selected.auroc,
        fits.rivals,
        fits.design,
        run.rng("swap", subject.name, set_name),
    )


def _other_sets(run: RunContext, subject: Subject) -> list[Finding]:
    rows = pairs_from_afar(run, subject)
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
    rows += what_survives(run, subject)
    if "terms" in run.sets:
        terms = fits_of(run, subject, term_set(run, "near"), curve=True)  # the fits of question 1
        rows.append(
            finding(
                run,
                NAME,
                subject,
                _gain(run, subject, terms, "terms"),
                site=terms.selected.most_chosen,
                split="templated terms, near controls",
                note=terms.hindsight.sentence if terms.hindsight else "",
            )
        )
    return rows
