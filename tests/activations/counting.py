"""A model that counts what it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from conceptprobe.models import ModelInfo, Pooling
from conceptprobe.stimuli.stimulus import Stimulus

INFO = ModelInfo("counting", "", "", "0" * 64, "counting", ("text",), 2, 3, 0, "float32")


@dataclass
class Counting:
    """Spec and model in one. Rows say which stimulus, site and pooling they are for."""

    info: ModelInfo = INFO
    sites: tuple[str, ...] = ("embed", "resid_post.0", "pooled")
    poolings: tuple[str, ...] = ("concept_span", "context", "last", "mean", "cls")
    extra_sites: tuple[str, ...] = ("tokens",)
    loads: int = 0
    passes: list[tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)

    def load(self) -> Counting:
        self.loads += 1
        return self

    def twin(self, seed: int) -> Counting:
        return replace(self, info=replace(self.info, sha256=f"{seed:064d}", kind="twin"))

    def activations(
        self, stimuli: Sequence[Stimulus], sites: Sequence[str], poolings: Sequence[Pooling]
    ) -> Iterator[tuple[list[int], dict[Any, np.ndarray]]]:
        self.passes.append((tuple(sites), tuple(poolings)))
        order = list(range(len(stimuli)))[::-1]  # the order of batches is free
        for start in range(0, len(order), 4):
            numbers = order[start : start + 4]
            yield numbers, {(s, p): self.expected(s, p, numbers) for s in sites for p in poolings}

    @staticmethod
    def expected(site: str, pooling: str, numbers: Sequence[int]) -> np.ndarray:
        code = 7.0 if site == "pooled" else float(sum(map(ord, site + pooling)))
        return np.array([[n, code, 0.5] for n in numbers], dtype=np.float32)
