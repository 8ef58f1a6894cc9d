"""Batches: texts of like length under a token budget, so that little of a batch is padding; batches side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

ROUNDS, LEAST_BUDGET = 4, 256
"""Batches each worker gets at least, unless they would be smaller than so many tokens."""

if TYPE_CHECKING:
    import torch
    from jaxtyping import Int


def buckets(lengths: Sequence[int], budget: int, *, alike: bool = False) -> list[Int[np.ndarray, " b"]]:
    """Row numbers of each batch: longest first, rows x longest <= `budget` (a longer row is a batch of its own).

    Depends on nothing but the lengths; equal lengths keep the order of the rows. Longest first, so that a machine
    with too little memory fails at once, not at the end. `alike`: a batch has rows of one length only, so that no row
    is padded.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[Int[np.ndarray, " b"]] = []
    start = 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), 1)
        end = min(start + max(budget // longest, 1), len(order))
        if alike:
            end = start + sum(int(lengths[row]) == longest for row in order[start:end])
        batches.append(order[start:end])
        start = end
    return batches


def fair_budget(lengths: Sequence[int], most: int, workers: int) -> int:
    """`most`, or less where that few batches would leave a worker idle at the end of a small set."""
    return min(most, max(LEAST_BUDGET, -(-sum(lengths) // (ROUNDS * workers)))) if workers > 1 else most


def workers_on(device: torch.device) -> int:
    """Batches that run side by side there: one per thread of the CPU, one on a GPU."""
    import torch

    return torch.get_num_threads() if device.type == "cpu" else 1


@contextlib.contextmanager
def side_by_side(n: int, device: torch.device) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map` that runs batches next to each other, one thread each, in place of many threads within one product.

    The products of a short batch are so small that threads inside them mostly wait for one another: on two busy cores
    this halves the time, on two idle ones it costs nothing.
    """
    import torch

    threads = torch.get_num_threads()
    workers = min(workers_on(device), n)
    if workers < 2:
        yield map
        return
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
