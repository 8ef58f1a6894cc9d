"""What the probes trained by gradient descent share: inputs of few dimensions, and one descent for all labellings.

Parameters are tensors whose first dimension counts labellings; the loss of one labelling depends on its own slice alone, so one
backward pass serves all, and each is what it would be on its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptprobe.probes.base import mean_and_scale

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

_MEAN, _SQUARE = 0.9, 0.999
"""Decay of Adam's running means of the gradient and of its square."""


@dataclass(frozen=True)
class Reduction:
    """Standardised features, then the top principal components of the training rows, at a mean square of 1 per component.

    Components keep their proportions, so that what varies little stays little.
    """

    mean: Float[np.ndarray, " d"]
    basis: Float[np.ndarray, "d p"]

    @classmethod
    def of(cls, rows: Float[np.ndarray, "n d"], components: int) -> Reduction:
        """From n training rows. Where no feature varies there is one component, and it is 0."""
        from scipy.linalg import eigh

        mean, scale = mean_and_scale(rows)
        z = (rows - mean) * scale
        tall = z.shape[0] > z.shape[1]
        square = z.T @ z if tall else z @ z.T
        last = len(square) - 1
        values, vectors = eigh(square, subset_by_index=(max(0, last + 1 - components), last))
        keep = values > 1e-9 * max(float(values[-1]), 1e-300)
        if not keep.any():
            return cls(mean, np.zeros((len(mean), 1)))
        values, vectors = values[keep][::-1], vectors[:, keep][:, ::-1]
        basis = vectors if tall else z.T @ (vectors / np.sqrt(values))
        # Eigenvectors have no sign of their own; their largest entry gets one.
        basis = basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(basis.shape[1])])
        unit = np.sqrt(len(values) * len(z) / values.sum())
        return cls(mean, basis * scale[:, None] * unit)

    def __call__(self, rows: Float[np.ndarray, "... d"]) -> Float[np.ndarray, "... p"]:
        """The components of any rows."""
        reduced: np.ndarray = (rows - self.mean) @ self.basis
        return reduced


def descend(
    parameters: list[torch.Tensor],
    penalised: list[tuple[torch.Tensor, torch.Tensor, float]],
    logits: Callable[[], torch.Tensor],
    wanted: torch.Tensor,
    steps: int,
    rate: float,
) -> None:
    """Adam (Kingma & Ba 2015) on the mean logistic loss [k] + weight / 2 |parameter - start|^2, in place.

    penalised: (parameter, its start, weight). The rate falls to 0 along a half cosine. Every labelling ends with the best
    parameters it met, the first ones included: its loss is never above that of where it started.
    """
    with _one_torch_thread():
        _descend(parameters, penalised, logits, wanted, steps, rate)


def _descend(
    parameters: list[torch.Tensor],
    penalised: list[tuple[torch.Tensor, torch.Tensor, float]],
    logits: Callable[[], torch.Tensor],
    wanted: torch.Tensor,
    steps: int,
    rate: float,
) -> None:
    import torch

    best = torch.full((len(wanted),), float("inf"), dtype=wanted.dtype)
    kept = [tensor.clone() for tensor in parameters]
    first, second = ([torch.zeros_like(tensor) for tensor in parameters] for _ in range(2))
    for tensor in parameters:
        tensor.requires_grad_(True)
    for step in range(steps + 1):
        losses = torch.nn.functional.binary_cross_entropy_with_logits(logits(), wanted, reduction="none").mean(dim=1)
        for tensor, start, weight in penalised:
            losses = losses + weight / 2 * ((tensor - start) ** 2).flatten(1).sum(dim=1)
        slopes = torch.autograd.grad(losses.sum(), parameters)
        with torch.no_grad():
            better = losses < best
            best = torch.where(better, losses, best)
            # Written out: torch.optim imports the compiler on its first step, which takes longer than the descent.
            now, old = 1 - _MEAN ** (step + 1), 1 - _SQUARE ** (step + 1)
            length = rate * 0.5 * (1 + np.cos(np.pi * step / steps)) / now
            for i, (tensor, slope) in enumerate(zip(parameters, slopes, strict=True)):
                kept[i][better] = tensor[better]
                first[i].lerp_(slope, 1 - _MEAN)
                second[i].mul_(_SQUARE).addcmul_(slope, slope, value=1 - _SQUARE)
                tensor.addcdiv_(first[i], (second[i] / old).sqrt_().add_(1e-8), value=-length)
    for keep, tensor in zip(kept, parameters, strict=True):
        tensor.requires_grad_(False)
        tensor.copy_(keep)


_descents = 0
_threads_before = 1
_counting = threading.Lock()


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """torch's own threads off, for as long as any descent runs: on tensors this small they only wait for each other, and
    cells are fitted two at a time already."""
    import torch

    global _descents, _threads_before
    with _counting:
        if _descents == 0:
            _threads_before = torch.get_num_threads()
            torch.set_num_threads(1)
        _descents += 1
    try:
        yield
    finally:
        with _counting:
            _descents -= 1
            if _descents == 0:
                torch.set_num_threads(_threads_before)


def prior_logits(wanted: torch.Tensor) -> torch.Tensor:
    """Log-odds of the concept among the rows of each labelling: where every descent starts."""
    share: Any = wanted.mean(dim=1)
    result: torch.Tensor = (share / (1 - share)).log()
    return result
