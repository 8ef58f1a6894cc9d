"""Control concepts: sets of pool words that hang together as words of a concept do, against which the concept is measured.

Drawn by a fixed rule from word statistics alone, before any model is read. A set grows from one word of the pool through the
words that stand in the same places of texts (cosine of co-occurrence vectors about the pool's mean), as far as the set's mean
frequency, length and concreteness stay near those of the target's words and it shares no more than a fifth of its words with
any other set. Each word has a control word matched in the same three properties. What is left unmatched stands in a table of
balance, and so does how closely the words of a set hang together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.stats.seeds import generator

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

SETS = 99
"""Control concepts: the smallest p of an excess over them is 1 / (SETS + 1)."""
SIZE = 10
"""Words of a set, and of its controls."""
NEAREST = 20
"""Nearest words of a concept that its map may not rest on, either."""
EXCLUDED = 2 * SIZE + NEAREST
"""Words that no map of a concept rests on: its own and the nearest. Of the target, whose words are not in the pool, the
nearest alone: so every map rests on as many words."""
PROPERTIES = ("frequency", "length", "concreteness")
_OVERLAP = SIZE // 5
CALIPERS = (0.5, 1.0, 1.5, 2.0)
"""Largest difference of a set's mean from the target's, in standard deviations over the pool; a wider one only where sets run
out."""
UNMATCHED = 1.0
"""Standard deviations of the pool by which control concepts may differ from the target on average, to match it at all."""
_REACH = 80
"""How far down the list of the seed's neighbours a set may look."""
_FREE = 3
"""Words of a set before its means have to stay close: fewer say little about a mean."""


@dataclass(frozen=True)
class ControlConcepts:
    """S sets. positives, controls [S, SIZE] and excluded [S, EXCLUDED] are places in the pool; excluded begins with the
    positives and controls. around_target: the EXCLUDED words of the pool nearest to the target.

    balance: one record per property, the target's mean beside the sets'. caliper: the widest that was needed.
    """

    positives: Int[np.ndarray, "s w"]
    controls: Int[np.ndarray, "s w"]
    excluded: Int[np.ndarray, "s e"]
    around_target: Int[np.ndarray, " e"]
    balance: tuple[dict[str, Any], ...]
    caliper: float

    @property
    def count(self) -> int:
        """Number of sets that could be drawn."""
        return len(self.positives)

    @property
    def shortfall(self) -> str:
        """Why an excess over these sets could not be trusted; or empty."""
        if self.count < SETS:
            return (
                f"only {self.count} of {SETS} matched control concepts could be drawn from the pool, so no excess over "
                "them can be told."
            )
        for record in self.balance:
            if record["property"] in PROPERTIES and abs(record["difference_in_sd"]) > UNMATCHED:
                return (
                    f"the control concepts differ from the concept in {record['property']} by "
                    f"{abs(record['difference_in_sd']):.1f} standard deviations of the pool, so an excess may be that."
                )
        together = next(b for b in self.balance if b["property"] == "coherence")
        if together["target"] > together["controls_q95"]:
            return (
                f"the concept's words hang together more ({together['target']:.2f}, mean cosine of co-occurrence vectors) "
                f"than those of 95% of the control concepts ({together['controls_q95']:.2f}), so an excess may be that."
            )
        return ""


def draw_control_concepts(
    pool: Float[np.ndarray, "m d"],
    target: Float[np.ndarray, "t d"],
    pool_properties: Float[np.ndarray, "m p"],
    target_properties: Float[np.ndarray, "t p"],
) -> ControlConcepts:
    """Sets for a target.

    pool, target: co-occurrence vectors of the pool's words and of the target's positive words, rows of zeros where a word is
    unknown; unknown words stay out of sets. properties: in the order of PROPERTIES, nan where unknown.
    """
    return _drawn(*(_Frozen.of(x) for x in (pool, target, pool_properties, target_properties)))


