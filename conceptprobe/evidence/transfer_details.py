"""Detail rows beside the headline of question 3: other maps, the concept's direction, and how far it could have come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.alignment.orthogonal_map import ITEMS_PER_COMPONENT, Components, orthogonal_maps
from conceptprobe.alignment.transfer import probe_weights, probe_weights_of_many
from conceptprobe.evidence.carry import CELLS, Carry, Side
from conceptprobe.evidence.context import Subject
from conceptprobe.evidence.control_concepts import SIZE
from conceptprobe.evidence.finding import Finding
from conceptprobe.evidence.rows import NAN, Measured, finding, plainly, with_other
from conceptprobe.evidence.transferred import Between, Exchanges, Transfer, carried
from conceptprobe.stats.jackknife import jackknife_error
from conceptprobe.stats.ratio import ratio_of

if TYPE_CHECKING:
    from jaxtyping import Float

FEW_DRAWS = 99
"""Shuffled maps of rows whose every draw costs a decomposition."""
_AT = " @ "
"""Between a site and the number of a half of the frames."""


def transfer_details(carry: Carry, between: Between, found: Transfer, exchanges: Exchanges) -> list[Finding]:
    """Rows of one pair that counts: an orthogonal map, one map for all concepts, directions, and a share of the ceiling."""
    return [
        _orthogonal(carry, between, exchanges),
        *([_one_map(carry, between, found)] if len(found.controls) and len(carry.yardsticks.items) else []),
        _directions(carry, between, exchanges),
        *_of_other_frames(carry, between),
    ]


def _orthogonal(carry: Carry, between: Between, exchanges: Exchanges) -> Finding:
    """The same concept over a rotation of principal components in place of a ridge map."""
    pairings = exchanges.pairings[:FEW_DRAWS]
    ways = [_rotated(carry, *way, pairings) for way in between.ways]
    scores = np.mean([carry.windows.auroc(s) for s, _ in ways], axis=0)
    value, null = float(scores[0]), scores[1:]
    controls = np.mean([c for _, c in ways], axis=0)
    without = np.mean([carry.windows.auroc_without_each_unit(s[0]) for s, _ in ways], axis=0)
    rank = _rank(carry)
    return _row(
        carry,
        between,
        "auroc (carried probe, orthogonal map)",
        f"both ways, {rank} components, map from {len(carry.kept)} background words",
        value,
        float(controls.mean()) if len(controls) else 0.5,
        f"control concepts (mean of {len(controls)})" if len(controls) else "chance",
        jackknife_error(without),
        null,
        f"Better than {int((controls < value).sum())} of {len(controls)} control concepts over such maps. "
        f"{len(null)} shuffled maps.",
    )


def _rank(carry: Carry) -> int:
    return len(carry.kept) // ITEMS_PER_COMPONENT


def _components(carry: Carry, side: Side) -> Components:
    def make() -> Components:
        return Components(carry.space(side), _rank(carry))

    return carry.words.run.once(("components", carry.view, *side.key), make)


def _rotated(
    carry: Carry, source: Side, target: Side, pairings: np.ndarray
) -> tuple[Float[np.ndarray, "1+p cells t"], Float[np.ndarray, " s"]]:
    """Scores of the target's terms, then over shuffled maps; AUROC of every control concept."""
    x, y = _components(carry, source), _components(carry, target)
    sets, windows = carry.control_sets, carry.windows
    label = windows.label[None].astype(np.float64)
    weights = probe_weights(carry.space(source), carry.items, windows.train, label)
    directions = x.items[carry.items].T @ weights
    own = orthogonal_maps(x, y, carry.kept, pairings=pairings)
    scores = np.einsum("ti,kij,jc->kct", y.items[carry.items], own, directions, optimize=True)
    if not len(sets.items):
        return scores, np.zeros(0)
    rotations = orthogonal_maps(x, y, np.arange(carry.words.ground), without=sets.excluded)[1:]
    train = np.broadcast_to(carry.set_windows.train, (len(sets.items), *carry.set_windows.train.shape))
    learnt = probe_weights_of_many(carry.space(source), sets.items, train, carry.set_windows.label)
    of_sets = np.einsum("sin,nj->sji", learnt, x.items)
    read = np.einsum("sti,sij,sjc->sct", y.items[sets.items], rotations, of_sets, optimize=True)
    return scores, np.asarray(carry.set_windows.auroc(read))


