"""Facets of a concept, for `shared`: do the senses of its word keep their relations from one model to another?

What is measured, and what each choice keeps from passing for agreement, stands in `alignment/senses.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.distances import euclidean
from conceptprobe.alignment.senses import Agreement, Senses, distances_of, facet_agreement, lay_out, whole_gram
from conceptprobe.errors import TooFewRows
from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.rows import finding, plainly, with_other
from conceptprobe.stats.jackknife import jackknife_error

if TYPE_CHECKING:
    from jaxtyping import Float

SET = "homonyms"
METRIC = "rsa of senses"
DRAWS = 199
"""Draws of each exchange: the row is a detail."""


@dataclass(frozen=True)
class Facets:
    """The row, and two pairs of distance matrices for figures.

    senses_a, senses_b: squared distances between senses over the largest, noise taken off, over all sentences, in the
    order of `names` (the concept's own first). items: ids of the sentences, ordered by sense; senses: the sense of each;
    distances_a, distances_b: Euclidean distances between them over the largest.
    """

    row: Finding
    names: tuple[str, ...]
    senses_a: Float[np.ndarray, "senses senses"]
    senses_b: Float[np.ndarray, "senses senses"]
    items: tuple[str, ...]
    senses: tuple[str, ...]
    distances_a: Float[np.ndarray, "n n"]
    distances_b: Float[np.ndarray, "n n"]


def facets(run: RunContext, a: Subject, b: Subject, site_a: str, site_b: str, note: str = "") -> Facets | str:
    """The detail row of `shared` for one pair of models at these sites, or a sentence why it cannot be asked.

    Reads the set `homonyms` at the concept's word, of both models and of their twins. `note` opens the row's note.
    """
    if SET not in run.sets:
        return "The concept file has no sentences with the word in other senses."
    stimuli = list(run.sets[SET])
    try:
        senses, names, keep = lay_out(
            [s.sense for s in stimuli],
            [s.role == "positive" for s in stimuli],
            [s.group("unit") for s in stimuli],
            run.rng("facets", "halves"),
        )

        def rows(subject: Subject, site: str) -> np.ndarray:
            return run.read(subject.name, SET, site, "concept_span")[keep]

        x, y = rows(a, site_a), rows(b, site_b)
        for subject, z in ((a, x), (b, y)):
            if not np.ptp(z, axis=0).any():
                return f"{subject.name} gives the word one vector in every sentence: it has no senses to compare."
        rng = run.rng("facets", a.name, b.name)
        found = facet_agreement(
            x,
            y,
            senses,
            senses.orders(DRAWS, rng),
            senses.turns(DRAWS, rng),
            [rows(twin, site_a) for twin in a.twins],
            [rows(twin, site_b) for twin in b.twins],
        )
    except TooFewRows as error:
        return f"{error.message[:1].upper()}{error.message[1:]}."
    by_sense = np.argsort(senses.sense, kind="stable")
    kept = [s for s, k in zip(stimuli, keep, strict=True) if k]
    return Facets(
        row=_row(run, a, b, site_a, site_b, note, found, senses),
        names=names,
        senses_a=distances_of(whole_gram(senses.kernel(x), senses)),
        senses_b=distances_of(whole_gram(senses.kernel(y), senses)),
        items=tuple(kept[i].id for i in by_sense),
        senses=tuple(names[s] for s in senses.sense[by_sense]),
        distances_a=euclidean(x[by_sense].astype(np.float64)),
        distances_b=euclidean(y[by_sense].astype(np.float64)),
    )


def _row(
    run: RunContext, a: Subject, b: Subject, site_a: str, site_b: str, note: str, found: Agreement, senses: Senses
) -> Finding:
    owner, other = ((b, a), (a, b))[max(found.side, 0)]
    what = (
        f"Over all sentences at once, noise shared by both models included: {found.whole:.2f}. p is the larger of two: "
        "sentences renamed, and senses turned, each within the target senses and within the others. "
        f"{len(found.null)} draws; their mean ({found.null.mean():.2f}) is what the target against the rest gives alone."
    )
    measured = plainly(
        found.value,
        found.reference,
        f"random twins ({other.name}, {len(owner.twins)} twins of {owner.name})"
        if found.side >= 0
        else "random twins (none)",
        jackknife_error(found.left_out),
        found.null,
        n=len(senses.sense),
        units=len(np.unique(senses.unit)),
    )
    split = f"{len(senses.target)} senses of the word, in disjoint halves of {len(senses.sense)} sentences"
    row = finding(run, "shared", a, measured, site=site_a, metric=METRIC, split=split, note=f"{note} {what}".strip())
    return with_other(row, b, site_b)
