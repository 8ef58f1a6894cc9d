"""MLP probe: a ceiling for what is there but not linear (Hewitt & Liang 2019 compare it with linear probes).

What it reads beyond a linear probe is not a direction, and says nothing about what the model itself can use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from conceptprobe.probes.base import Probe
from conceptprobe.probes.trained import Penalty, Reduction, descend, prior_logits
from conceptprobe.registry import register

if TYPE_CHECKING:
    from jaxtyping import Float


@register(
    "probe",
    "mlp",
    about="one hidden layer on principal components: a ceiling, no direction",
    linear=False,
    positions=False,
)
class MLPProbe(Probe):
    """One hidden layer of ReLU units on the top principal components of standardised features; decisions are log-odds.

    components: of the training rows, so that a few hundred of them suffice. hidden: units. decay: L2 penalty that pulls
    weights to where they started (Hu, Li & Yu 2020), not to 0. steps, rate: of Adam. seed: of the first layer's start;
    the second starts at 0, hence the probe at the constant. Costs one eigendecomposition of the training rows and
    6 n hidden components products per labelling and step.
    """

    def __init__(
        self,
        components: int = 24,
        hidden: int = 16,
        decay: float = 0.03,
        steps: int = 40,
        rate: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.components = components
        self.hidden = hidden
        self.decay = decay
        self.steps = steps
        self.rate = rate
        self.seed = seed

    def _fit(self, x: Float[np.ndarray, "n d"], sign: Float[np.ndarray, " n"]) -> None:
        self.reduction_ = Reduction.of(x, self.components)
        self.parameters_ = self._train(self.reduction_(x), sign[None])

    def _decide(self, x: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
        return _logits(self.reduction_(x), self.parameters_)[0]

    def _relabelled(
        self, train: Float[np.ndarray, "n d"], test: Float[np.ndarray, "m d"], sign: Float[np.ndarray, "k n"]
    ) -> Float[np.ndarray, "k m"]:
        reduction = Reduction.of(train, self.components)
        return _logits(reduction(test), self._train(reduction(train), sign))

    def _train(
        self, x: Float[np.ndarray, "n p"], sign: Float[np.ndarray, "k n"]
    ) -> tuple[Float[np.ndarray, "..."], ...]:
        k, (n, p), h = len(sign), x.shape, self.hidden
        rows = x.astype(np.float64)
        across, wanted = np.ascontiguousarray(rows.T), (sign > 0).astype(np.float64)
        # The same start for every labelling: what one labelling gives must not depend on its neighbours.
        start = np.random.default_rng(self.seed).standard_normal((h, p)) / p**0.5
        first = np.tile(start, (k, 1, 1))
        shift, second = (np.zeros((k, h)) for _ in range(2))
        last = prior_logits(wanted)

        def logits() -> tuple[np.ndarray, Callable[[np.ndarray], Sequence[np.ndarray]]]:
            active = (first.reshape(k * h, p) @ across).reshape(k, h, n)
            active += shift[..., None]
            np.maximum(active, 0.0, out=active)

            def slopes(by_logit: np.ndarray) -> Sequence[np.ndarray]:
                by_second = (active @ by_logit[..., None])[..., 0]
                below = (active > 0) * by_logit[:, None]
                below *= second[..., None]
                by_first = (below.reshape(k * h, n) @ rows).reshape(k, h, p)
                return by_first, below.sum(axis=2), by_second, by_logit.sum(axis=1)

            return (second[:, None] @ active)[:, 0] + last[:, None], slopes

        penalties = [Penalty(0, start, self.decay / h), Penalty(2, 0.0, self.decay)]
        kept = descend([first, shift, second, last], penalties, logits, wanted, self.steps, self.rate)
        return tuple(kept)


def _logits(x: Float[np.ndarray, "m p"], parameters: tuple[Float[np.ndarray, "..."], ...]) -> Float[np.ndarray, "k m"]:
    first, shift, second, last = parameters
    active = np.maximum(x @ np.swapaxes(first, 1, 2) + shift[:, None, :], 0.0)  # [k, m, hidden]
    logits: np.ndarray = (active @ second[..., None])[..., 0] + last[:, None]
    return logits
