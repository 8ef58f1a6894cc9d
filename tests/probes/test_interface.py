"""What every registered probe promises, whatever its kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone

from conceptprobe import registry
from conceptprobe.errors import TooFewRows, UsageError
from conceptprobe.probes.base import LinearProbe, Probe, WrongSign
from conceptprobe.probes.heldout import held_out_scores
from conceptprobe.probes.ridge import RidgeProbe
from conceptprobe.stats.auroc import auroc
from conceptprobe.stats.design import make_design

ENTRIES = registry.entries("probe")
ALL = sorted(ENTRIES)
LINEAR = [name for name in ALL if ENTRIES[name].about["linear"]]
VECTORS = [name for name in ALL if not ENTRIES[name].about["positions"]]
# Solvers that stop at a tolerance differ between one labelling and many by about that; the others by rounding.
CLOSE = {"logistic": 2e-3}


def make(name: str) -> Probe:
    probe: Probe = ENTRIES[name].value()
    return probe


def rows(name: str, seed: int = 0, n: int = 48, d: int = 12, strength: float = 1.0):
    """Rows in the shape the probe takes: the concept along one direction, in token rows at one token of each."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.permutation(n) % 2 == 0, 1, -1)
    direction = rng.standard_normal(d) / np.sqrt(d) * 3
    x = rng.standard_normal((n, d)) * rng.uniform(0.5, 2, d) + rng.standard_normal(d)
    if not ENTRIES[name].about["positions"]:
        return x + strength * np.outer(y, direction), y
    tokens = np.repeat(x[:, None], 5, axis=1) + rng.standard_normal((n, 5, d))
    tokens[np.arange(n), rng.integers(3, size=n)] += strength * np.outer(y, direction)
    tokens[rng.random(n) < 0.5, 4] = np.nan
    return tokens, y


def test_the_kinds_of_the_house_are_all_here():
    assert set(ALL) >= {"ridge", "logistic", "mean_difference", "lda", "l1", "k_sparse", "attention", "mlp"}
    assert all(ENTRIES[name].value.positions == ENTRIES[name].about["positions"] for name in ALL)
    assert all(issubclass(ENTRIES[name].value, LinearProbe) == ENTRIES[name].about["linear"] for name in ALL)


@pytest.mark.parametrize("name", ALL)
def test_it_finds_what_is_there_and_points_to_the_concept(name):
    x, y = rows(name, n=160)
    probe = make(name).fit(x[:100], y[:100])
    decision = probe.decision_function(x[100:])
    assert auroc(decision, y[100:]) > 0.8
    assert auroc(make(name).fit(x[:100], -y[:100]).decision_function(x[100:]), y[100:]) < 0.2
    assert set(probe.predict(x)) <= {-1, 1}
    np.testing.assert_array_equal(probe.predict(x[100:]) == 1, decision > 0)
    assert probe.score(x[:100], y[:100]) > 0.7


@pytest.mark.parametrize("name", LINEAR)
@given(seed=st.integers(0, 50), d=st.sampled_from([3, 12, 70]))
@settings(max_examples=10, deadline=None)
def test_a_linear_probe_is_its_coefficients_and_a_unit_direction(name, seed, d):
    x, y = rows(name, seed, d=d)
    probe = make(name).fit(x, y)
    np.testing.assert_allclose(probe.decision_function(x), x @ probe.coef_ + probe.intercept_, atol=1e-9)
    assert probe.coef_.shape == probe.direction_.shape == (d,)
    assert np.linalg.norm(probe.direction_) == pytest.approx(1.0)
    np.testing.assert_allclose(probe.direction_ * np.linalg.norm(probe.coef_), probe.coef_, atol=1e-12)
    along = x @ probe.direction_
    assert along[y > 0].mean() >= along[y < 0].mean()


@pytest.mark.parametrize("name", ALL)
def test_every_labelling_at_once_is_one_fit_after_the_other(name):
    x, y = rows(name, n=60)
    rng = np.random.default_rng(1)
    labels = np.stack([y[:40], rng.permutation(y[:40]), np.where(rng.random(40) < 0.25, 1, -1), -y[:40]])
    probe = make(name)
    batch = probe.relabelled(x[:40], x[40:], labels)
    loop = Probe._relabelled(probe, x[:40], x[40:], labels.astype(float))
    np.testing.assert_allclose(batch, loop, atol=CLOSE.get(name, 1e-6) * np.abs(loop).max())
    assert not hasattr(probe, "classes_")


