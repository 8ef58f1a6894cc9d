"""What every probe offers: the estimator of scikit-learn, a direction with its sign, and many labellings at once.

A probe is fitted on rows of activations and a label per row. A null is the same rows under many labellings, so beside `fit`
every probe has `relabelled`, which a kind overrides wherever one factorisation or one batched solve serves them all.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from conceptprobe.errors import TooFewRows, UsageError

if TYPE_CHECKING:
    from typing import Self

    from jaxtyping import Float, Shaped


class WrongSign(RuntimeError):
    """A fitted probe calls its own training controls more of the concept than its positives: an error of the probe.

    Every probe here minimises a convex loss, or one it starts from a constant, plus a penalty; whatever does no worse than
    the constant cannot order the two class means wrongly. So this is never the user's data.
    """


class Probe(ClassifierMixin, BaseEstimator):
    """One probe, of any kind. Subclasses give `_fit` and `_decide`, and `_relabelled` where they know a faster way.

    After `fit`: classes_, the label of controls and the label of the concept.
    """

    positions: ClassVar[bool] = False
    """True: rows are [tokens, d] with NaN rows for padding. False: rows are vectors."""

    def fit(self, X: Shaped[np.ndarray, "n ..."], y: Shaped[np.ndarray, " n"], groups: object = None) -> Self:
        """Fit on n rows; y > 0 marks the concept. `groups` is accepted for scikit-learn's sake and not used.

        Raises UsageError for rows that are not finite numbers or do not match y, TooFewRows where a class has no row.
        """
        x = self._checked(X)
        label = _labels(y, len(x))
        sign = np.where(label > 0, 1.0, -1.0)
        if not (sign > 0).any() or not (sign < 0).any():
            raise TooFewRows(
                f"all {len(sign)} rows have the same label",
                hint="a probe needs rows of the concept (y > 0) and controls",
            )
        values = np.unique(label)
        self.classes_ = values if len(values) == 2 else np.array([0, 1])
        self.n_features_in_ = x.shape[-1]
        self._fit(x, sign)
        _assert_sign(type(self).__name__, self._decide(x), sign)
        return self

    def decision_function(self, X: Shaped[np.ndarray, "m ..."]) -> Float[np.ndarray, " m"]:
        """How much of the concept is in each row; above 0 the row is called the concept's. The unit is the kind's own."""
        check_is_fitted(self)
        x = self._checked(X)
        if x.shape[-1] != self.n_features_in_:
            raise UsageError(f"rows have {x.shape[-1]} features, the probe was fitted on {self.n_features_in_}")
        return self._decide(x)

    def predict(self, X: Shaped[np.ndarray, "m ..."]) -> Shaped[np.ndarray, " m"]:
        """Of `classes_`, the concept's where the decision is above 0."""
        return self.classes_[(self.decision_function(X) > 0).astype(np.int64)]

    def relabelled(
        self,
        train: Shaped[np.ndarray, "n ..."],
        test: Shaped[np.ndarray, "m ..."],
        labels: Shaped[np.ndarray, "k n"],
    ) -> Float[np.ndarray, "k m"]:
        """Decisions for the test rows when the probe is fitted on the training rows under each of k labellings (+-1).

        What k fits of a clone would give, to the tolerance of the kind's solver; this object stays as it is. A labelling
        with one class only says nothing, and its decisions are 0.
        """
        x, z = self._checked(train), self._checked(test)
        if np.ndim(labels) != 2 or np.shape(labels)[1] != len(x):
            raise UsageError(f"labellings of shape {np.shape(labels)} for {len(x)} training rows")
        sign = np.where(np.asarray(labels) > 0, 1.0, -1.0)
        both = np.abs(sign.sum(axis=1)) < sign.shape[1]
        out = np.zeros((len(sign), len(z)))
        if both.any():
            out[both] = self._relabelled(x, z, sign[both])
        return out

    @abstractmethod
    def _fit(self, x: Float[np.ndarray, "n ..."], sign: Float[np.ndarray, " n"]) -> None:
        """Fit on checked float64 rows and labels of +-1, both present."""

    @abstractmethod
    def _decide(self, x: Float[np.ndarray, "m ..."]) -> Float[np.ndarray, " m"]:
        """Decisions for checked float64 rows."""

    def _relabelled(
        self, train: Float[np.ndarray, "n ..."], test: Float[np.ndarray, "m ..."], sign: Float[np.ndarray, "k n"]
    ) -> Float[np.ndarray, "k m"]:
        # One fit after the other: what every faster way is tested against.
        return np.stack([clone(self).fit(train, row)._decide(test) for row in sign])

    def _checked(self, x: Any) -> Float[np.ndarray, "n ..."]:
        try:
            rows = np.asarray(x, dtype=np.float64)
        except (TypeError, ValueError):
            raise UsageError("features must be numbers, one row per stimulus") from None
        wanted = 3 if self.positions else 2
        if rows.ndim != wanted:
            shape = "[rows, tokens, features]" if self.positions else "[rows, features]"
            raise UsageError(f"features must have the shape {shape}, not {rows.shape}")
        broken: Any = ~np.isfinite(rows).all(axis=-1)
        if self.positions:
            token = ~broken
            padding: Any = np.isnan(rows).all(axis=-1)
            broken = ~(token | padding).all(axis=1) | ~token.any(axis=1)
        if broken.any():
            raise UsageError(
                f"{int(broken.sum())} of {len(rows)} rows hold NaN or infinite values, the first is row {int(broken.argmax())}",
                hint="padding tokens are NaN throughout, and every row has a token" if self.positions else "",
            )
        return rows