@dataclass(frozen=True)
class _Frozen:
    """An array that can be a key: the rule is asked again for the same words, by every replication of a calibration."""

    content: bytes
    shape: tuple[int, ...]

    @classmethod
    def of(cls, x: np.ndarray) -> _Frozen:
        return cls(np.ascontiguousarray(x, dtype=np.float64).tobytes(), x.shape)

    @property
    def array(self) -> np.ndarray:
        return np.frombuffer(self.content).reshape(self.shape)


@lru_cache(maxsize=8)
def _drawn(*frozen: _Frozen) -> ControlConcepts:
    pool, target, pool_properties, target_properties = (f.array for f in frozen)
    near = _Likeness(pool, target)
    z, goal = _standardised(pool_properties, target_properties)
    usable = near.known & np.isfinite(z).all(axis=1)
    order = generator(0, "control concepts").permutation(np.flatnonzero(usable))
    sets: list[list[int]] = []
    caliper = CALIPERS[0]
    # Fewer words would not hold a set, its controls and its nearest.
    for caliper in CALIPERS if usable.sum() >= EXCLUDED else ():
        growth = _Growth(near.pool, (z - goal).tolist(), usable, caliper)
        growth.grow(order.tolist(), sets)
        if len(sets) == SETS:
            break
    positives = np.array(sets, dtype=np.int64).reshape(-1, SIZE)
    around = [near.around(words) for words in positives]
    controls = [_matched(words, order, z, usable) for words, order in zip(positives, around, strict=True)]
    excluded = [
        np.concatenate([words, others, _first(order, [*words, *others], NEAREST)])
        for words, others, order in zip(positives, controls, around, strict=True)
    ]
    return ControlConcepts(
        positives,
        np.array(controls, dtype=np.int64).reshape(-1, SIZE),
        np.array(excluded, dtype=np.int64).reshape(-1, EXCLUDED),
        near.around_target[:EXCLUDED],
        tuple(_balance(positives, near, pool_properties, target_properties)),
        caliper,
    )


class _Likeness:
    """Cosines about the pool's mean, among the pool and with the target."""

    def __init__(self, pool: np.ndarray, target: np.ndarray) -> None:
        self.known = np.linalg.norm(pool, axis=1) > 0
        mean = pool[self.known].mean(axis=0) if self.known.any() else pool.mean(axis=0)
        unit = _unit(pool - mean) * self.known[:, None]
        own = _unit(target[np.linalg.norm(target, axis=1) > 0] - mean)
        self.pool = unit @ unit.T
        self.target = own @ own.T
        to_target = unit @ own.sum(axis=0)
        self.around_target = np.argsort(np.where(self.known, -to_target, np.inf), kind="stable")

    def around(self, words: np.ndarray) -> Int[np.ndarray, " m"]:
        """The pool's words, those nearest to the set first."""
        return np.argsort(np.where(self.known, -self.pool[words].sum(axis=0), np.inf), kind="stable")


def _unit(x: np.ndarray) -> np.ndarray:
    unit: np.ndarray = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return unit


