"""How fast all pairs of sites are beside a loop over pairs, with equal results: `python benchmarks/alignment.py [--write]`.

13 x 13 sites, n = 1024, d = 768, two rivals, given the features in the same precision and each written from its formula:

- plain: a competent loop over pairs. Grams or neighbour lists of both sites for every pair, by BLAS and argpartition.
- published: the style of published code. trace(KHLH) with an explicit H, or the unbiased estimator with the product KL (Song et
  al. 2012); neighbours by a full argsort, compared as n x n masks (Huh et al. 2024), in torch as published and,
  without a target, in numpy, whose sort is vectorised.

Then a null of 200 permutations: against the plain loop asked again for every permutation, and, without a target, against the
registered metric that prepares each site once and permutes pair by pair. A rival that takes long is timed on a random sample of
pairs and permutations, drawn anew each round; its rate per comparison is what counts.

Both sides run in one process, on the same number of threads, in interleaved rounds; results are compared first, and a
difference ends the run. Ratios are medians over rounds, with the lowest and the highest.

`--large [--n N] [--sites S] [--d D]`: the streamed map of S x S sites from memory-mapped files, its time and its peak of
anonymous memory. `--growth`: the same at several n, with what the rate says about n = 20,000, 33 x 33 sites and d = 4096.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from large_alignment import growth, large
from side_by_side import Row, interleaved, machine, missed, row, write
from threadpoolctl import threadpool_limits

from conceptprobe import registry
from conceptprobe.alignment.pairs import all_pairs

_RESULTS = Path(__file__).parent / "results" / "alignment.md"
_K = 10
"""Neighbours."""
_METRICS = ("cka", "cka_biased", "rbf_cka", "mutual_knn")

Compare = Callable[[np.ndarray, np.ndarray], float]


def gram(x: np.ndarray) -> np.ndarray:
    """Linear Gram of centred rows."""
    z = x - x.mean(axis=0)
    return z @ z.T


def gaussian(x: np.ndarray) -> np.ndarray:
    """RBF kernel, sigma being the median distance."""
    inner = gram(x)
    length = np.diagonal(inner)
    squared = np.maximum(length[:, None] + length - 2 * inner, 0)
    median = np.median(squared[np.triu_indices(len(x), 1)])
    return np.exp(-squared / (2 * median))


def plain_debiased(kernel: Callable[[np.ndarray], np.ndarray]) -> Compare:
    """Song et al. (2012), eq. 5, without any product of n x n matrices."""

    def hsic(k: np.ndarray, m: np.ndarray, sums_k: np.ndarray, sums_m: np.ndarray) -> float:
        n = len(k)
        total = sums_k.sum() * sums_m.sum() / ((n - 1) * (n - 2))
        return float(np.vdot(k, m) + total - 2 * (sums_k @ sums_m) / (n - 2))

    def compare(x: np.ndarray, y: np.ndarray) -> float:
        k, m = kernel(x), kernel(y)
        np.fill_diagonal(k, 0)
        np.fill_diagonal(m, 0)
        a, b = k.sum(axis=1), m.sum(axis=1)
        return hsic(k, m, a, b) / np.sqrt(hsic(k, k, a, a) * hsic(m, m, b, b))

    return compare


def plain_biased(x: np.ndarray, y: np.ndarray) -> float:
    """Kornblith et al. (2019): centred features have centred Grams."""
    k, m = gram(x), gram(y)
    return float(np.vdot(k, m) / (np.linalg.norm(k) * np.linalg.norm(m)))


def cosines(x: np.ndarray) -> np.ndarray:
    """Cosines about the mean, nobody being their own neighbour."""
    z = x - x.mean(axis=0)
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    likeness = z @ z.T
    np.fill_diagonal(likeness, -np.inf)
    return likeness


def plain_knn(x: np.ndarray, y: np.ndarray) -> float:
    """Lists by argpartition, compared entry by entry."""
    a, b = (np.argpartition(cosines(z), -_K, axis=1)[:, -_K:] for z in (x, y))
    return float((a[:, :, None] == b[:, None, :]).sum() / a.size)


def published_debiased(kernel: Callable[[np.ndarray], np.ndarray]) -> Compare:
    """The three terms of the unbiased estimator with the product KL written out."""

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        n = len(k)
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        first = np.sum(k * m.T) + np.sum(k) * np.sum(m) / ((n - 1) * (n - 2))
        return float((first - 2 * np.sum(k @ m) / (n - 2)) / (n * (n - 3)))

    def compare(x: np.ndarray, y: np.ndarray) -> float:
        k, m = kernel(x), kernel(y)
        return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))

    return compare


def published_biased(x: np.ndarray, y: np.ndarray) -> float:
    """trace(KHLH) over the root of trace(KHKH) trace(LHLH), with H as a matrix."""
    k, m = x @ x.T, y @ y.T
    h = (np.eye(len(x)) - 1 / len(x)).astype(x.dtype)
    km, kk, mm = (np.trace(p @ h @ q @ h) for p, q in ((k, m), (k, k), (m, m)))
    return float(km / np.sqrt(kk * mm))


def published_knn(x: np.ndarray, y: np.ndarray) -> float:
    """Everybody sorted for everybody, lists as masks over all pairs of items."""
    rows, masks = np.arange(len(x))[:, None], []
    for z in (x, y):
        mask = np.zeros((len(z), len(z)), dtype=z.dtype)
        mask[rows, np.argsort(-cosines(z), axis=1)[:, :_K]] = 1
        masks.append(mask)
    return float(((masks[0] * masks[1]).sum(axis=1) / _K).mean())


def published_knn_torch(x: np.ndarray, y: np.ndarray) -> float:
    """The same in torch."""
    rows, masks = torch.arange(len(x))[:, None], []
    for given in (x, y):
        z = torch.from_numpy(given)
        z = torch.nn.functional.normalize(z - z.mean(dim=0), dim=-1)
        nearest = (z @ z.T).fill_diagonal_(-1e8).argsort(dim=1, descending=True)[:, :_K]
        mask = torch.zeros(len(z), len(z))
        mask[rows, nearest] = 1.0
        masks.append(mask)
    return float(((masks[0] * masks[1]).sum(dim=1) / _K).mean())


RIVALS: dict[str, dict[str, Compare]] = {
    "plain": {
        "cka": plain_debiased(gram),
        "cka_biased": plain_biased,
        "rbf_cka": plain_debiased(gaussian),
        "mutual_knn": plain_knn,
    },
    "published": {
        "cka": published_debiased(gram),
        "cka_biased": published_biased,
        "rbf_cka": published_debiased(gaussian),
        "mutual_knn": published_knn_torch,
    },
    "published, in numpy": {"mutual_knn": published_knn},
}


def stacks(sites: int, n: int, d: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two models whose sites share a latent space less and less with depth."""
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((n, 48))

    def one(share: float) -> np.ndarray:
        return (share * latent @ rng.standard_normal((48, d)) / 7 + rng.standard_normal((n, d))).astype(dtype)

    shares = np.linspace(1.0, 0.1, sites)
    return np.stack([one(s) for s in shares]), np.stack([one(s) for s in shares])