def _one_map(carry: Carry, between: Between, found: Transfer) -> Finding:
    """One penalty for every concept, chosen on ordinary kinds of words: then the target and all others share one map."""
    values, controls, without = [], [], []
    for source, target in between.ways:
        of_kinds = carry.set_columns(source, carry.yardsticks)
        one = carry.space(target).whole.best_for_all(of_kinds.transpose(1, 0, 2).reshape(carry.words.ground, -1))
        columns = carry.asked(source, carry.windows.label[None].astype(np.float64))
        scores = carry.target_map(target).read(columns, carry.items, one).T
        values.append(float(carry.windows.auroc(scores)))
        without.append(carry.windows.auroc_without_each_unit(scores))
        sets = carry.control_sets
        read = carry.space(target).whole.read_without(carry.set_columns(source, sets), sets.excluded, 2 * SIZE, [one])
        controls.append(carry.set_windows.auroc(read.transpose(0, 2, 1)))
    value, others = float(np.mean(values)), np.mean(controls, axis=0)
    row = _row(
        carry,
        between,
        "auroc (carried probe, one map for all)",
        f"both ways, map from {len(carry.kept)} background words",
        value,
        float(others.mean()),
        f"control concepts (mean of {len(others)})",
        jackknife_error(np.mean(without, axis=0)),
        others,
        f"One penalty for all concepts, chosen on ordinary kinds of words; each by itself: {found.auroc:.2f}. Better than "
        f"{int((others < value).sum())} of {len(others)} control concepts, whose spread is the null.",
    )
    return row


def _directions(carry: Carry, between: Between, exchanges: Exchanges) -> Finding:
    """Does the direction learnt in one model land on the one learnt in the other, from other units?"""
    pairings = exchanges.pairings[:FEW_DRAWS]

    def landed(pair: Between, draws: np.ndarray) -> Float[np.ndarray, " 1+draws"]:
        return np.mean([_cosines(carry, *way, draws) for way in pair.ways], axis=0)

    cosines = landed(between, pairings)
    none = pairings[:0]
    twins = {who: [float(landed(pair, none)[0]) for pair in pairs] for who, pairs in between.twins().items()}
    sides = [(float(np.mean(v)), f"{len(v)} twins of {who.name}") for who, v in twins.items() if v]
    reference, whose = max(sides, default=(0.0, "none"))
    return _row(
        carry,
        between,
        "cosine (mapped direction)",
        f"both ways, map from {len(carry.kept)} background words",
        float(cosines[0]),
        max(reference, 0.0),
        f"random twins ({whose})" if reference > 0 else "no relation",
        float(np.std(cosines[1:], ddof=1)),
        cosines[1:],
        f"Directions are learnt from disjoint units, so no word is in both. {len(pairings)} shuffled maps, whose spread "
        "stands for the error.",
    )


def _cosines(carry: Carry, source: Side, target: Side, pairings: np.ndarray) -> Float[np.ndarray, " 1+p"]:
    windows = carry.windows
    label = windows.label[None].astype(np.float64)
    columns = carry.asked(source, label)
    shuffled = columns[pairings].transpose(1, 0, 2).reshape(len(columns), -1)
    mapped = carry.target_map(target).directions(np.hstack([columns, shuffled]))
    space = carry.space(target)
    own = space.rows[carry.items].T @ probe_weights(space, carry.items, ~windows.train, label)
    mapped = mapped.reshape(len(mapped), -1, CELLS)
    lengths = np.linalg.norm(mapped, axis=0) * np.linalg.norm(own, axis=0)
    cosines: Float[np.ndarray, " 1+p"] = (np.einsum("dkc,dc->kc", mapped, own) / np.maximum(lengths, 1e-300)).mean(
        axis=1
    )
    return cosines


