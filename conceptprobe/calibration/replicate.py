"""Replications over several processes, kept block by block, so that an interrupted table goes on where it stopped.

A replication is a pure function of the row, its number and the seed; a block of them is one artefact of the cache under a
key of all it depends on, the source of the statistics included. What is found under that key is never computed again.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from conceptprobe.activations.store import Store, key_of
from conceptprobe.calibration.rows import Asked, Planted, tuned
from conceptprobe.calibration.text import TextWorld
from conceptprobe.calibration.truth import Truth, strength_for, true_effect
from conceptprobe.errors import ConceptprobeError
from conceptprobe.evidence.context import Answer, RunContext
from conceptprobe.pipeline.version import code_version
from conceptprobe.threads import one_at_a_time

BLOCK = 10
"""Replications per artefact: a few seconds of work, which is what an interruption may lose."""
LEAST_READINGS = 100
"""Of the truth; a quarter of the replications where that is more, so that its error stays below theirs."""
Ask = Callable[[str, RunContext], Answer]


@dataclass(frozen=True)
class Outcome:
    """What one question said of one replication. `estimate_debiased`: of the row's debiased detail metric, or nan."""

    replication: int
    question: str
    verdict: str
    estimate: float
    effect: float
    ci_low: float
    ci_high: float
    p: float
    units: int
    estimate_debiased: float


@dataclass(frozen=True)
class Replicated:
    """One row with its tuned world, the true effect per question, and the outcomes of all its replications."""

    row: Planted
    truth: Mapping[str, Truth]
    outcomes: tuple[Outcome, ...]


def replicate(
    rows: Sequence[Planted],
    replications: int,
    seed: int,
    store: Store,
    *,
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Replicated]:
    """All replications of all rows; what `store` holds already is taken as it is, and all that is made goes there.

    workers: processes; 1 works in this one. After KeyboardInterrupt all that was finished is kept.
    """
    readings = max(LEAST_READINGS, replications // 4)
    kept = _Kept(store, seed)
    starts = range(0, replications, BLOCK)
    truths = [(row, asked) for row in rows for asked in row.asked if asked.truth is None]
    total = len(truths) + sum(row.reach is not None for row in rows) + len(rows) * len(starts)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    with _processes(workers) as results:
        tuning = {row.name: _Job("strength", row, readings) for row in rows if row.reach is not None}
        strengths = _all(kept, results, tuning, count)
        ready = {row.name: tuned(row, strengths[row.name]) if row.name in strengths else row for row in rows}
        jobs: dict[Any, _Job] = {
            (row.name, asked.question): _Job("truth", ready[row.name], readings, question=asked.question)
            for row, asked in truths
        }
        jobs |= {
            (row.name, start): _Job("outcomes", ready[row.name], min(BLOCK, replications - start), start=start)
            for start in starts
            for row in rows
        }
        found = _all(kept, results, jobs, count)
    return [
        Replicated(
            ready[row.name],
            {
                asked.question: Truth(asked.truth)
                if asked.truth is not None
                else Truth(*found[row.name, asked.question])
                for asked in row.asked
            },
            tuple(Outcome(**line) for start in starts for line in found[row.name, start]),
        )
        for row in rows
    ]


def outcomes(row: Planted, start: int, count: int, seed: int, ask: Ask | None = None) -> list[Outcome]:
    """Replications start .. start + count - 1 of one row. `ask` answers a question of a run; the registered one does."""
    from conceptprobe import registry

    made = []
    for i in range(start, start + count):
        run = row.world.run(row.questions, row.name, str(i), seed=seed)
        for asked in row.asked:
            answer = ask(asked.question, run) if ask else registry.get("question", asked.question)(run)
            made.append(_outcome(i, asked, answer))
    return made


def _outcome(replication: int, asked: Asked, answer: Answer) -> Outcome:
    (row,) = [f for f in answer.findings if f.headline]
    debiased = [f.estimate for f in answer.findings if f.metric == asked.debiased]
    return Outcome(
        replication,
        asked.question,
        row.verdict,
        row.estimate,
        row.effect,
        row.ci_low,
        row.ci_high,
        row.p,
        row.units,
        debiased[0] if debiased else float("nan"),
    )


@dataclass(frozen=True)
class _Job:
    """What a worker does; `size` is the number of readings or of replications."""

    kind: str
    row: Planted
    size: int
    start: int = 0
    question: str = ""


def _work(job: _Job, seed: int) -> Any:
    from threadpoolctl import threadpool_limits

    world, first = job.row.world, job.row.asked[0].question
    with threadpool_limits(1):
        if job.kind == "strength":
            if job.row.reach is None or not isinstance(world, TextWorld):
                raise ValueError(f"nothing in the row '{job.row.name}' can be tuned")
            return strength_for(world, first, job.row.reach, seed, job.size)
        if job.kind == "truth":
            truth = true_effect(world, job.question, seed, job.size)
            return [truth.effect, truth.error]
        return [asdict(outcome) for outcome in outcomes(job.row, job.start, job.size, seed)]


class _Kept:
    """Artefacts of the cache by what they depend on: the job, the seed and the source of all that decides a number."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.seed = store, seed
        self._code = code_version() + _source()

    def _key(self, job: _Job) -> str:
        return key_of({"calibrate": repr(job), "seed": self.seed, "code": self._code})

    def get(self, job: _Job) -> Any:
        """The result, or None where there is none."""
        known = self.store.get_artefact(self._key(job))
        return known[0] if known else None

    def put(self, job: _Job, value: Any) -> None:
        """Keep a result."""
        self.store.put_artefact(self._key(job), value, about={"stage": "calibrate", "concept": job.row.name})


Results = Callable[[Sequence[_Job], int], Iterator[tuple[_Job, Any]]]
"""(jobs, seed) -> each job with its result, as they come."""


def _all(kept: _Kept, results: Results, jobs: Mapping[Any, _Job], count: Callable[[], None]) -> dict[Any, Any]:
    """Results of all jobs by their names: kept ones first, then the others as they come, each kept at once."""
    found = {job: value for job in jobs.values() if (value := kept.get(job)) is not None}
    for _ in found:
        count()
    for job, value in results([job for job in jobs.values() if job not in found], kept.seed):
        kept.put(job, value)
        found[job] = value
        count()
    return {name: found[job] for name, job in jobs.items()}


@contextmanager
def _processes(workers: int) -> Iterator[Results]:
    if workers == 1:
        yield lambda jobs, seed: ((job, _work(job, seed)) for job in jobs)
        return
    # Fresh interpreters: what this one has imported and locked is none of theirs.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin_process)

    def results(jobs: Sequence[_Job], seed: int) -> Iterator[tuple[_Job, Any]]:
        pending = {pool.submit(_work, job, seed): job for job in jobs}
        for future in as_completed(pending):
            yield pending[future], future.result()

    try:
        yield results
    except BrokenExecutor as error:
        hint = "run the same command again: what was finished is kept"
        raise ConceptprobeError("a process of the table was killed", hint=hint) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin_process() -> None:
    one_at_a_time()
    # Ctrl-C reaches every process of a terminal; the one that hands out the work decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _source() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
