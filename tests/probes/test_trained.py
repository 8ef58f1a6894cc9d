"""The descent with slopes written out, against torch's automatic ones and its own Adam."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from conceptprobe.probes.attention import AttentionProbe
from conceptprobe.probes.mlp import MLPProbe
from conceptprobe.probes.trained import Reduction

Parameters = list[torch.Tensor]


def torch_descent(
    parameters: Parameters,
    logits: Callable[[Parameters], torch.Tensor],
    penalty: Callable[[Parameters], torch.Tensor],
    wanted: torch.Tensor,
    steps: int,
    rate: float,
) -> Parameters:
    """One labelling; the best parameters met."""
    for tensor in parameters:
        tensor.requires_grad_(True)
    adam = torch.optim.Adam(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=steps)
    best, kept = float("inf"), [tensor.detach().clone() for tensor in parameters]
    for _ in range(steps + 1):
        adam.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits(parameters), wanted) + penalty(parameters)
        loss.backward()
        if loss.item() < best:
            best, kept = loss.item(), [tensor.detach().clone() for tensor in parameters]
        adam.step()
        schedule.step()
    return kept


def prior(wanted: torch.Tensor) -> torch.Tensor:
    share = wanted.mean()
    return (share / (1 - share)).log()


@pytest.mark.parametrize("seed", range(3))
def test_the_mlp_descends_as_torch_would(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, test = rng.standard_normal((80, 12)), rng.standard_normal((30, 12))
    sign = np.where(x[:, 0] * x[:, 1] + rng.standard_normal(80) > 0.2, 1, -1)
    probe = MLPProbe(components=8, hidden=5, seed=seed)
    reduction = Reduction.of(x, 8)
    rows, wanted = torch.from_numpy(reduction(x)), torch.from_numpy((sign > 0).astype(np.float64))
    start = torch.from_numpy(np.random.default_rng(seed).standard_normal((5, 8)) / 8**0.5)

    def logits(p: Parameters, rows: torch.Tensor = rows) -> torch.Tensor:
        return torch.relu(rows @ p[0].T + p[1]) @ p[2] + p[3]

    def penalty(p: Parameters) -> torch.Tensor:
        return probe.decay / 5 / 2 * ((p[0] - start) ** 2).sum() + probe.decay / 2 * (p[2] ** 2).sum()

    zeros = torch.zeros(5, dtype=torch.float64)
    kept = torch_descent(
        [start.clone(), zeros.clone(), zeros.clone(), prior(wanted)], logits, penalty, wanted, probe.steps, probe.rate
    )
    expected = logits(kept, torch.from_numpy(reduction(test))).numpy()
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(probe.fit(x, sign).decision_function(test), expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_attention_probe_descends_as_torch_would(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, test = rng.standard_normal((50, 6, 10)), rng.standard_normal((30, 6, 10))
    x[:, 4:][rng.random((50, 2)) < 0.5] = np.nan
    sign = np.where(np.nanmax(x[:, :, 0], axis=1) + 0.3 * rng.standard_normal(50) > 1, 1, -1)
    probe = AttentionProbe(components=7)
    present = ~np.isnan(x[:, :, 0])
    reduction = Reduction.of(x[present], 7)
    wanted = torch.from_numpy((sign > 0).astype(np.float64))

    def logits(p: Parameters, x: np.ndarray = x) -> torch.Tensor:
        there = ~np.isnan(x[:, :, 0])
        tokens = torch.from_numpy(np.where(there[..., None], reduction(x), 0.0))
        weights = torch.softmax((tokens @ p[0]).masked_fill(~torch.from_numpy(there), -torch.inf), dim=1)
        return (weights[..., None] * tokens).sum(dim=1) @ p[1] + p[2]

    def penalty(p: Parameters) -> torch.Tensor:
        return probe.decay / 2 * ((p[0] ** 2).sum() + (p[1] ** 2).sum())

    zeros = torch.zeros(7, dtype=torch.float64)
    kept = torch_descent(
        [zeros.clone(), zeros.clone(), prior(wanted)], logits, penalty, wanted, probe.steps, probe.rate
    )
    expected = logits(kept, test).numpy()
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(probe.fit(x, sign).decision_function(test), expected, atol=1e-6)