def check(name: str, a: np.ndarray, b: np.ndarray, permutations: np.ndarray) -> str:
    """Ours against the plain formula in float64, four pairs of every site and a sample of the null; rivals as timed, too."""
    rng = np.random.default_rng(1)
    ours, plain = all_pairs(a, b, name, k=_K), RIVALS["plain"][name]
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    at = [(i % len(a), (i + shift) % len(b)) for i in range(max(len(a), len(b))) for shift in range(min(4, len(b)))]
    error = max(abs(ours.value[i, j] - plain(wide_a[i], wide_b[j])) for i, j in at)
    for order, null in zip(permutations, all_pairs(a, b, name, k=_K, permutations=permutations[:3]).null, strict=False):
        i, j = rng.integers(len(a)), rng.integers(len(b))
        error = max(error, abs(null[i, j] - plain(wide_a[i], wide_b[j][order])))
    timed = {
        side: max(abs(ours.value[i, i] - rivals[name](a[i], b[i])) for i in range(min(len(a), len(b))))
        for side, rivals in RIVALS.items()
        if name in rivals
    }
    if not error < 1e-6 or not max(timed.values()) < 2e-3:
        raise SystemExit(f"{name}: {error:.3g} from the formula in float64; rivals as timed {timed}")
    return f"{error:.0e} from the formula in float64; {a.dtype} rivals from ours: " + ", ".join(
        f"{side} {difference:.0e}" for side, difference in timed.items()
    )


