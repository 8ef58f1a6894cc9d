"""Attention probe: which tokens to read is learned with what to read from them.

A mean over tokens drowns a concept that one token carries, and a fixed position misses one that moves. One learned query
weighs the tokens of a row (attention pooling with a context vector: Yang et al. 2016, "Hierarchical Attention
Networks"; with one learned seed: Lee et al. 2019, "Set Transformer"), and a linear read-out follows.
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
    "attention",
    about="one learned query over token positions, then a linear read-out",
    linear=False,
    positions=True,
)
class AttentionProbe(Probe):
    """softmax(q . token) over the tokens of a row, then a linear read-out of the pooled token; decisions are log-odds.

    Rows are [tokens, d], padding is NaN. Tokens are standardised and reduced to the top `components` of all training tokens.
    decay: L2 penalty of query and read-out. steps, rate: of Adam. Query and read-out start at 0, a mean over tokens and
    the constant, so that nothing is drawn at random; the order of tokens is not seen. After `fit`: query_ and readout_
    ["d"], on raw features. Costs one eigendecomposition of the training tokens and 12 n t components products per
    labelling and step.
    """

    positions = True

    def __init__(self, components: int = 48, decay: float = 0.03, steps: int = 60, rate: float = 0.1) -> None:
        self.components = components
        self.decay = decay
        self.steps = steps
        self.rate = rate

    def attention(self, X: Float[np.ndarray, "m t d"]) -> Float[np.ndarray, "m t"]:
        """The weight of every token of each row: 0 for padding, 1 in sum."""
        tokens, present = _tokens(self._checked(X), self.reduction_)
        weights: np.ndarray = _softmax((tokens @ self.parameters_[0][0])[None], present)[0]
        return weights

    def _fit(self, x: Float[np.ndarray, "n t d"], sign: Float[np.ndarray, " n"]) -> None:
        self.reduction_ = self._reduction(x)
        self.parameters_ = self._train(*_tokens(x, self.reduction_), sign[None])
        self.query_ = self.reduction_.basis @ self.parameters_[0][0]
        self.readout_ = self.reduction_.basis @ self.parameters_[1][0]

    def _decide(self, x: Float[np.ndarray, "m t d"]) -> Float[np.ndarray, " m"]:
        return _logits(*_tokens(x, self.reduction_), self.parameters_)[0]

    def _relabelled(
        self, train: Float[np.ndarray, "n t d"], test: Float[np.ndarray, "m t d"], sign: Float[np.ndarray, "k n"]
    ) -> Float[np.ndarray, "k m"]:
        reduction = self._reduction(train)
        return _logits(*_tokens(test, reduction), self._train(*_tokens(train, reduction), sign))

    def _reduction(self, x: Float[np.ndarray, "n t d"]) -> Reduction:
        return Reduction.of(x[_present(x)], self.components)

    def _train(
        self, tokens: Float[np.ndarray, "n t p"], present: Float[np.ndarray, "n t"], sign: Float[np.ndarray, "k n"]
    ) -> tuple[Float[np.ndarray, "..."], ...]:
        k, (n, t, p) = len(sign), tokens.shape
        rows = tokens.reshape(n * t, p)
        wanted = (sign > 0).astype(np.float64)
        query, readout = np.zeros((k, p)), np.zeros((k, p))
        last = prior_logits(wanted)

        def logits() -> tuple[np.ndarray, Callable[[np.ndarray], Sequence[np.ndarray]]]:
            # Read-out first: the pooled token is never formed, since pooling and reading are both linear.
            asked, values = (np.concatenate([query, readout]) @ rows.T).reshape(2, k, n, t)
            weights = _softmax(asked, present)
            pooled = (weights * values).sum(axis=2)

            def slopes(by_logit: np.ndarray) -> Sequence[np.ndarray]:
                by_value = weights * by_logit[..., None]
                by_score = by_value * (values - pooled[..., None])
                return by_score.reshape(k, -1) @ rows, by_value.reshape(k, -1) @ rows, by_logit.sum(axis=1)

            return pooled + last[:, None], slopes

        penalties = [Penalty(0, 0.0, self.decay), Penalty(1, 0.0, self.decay)]
        kept = descend([query, readout, last], penalties, logits, wanted, self.steps, self.rate)
        return tuple(kept)


def _present(x: Float[np.ndarray, "n t d"]) -> Float[np.ndarray, "n t"]:
    return ~np.isnan(x[:, :, 0])


def _tokens(
    x: Float[np.ndarray, "n t d"], reduction: Reduction
) -> tuple[Float[np.ndarray, "n t p"], Float[np.ndarray, "n t"]]:
    """Reduced tokens, 0 at padding, and where tokens are."""
    present = _present(x)
    return np.where(present[:, :, None], reduction(x), 0.0), present


def _softmax(scores: Float[np.ndarray, "k m t"], present: Float[np.ndarray, "m t"]) -> Float[np.ndarray, "k m t"]:
    shown = np.where(present, scores, -np.inf)
    weights = np.exp(shown - shown.max(axis=2, keepdims=True))
    return np.asarray(weights / weights.sum(axis=2, keepdims=True))


def _logits(
    tokens: Float[np.ndarray, "m t p"],
    present: Float[np.ndarray, "m t"],
    parameters: tuple[Float[np.ndarray, "..."], ...],
) -> Float[np.ndarray, "k m"]:
    query, readout, last = parameters
    weights = _softmax(np.moveaxis(tokens @ query.T, 2, 0), present)
    values = np.moveaxis(tokens @ readout.T, 2, 0)
    return np.asarray((weights * values).sum(axis=2) + last[:, None])
