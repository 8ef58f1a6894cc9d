"""A probe carried over a map: against the map written out, and on planted spaces."""

from __future__ import annotations

import numpy as np
import pytest

from conceptprobe.probes.carried import carried_scores
from conceptprobe.probes.ridge import smoother, standardise
from conceptprobe.stats.design import Design, make_design


def _design(units: int, folds: int = 4, seed: int = 0) -> Design:
    names = [f"u{i}" for i in range(units) for _ in range(2)]
    return make_design(
        item=[str(i) for i in range(2 * units)],
        positive=[1, 0] * units,
        unit=names,
        template=None,
        folds=folds,
        template_folds=1,
        pooled=True,
        rng=np.random.default_rng(seed),
    )


def _spaces(rng: np.random.Generator, units: int, m: int, *, shared: bool, d: int = 12) -> tuple[np.ndarray, ...]:
    """Two spaces that see one latent space of 6 dimensions; the label lies in it, or in each space on its own."""
    z, pool = rng.standard_normal((2 * units, 6)), rng.standard_normal((m, 6))
    labels = np.tile([1.0, -1.0], units)
    if shared:
        z[:, 0] += 1.5 * labels
    a, b = rng.standard_normal((6, d)), rng.standard_normal((6, d))
    x, y = z @ a, z @ b
    if not shared:
        x += 3 * np.outer(labels, rng.standard_normal(d))
        y += 3 * np.outer(labels, rng.standard_normal(d))
    noise = 0.3
    return (
        x + noise * rng.standard_normal(x.shape),
        y + noise * rng.standard_normal(y.shape),
        pool @ a + noise * rng.standard_normal((m, d)),
        pool @ b + noise * rng.standard_normal((m, d)),
    )


def test_it_equals_the_whole_map_written_out() -> None:
    rng = np.random.default_rng(1)
    design = _design(12)
    x, y, pool_x, pool_y = _spaces(rng, 12, 40, shared=True)
    found = carried_scores(x, y, pool_x, pool_y, design, design.label[None])
    for cell in design.cells:
        train, test = design.train_rows(cell), design.test_rows(cell)
        z_train, z_pool = standardise(x[train], pool_x)
        t_pool, t_test = standardise(pool_y, y[test])
        # The map takes every target row to all standardised source features, plus the mean that ridge leaves out.
        arrived = smoother(t_pool, t_test, z_pool) + z_pool.mean(axis=0)
        read = smoother(z_train, arrived, design.label[train, None].astype(float))[:, 0]
        assert np.allclose(found[0, test], read - read.mean(), atol=1e-8)


def test_shuffled_pairings_are_the_pool_shuffled() -> None:
    rng = np.random.default_rng(2)
    design = _design(10)
    x, y, pool_x, pool_y = _spaces(rng, 10, 30, shared=True)
    order = rng.permutation(30)
    drawn = carried_scores(x, y, pool_x, pool_y, design, design.label[None], order[None])
    direct = carried_scores(x, y, pool_x[order], pool_y, design, design.label[None])
    assert np.allclose(drawn[1], direct[0])


@pytest.mark.parametrize("shared", [True, False])
def test_a_label_carries_over_only_where_the_spaces_share_it(shared: bool) -> None:
    rng = np.random.default_rng(3)
    design = _design(40)
    values = []
    for _ in range(8):
        scores = carried_scores(*_spaces(rng, 40, 120, shared=shared), design, design.label[None])
        values.append(float(design.auroc(scores[0])))
    if shared:
        assert min(values) > 0.8
    else:
        assert 0.2 < np.mean(values) < 0.8  # present in both spaces, and yet a matter of luck


def test_scale_and_rotation_of_a_space_change_nothing_that_standardising_does_not() -> None:
    rng = np.random.default_rng(4)
    design = _design(10)
    x, y, pool_x, pool_y = _spaces(rng, 10, 30, shared=True)
    scale, shift = rng.uniform(0.1, 9, x.shape[1]), rng.standard_normal(x.shape[1])
    a = carried_scores(x, y, pool_x, pool_y, design, design.label[None])
    b = carried_scores(x * scale + shift, y * 7 - 2, pool_x * scale + shift, pool_y * 7 - 2, design, design.label[None])
    assert np.allclose(a, b)
