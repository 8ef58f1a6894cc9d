"""Rotations between principal components: found where there is one, and equal to new fits where pairs are left out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from alignment.spaces import rotation
from conceptprobe.alignment.orthogonal_map import Components, orthogonal_maps
from conceptprobe.alignment.transfer import TransferSpace

N, GROUND, D = 60, 50, 6


def spaces(rng, noise=0.0):
    """The same items in two spaces, one of them turned."""
    x = rng.standard_normal((N, D)) * np.arange(1, D + 1)
    y = x @ rotation(rng, D) + noise * rng.standard_normal((N, D))
    return TransferSpace(x, GROUND), TransferSpace(y, GROUND)


def test_a_rotation_is_found_and_brings_held_out_items_home(rng):
    a, b = (Components(space, D) for space in spaces(rng))
    kept = np.arange(30)
    (found,) = orthogonal_maps(a, b, kept)
    np.testing.assert_allclose(found @ found.T, np.eye(D), atol=1e-10)
    np.testing.assert_allclose(b.items[30:] @ found, a.items[30:], atol=1e-8)


def test_fewer_components_are_the_first_ones_of_the_ground(rng):
    space, _ = spaces(rng)
    few, all_ = Components(space, 2), Components(space, D)
    np.testing.assert_allclose(few.items, all_.items[:, :2], atol=1e-10)
    variances = all_.items[:GROUND].var(axis=0)
    assert (np.diff(variances) <= 0).all()
    np.testing.assert_allclose(all_.items[:GROUND].mean(axis=0), 0, atol=1e-10)


@pytest.mark.parametrize("noise", [0.1, 2.0])
def test_maps_without_groups_and_over_shuffled_pairs_are_new_fits(rng, noise):
    a, b = (Components(space, 4) for space in spaces(rng, noise))
    kept = np.arange(5, 45)
    groups, order = np.array([[5, 6, 7], [30, 10, 44]]), rng.permutation(len(kept))
    found = orthogonal_maps(a, b, kept, without=groups, pairings=order[None])

    def fitted(rows_a, rows_b):
        return orthogonal_procrustes(b.items[rows_b], a.items[rows_a] - a.items[rows_a].mean(axis=0))[0]

    np.testing.assert_allclose(found[0], fitted(kept, kept), atol=1e-8)
    for one, group in zip(found[1:3], groups, strict=True):
        rest = np.setdiff1d(kept, group)
        np.testing.assert_allclose(one, fitted(rest, rest), atol=1e-8)
    np.testing.assert_allclose(found[3], fitted(kept[order], kept), atol=1e-8)
