"""What survives without the word: probes trained on sentences that name the concept, read where it is not named.

Sentences are read as wholes (mean over tokens). A probe trained on scenes with the concept's name reads other scenes as
they stand, with the name masked, and in translation, always scenes that it was not trained on, and paraphrases that
never name the concept. A second probe, trained on terms and sentences at the name itself, is merely read on the pairs of
the same words: what it tells apart there, it learnt elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from conceptprobe.evidence.context import RunContext, Subject
from conceptprobe.evidence.designs import design_of, term_set
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.lexical import OWN, lexical_spaces
from conceptprobe.evidence.needs import READ_WHOLE
from conceptprobe.evidence.rows import Hindsight, Rival, against_baselines, finding
from conceptprobe.models.base import Pooling
from conceptprobe.probes.crossfit import Space
from conceptprobe.probes.transfer import NO_FOLD, Transfer
from conceptprobe.stats.design import Design, codes, make_design
from conceptprobe.stats.relabel import exchanged_labels
from conceptprobe.stimuli.stimulus import Stimulus
from conceptprobe.threads import two_at_a_time

NAME = "beyond_words"
LITERAL = "literal sentences, held-out scenes"
SPLITS = {
    "masked": "literal sentences -> the same with the word masked",
    "paraphrases": "literal sentences -> paraphrases",
    "translations": "literal sentences -> translations",
}
"""Set -> how its rows are named."""


def what_survives(run: RunContext, subject: Subject) -> list[Finding]:
    """One row for the literal sentences and one for each kind of sentence without the name; none without sentences."""
    read = [name for name in READ_WHOLE[1:] if name in run.sets and name not in subject.lacks]
    if "sentences" not in run.sets or not read:
        return []
    design = design_of(run, run.sets["sentences"])
    fold_of = dict(zip((s.group("group") for s in run.sets["sentences"]), design.fold.tolist(), strict=True))
    stimuli = [s for name in read for s in run.sets[name]]
    own = [name for name in read for _ in run.sets[name]]
    fold = np.array(
        [NO_FOLD if name == "paraphrases" else fold_of[s.group("group")] for name, s in zip(own, stimuli, strict=True)]
    )
    order = ("sentences", *read)

    def space(model: str, site: str) -> Space:
        return Space(np.concatenate([run.read(model, name, site, "mean") for name in order]))

    lexical = lexical_spaces(run, subject, order, whole=True)
    carried = _carry(run, subject, design, fold, space, lexical, order)
    rows = [_literal_row(run, subject, carried)]
    langs = np.array([s.lang for s in stimuli])
    for name in read:
        of_set = np.array([n == name for n in own])
        parts = [of_set]
        languages = list(dict.fromkeys(langs[of_set].tolist()))
        parts += [of_set & (langs == lang) for lang in languages] if len(languages) > 1 else []
        for part in parts:
            spoken = dict.fromkeys(langs[part].tolist())
            split = SPLITS[name] + (f" ({', '.join(spoken)})" if name == "translations" else "")
            rows.append(_read_row(run, subject, carried, stimuli, part, split, _NOTES[name]))
    return rows


_NOTES = {
    "masked": "The word is a blank, in scenes the probe was not trained on.",
    "paraphrases": "The paraphrases contain no term of the concept.",
    "translations": "Scenes the probe was not trained on; items are compared within a language.",
}


def pairs_from_afar(run: RunContext, subject: Subject) -> list[Finding]:
    """Pairs of the same words, read at the word by a probe of terms and literal sentences; none where these lack.

    A term counts once, as the mean of its templated rows.
    """
    if any(name not in run.sets for name in ("terms", "sentences", "same_words")):
        return []
    order: tuple[str, ...] = ("terms", "sentences", "same_words")
    near, sentences, pairs = term_set(run, "near"), run.sets["sentences"], run.sets["same_words"]
    position = {id_: i for i, id_ in enumerate(run.sets["terms"].ids)}
    at = np.array([position[id_] for id_ in near.ids])
    term = codes([f"{s.group('tier')}:{s.pair}" for s in near])
    first = [near.stimuli[int(np.argmax(term == i))] for i in range(int(term.max()) + 1)]
    design = make_design(
        item=[s.id for s in (*first, *sentences)],
        positive=[s.label for s in (*first, *sentences)],
        unit=[f"terms {s.group('unit')}" for s in first] + [f"sentences {s.group('group')}" for s in sentences],
        template=None,
        folds=run.splits[0],
        template_folds=1,
        pooled=False,
        rng=run.rng("folds", "terms and sentences"),
    )
    pooling: Pooling = "concept_span"

    # Rows that are terms times rows that are stimuli: a mean over templates; all others as they are.
    n, others = len(run.sets["terms"]), len(sentences) + len(pairs)
    rows = np.zeros((len(first) + others, n + others))
    rows[term, at] = 1.0 / np.bincount(term)[term]
    rows[len(first) :, n:] = np.eye(others)

    def space(model: str, site: str) -> Space:
        return Space(rows @ np.concatenate([run.read(model, name, site, pooling) for name in order]))

    lexical = lexical_spaces(run, subject, order, rows=rows)
    carried = _carry(run, subject, design, np.full(len(pairs), NO_FOLD), space, lexical, order)
    return [
        _read_row(
            run,
            subject,
            carried,
            pairs.stimuli,
            np.ones(len(pairs), dtype=bool),
            "terms and literal sentences -> same words, two senses",
            "No pair was trained on: what is told apart here was learnt from other sentences.",
            unit="unit",
        )
    ]


@dataclass(frozen=True)
class _Carried:
    """Everything fitted for one model on one kind of sentence and read on others."""

    transfer: Transfer
    lexical: tuple[str, ...]
    scores: np.ndarray
    chosen: tuple[str, ...]
    """The space of each fold of the rows to be read."""
    baseline: np.ndarray
    baseline_name: str
    twins: tuple[str, ...]


def _carry(
    run: RunContext,
    subject: Subject,
    design: Design,
    fold: np.ndarray,
    space: Callable[[str, str], Space],
    lexical: dict[str, Space],
    order: tuple[str, ...],
) -> _Carried:
    """Fit the model's sites, then the baselines: word counts, word vectors, and twins at the sites the model chose."""
    labels = np.vstack([design.label, exchanged_labels(design, run.draws(), run.rng("exchange", "transfer"))])
    transfer = Transfer(design, labels, fold)
    of_all = {name: known for name, known in lexical.items() if not name.startswith(OWN)}
    shared = run.once(("transfer", *order), lambda: _fitted(Transfer(design, labels, fold), of_all))
    for _ in two_at_a_time(lambda site: transfer.add(site, space(subject.name, site)), subject.sites):
        pass
    scores, chosen = transfer.select(subject.sites)
    inside = transfer.inside.select(subject.sites).chosen
    sites = dict.fromkeys([*chosen, *(row[0] for row in inside)])
    for name, known in lexical.items():
        if name in of_all:
            transfer.take(name, shared)
        else:
            transfer.add(name, known, inner=1)
    for twin in subject.twins:
        for site in sites:
            transfer.add(f"{twin.name}@{site}", space(twin.name, site), inner=1)
    candidates = {name: [name] * len(chosen) for name in lexical}
    candidates |= {t.name: [f"{t.name}@{site}" for site in chosen] for t in subject.twins}
    baseline, name = transfer.composite(candidates)
    return _Carried(transfer, tuple(lexical), scores, chosen, baseline, name, tuple(t.name for t in subject.twins))


