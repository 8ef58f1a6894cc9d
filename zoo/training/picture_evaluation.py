"""How well pictures find their kind and their name, on glyphs that training never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

K = 5
"""Neighbours that vote on a category; the same for a model and its twins."""


def unit_rows(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Rows of length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def knn_balanced_accuracy(
    bank: Float[np.ndarray, "m d"],
    bank_labels: Sequence[str],
    query: Float[np.ndarray, "n d"],
    query_labels: Sequence[str],
) -> float:
    """Mean over categories of the share of queries whose K nearest rows of the bank, by cosine, vote for it.

    Both sides are centred on the bank's mean (without that every cosine of an untrained network is near 1). A tie goes
    to the nearer neighbours. Chance is one over the number of categories.
    """
    centre = bank.mean(axis=0)
    return _voted(unit_rows(query - centre) @ unit_rows(bank - centre).T, bank_labels, query_labels)


def neighbours_balanced_accuracy(x: Float[np.ndarray, "n d"], labels: Sequence[str]) -> float:
    """The same with all other rows as the bank."""
    rows = unit_rows(x - x.mean(axis=0))
    near = rows @ rows.T
    np.fill_diagonal(near, -np.inf)
    return _voted(near, labels, labels)


def _voted(near: Float[np.ndarray, "n m"], bank_labels: Sequence[str], query_labels: Sequence[str]) -> float:
    order = np.argsort(-near, axis=1, kind="stable")[:, :K]
    guesses = [max(dict.fromkeys(row), key=list(row).count) for row in np.array(bank_labels)[order]]
    return _mean_over_categories(np.array(guesses) == np.array(query_labels), query_labels)


def zero_shot_balanced_accuracy(
    images: Float[np.ndarray, "n d"], categories: Float[np.ndarray, "c d"], names: Sequence[str], labels: Sequence[str]
) -> float:
    """Mean over categories of the share of pictures whose nearest category text, by cosine, is their own."""
    guesses = np.array(names)[(unit_rows(images) @ unit_rows(categories).T).argmax(axis=1)]
    return _mean_over_categories(guesses == np.array(labels), labels)


def recall_at(
    images: Float[np.ndarray, "n d"],
    texts: Float[np.ndarray, "n d"],
    k: int,
    *,
    size: int,
    draws: int = 200,
    seed: int = 0,
) -> float:
    """Image to text: how often a picture's own text is among its k nearest of `size` texts, by cosine.

    Mean over random candidate sets of that size (chance is k / size), so that figures of sets of any size compare.
    """
    near = unit_rows(images) @ unit_rows(texts).T
    better = near > np.diag(near)[:, None]
    if size >= len(near):
        return float((better.sum(axis=1) < k).mean())
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        chosen = rng.permutation(len(near))[:size]
        found.append((better[np.ix_(chosen, chosen)].sum(axis=1) < k).mean())
    return float(np.mean(found))


def _mean_over_categories(hits: Bool[np.ndarray, " n"], labels: Sequence[str]) -> float:
    names, index = np.unique(np.array(labels), return_inverse=True)
    counts: Int[np.ndarray, " c"] = np.bincount(index)
    return float((np.bincount(index, weights=hits, minlength=len(names)) / counts).mean())