def _of_other_frames(carry: Carry, between: Between) -> list[Finding]:
    """What the pair carries over as a share of what either model carries to itself, in other frames of the same words.

    Both are measured on halves of the frames, one half here and the other there, so that both have the same noise.
    """
    frames = carry.words.frames
    if len(frames) < 2:
        return []
    halves = Carry(carry.words, _by_half(carry), "halves of the frames")
    here, there = ([replace(s, site=f"{s.site}{_AT}{half}") for half in range(2)] for s in (between.a, between.b))
    across = [replace(between, a=here[i], b=there[1 - i]) for i in range(2)]
    within = [replace(between, a=one, b=other) for one, other in (here, there)]
    value, ceiling = ([carried(halves, pair) - 0.5 for pair in pairs] for pairs in (across, within))
    left = [np.mean([_without(halves, pair) for pair in pairs], axis=0) - 0.5 for pairs in (across, within)]
    return _share_of_ceiling(
        carry,
        between,
        (float(np.mean(value)), float(np.mean(ceiling))),
        (left[0], left[1]),
        "the same models in other frames",
    )


def over_siblings(
    carry: Carry, between: Between, found: Transfer, siblings: Sequence[tuple[Between, Transfer]]
) -> list[Finding]:
    """The pair's share of what one of its models carries to a sibling: the same architecture, trained anew."""
    rows = []
    own = {between.a.subject.name, between.b.subject.name}
    for pair, ceiling in siblings:
        names = (pair.a.subject.name, pair.b.subject.name)
        if len(own & set(names)) != 1:
            continue
        values = (found.auroc - 0.5, ceiling.auroc - 0.5)
        without = (found.without - 0.5, ceiling.without - 0.5)
        rows += _share_of_ceiling(carry, between, values, without, f"the siblings {names[0]} and {names[1]}")
    return rows


def are_siblings(a: Subject, b: Subject) -> bool:
    """One architecture and size, other weights."""
    return a.info.sha256 != b.info.sha256 and (a.info.family, a.info.n_layers, a.info.d_model, a.info.n_params) == (
        b.info.family,
        b.info.n_layers,
        b.info.d_model,
        b.info.n_params,
    )


def _share_of_ceiling(
    carry: Carry,
    between: Between,
    values: tuple[float, float],
    without: tuple[Float[np.ndarray, " units"], Float[np.ndarray, " units"]],
    what: str,
) -> list[Finding]:
    """(AUROC - 0.5) of the pair over that of a ceiling, by Fieller; nothing where the ceiling is not clearly above chance."""
    smallest = carry.words.run.smallest_effect["shared"]
    ratio = ratio_of(*values, *without, smallest)
    if ratio is None:
        return []
    told = Measured(
        ratio.value,
        0.0,
        "nothing carried",
        ratio.ci_low,
        ratio.ci_high,
        NAN,
        NAN,
        NAN,
        len(carry.items),
        carry.windows.n_units,
        1.0,
    )
    note = (
        f"{0.5 + values[0]:.2f} between the two, {0.5 + values[1]:.2f} for {what}; each less chance. Interval by Fieller. "
        "A ratio carries no verdict."
    )
    row = finding(
        carry.words.run,
        "shared",
        between.a.subject,
        told,
        site=between.a.site,
        metric="share of the ceiling",
        split=what,
        note=note,
    )
    return [with_other(row, between.b.subject, between.b.site)]


def _without(carry: Carry, between: Between) -> Float[np.ndarray, " units"]:
    label = carry.windows.label[None].astype(np.float64)
    scores = [carry.target(*way, label)[0] for way in between.ways]
    left: Float[np.ndarray, " units"] = np.mean([carry.windows.auroc_without_each_unit(s) for s in scores], axis=0)
    return left


def _by_half(carry: Carry) -> Callable[[Subject, str], Float[np.ndarray, "n d"]]:
    frames = carry.words.frames

    def rows(subject: Subject, site: str) -> Float[np.ndarray, "n d"]:
        name, _, half = site.partition(_AT)
        return carry.words.vectors(subject, name, frames[int(half) :: 2])

    return rows


def _row(
    carry: Carry,
    between: Between,
    metric: str,
    split: str,
    value: float,
    reference: float,
    kind: str,
    error: float,
    null: Sequence[float] | Float[np.ndarray, " draws"],
    note: str,
) -> Finding:
    """A row with a plain interval, value - reference -+ 1.96 errors."""
    told = plainly(value, reference, kind, error, np.asarray(null), n=len(carry.items), units=carry.windows.n_units)
    run = carry.words.run
    row = finding(run, "shared", between.a.subject, told, site=between.a.site, metric=metric, split=split, note=note)
    return with_other(row, between.b.subject, between.b.site)
