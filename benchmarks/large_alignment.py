"""The streamed map at full size: inputs on disk, time, rate, and the peak of anonymous memory."""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from conceptprobe.alignment.streaming import plan, stream_pairs

_K = 10
_PERMUTATIONS = 200
_FULL = (20_000, 33, 4096)


@dataclass(frozen=True)
class Measured:
    """One streamed map. bytes, seconds, processor: seconds of all cores. Multiplications count as two operations."""

    n: int
    sites: int
    d: int
    tile: int
    planned: int
    anonymous: int
    seconds: float
    processor: float
    operations: float
    full_minutes: float
    note: str

    @property
    def rate(self) -> float:
        """Operations per second, everything included."""
        return self.operations / self.seconds

    def __str__(self) -> str:
        full_n, full_sites, full_d = _FULL
        return (
            f"n = {self.n:,}, {self.sites} x {self.sites} sites, d = {self.d}: {self.seconds:.1f} s "
            f"({self.processor:.1f} s of cores), "
            f"{self.operations / 1e12:.2f} TFLOP, {self.rate / 1e9:.0f} GFLOP/s; tiles of {self.tile}, "
            f"{self.planned / 1e9:.2f} GB planned, {self.anonymous / 1e9:.2f} GB anonymous at most; at this rate "
            f"n = {full_n:,}, {full_sites} x {full_sites} sites, d = {full_d} take {self.full_minutes:.0f} min. {self.note}"
        )


class AnonymousPeak:
    """The most anonymous memory (RssAnon) the process has had while open, sampled every 20 ms."""

    def __enter__(self) -> AnonymousPeak:
        self.bytes_ = _anonymous()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(0.02):
            self.bytes_ = max(self.bytes_, _anonymous())


def _anonymous() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def make_inputs(folder: Path, n: int, sites: int, d: int) -> list[np.ndarray]:
    """Memory maps in float16 of 2 x sites sites that share a latent space; files that are there already are used again."""
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((n, 32), dtype=np.float32)
    found = []
    for site in range(2 * sites):
        path = folder / f"n{n}-d{d}-site{site}.npy"
        if not path.is_file():
            out = np.lib.format.open_memmap(path.with_suffix(".part"), mode="w+", dtype=np.float16, shape=(n, d))
            mix = rng.standard_normal((32, d), dtype=np.float32) * np.float32(0.1)
            for i in range(0, n, 1000):
                own = rng.standard_normal((min(n, i + 1000) - i, d), dtype=np.float32)
                out[i : i + 1000] = latent[i : i + 1000] @ mix + own
            out.flush()
            del out
            path.with_suffix(".part").rename(path)
        found.append(np.load(path, mmap_mode="r"))
    return found


def large(n: int, sites: int, d: int, memory: float, folder: Path | None) -> Measured:
    """Make the inputs, then debiased CKA and mutual kNN of all pairs with a null of 200 for the neighbours."""
    with tempfile.TemporaryDirectory() as own:
        inputs = make_inputs(folder or Path(own), n, sites, d)
        rng = np.random.default_rng(1)
        permutations = np.stack([rng.permutation(n) for _ in range(_PERMUTATIONS)])
        with AnonymousPeak() as peak:
            start, busy = time.perf_counter(), time.process_time()
            found = stream_pairs(inputs[:sites], inputs[sites:], k=_K, permutations=permutations, memory=memory)
            seconds, busy = time.perf_counter() - start, time.process_time() - busy
    operations = 2 * found.plan.multiplications
    full_n, full_sites, full_d = _FULL
    full = plan(full_n, [full_d] * 2 * full_sites, full_sites, k=_K, memory=6e9)
    minutes = 2 * full.multiplications / (operations / seconds) / 60
    chosen = found.plan
    return Measured(
        n, sites, d, chosen.tile, chosen.bytes_, peak.bytes_, seconds, busy, operations, minutes, found.note
    )


def growth(sizes: list[int], sites: int, d: int, memory: float, folder: Path | None) -> list[Measured]:
    """The same at several n."""
    return [large(n, sites, d, memory, folder) for n in sizes]
