"""Question 1: is the concept linearly there? Held-out AUROC of a ridge probe on unseen terms in unseen templates.

The headline sets terms of the concept against near controls, abstract nouns of the human world; for a model of
pictures or of sounds, those that evoke the concept against matched ones of the human world. The site is chosen on inner folds.
Beside it: every other kind of probe on the same cells at a fixed site, far controls, selectivity, every lexical baseline, the
random twins at the chosen sites, and the whole curve over depth.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from conceptprobe import registry
from conceptprobe.evidence.context import Answer, RunContext, Subject
from conceptprobe.evidence.designs import term_set
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.fits import Fits, baseline_rows, fits_of
from conceptprobe.evidence.geometry import site_at
from conceptprobe.evidence.nearest import nearest_pictures
from conceptprobe.evidence.needs import READINGS, TERMS
from conceptprobe.evidence.rows import Measured, against_chance, at_one_site, finding, guard_of, settle, unique
from conceptprobe.probes.base import Probe
from conceptprobe.probes.crossfit import Selection
from conceptprobe.probes.heldout import held_out_scores
from conceptprobe.probes.selectivity import template_held_out_scores
from conceptprobe.registry import register
from conceptprobe.stats.auroc import Z95, auroc_interval, difference_interval
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.stats.jackknife import jackknife_error
from conceptprobe.stimuli.stimulus import StimulusSet

NAME = "encoded"
_DRAWS = {"logistic": 99, "mean_difference": 99, "lda": 99, "k_sparse": 99}
_FEW_DRAWS = 19
"""Draws of the null of a probe that has to be fitted anew for each: the least that p = 0.05 can come of."""
_CONTROL_DRAWS = 200
"""Labellings of the control task that its jackknife is taken over."""
ENOUGH_MEDIA = 40
"""Per class. With fewer, effects that matter go unfound: 16 + 16 could not detect an AUROC under 0.78."""


@register("question", NAME, order=1)
def encoded(run: RunContext) -> Answer:
    """One headline row per trained model and modality."""
    if all(reading.set_name not in run.sets for reading in READINGS.values()):
        return Answer([], not_asked="the concept file has no terms, no pictures and no sounds")
    headline: list[Finding] = []
    details: list[Finding] = []
    series: dict[str, list[dict[str, Any]]] = {"depth": [], "null": [], "nearest": []}
    guards, inflations = [], []
    asked = (s for modality in READINGS for s in run.trained(modality))
    for subject in (s for s in asked if READINGS[s.modality].set_name in run.sets):
        split = READINGS[subject.modality].split
        fits = _fits(run, subject)
        selection = fits.selected
        measured = against_chance(selection.auroc, fits.design)
        row = finding(
            run,
            NAME,
            subject,
            measured,
            site=selection.most_chosen,
            split=split,
            headline=True,
            note=_shape(run, subject, fits, selection),
        )
        headline.append(row)
        guards.append(guard_of(measured, run.smallest_effect[NAME]))
        inflations.append(measured.c)
        if run.settings.details:
            details += _probes(run, subject, fits, split, measured.c)
            if subject.modality == "text":
                details += _term_rows(run, subject, fits)
            details += baseline_rows(run, NAME, subject, fits, split)
            series["depth"] += _depth(subject, fits)
            series["nearest"] += nearest_pictures(run, subject) if subject.modality == "image" else []
        series["null"] += [{"question": NAME, "model": subject.label, "value": float(v)} for v in selection.auroc[1:]]
    return Answer(settle(headline, guards, inflations, explain=run.settings.details) + unique(details), series)


def _fits(run: RunContext, subject: Subject) -> Fits:
    details = run.settings.details
    if subject.modality == "text":
        return fits_of(run, subject, term_set(run, "near"), baselines=details, curve=details)
    reading = READINGS[subject.modality]
    return fits_of(run, subject, run.sets[reading.set_name], reading.pooling, baselines=details, curve=details)


def exploratory(stimuli: StimulusSet) -> str:
    """The word a row on too few pictures or sounds must carry, and why; empty where there are enough."""
    positives = sum(stimuli.labels)
    fewest = min(positives, len(stimuli) - positives)
    if fewest >= ENOUGH_MEDIA:
        return ""
    return f"Exploratory: {fewest} {stimuli.name} in a class, {ENOUGH_MEDIA} are wanted."


def _shape(run: RunContext, subject: Subject, fits: Fits, selection: Selection) -> str:
    """What the choice of site and the curve say, in words; a flat curve from `embed` must not look like a discovery."""
    times, of = selection.times_chosen
    note = f"Site chosen on inner folds: {selection.most_chosen} in {times} of {of} cells."
    least, estimate = run.smallest_effect[NAME], float(selection.auroc[0])
    rivals = [("the input embeddings", float(fits.crossfit.alone("embed").auroc[0]))] if "embed" in fits.sites else []
    if fits.hindsight is not None:
        rivals.append((fits.hindsight.name, fits.hindsight.value))
    if subject.modality != "text" and fits.twins:
        read = [fits.crossfit.at(fits.twin_sites(twin, selection.chosen)).auroc[0] for twin in subject.twins]
        rivals.append(("its random twins", float(np.mean(read))))
    equal = [f"{name} ({value:.2f})" for name, value in rivals if value >= 0.5 + least and estimate - value < least]
    if equal:
        # A sentence without numbers, so that a card of many models can say it once.
        things = READINGS[subject.modality].differ
        flat = (
            "Flat from the input embeddings on" if equal[0].startswith("the input") else "No more than baselines read"
        )
        note += (
            f" {flat}: these {things}, and nothing says that the model composes the concept. As much is read from "
            f"{' and from '.join(equal)}."
        )
    if subject.modality != "text":
        note = f"{note} {exploratory(run.sets[READINGS[subject.modality].set_name])}".strip()
    return note


def _spaces(run: RunContext, subject: Subject, fits: Fits) -> dict[str, np.ndarray]:
    reading = READINGS[subject.modality]
    return {site: run.read(subject.name, reading.set_name, site, reading.pooling)[fits.rows] for site in fits.sites}


def _probes(run: RunContext, subject: Subject, fits: Fits, split: str, c: float) -> list[Finding]:
    """Every other kind of probe, on the cells of the headline and at one site that nothing chose: were it the one which
    ridge chose, every draw of every null would have to be read where its own labels choose.

    `c` is the headline's inflation, since a few draws would hardly tell it. Ridge at the same site stands beside them.
    """
    design, site = fits.design, site_at(subject)
    spaces, everywhere = (
        {site: _spaces(run, subject, fits)[site]},
        [[site] * design.template_folds] * len(set(design.fold)),
    )

    def row(name: str, probe: Probe | None, draws: int) -> Finding:
        labels = fits.labels[: 1 + draws]
        if probe is None:
            auroc = fits.crossfit.alone(site).auroc
        else:
            auroc = np.asarray(design.auroc(held_out_scores(probe, spaces, everywhere, design, labels), labels))
        measured = against_chance(auroc, design, c)
        note = f"At a site fixed beforehand; {draws} draws."
        return finding(
            run, NAME, subject, measured, site=site, metric=f"auroc ({name})", split=f"{split}, by kind", note=note
        )

    kinds = {n: e for n, e in registry.entries("probe").items() if n != "ridge" and not e.about.get("positions")}
    rows = [row("ridge", None, len(fits.labels) - 1)]
    return rows + [row(name, entry.value(), _DRAWS.get(name, _FEW_DRAWS)) for name, entry in kinds.items()]


def _term_rows(run: RunContext, subject: Subject, fits: Fits) -> list[Finding]:
    """Far controls and selectivity: only templated terms have them."""
    far = fits_of(run, subject, term_set(run, "far"), baselines=False)
    return [
        finding(
            run,
            NAME,
            subject,
            against_chance(far.selected.auroc, far.design),
            site=far.selected.most_chosen,
            split=TERMS.format("far"),
        ),
        finding(
            run,
            NAME,
            subject,
            _selectivity(fits, _spaces(run, subject, fits)[site_at(subject)]),
            site=site_at(subject),
            metric="selectivity",
            split="templates held out, terms shared",
        ),
    ]


def _selectivity(fits: Fits, x: np.ndarray) -> Measured:
    """Real minus random term labels (Hewitt & Liang 2019). At the ceiling a jackknife has no width, so the interval is
    made of those of the two AUROCs."""
    design, labels = fits.design, fits.labels
    scores = template_held_out_scores(x, design, labels)
    auroc = np.asarray(design.auroc(scores, labels))
    control = auroc[1:]
    real = auroc_interval(float(auroc[0]), *design.units_per_class)
    # Over many labellings of one set of terms, what is left to chance is which terms they are.
    some = slice(1, 1 + _CONTROL_DRAWS)
    without = [
        float(np.mean(design.auroc(scores[some], labels[some], design.unit != u))) for u in np.unique(design.unit)
    ]
    spread = Z95 * jackknife_error(np.array(without))
    mean = float(control.mean())
    low, high = difference_interval(float(auroc[0]), real, mean, (mean - spread, mean + spread))
    return Measured(
        float(auroc[0]),
        mean,
        "random term labels",
        low,
        high,
        mean,
        float(np.quantile(control, 0.95)),
        add_one_p(float(auroc[0]), control),
        len(design.item),
        design.n_units,
        1.0,
    )


def _depth(subject: Subject, fits: Fits) -> list[dict[str, Any]]:
    """AUROC, interval and null band of every site alone: a map, no statistic is chosen from it."""
    out = []
    last = max(len(fits.sites) - 1, 1)
    for owner, prefix in [(subject, ""), *[(t, f"{t.name}@") for t in subject.twins]]:
        for i, site in enumerate(fits.sites):
            out.append(
                {
                    "model": owner.label,
                    "kind": owner.info.kind,
                    "of": subject.label,
                    "site": site,
                    "relative_depth": i / last,
                    **at_one_site(fits.crossfit.alone(prefix + site).auroc, fits.design),
                    "units": fits.design.n_units,
                }
            )
    for name in fits.lexical:
        value = float(fits.crossfit.alone(name).auroc[0])
        out.append(
            {
                "model": name,
                "kind": "static",
                "of": subject.label,
                "site": "",
                "relative_depth": float("nan"),
                "auroc": value,
                "ci_low": float("nan"),
                "ci_high": float("nan"),
                "null_low": float("nan"),
                "null_high": float("nan"),
                "units": fits.design.n_units,
            }
        )
    return out