def _fitted(transfer: Transfer, spaces: dict[str, Space]) -> Transfer:
    """Word counts and word vectors are the same for every model that reads the same sets: they are fitted once."""
    for _ in two_at_a_time(lambda item: transfer.add(item[0], item[1], inner=1), spaces.items()):
        pass
    return transfer


def _literal_row(run: RunContext, subject: Subject, carried: _Carried) -> Finding:
    """The sentences themselves, each scene read by a probe that was trained on others."""
    inside, design = carried.transfer.inside, carried.transfer.design
    selected = inside.select(subject.sites)
    folds = len(selected.chosen)
    candidates = {name: [[name]] * folds for name in carried.lexical}
    candidates |= {twin: [[f"{twin}@{row[0]}"] for row in selected.chosen] for twin in carried.twins}
    best = inside.composite(candidates)
    rivals = [Rival(best.most_chosen, best.scores[0])]
    strongest = Hindsight.of({name: inside.alone(name).auroc for name in carried.lexical})
    if not strongest.is_luck:
        rivals.append(Rival(strongest.name, inside.alone(strongest.name).scores[0], strongest.how))
    measured = against_baselines(
        selected.scores, selected.auroc, rivals, design, run.rng("swap", subject.name, "sentences")
    )
    return finding(
        run,
        NAME,
        subject,
        measured,
        site=selected.most_chosen,
        split=LITERAL,
        note=f"Mean over tokens. {strongest.sentence}",
    )


def _read_row(
    run: RunContext,
    subject: Subject,
    carried: _Carried,
    stimuli: Sequence[Stimulus],
    part: np.ndarray,
    split: str,
    note: str,
    unit: str = "group",
) -> Finding:
    """Some of the rows that were read, as one design of their own: pairs within a fold and a language compare."""
    some = [s for s, keep in zip(stimuli, part, strict=True) if keep]
    folds = carried.transfer.fold[part]
    design = Design(
        np.arange(len(some)),
        np.zeros(len(some), dtype=np.int64),
        np.where(np.array([s.label for s in some]) > 0, 1, -1),
        codes([s.group(unit) for s in some]),
        codes([f"{fold} {s.lang}" for fold, s in zip(folds, some, strict=True)]),
        pooled=False,
    )
    rivals = [Rival(carried.baseline_name, carried.baseline[part])]
    read = {name: carried.transfer.scores(name)[:, part] for name in carried.lexical}
    strongest = Hindsight.of({name: np.asarray(design.auroc(scores)) for name, scores in read.items()})
    if not strongest.is_luck:
        rivals.append(Rival(strongest.name, read[strongest.name][0], strongest.how))
    scores = carried.scores[:, part]
    measured = against_baselines(
        scores, np.asarray(design.auroc(scores)), rivals, design, run.rng("swap", subject.name, split)
    )
    chosen = max(dict.fromkeys(carried.chosen), key=carried.chosen.count)
    return finding(run, NAME, subject, measured, site=chosen, split=split, note=f"{note} {strongest.sentence}")
