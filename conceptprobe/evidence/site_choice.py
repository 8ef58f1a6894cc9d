"""Where two models are compared: the pair of sites at which ordinary kinds of words carry over best.

Kinds are the categories of the background pool, each against other pool words: none of them is the concept, and no word of
the target is read. So the choice is made on other words than those that are judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from conceptprobe.evidence.carry import Carry, Side
from conceptprobe.evidence.context import Subject
from conceptprobe.threads import two_at_a_time

LEAST_KINDS = 2
"""Kinds of words below which nothing can be said about what two models carry over."""
_At = tuple[str, str]
"""(model, site)."""


@dataclass(frozen=True)
class Chosen:
    """Two sites, and the mean AUROC of ordinary kinds of words carried over there, both ways: the highest of all pairs."""

    a: Side
    b: Side
    ordinary: float


def chosen_sites(carry: Carry, pairs: Sequence[tuple[Subject, Subject]]) -> list[Chosen]:
    """For each pair of models the sites of highest mean AUROC over kinds of words; the shallower of equals.

    Where the pool has too few kinds, the first sites, and nan.
    """
    if len(carry.yardsticks.items) < LEAST_KINDS:
        return [Chosen(Side(a, a.sites[0]), Side(b, b.sites[0]), float("nan")) for a, b in pairs]
    score = _scores(carry, pairs)
    found = []
    for a, b in pairs:
        options = [(Side(a, i), Side(b, j)) for i, j in product(a.sites, b.sites)]
        values = [(score[x.key, y.key] + score[y.key, x.key]) / 2.0 for x, y in options]
        best = int(np.argmax(values))
        found.append(Chosen(*options[best], values[best]))
    return found


def _scores(carry: Carry, pairs: Sequence[tuple[Subject, Subject]]) -> Mapping[tuple[_At, _At], float]:
    """(source, target) -> mean AUROC over kinds, for every site of every pair's models."""
    sides = list({s.key: s for pair in pairs for subject in pair for s in _sides(subject)}.values())
    partners: dict[str, set[str]] = {}
    for a, b in pairs:
        partners.setdefault(a.name, set()).add(b.name)
        partners.setdefault(b.name, set()).add(a.name)
    asked = two_at_a_time(lambda side: carry.set_columns(side, carry.yardsticks), sides)
    columns = dict(zip((side.key for side in sides), asked, strict=True))

    def read(target: Side) -> dict[tuple[_At, _At], float]:
        # All sources side by side: what the target's space costs is paid once.
        sources = [key for key in columns if key[0] in partners[target.subject.name]]
        together = np.concatenate([columns[key] for key in sources], axis=2)
        values = carry.set_aurocs(together, target, carry.yardsticks, roughly=True).mean(axis=1)
        return {(source, target.key): float(value) for source, value in zip(sources, values, strict=True)}

    return {at: value for found in two_at_a_time(read, sides) for at, value in found.items()}


def _sides(subject: Subject) -> list[Side]:
    return [Side(subject, site) for site in subject.sites]
