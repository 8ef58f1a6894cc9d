"""Pooling and batching: plain arithmetic, checked against loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from conceptprobe.errors import UsageError
from conceptprobe.models.base import POOLINGS
from conceptprobe.models.batching import buckets
from conceptprobe.models.pooling import check_poolings, pooling_weights

masks = st.tuples(st.integers(1, 4), st.integers(1, 7)).flatmap(
    lambda shape: st.tuples(*(arrays(bool, shape) for _ in range(3)))
)


@given(masks)
def test_weights_are_means_over_the_tokens_of_the_pooling(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    real = drawn[0]
    content = real & drawn[1]
    in_span = content & drawn[2]
    weights = pooling_weights(POOLINGS, real=real, content=content, in_span=in_span)
    hidden = np.random.default_rng(0).standard_normal((*real.shape, 3)).astype(np.float32)
    pooled = weights @ hidden
    for row in range(len(real)):
        places = {
            "concept_span": np.flatnonzero(in_span[row]),
            "context": np.flatnonzero(content[row] & ~in_span[row]),
            "last": np.flatnonzero(content[row])[-1:],
            "mean": np.flatnonzero(content[row]),
            "cls": np.flatnonzero(real[row])[:1],
        }
        for i, pooling in enumerate(POOLINGS):
            chosen = places[pooling]
            expected = hidden[row, chosen].mean(0) if len(chosen) else np.zeros(3)
            assert np.allclose(pooled[row, i], expected, atol=1e-6)
            assert weights[row, i].sum() == pytest.approx(1.0 if len(chosen) else 0.0, abs=1e-6)


def test_unknown_poolings_get_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'concept_span'"):
        check_poolings(["concept-span"])
    with pytest.raises(UsageError, match="no pooling was named"):
        check_poolings([])


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 200))
def test_buckets_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = buckets(lengths, budget)
    assert sorted(int(i) for b in batches for i in b) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
    firsts = [lengths[i] for b in batches for i in b]
    assert firsts == sorted(firsts, reverse=True)
    assert [list(b) for b in batches] == [list(b) for b in buckets(lengths, budget)]


def test_buckets_leave_little_padding() -> None:
    lengths = [int(n) for n in np.random.default_rng(3).integers(4, 30, size=1000)]
    padded = sum(len(b) * max(lengths[i] for i in b) for b in buckets(lengths, 2048))
    assert padded < 1.15 * sum(lengths)