def maps(a: np.ndarray, b: np.ndarray, rounds: int, checks: dict[str, str], sample: tuple[int, int]) -> list[Row]:
    """Values alone."""
    rng, rows = np.random.default_rng(2), []
    pairs = len(a) * len(b)
    for name in _METRICS:

        def ours(name: str = name) -> int:
            all_pairs(a, b, name, k=_K, dtype=a.dtype.type)
            return pairs

        def rival(compare: Compare, count: int) -> int:
            for at in rng.choice(pairs, size=count, replace=False):
                compare(a[at // len(b)], b[at % len(b)])
            return count

        sides: dict[str, Callable[[], int]] = {"ours": ours}
        sizes = {}
        for side, rivals in RIVALS.items():
            if name in rivals:
                sizes[side] = min(pairs, sample[0] if side == "plain" else sample[1])
                sides[side] = partial(rival, rivals[name], sizes[side])
        rates = interleaved(rounds, sides)
        for side, size in sizes.items():
            against = f"{side}, {size} random pairs a round"
            target = {"plain": 9.0, "published": 30.0}.get(side, 0.0)
            rows.append(row(name, against, pairs, rates["ours"], rates[side], target, checks[name]))
    return rows


def nulls(
    a: np.ndarray, b: np.ndarray, permutations: np.ndarray, rounds: int, checks: dict[str, str], sample: int
) -> list[Row]:
    """Values and nulls."""
    rng, rows = np.random.default_rng(3), []
    total = len(a) * len(b) * (1 + len(permutations))
    for name in _METRICS:
        metric = registry.get("metric", name)

        def ours(name: str = name) -> int:
            all_pairs(a, b, name, k=_K, permutations=permutations, dtype=a.dtype.type)
            return total

        def again(name: str = name) -> int:
            for _ in range(sample):
                order = permutations[rng.integers(len(permutations))]
                RIVALS["plain"][name](a[rng.integers(len(a))], b[rng.integers(len(b))][order])
            return sample

        ready = [metric.prepare(a[0]), metric.prepare(b[0])]

        def registered(metric: Any = metric, ready: list[Any] = ready) -> int:
            metric.null(*ready, permutations[:20])
            return min(20, len(permutations))

        rates = interleaved(rounds, {"ours": ours, "again": again, "registered": registered})
        what = f"{name}, null of {len(permutations)}"
        against = f"plain, for every permutation, {sample} random ones a round"
        rows.append(row(what, against, total, rates["ours"], rates["again"], 80.0, checks[name]))
        against = "registered metric, sites prepared free of charge, float64, 20 permutations of a pair a round"
        rows.append(row(what, against, total, rates["ours"], rates["registered"], 0.0, checks[name]))
    return rows


def table(rows: list[Row]) -> str:
    """Markdown: comparisons, rates, ratios and what was compared before."""
    lines = [
        "| metric | against | comparisons | ours, s | ours per s | theirs per s | ratio (range) | target |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.what} | {r.against} | {r.fits:,} | {r.fits / r.ours_per_s:.2f} | {r.ours_per_s:,.0f} | {r.theirs_per_s:,.1f} "
        f"| **{r.ratio:.3g}** ({r.low:.3g} to {r.high:.3g}) | {f'{r.target:g}' if r.target else ''} |"
        for r in rows
    ]
    checks = dict.fromkeys(f"- {r.what.split(',')[0]}: {r.check}." for r in rows)
    return "\n".join([*lines, "", "Compared before timing (largest differences):", "", *checks])


def main() -> int:
    """Run what was asked for; exit 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--write", action="store_true", help=f"write what was measured to {_RESULTS.name}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--permutations", type=int, default=200)
    parser.add_argument(
        "--threads", type=int, default=None, help="of linear algebra: 1, and 2 for --large and --growth"
    )
    parser.add_argument("--double", action="store_true", help="float64 on both sides, instead of float32")
    parser.add_argument("--only", choices=["maps", "nulls"])
    parser.add_argument("--large", action="store_true", help="the streamed map")
    parser.add_argument("--growth", action="store_true", help="the streamed map at several n")
    parser.add_argument("--n", type=int, default=None, help="items: 1024, or 20,000 with --large")
    parser.add_argument("--sites", type=int, default=None, help="of each model: 13, 33 with --large, 3 with --growth")
    parser.add_argument("--d", type=int, default=None, help="dimensions: 768, or 4096 with --large and --growth")
    parser.add_argument("--memory", type=float, default=6e9, help="bytes for the arrays of the streamed map")
    parser.add_argument("--limit", type=float, default=8e9, help="bytes of anonymous memory the process may have")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where --large puts its inputs (default: a temporary one)"
    )
    asked = parser.parse_args()
    streamed = asked.large or asked.growth
    threads = asked.threads or (2 if streamed else 1)
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        if streamed:
            if asked.large:
                n, sites = asked.n or 20_000, asked.sites or 33
                found = [large(n, sites, asked.d or 4096, asked.memory, asked.folder)]
            else:
                found = growth([1000, 2000, 4000], asked.sites or 3, asked.d or 4096, asked.memory, asked.folder)
            print(json.dumps([asdict(f) for f in found], indent=1) if asked.json else "\n".join(map(str, found)))
            print(machine(threads), file=sys.stderr)
            return int(any(f.anonymous > asked.limit for f in found))
        n = asked.n or 1024
        a, b = stacks(asked.sites or 13, n, asked.d or 768, np.float64 if asked.double else np.float32)
        rng = np.random.default_rng(4)
        permutations = np.stack([rng.permutation(n) for _ in range(asked.permutations)])
        checks = {name: check(name, a, b, permutations) for name in _METRICS}
        rows = [] if asked.only == "nulls" else maps(a, b, asked.rounds, checks, (39, 9))
        if asked.only != "maps":
            rows += nulls(a, b, permutations, asked.rounds, checks, 20)
    about = (
        f"{machine(threads)}. {len(a)} x {len(b)} sites, n = {n}, d = {a.shape[2]}, {a.dtype}, {asked.rounds} rounds"
    )
    record = {"about": about, "rows": [asdict(r) for r in rows]}
    print(json.dumps(record, indent=1) if asked.json else f"{table(rows)}\n\n{about}")
    if asked.write:
        head = "# All pairs of sites beside a loop over pairs\n\n`python benchmarks/alignment.py --write`. "
        write(_RESULTS, f"{head}{about}.", table(rows))
    return missed(rows)


if __name__ == "__main__":
    sys.exit(main())
