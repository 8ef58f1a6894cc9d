"""Numbers behind figures of question 3: the headline at every pair of sites, and at fewer words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.alignment.transfer import RidgeMap
from conceptprobe.evidence.carry import CELLS, Carry, Side
from conceptprobe.evidence.geometry import Spaces
from conceptprobe.evidence.transferred import METRIC, Between, Exchanges, Transfer
from conceptprobe.stats.maxstat import max_statistic

if TYPE_CHECKING:
    from jaxtyping import Float

MAP_DRAWS = 99
"""Shuffled maps, the same for all pairs of sites."""
SUBSAMPLES = 8
"""Sets of words drawn at each size."""
SHARES = (8, 4, 2)
"""All words divided by these, and all of them, are the sizes."""
SHUFFLES = 9
"""Shuffled maps per set of words."""


def site_map(carry: Carry, between: Between, exchanges: Exchanges) -> list[dict[str, Any]]:
    """AUROC of the carried probe at every pair of sites, both ways, and which survive the maximum statistic over the map."""
    a, b = between.a.subject, between.b.subject
    pairings = exchanges.pairings[:MAP_DRAWS]
    there, back = (
        _read(carry, a.sites, b.sites, between, pairings),
        _read(carry, b.sites, a.sites, replace(between, a=between.b, b=between.a), pairings),
    )
    both = (there + back.transpose(0, 2, 1)) / 2.0
    value, null = both[0], both[1:]
    found = max_statistic(value, null)
    controls = carry.words.control_concepts.count
    return [
        {
            "model_a": a.name,
            "model_b": b.name,
            "site_a": site_a,
            "site_b": site_b,
            "metric": METRIC,
            "value": float(value[i, j]),
            "null_mean": float(null[:, i, j].mean()),
            "z": float(found.z[i, j]),
            "p": float(found.p[i, j]),
            "survives": bool(found.survives[i, j]),
            "permutations": len(null),
            "n": len(carry.items),
            "controls": controls,
        }
        for i, site_a in enumerate(a.sites)
        for j, site_b in enumerate(b.sites)
    ]


def _read(
    carry: Carry, sources: tuple[str, ...], targets: tuple[str, ...], between: Between, pairings: np.ndarray
) -> Float[np.ndarray, "1+p sources targets"]:
    """All sources side by side: what the target's space costs is paid once."""
    label = carry.windows.label[None].astype(np.float64)
    columns = []
    for site in sources:
        own = carry.asked(Side(between.a.subject, site), label)
        columns.append(np.hstack([own, own[pairings].transpose(1, 0, 2).reshape(len(own), -1)]))
    together = np.hstack(columns)
    out = np.empty((1 + len(pairings), len(sources), len(targets)))
    for j, site in enumerate(targets):
        read = carry.target_map(Side(between.b.subject, site)).read(together, carry.items)
        scores = read.reshape(len(read), len(sources), -1, CELLS).transpose(1, 2, 3, 0)
        out[:, :, j] = np.asarray(carry.windows.auroc(scores)).T
    return out


def against_n(carry: Carry, between: Between, found: Transfer) -> list[dict[str, Any]]:
    """The headline and local alignment with fewer background words, their nulls at the same sizes beside them."""
    rng = carry.words.run.rng("sizes", between.a.subject.name, between.b.subject.name)
    words = len(carry.kept)
    records = []
    for n in sorted({max(words // share, 20) for share in SHARES if words // share >= 20}):
        drawn = [rng.choice(words, n, replace=False) for _ in range(SUBSAMPLES)]
        values = np.array([_at(carry, between, places, rng) for places in drawn])
        local = np.array([_neighbours(carry, between, carry.kept[places], rng) for places in drawn])
        records += [_record(between, METRIC, n, values), _record(between, "mutual_knn", n, local)]
    whole = np.array([[found.auroc, float(found.map_null.mean())]])
    rows = carry.kept
    return [
        *records,
        _record(between, METRIC, words, whole),
        _record(between, "mutual_knn", words, np.array([_neighbours(carry, between, rows, rng)])),
    ]


def _record(between: Between, metric: str, n: int, values: Float[np.ndarray, "k 2"]) -> dict[str, Any]:
    return {
        "model_a": between.a.subject.name,
        "model_b": between.b.subject.name,
        "site_a": between.a.site,
        "site_b": between.b.site,
        "metric": metric,
        "n": n,
        "mean": float(values[:, 0].mean()),
        "sd": float(values[:, 0].std(ddof=1)) if len(values) > 1 else float("nan"),
        "null_mean": float(values[:, 1].mean()),
    }


def _at(carry: Carry, between: Between, places: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """AUROC over a map fitted on some of the kept words, and its mean over shuffled pairings of these."""
    label = carry.windows.label[None].astype(np.float64)
    found = []
    for source, target in between.ways:
        own = carry.asked(source, label)[places]
        shuffled = [own[rng.permutation(len(own))] for _ in range(SHUFFLES)]
        reduced = RidgeMap(carry.space(target), carry.kept[places])
        read = reduced.read(np.hstack([own, *shuffled]), carry.items)
        scores = read.reshape(len(read), -1, CELLS).transpose(1, 2, 0)
        aurocs = carry.windows.auroc(scores)
        found.append((float(aurocs[0]), float(aurocs[1:].mean())))
    return float(np.mean([f[0] for f in found])), float(np.mean([f[1] for f in found]))


def _neighbours(carry: Carry, between: Between, pool: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Mutual kNN of the concept's words among these pool words and the terms, and its mean over renamings."""
    rows = np.concatenate([pool, carry.items])
    spaces = Spaces(
        carry.words.run,
        "words",
        carry.words.focus[rows],
        lambda subject, site: carry.space(Side(subject, site)).rows[rows],
    )
    tool, a = spaces.prepared(between.a.subject, between.a.site, "mutual_knn")
    _, b = spaces.prepared(between.b.subject, between.b.site, "mutual_knn")
    orders = np.array([rng.permutation(len(rows)) for _ in range(SHUFFLES)])
    return tool.compare(a, b, spaces.focus), float(tool.null(a, b, orders, spaces.focus).mean())
