"""Factors and scalings: what they are said to solve holds, checked by other means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss

from debias.errors import ParameterError
from debias.estimators.baselines import (
    BatchCalibration,
    BoostedTrees,
    ClassWeights,
    ConfusionBalancing,
    LogisticRegressionBaseline,
    PriorMatching,
    TemperatureScaling,
    Uncorrected,
    VectorScaling,
)
from debias.metrics.scores import worst_class_accuracy
from tests.support.refusals import refused
from tests.support.small_tables import skewed_rows

SCORES = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "macro_f1": lambda y, predicted: f1_score(y, predicted, average="macro"),
}


@given(st.integers(0, 1000), st.integers(2, 6))
@settings(max_examples=10, deadline=None)
def test_mean_corrected_probabilities_are_the_prior(seed, n_classes):
    X, y = skewed_rows(seed, 12 * n_classes, n_classes)
    y = np.where(y == 1, 0, y)  # a class without labels, and an uneven mix
    uniform = PriorMatching().fit(X)
    np.testing.assert_allclose(uniform.transform(X).mean(axis=0), 1 / n_classes, atol=1e-6)
    mix = PriorMatching(target="labels").fit(X, y)
    shares = np.bincount(y, minlength=n_classes) / len(y)
    np.testing.assert_allclose(mix.transform(X).mean(axis=0), shares, atol=1e-6)
    assert (uniform.n_labels_, mix.n_labels_) == (0, len(y))


def test_a_row_of_a_class_with_the_factor_zero_is_left_as_it_is():
    X = np.array([[0.5, 0.5, 0.0], [0.2, 0.8, 0.0], [0.0, 0.0, 1.0]])
    matched = PriorMatching(target="labels").fit(X, [0, 1, 1])
    assert matched.factors_[2] == 0
    assert matched.transform(X)[2].tolist() == [0, 0, 1]
    with pytest.warns(UserWarning, match="17 points are missing"):
        PriorMatching().fit(np.eye(2)[[0, 0, 1]])


@pytest.mark.parametrize("metric", sorted(SCORES))
@pytest.mark.parametrize("seed", range(2))
def test_no_class_weight_on_a_grid_beats_the_one_that_was_found(metric, seed):
    X, y = skewed_rows(seed, 50, 3)
    found = ClassWeights(metric=metric).fit(X, y)
    score = SCORES[metric]
    assert found.score_ == pytest.approx(score(y, found.predict(X)))
    assert found.score_ >= score(y, Uncorrected().fit(X).predict(X))
    assert found.score_ >= score(y, BatchCalibration().fit(X).predict(X))
    for k in range(3):
        for logarithm in np.linspace(-4, 4, 41):
            factors = found.factors_.copy()
            factors[k] = np.exp(logarithm)
            assert score(y, (X * factors).argmax(axis=1)) <= found.score_ + 1e-9


def test_class_weights_give_up_a_class_without_labels_and_rows_without_probability():
    X = np.array([[0.6, 0.4, 0.0], [0.7, 0.3, 0.0], [0.9, 0.1, 0.0], [1.0, 0.0, 0.0]])
    for metric in SCORES:
        fitted = ClassWeights(metric=metric).fit(X, [1, 1, 0, 0])
        assert fitted.score_ == 1
        assert fitted.predict(X).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("seed", range(4))
def test_confusion_balancing_lifts_the_least_class_accuracy_or_matches_the_counts(seed):
    X, y = skewed_rows(seed, 90, 3)
    before = Uncorrected().fit(X).predict(X)
    even = ConfusionBalancing().fit(X, y).predict(X)
    assert worst_class_accuracy(y, even) > worst_class_accuracy(y, before)
    matched = ConfusionBalancing(balance="counts").fit(X, y).predict(X)

    def away(predicted):
        return np.abs(np.bincount(predicted, minlength=3) - np.bincount(y)).sum()

    assert away(matched) <= 4 < away(before)


def test_temperature_and_vector_scaling_have_the_highest_likelihood():
    X, y = skewed_rows(3, 200, 3)
    rows, x = np.arange(200), np.log(X)

    def loss(parameters):
        return -log_softmax(x * parameters[:3] + parameters[3:], axis=1)[rows, y].mean()

    vector = VectorScaling().fit(X, y)
    referee = minimize(loss, np.repeat([1.0, 0.0], 3), method="Nelder-Mead", options={"maxiter": 20000})
    assert log_loss(y, vector.predict_proba(X)) == pytest.approx(referee.fun, abs=1e-4)
    temperature = TemperatureScaling().fit(X, y)
    grid = [loss(np.repeat([1 / t, 0.0], 3)) for t in np.linspace(0.3, 3, 200)]
    assert log_loss(y, temperature.predict_proba(X)) <= min(grid) + 1e-6
    assert temperature.predict(X).tolist() == Uncorrected().fit(X).predict(X).tolist()


def test_balanced_scaling_weighs_classes_alike():
    X, y = skewed_rows(5, 300, 3)
    some = (y != 2) | (np.arange(300) % 10 == 0)
    plain, balanced = (VectorScaling(class_weight=w).fit(X[some], y[some]) for w in (None, "balanced"))
    recalls = [(one.predict(X)[y == 2] == 2).mean() for one in (plain, balanced)]
    assert recalls[1] > recalls[0] + 0.1


def test_boosted_trees_are_scikit_learns():
    X, y = skewed_rows(1, 120, 3)
    model = HistGradientBoostingClassifier(class_weight="balanced", max_iter=2, random_state=0)
    expected = model.fit(np.log(X), y).predict_proba(X=np.log(X))
    np.testing.assert_allclose(BoostedTrees(n_rounds=2).fit(X, y).predict_proba(X), expected)


@pytest.mark.parametrize(
    ("baseline", "parameter"),
    [
        (PriorMatching(target="flat"), "target"),
        (ClassWeights(metric="cobias"), "metric"),
        (ConfusionBalancing(balance="rows"), "balance"),
        (ConfusionBalancing(n_steps=0), "n_steps"),
        (VectorScaling(class_weight="even"), "class_weight"),
        (VectorScaling(penalty=0), "penalty"),
        (LogisticRegressionBaseline(class_weight="even"), "class_weight"),
    ],
)
def test_settings_that_are_not_allowed_are_refused(baseline, parameter):
    with refused(ParameterError, parameter=parameter):
        baseline.fit(*skewed_rows())