def _standardised(pool: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z of the pool's properties and of the target's mean; a property unknown or constant throughout asks for nothing."""
    z, goal = np.zeros(pool.shape), np.zeros(pool.shape[1])
    for column in range(pool.shape[1]):
        known, wanted = np.isfinite(pool[:, column]), np.isfinite(target[:, column])
        if not known.any() or not wanted.any() or np.ptp(pool[known, column]) == 0:
            continue
        mean, spread = pool[known, column].mean(), pool[known, column].std()
        z[:, column] = (pool[:, column] - mean) / spread
        goal[column] = (target[wanted, column].mean() - mean) / spread
    return z, goal


@dataclass(frozen=True)
class _Growth:
    """Growing sets under one caliper. away: z of every word's properties less the target's."""

    likeness: Float[np.ndarray, "m m"]
    away: list[list[float]]
    usable: Bool[np.ndarray, " m"]
    caliper: float

    def grow(self, seeds: Sequence[int], sets: list[list[int]]) -> None:
        """Append sets, at most one per seed, until there are SETS."""
        member: dict[int, list[int]] = {}
        for number, words in enumerate(sets):
            for word in words:
                member.setdefault(word, []).append(number)
        for seed in seeds:
            if len(sets) == SETS:
                return
            found = self._around(seed, member)
            if found:
                for word in found:
                    member.setdefault(word, []).append(len(sets))
                sets.append(found)

    def _around(self, seed: int, member: dict[int, list[int]]) -> list[int]:
        """A set that begins with `seed` and goes on to the nearest words that may follow; empty where there are too few."""
        reach = np.argsort(np.where(self.usable, -self.likeness[seed], np.inf), kind="stable")
        nearest = [w for w in reach[: min(_REACH, int(self.usable.sum()))].tolist() if w != seed]
        chosen: list[int] = []
        shared: dict[int, int] = {}
        total = [0.0] * len(self.away[seed])
        for word in [seed, *nearest]:
            if any(shared.get(other, 0) >= _OVERLAP for other in member.get(word, ())):
                continue
            after = [t + a for t, a in zip(total, self.away[word], strict=True)]
            if len(chosen) >= _FREE and self._strays(total, after, len(chosen)):
                continue
            chosen.append(word)
            total = after
            for other in member.get(word, ()):
                shared[other] = shared.get(other, 0) + 1
            if len(chosen) == SIZE:
                return chosen if max(map(abs, total)) <= self.caliper * SIZE else []
        return []

    def _strays(self, before: list[float], after: list[float], words: int) -> bool:
        """Would some mean leave the caliper, or go further away than it is?"""
        return any(
            abs(new) / (words + 1) > max(self.caliper, abs(old) / words) for old, new in zip(before, after, strict=True)
        )


def _matched(words: np.ndarray, around: np.ndarray, z: np.ndarray, usable: np.ndarray) -> Int[np.ndarray, " w"]:
    """For each word the one most like it in its properties, outside the set and its nearest, each taken once."""
    free = usable.copy()
    free[words] = False
    free[_first(around, words, NEAREST)] = False
    out = []
    for word in words:
        distance = np.where(free, ((z - z[word]) ** 2).sum(axis=1), np.inf)
        found = int(np.argmin(distance))
        free[found] = False
        out.append(found)
    return np.array(out)


def _first(order: np.ndarray, without: Sequence[int] | np.ndarray, count: int) -> Int[np.ndarray, " c"]:
    return order[~np.isin(order, np.asarray(without))][:count]


def _balance(positives: np.ndarray, near: _Likeness, pool: np.ndarray, target: np.ndarray) -> list[dict[str, Any]]:
    """The target's mean, the mean and spread over sets of their means, and their difference in SD over the pool."""
    records = []
    for column, name in enumerate(PROPERTIES):
        own = target[:, column][np.isfinite(target[:, column])]
        known = np.isfinite(own).any() and np.isfinite(pool[:, column]).any()
        # Words that lack a property stand in sets only where the target lacks it, too, and nothing is matched.
        values = pool[:, column][positives].mean(axis=1) if known else np.zeros(0)
        spread = float(np.nanstd(pool[:, column])) if np.isfinite(pool[:, column]).any() else 0.0
        records.append(_record(name, float(own.mean()) if len(own) else float("nan"), values, spread))
    together = np.array([_together(near.pool[np.ix_(words, words)]) for words in positives])
    records.append(
        _record("coherence", _together(near.target), together, float(together.std()) if len(together) else 0.0)
    )
    return records


def _record(name: str, target: float, values: np.ndarray, spread: float) -> dict[str, Any]:
    mean = float(values.mean()) if len(values) else float("nan")
    return {
        "property": name,
        "target": target,
        "controls": mean,
        "controls_q05": float(np.quantile(values, 0.05)) if len(values) else float("nan"),
        "controls_q95": float(np.quantile(values, 0.95)) if len(values) else float("nan"),
        "difference_in_sd": (target - mean) / spread if spread > 0 else 0.0,
        "sets": len(values),
    }


def _together(cosines: np.ndarray) -> float:
    """Mean cosine of two different words; nan for fewer than two."""
    n = len(cosines)
    return float((cosines.sum() - np.trace(cosines)) / (n * (n - 1))) if n > 1 else float("nan")
