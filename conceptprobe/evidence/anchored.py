"""The human anchor of question 3: do a model's similarities rank pairs of words as people do?

Two models may agree with each other and with nobody else. So each is held to tables of human word-similarity judgements, over
the pairs both of whose words are in the background pool: Spearman's rank correlation between the scores and the cosines of
word vectors, centred on the mean of the pool. Its reference is the mean of the model's random twins, which rank pairs by
spelling alone. Scales of judgement are ordinal, and tables ask for different things (likeness in SimLex-999, relatedness in
MEN), so each table is a row of its own.

Pairs share words, so words are the units. The null renames whole words, and the interval rests on words left out in turn. In
the pool's tables most words are in one pair or two, and a jackknife over words counts each pair twice, once with either
of its words: its variance would be twice the true one where pairs are independent. Therefore the variance of pairs left out in
turn is taken off once (dyadic cluster-robust variance: Cameron, Gelbach & Miller 2011; Aronow, Samii & Assenova 2015; for
jackknives of graphs, Snijders & Borgatti 1999), and is itself the least that is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.geometry import DETAIL_DRAWS
from conceptprobe.evidence.rows import NAN, Measured, finding
from conceptprobe.stats.auroc import Z95, average_ranks
from conceptprobe.stats.exchange import add_one_p
from conceptprobe.stats.jackknife import jackknife_error
from conceptprobe.stimuli.judgements import Judgements

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

QUESTION = "shared"
FEWEST_PAIRS = 20
"""A rank correlation of fewer pairs has an interval as wide as the scale."""
DECIMALS = 9
"""Cosines that differ by less are equal: the difference is rounding, and a rank must not hang on it."""


@dataclass(frozen=True)
class Anchor:
    """The pairs of one table that the pool knows: places among its words [pairs, 2], and scores [pairs].

    judged: pairs of the whole table; reason: why the pool cannot be held to it, empty where it can.
    """

    table: str
    judged: int
    pairs: Int[np.ndarray, "pairs 2"]
    scores: Float[np.ndarray, " pairs"]
    reason: str = ""

    @property
    def sentence(self) -> str:
        """`EN-MEN-TR-3k: 50 of 3,000 pairs have both words in the pool`, and why it is left out, where it is."""
        told = f"{self.table}: {len(self.scores):,} of {self.judged:,} pairs have both words in the pool"
        return f"{told}; left out: {self.reason}" if self.reason else told


def anchors(names: Sequence[str], judgements: Sequence[Judgements]) -> tuple[Anchor, ...]:
    """What each table has to say of the pool's words; `names`: one per word, in the order of the rows of a space."""
    made = []
    for table in judgements:
        known = table.among(names)
        pairs = np.array([(a, b) for a, b, _ in known], dtype=np.int64).reshape(-1, 2)
        scores = np.array([score for _, _, score in known], dtype=np.float64)
        made.append(Anchor(table.name, len(table), pairs, scores, _reason(pairs, scores)))
    return tuple(made)


def anchored(
    run: RunContext,
    names: Sequence[str],
    vectors: Callable[[Subject, str], Float[np.ndarray, "n d"]],
    sites: Callable[[Subject], str],
    judgements: Sequence[Judgements],
) -> list[Finding]:
    """Detail rows: each trained or static text model against each table that the pool can be held to.

    names: words of the pool; vectors: (subject, site) -> a row per word, those of the pool first, each the mean over its
    frames; sites: where a model is read, and its twins with it. A model that gives all pairs of a table one similarity
    has no order to compare, and its row says that in place of numbers. Tables are left out with a reason (`Anchor`), which
    the notes of all rows repeat.
    """
    tables = anchors(names, judgements)
    usable = [table for table in tables if not table.reason]
    renamed = {t.table: list(renamings(t.pairs, DETAIL_DRAWS, run.rng("human", t.table))) for t in usable}
    rows = []
    for subject in (*run.trained(), *run.statics()) if usable else ():
        site = sites(subject)
        spaces = [centred(vectors(s, site)[: len(names)]) for s in (subject, *subject.twins)]
        for table in usable:
            measured = agreement(spaces, table.pairs, table.scores, renamed[table.table])
            note = [f"{table.sentence}.", f"{DETAIL_DRAWS} draws.", *_left_out(tables)]
            if np.isnan(measured.estimate):
                note.insert(0, "The model gives all these pairs one similarity: there is no order to compare.")
            if subject.info.kind == "static":
                note.insert(0, "A static model: word vectors, no context.")
            rows.append(
                finding(
                    run,
                    QUESTION,
                    subject,
                    measured,
                    site=site,
                    metric=f"spearman (human similarity: {table.table})",
                    split=f"{measured.n} pairs of {measured.units} words of the pool",
                    note=" ".join(note),
                )
            )
    return rows


