"""How fast the probes are beside scikit-learn, with equal results: `python benchmarks/probes.py [--json] [--write]`.

1. The headline of `encoded` with its nested null: seven sites, every outer and inner training set, 1 + 999 labellings. A fit is
   one training set under one labelling at one site. scikit-learn fits a random sample of these; it is given features that
   are standardised and the penalty, and is timed for `fit` and `decision_function` alone.
2. Logistic rows: six tasks (each with its own rows, or six labellings of one) x seven sites x fifteen cells. scikit-learn is
   given standardised features again; the batched solver standardises for itself.

Both sides run in one process, on the same number of threads, in interleaved rounds; results are compared first, and a
difference ends the run. Ratios are medians over rounds, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from probe_features import Task, tasks
from side_by_side import Row, interleaved, machine, missed, row, table, write
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from threadpoolctl import threadpool_limits

from conceptprobe.probes.crossfit import CrossFit, Selection, Space
from conceptprobe.probes.logistic import C, logistic_batch
from conceptprobe.probes.ridge import PENALTY, standardise
from conceptprobe.stats.design import Cell, Design
from conceptprobe.stats.relabel import exchanged_labels

_RESULTS = Path(__file__).parent / "results" / "probes.md"
_SAMPLE = 150
"""scikit-learn's fits per round of the headline: a random sample of all."""