class LinearProbe(Probe):
    """A probe that is a direction. Subclasses give `_solve`.

    After `fit`: coef_ ["d"], intercept_, direction_ ["d"], coef_ at unit norm; all in the space of the raw features, +
    means the concept. Where no feature varies with the label coef_ and direction_ are 0.
    """

    def _fit(self, x: Float[np.ndarray, "n d"], sign: Float[np.ndarray, " n"]) -> None:
        self.coef_, self.intercept_ = self._solve(x, sign)
        # Scaled by the largest entry first: squares of very small coefficients would vanish.
        top = float(np.abs(self.coef_).max(initial=0.0))
        scaled = self.coef_ / top if top > 0 else self.coef_
        self.direction_ = scaled / np.linalg.norm(scaled) if top > 0 else np.zeros_like(self.coef_)

    def _decide(self, x: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
        return x @ self.coef_ + self.intercept_

    @abstractmethod
    def _solve(
        self, x: Float[np.ndarray, "n d"], sign: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " d"], float]:
        """Coefficients on raw features and the intercept."""


def mean_and_scale(train: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Mean and 1 / standard deviation per feature; scale 0 for features constant in training, so that they stay silent."""
    mean = train.mean(axis=0)
    spread = train.std(axis=0)
    # Below float32 resolution a feature is constant, and dividing by its spread would amplify rounding.
    scale = np.where(spread > 1e-6 * (np.abs(mean) + 1e-12), 1.0 / np.where(spread > 0, spread, 1.0), 0.0)
    return mean, scale


def _labels(y: Any, n: int) -> Shaped[np.ndarray, " n"]:
    label = np.asarray(y)
    if label.shape != (n,):
        raise UsageError(
            f"labels of shape {label.shape} for {n} rows", hint="one label per row; above 0 marks the concept"
        )
    if label.dtype.kind not in "biuf" or not np.isfinite(label).all():
        raise UsageError("labels must be numbers; above 0 marks the concept")
    return label


def _assert_sign(name: str, decision: Float[np.ndarray, " n"], sign: Float[np.ndarray, " n"]) -> None:
    gap = float(decision[sign > 0].mean() - decision[sign < 0].mean())
    # A direction that carries nothing leaves rounding alone, of either sign.
    if not gap >= -(1e-6 * float(decision.std()) + 1e-9 * float(np.abs(decision).max())):
        raise WrongSign(f"{name}: mean decision of positives minus that of controls is {gap:.3g} on the training rows")