@pytest.mark.parametrize("name", ALL)
def test_a_labelling_of_one_class_says_nothing_and_leaves_the_others_alone(name):
    x, y = rows(name)
    labels = np.stack([y[:30], np.ones(30), -np.ones(30)])
    out = make(name).relabelled(x[:30], x[30:], labels)
    assert np.all(out[1:] == 0)
    np.testing.assert_allclose(out[:1], make(name).relabelled(x[:30], x[30:], labels[:1]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_the_order_of_rows_means_nothing(name):
    x, y = rows(name)
    order = np.random.default_rng(3).permutation(len(y))
    one = make(name).fit(x, y).decision_function(x)
    two = make(name).fit(x[order], y[order]).decision_function(x)
    np.testing.assert_allclose(one, two, atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize("name", ALL)
def test_constant_features_are_silent(name):
    x, y = rows(name)
    constant = np.full((*x.shape[:-1], 2), 1e6 + 0.1)
    if ENTRIES[name].about["positions"]:
        constant[np.isnan(x[..., 0])] = np.nan
    more = np.concatenate([x, constant], axis=-1)
    one, two = make(name).fit(x, y), make(name).fit(more, y)
    np.testing.assert_allclose(one.decision_function(x), two.decision_function(more), rtol=1e-5, atol=1e-5)
    if name in LINEAR:
        assert np.all(two.direction_[-2:] == 0)


@pytest.mark.parametrize("name", ALL)
def test_rows_that_are_all_alike_give_no_direction_and_no_error(name):
    x, y = rows(name, n=20)
    flat = np.ones_like(x)
    probe = make(name).fit(flat, y)
    assert np.ptp(probe.decision_function(flat)) == 0
    if name in LINEAR:
        assert np.all(probe.direction_ == 0)


@pytest.mark.parametrize("name", [name for name in ALL if name != "mean_difference"])
def test_units_of_features_mean_nothing_where_features_are_standardised(name):
    x, y = rows(name)
    scale, shift = np.linspace(0.01, 100, x.shape[-1]), np.linspace(-5, 5, x.shape[-1])
    one = make(name).fit(x, y).decision_function(x)
    two = make(name).fit(x * scale + shift, y).decision_function(x * scale + shift)
    np.testing.assert_allclose(one, two, atol=2e-5 * np.abs(one).max())


@pytest.mark.parametrize("name", ALL)
def test_it_is_an_estimator_of_scikit_learn(name):
    x, y = rows(name)
    probe = make(name)
    parameters = probe.get_params()
    twin = clone(probe.set_params(**parameters)).fit(x, y, groups=np.arange(len(y)))
    assert twin.get_params() == parameters
    again = clone(twin).fit(x, y > 0)
    assert list(again.classes_) == [False, True]
    np.testing.assert_array_equal(again.decision_function(x), twin.decision_function(x))


@pytest.mark.parametrize("name", ALL)
def test_what_cannot_be_fitted_is_said(name):
    x, y = rows(name)
    with pytest.raises(TooFewRows, match="same label"):
        make(name).fit(x, np.ones(len(y)))
    with pytest.raises(UsageError, match="labels of shape"):
        make(name).fit(x, y[:-1])
    with pytest.raises(UsageError, match="must be numbers"):
        make(name).fit(x, np.array(["a"] * len(y)))
    with pytest.raises(UsageError, match="shape"):
        make(name).fit(x[0, 0], y)
    for value in (np.nan, np.inf):
        broken = x.copy()
        broken[7, ..., 0] = value
        with pytest.raises(UsageError, match="1 of 48 rows hold NaN or infinite values, the first is row 7"):
            make(name).fit(broken, y)
    with pytest.raises(UsageError, match="features"):
        make(name).fit(x, y).decision_function(x[..., :-1])
    with pytest.raises(UsageError, match="labellings of shape"):
        make(name).relabelled(x, x, np.stack([y, y])[:, :-1])


class _Backwards(LinearProbe):
    def _solve(self, x, sign):
        return -(sign @ x), 0.0


def test_a_probe_that_points_the_wrong_way_is_caught():
    x, y = rows("ridge")
    with pytest.raises(WrongSign):
        _Backwards().fit(x, y)


@pytest.mark.parametrize("name", [n for n in VECTORS if n not in ("mlp", "l1")])
@given(
    x=arrays(np.float64, (8, 3), elements=st.sampled_from([0.0, 1.0, 1 + 1e-9, 1e6, 1e6 + 1, -3.0, 1e-8])),
    positives=st.integers(1, 7),
)
@settings(max_examples=40, deadline=None)
def test_degenerate_rows_never_trip_the_sign(name, x, positives):
    probe = make(name).fit(x, np.arange(8) < positives)
    assert np.isfinite(probe.decision_function(x)).all()


@pytest.mark.parametrize("name", ALL)
def test_held_out_scores_are_a_loop_over_cells(name):
    terms, templates = 8, 3
    named = [(t, s, f) for t in range(terms) for s in (1, -1) for f in range(templates)]
    design = make_design(
        item=[f"{t}{s}" for t, s, _ in named],
        positive=[s > 0 for _, s, _ in named],
        unit=[str(t) for t, *_ in named],
        template=[str(f) for *_, f in named],
        folds=2,
        template_folds=3,
        pooled=True,
        rng=np.random.default_rng(0),
    )
    x, _ = rows(name, n=len(named))
    spaces = {"a": x, "b": x[::-1]}
    chosen = [["a", "b", "a"], ["b", "b", "a"]]
    labels = np.stack([design.label, -design.label])
    scores = held_out_scores(make(name), spaces, chosen, design, labels)
    expected = np.zeros(labels.shape)
    for cell in design.cells:
        train, test = design.train_rows(cell), design.test_rows(cell)
        space = spaces[chosen[cell.fold][cell.template_fold]]
        for draw, label in enumerate(labels):
            decision = make(name).fit(space[train], label[design.item[train]]).decision_function(space[test])
            for item, value in zip(design.item[test], decision - decision.mean(), strict=True):
                expected[draw, item] += value / templates
    np.testing.assert_allclose(scores, expected, atol=CLOSE.get(name, 1e-6) * np.abs(expected).max())


def test_classes_are_the_labels_as_given():
    x, y = rows("ridge")
    assert list(RidgeProbe().fit(x, (y + 1) // 2).classes_) == [0, 1]
    assert list(RidgeProbe().fit(x, y).classes_) == [-1, 1]
    assert list(RidgeProbe().fit(x, y * np.linspace(1, 2, len(y))).classes_) == [0, 1]