def headline(task: Task, draws: int, rounds: int) -> list[Row]:
    """The nested null against RidgeClassifier in a loop, and against Ridge with all labellings as targets."""
    rng = np.random.default_rng(0)
    design = task.design
    labels = np.vstack([design.label, exchanged_labels(design, draws, rng)])
    sets = training_sets(design)
    prepared = {(site, key): prepare(design, x, key) for site, x in task.spaces.items() for key in sets}
    places = list(prepared)
    sign = labels[:, design.item].astype(np.float64)

    def ours() -> int:
        cross_fit(task, labels)
        return len(places) * len(labels)

    def classifier(**how: Any) -> int:
        for i in rng.integers(len(places), size=_SAMPLE):
            fit = prepared[places[i]]
            y = sign[rng.integers(len(sign)), fit.train]
            RidgeClassifier(alpha=fit.alpha, **how).fit(fit.z_train, y).decision_function(fit.z_test)
        return _SAMPLE

    def multi_target() -> int:
        picked = rng.integers(len(places), size=max(3, len(places) // 20))
        for i in picked:
            fit = prepared[places[i]]
            Ridge(alpha=fit.alpha).fit(fit.z_train, sign[:, fit.train].T).predict(fit.z_test)
        return len(picked) * len(sign)

    check = same_headline(task, labels, cross_fit(task, labels))
    sides = {"ours": ours, "loop": classifier, "multi": multi_target}
    # Of its other solvers for dense rows, the fastest here at the same result.
    sides["lsqr"] = lambda: classifier(solver="lsqr", tol=1e-8)
    rates = interleaved(rounds, sides)
    fits, what = len(places) * len(labels), f"headline, nested null of {draws} draws, 7 sites"
    return [
        row(what, "RidgeClassifier, one fit per labelling", fits, rates["ours"], rates["loop"], 100.0, check),
        row(what, "the same, solver lsqr, tol 1e-8", fits, rates["ours"], rates["lsqr"], 100.0, check),
        row(what, "Ridge, all labellings as targets of one fit", fits, rates["ours"], rates["multi"], 0.0, check),
    ]


def cross_fit(task: Task, labels: np.ndarray) -> tuple[CrossFit, Selection]:
    """Every site in every cell, outer and inner, under every labelling, and the choice among them."""
    fit = CrossFit(task.design, labels)
    for site, x in task.spaces.items():
        fit.add(site, Space(x))
    return fit, fit.select(list(task.spaces))


def training_sets(design: Design) -> list[tuple[Cell, ...]]:
    """Each distinct training set of the nested scheme, by the cells it avoids: one, or two that share no fold."""
    pairs = [(a, b) for a, b in combinations(design.cells, 2) if design.is_inner(a, b)]
    # Which of two folds goes with which of two template folds makes no difference to the rows avoided.
    distinct = {design.train_rows(*pair).tobytes(): pair for pair in pairs}
    return [*((cell,) for cell in design.cells), *distinct.values()]


@dataclass(frozen=True)
class Prepared:
    """What scikit-learn is given for one training set at one site, free of charge."""

    train: np.ndarray
    z_train: np.ndarray
    z_test: np.ndarray
    alpha: float


def prepare(design: Design, x: np.ndarray, avoid: tuple[Cell, ...]) -> Prepared:
    """Standardised rows in float64; the test rows are those of the last cell avoided."""
    train, test = np.flatnonzero(design.train_rows(*avoid)), np.flatnonzero(design.test_rows(avoid[-1]))
    z_train, z_test = standardise(x[train].astype(np.float64), x[test].astype(np.float64))
    return Prepared(train, z_train, z_test, PENALTY * float((z_train**2).sum()) / len(train))


def same_headline(task: Task, labels: np.ndarray, fitted: tuple[CrossFit, Selection]) -> str:
    """The nested choice of the site and every held-out score, written out with RidgeClassifier, for two labellings."""
    design, selection = task.design, fitted[1]
    share = np.zeros((design.template_folds, design.n_items))
    np.add.at(share, (design.template_fold, design.item), 1.0)
    share /= share.sum(axis=0)
    largest = 0.0
    for draw in (0, len(labels) - 1):
        sign = labels[draw, design.item]
        models: dict[tuple[str, bytes], Any] = {}

        def read(x: np.ndarray, site: str, avoid: tuple[Cell, ...], test: Cell, sign: Any = sign, models: Any = models):
            train, rows = design.train_rows(*avoid), np.flatnonzero(design.test_rows(test))
            key = (site, train.tobytes())
            z_train, z_test = standardise(x[train].astype(np.float64), x[rows].astype(np.float64))
            if key not in models:
                alpha = PENALTY * float((z_train**2).sum()) / int(train.sum())
                models[key] = RidgeClassifier(alpha=alpha).fit(z_train, sign[train])
            decision = models[key].decision_function(z_test)
            counts = np.bincount(design.item[rows], minlength=design.n_items)
            items = np.flatnonzero(counts)
            mean = np.bincount(design.item[rows], decision, minlength=design.n_items)[items] / counts[items]
            return items, share[test.template_fold, items] * (mean - mean.mean())

        scores = np.zeros(design.n_items)
        for outer in design.cells:
            values = []
            for site, x in task.spaces.items():
                inner = np.zeros(design.n_items)
                for cell in design.inner_cells(outer):
                    items, part = read(x, site, (outer, cell), cell)
                    inner[items] += part
                values.append(float(design.auroc(inner, labels[draw], design.fold != outer.fold)))
            site = list(task.spaces)[int(np.argmax(values))]
            items, part = read(task.spaces[site], site, (outer,), outer)
            scores[items] += part
        largest = max(largest, float(np.abs(scores - selection.scores[draw]).max()))
    if not largest < 1e-6:
        raise SystemExit(f"headline: scores differ from scikit-learn's by {largest:.3g}, more than 1e-6")
    return f"nested scores equal to {largest:.0e}, sites chosen alike"


def logistic(what: str, given: list[Task], labels: list[np.ndarray], rounds: int, target: float) -> list[Row]:
    """Tasks with their labellings [k, items], at all sites and in all cells, against lbfgs in both precisions."""
    problems = []
    for task, own in zip(given, labels, strict=True):
        design = task.design
        train = np.stack([design.train_rows(cell) for cell in design.cells])
        test = np.stack([design.test_rows(cell) for cell in design.cells])
        for x in task.spaces.values():
            exact = [standardise(x[rows].astype(np.float64))[0] for rows in train]
            problems.append((x, train, test, own[:, design.item], exact, [z.astype(np.float32) for z in exact]))
    count = sum(p[3].shape[0] * len(p[1]) for p in problems)

    def ours() -> int:
        for x, train, _, sign, *_ in problems:
            logistic_batch(x, train, sign)
        return count

    def lbfgs(double: bool) -> int:
        for _, train, _, sign, exact, single in problems:
            for rows, z in zip(train, exact if double else single, strict=True):
                for label in sign[:, rows] > 0:
                    LogisticRegression(C=C).fit(z, label)
        return count

    check = same_logistic(problems)
    rates = interleaved(rounds, {"ours": ours, "64": lambda: lbfgs(True), "32": lambda: lbfgs(False)})
    return [
        row(what, f"LogisticRegression, lbfgs, float{bits}", count, rates["ours"], rates[bits], target, check)
        for bits in ("32", "64")
    ]


def same_logistic(problems: list[Any]) -> str:
    """Coefficient errors and flipped held-out decisions, ours and lbfgs's, against lbfgs at a tolerance of 1e-10."""
    errors: dict[str, list[float]] = {"ours": [], "lbfgs": []}
    flips = {"ours": 0, "lbfgs": 0}
    decisions, unsure = 0, 0.0
    for x, train, test, sign, exact, _ in problems:
        fits = logistic_batch(x, train, sign)
        for i, (rows, z) in enumerate(zip(train, exact, strict=True)):
            held_out = standardise(x[rows].astype(np.float64), x[test[i]].astype(np.float64))[1]
            spread = x[rows].astype(np.float64).std(axis=0)
            for j, label in enumerate(sign[:, rows] > 0):
                best = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(z, label)
                usual = LogisticRegression(C=C).fit(z, label)
                odds = best.decision_function(held_out)
                truth = odds > 0
                read = x[test[i]].astype(np.float64) @ fits.coef[i, j] + fits.intercept[i, j]
                other = (read > 0) != truth
                flips["ours"] += int(other.sum())
                unsure = max(unsure, float(np.abs(odds[other]).max(initial=0.0)))
                flips["lbfgs"] += int(((usual.decision_function(held_out) > 0) != truth).sum())
                decisions += len(truth)
                errors["ours"].append(float(np.abs(fits.coef[i, j] * spread - best.coef_[0]).max()))
                errors["lbfgs"].append(float(np.abs(usual.coef_ - best.coef_).max()))
    middle = {name: float(np.median(v)) for name, v in errors.items()}
    most = {name: float(max(v)) for name, v in errors.items()}
    text = (
        f"coefficient error {middle['ours']:.1e} (at most {most['ours']:.1e}), lbfgs {middle['lbfgs']:.1e} "
        f"({most['lbfgs']:.1e}); decisions other than the reference's {flips['ours']} of {decisions} "
        f"(all within {unsure:.0e} of log-odds 0), lbfgs {flips['lbfgs']}"
    )
    if middle["ours"] > middle["lbfgs"] or most["ours"] > most["lbfgs"] or flips["ours"] > flips["lbfgs"]:
        raise SystemExit(f"logistic: not as exact as lbfgs at its default tolerance: {text}")
    return text


def main() -> int:
    """Run both benchmarks; exit 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    parser.add_argument("--write", action="store_true", help=f"write the table to {_RESULTS.name} beside the script")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--draws", type=int, default=999, help="of the headline's null")
    parser.add_argument("--threads", type=int, default=1, help="of linear algebra, on both sides")
    parser.add_argument("--only", choices=["headline", "logistic"])
    parser.add_argument("--drawn", action="store_true", help="Gaussian features even where minilm is installed")
    asked = parser.parse_args()
    given, source = tasks(real=not asked.drawn)
    rows: list[Row] = []
    with threadpool_limits(asked.threads):
        if asked.only != "logistic":
            rows += headline(given[0], asked.draws, asked.rounds)
        if asked.only != "headline":
            observed = [task.design.label[None] for task in given]
            rows += logistic("logistic, 6 tasks, own rows", given, observed, asked.rounds, 3.0)
            drawn = exchanged_labels(given[0].design, 5, np.random.default_rng(1))
            shared = [np.vstack([given[0].design.label, drawn])]
            rows += logistic("logistic, 6 labellings of one task", given[:1], shared, asked.rounds, 3.0)
            half = [Task(t.name, t.design, {s: x[:, ::2] for s, x in t.spaces.items()}) for t in given]
            rows += logistic("logistic, 6 tasks, own rows, every other feature", half, observed, asked.rounds, 3.0)
    about = {"machine": machine(asked.threads), "features": source, "rounds": asked.rounds}
    record = json.dumps({**about, "rows": [asdict(r) for r in rows]}, indent=1)
    print(record if asked.json else f"{table(rows)}\n\n{about['machine']}\n{source}")
    if asked.out:
        asked.out.write_text(record + "\n")
    if asked.write:
        head = f"# Probes beside scikit-learn\n\n`python benchmarks/probes.py --write`: {asked.rounds} interleaved rounds. "
        write(_RESULTS, f"{head}{about['machine']}. Features: {source}.", table(rows))
    return missed(rows)


if __name__ == "__main__":
    sys.exit(main())