def agreement(
    spaces: Sequence[Float[np.ndarray, "n d"]],
    pairs: Int[np.ndarray, "pairs 2"],
    scores: Float[np.ndarray, " pairs"],
    renamed: Sequence[Int[np.ndarray, "pairs 2"]],
) -> Measured:
    """Spearman's correlation of cosines with scores; over the mean of the twins', and with the interval of that difference.

    spaces: unit rows (`centred`) of the model, then of its twins, if any; their widths may differ. renamed: pairs under each
    draw of the null (`renamings`), which is the estimate's, not the difference's. nan where all cosines are equal.
    """
    words = np.unique(pairs)
    cosines = np.stack([similarities(space, pairs) for space in spaces])
    found = spearman(cosines, scores)
    reference = float(found[1:].mean()) if len(found) > 1 else 0.0
    kind = f"random twins (mean of {len(found) - 1})" if len(found) > 1 else "no correlation"
    if np.ptp(cosines[0]) == 0.0:
        return Measured(NAN, reference, kind, NAN, NAN, NAN, NAN, NAN, len(scores), len(words), 1.0)
    estimate = float(found[0])
    null = spearman(np.stack([similarities(spaces[0], each) for each in renamed]), scores)
    half = Z95 * dyadic_error(
        _gains(cosines, scores, [np.any(pairs == word, axis=1) for word in words]),
        _gains(cosines, scores, list(np.eye(len(scores), dtype=bool))),
    )
    return Measured(
        estimate,
        reference,
        kind,
        estimate - reference - half,
        estimate - reference + half,
        float(null.mean()),
        float(np.quantile(null, 0.95)),
        add_one_p(estimate, null),
        len(scores),
        len(words),
        1.0,
    )


def centred(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Rows less their mean, at unit length in float64; a row at the mean becomes 0, and is at a right angle to all.

    A row of zeros is a word that word vectors do not know. It has no part in the mean and stays 0, or all such words
    would be alike.
    """
    rows = np.array(x, dtype=np.float64)
    known = rows.any(axis=1)
    rows[known] -= rows.sum(axis=0) / max(int(known.sum()), 1)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1.0))


def similarities(space: Float[np.ndarray, "n d"], pairs: Int[np.ndarray, "pairs 2"]) -> Float[np.ndarray, " pairs"]:
    """Cosine of each pair's unit rows, to `DECIMALS`."""
    return np.round(np.einsum("pd,pd->p", space[pairs[:, 0]], space[pairs[:, 1]]), DECIMALS)


def spearman(x: Float[np.ndarray, "... pairs"], y: Float[np.ndarray, " pairs"]) -> Float[np.ndarray, "..."]:
    """Pearson's correlation of ranks, ties sharing their mean rank (Spearman 1904), along the last axis.

    0 where either side is constant: what has no order agrees with none.
    """
    a, b = average_ranks(np.asarray(x, dtype=np.float64)), average_ranks(np.asarray(y, dtype=np.float64))
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean()
    norm = np.sqrt((a * a).sum(axis=-1) * (b * b).sum())
    return np.asarray(np.where(norm > 0, (a @ b) / np.where(norm > 0, norm, 1.0), 0.0))


def renamings(
    pairs: Int[np.ndarray, "pairs 2"], draws: int, rng: np.random.Generator
) -> Iterator[Int[np.ndarray, "pairs 2"]]:
    """The pairs with their words renamed among themselves, a word the same in all its pairs; one array a draw."""
    words, place = np.unique(pairs, return_inverse=True)
    for _ in range(draws):
        yield rng.permutation(words)[place.reshape(pairs.shape)]


def dyadic_error(without_word: Float[np.ndarray, " words"], without_pair: Float[np.ndarray, " pairs"]) -> float:
    """Standard error of a statistic of pairs, from its values with each word, and with each pair, left out in turn."""
    words, pairs = jackknife_error(without_word) ** 2, jackknife_error(without_pair) ** 2
    return float(np.sqrt(max(words - pairs, pairs)))


def _gains(
    cosines: Float[np.ndarray, "spaces pairs"],
    scores: Float[np.ndarray, " pairs"],
    gone: Sequence[Bool[np.ndarray, " pairs"]],
) -> Float[np.ndarray, " left_out"]:
    """The model's correlation less its twins' mean, without the pairs that are `gone`; the pool's mean stays what it is."""
    out = np.empty(len(gone))
    for i, without in enumerate(gone):
        found = spearman(cosines[:, ~without], scores[~without])
        out[i] = found[0] - (found[1:].mean() if len(found) > 1 else 0.0)
    return out


def _left_out(tables: Sequence[Anchor]) -> Iterator[str]:
    """A sentence for each reason, with the tables it meets and their pairs."""
    for reason in dict.fromkeys(table.reason for table in tables if table.reason):
        met = ", ".join(f"{table.table} ({len(table.scores)} pairs)" for table in tables if table.reason == reason)
        yield f"Left out, {reason}: {met}."


def _reason(pairs: Int[np.ndarray, "pairs 2"], scores: Float[np.ndarray, " pairs"]) -> str:
    if len(scores) < FEWEST_PAIRS:
        return f"fewer than {FEWEST_PAIRS}"
    if np.ptp(scores) == 0.0:
        return "all have one score"
    if np.bincount(pairs.ravel()).max() > len(scores) / 2:
        return "one word is in more than half of them"
    return ""
