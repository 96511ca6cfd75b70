"""The baselines: solved by hand, against scikit-learn itself, on real tables, and as estimators.

Factors and scalings have a file of their own, test_factors.py.
"""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from debias.errors import ParameterError, TableError
from debias.estimators.baselines import (
    CONTENT_FREE_INPUTS,
    BatchCalibration,
    BoostedTrees,
    ClassWeights,
    ConfusionBalancing,
    ContextualCalibration,
    LogisticRegressionBaseline,
    MajorityClass,
    PriorMatching,
    TemperatureScaling,
    Uncorrected,
    VectorScaling,
    domain_context_inputs,
)
from debias.metrics.scores import cobias
from debias.tables.table import ProbabilityTable
from tests.support.published_tables import CLASSES, published
from tests.support.refusals import refused
from tests.support.scikit_learn_checks import EXPECTED_FAILURES, NO_PROBABILITIES

TWO_CLASSES = np.array([[0.5, 0.5], [0.7, 0.3]])
FOUR_CLASSES = np.array([[0.4, 0.3, 0.2, 0.1], [0.2, 0.3, 0.2, 0.3]])
LABEL_FREE = [Uncorrected(), BatchCalibration(), ContextualCalibration(FOUR_CLASSES), PriorMatching()]
FACTORS = [PriorMatching(target="labels"), ConfusionBalancing(), ClassWeights()]
MODELS = [LogisticRegressionBaseline(), BoostedTrees(n_rounds=2)]
SCALINGS = [TemperatureScaling(), VectorScaling(class_weight="balanced")]
SUPERVISED = [MajorityClass(), *MODELS, *FACTORS, *SCALINGS]
ALL = LABEL_FREE + SUPERVISED


def name_of(value):
    """Name a test after the class of its estimator."""
    return type(value).__name__


FAILING = dict.fromkeys([*EXPECTED_FAILURES, "check_class_weight_classifiers"], NO_PROBABILITIES)
ONE_OF_EACH_KIND = [
    *(BatchCalibration(), ContextualCalibration(TWO_CLASSES), ClassWeights()),
    *(LogisticRegressionBaseline(), VectorScaling(class_weight="balanced")),
]
THE_OTHERS = [PriorMatching(), PriorMatching(target="labels"), ConfusionBalancing(), TemperatureScaling()]


@parametrize_with_checks(ONE_OF_EACH_KIND, expected_failed_checks=lambda _: FAILING, xfail_strict=True)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [*THE_OTHERS, BoostedTrees(n_rounds=2)], expected_failed_checks=lambda _: FAILING, xfail_strict=True
)
def test_scikit_learn_checks_of_the_others(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def biased():
    """Rows whose class probabilities favour the last classes: (DataFrame, labels)."""
    rng = np.random.default_rng(0)
    names = ["sun", "rain", "fog", "snow"]
    y = np.repeat(np.arange(4), [90, 60, 50, 40])
    logits = rng.normal(size=(240, 4)) + 2.0 * np.eye(4)[y] + np.array([0.0, 0.5, 1.0, 2.0])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(probabilities, columns=names), np.array(names)[y]


# By hand ---------------------------------------------------------------------------------------


def test_batch_calibration_by_hand():
    """Means .75 and .25: .7 / .75 < .3 / .25, and .8 / .75 > .2 / .25."""
    X = np.array([[0.9, 0.1], [0.6, 0.4]])
    calibration = BatchCalibration().fit(X)
    assert calibration.prior_.tolist() == [0.75, 0.25]
    assert calibration.predict([[0.7, 0.3], [0.8, 0.2]]).tolist() == [1, 0]
    expected = [(0.7 / 0.75) / (0.7 / 0.75 + 0.3 / 0.25), (0.3 / 0.25) / (0.7 / 0.75 + 0.3 / 0.25)]
    np.testing.assert_allclose(calibration.predict_proba([[0.7, 0.3]])[0], expected)


def test_contextual_calibration_divides_by_content_free_answers_not_by_the_batch():
    X = np.array([[0.9, 0.1], [0.6, 0.4]])
    calibration = ContextualCalibration([[0.2, 0.8], [0.4, 0.6]]).fit(X)
    np.testing.assert_allclose(calibration.prior_, [0.3, 0.7])
    np.testing.assert_allclose(calibration.transform([[0.3, 0.7]]), [[0.5, 0.5]])
    assert calibration.predict([[0.31, 0.69], [0.29, 0.71]]).tolist() == [0, 1]


def test_logistic_regression_is_scikit_learns(biased):
    X, y = biased
    expected = make_pipeline(
        FunctionTransformer(np.log), LogisticRegression(class_weight="balanced", max_iter=2000)
    ).fit(X.to_numpy(), y)
    baseline = LogisticRegressionBaseline().fit(X, y)
    assert baseline.classes_.tolist() == expected.classes_.tolist()
    np.testing.assert_allclose(baseline.predict_proba(X), expected.predict_proba(X.to_numpy()), atol=1e-4)


def test_majority_class_is_scikit_learns(biased):
    X, y = biased
    expected = DummyClassifier(strategy="prior").fit(X, y)
    baseline = MajorityClass().fit(X, y)
    assert baseline.predict(X).tolist() == expected.predict(X).tolist() == ["sun"] * 240
    np.testing.assert_allclose(baseline.predict_proba(X), expected.predict_proba(X))


def test_uncorrected_is_the_identity_and_ties_go_to_the_first_column():
    X = pd.DataFrame({"z": [0.5, 0.2], "a": [0.5, 0.8]})
    baseline = Uncorrected().fit(X)
    np.testing.assert_allclose(baseline.transform(X), X.to_numpy())
    assert baseline.predict(X).tolist() == ["z", "a"]
    assert baseline.classes_.tolist() == ["a", "z"]
    np.testing.assert_allclose(baseline.predict_proba(X), X[["a", "z"]].to_numpy())


# Labels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", ALL, ids=name_of)
def test_labels_used_are_counted(baseline, biased):
    X, y = biased
    used = 240 if baseline in SUPERVISED else 0
    assert clone(baseline).fit(X, y).n_labels_ == used


@pytest.mark.parametrize("baseline", LABEL_FREE, ids=name_of)
def test_label_free_baselines_learn_the_same_without_labels(baseline, biased):
    X, y = biased
    without, with_labels = clone(baseline).fit(X), clone(baseline).fit(X, y)
    shuffled = clone(baseline).fit(X, np.random.default_rng(1).permutation(y))
    for other in (with_labels, shuffled):
        np.testing.assert_array_equal(without.predict_proba(X), other.predict_proba(X))
        assert without.predict(X).tolist() == other.predict(X).tolist()
        assert without.classes_.tolist() == other.classes_.tolist()


@pytest.mark.parametrize("baseline", SUPERVISED, ids=name_of)
def test_supervised_baselines_need_labels(baseline, biased):
    with refused(ParameterError, parameter="y"):
        clone(baseline).fit(biased[0])


def test_class_without_labels_is_never_predicted(biased):
    X, y = biased
    kept = y != "fog"
    for baseline in (MajorityClass(), *MODELS, FACTORS[0]):
        fitted = clone(baseline).fit(X[kept], y[kept])
        assert fitted.classes_.tolist() == ["fog", "rain", "snow", "sun"]
        assert (fitted.predict_proba(X)[:, 0] == 0).all()
    for baseline in MODELS:
        with refused(TableError, mentions=type(baseline).__name__):
            clone(baseline).fit(X[y == "sun"], y[y == "sun"])


# Conventions, on class probabilities -----------------------------------------------------------


@pytest.mark.parametrize("baseline", ALL, ids=name_of)
def test_conventions_of_scikit_learn(baseline, biased):
    X, y = biased
    before = X.copy()
    fitted = clone(baseline).set_output(transform="pandas")
    with pytest.raises(NotFittedError):
        fitted.predict(X)
    assert fitted.fit(X, y) is fitted
    assert fitted.n_features_in_ == 4
    assert fitted.feature_names_in_.tolist() == list(X.columns)
    transformed = fitted.transform(X)
    assert transformed.columns.tolist() == list(X.columns)
    np.testing.assert_allclose(transformed.sum(axis=1), 1)
    np.testing.assert_allclose(fitted.predict_proba(X), transformed[fitted.classes_])
    assert fitted.predict(X).tolist() == transformed.columns[transformed.to_numpy().argmax(axis=1)].tolist()
    again = pickle.loads(pickle.dumps(fitted))
    assert again.predict(X).tolist() == fitted.predict(X).tolist()
    pd.testing.assert_frame_equal(X, before)
    one_by_one = [fitted.predict(X.iloc[[row]])[0] for row in range(10)]
    assert one_by_one == fitted.predict(X.iloc[:10]).tolist()
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(X[X.columns[::-1]])


@pytest.mark.parametrize("baseline", ALL, ids=name_of)
def test_arrays_with_positions_say_the_same_as_frames_with_names(baseline, biased):
    X, y = biased
    names = np.array(X.columns)
    position = {name: column for column, name in enumerate(names)}
    by_name = clone(baseline).fit(X, y)
    by_position = clone(baseline).fit(X.to_numpy(), [position[label] for label in y])
    assert names[by_position.predict(X.to_numpy())].tolist() == by_name.predict(X).tolist()
    by_parameter = clone(baseline).set_params(classes=names).fit(X.to_numpy(), y)
    assert by_parameter.predict(X.to_numpy()).tolist() == by_name.predict(X).tolist()


@pytest.mark.parametrize("baseline", ALL, ids=name_of)
def test_input_that_is_no_distribution_is_refused(baseline, biased):
    X, y = biased
    broken = X.copy()
    broken.iloc[3, 1] = np.nan
    with refused(TableError, mentions=("row 3", "rain", "nan")):
        clone(baseline).fit(broken, y)
    fitted = clone(baseline).fit(X, y)
    with refused(TableError, mentions=("row 3", "rain")):
        fitted.predict(broken)
    with refused(TableError, mentions=("row 0", "2")):
        fitted.predict(X / 2 + 0.375)
    with pytest.raises(TypeError, match="[Ss]parse"):
        clone(baseline).fit(sparse.csr_matrix(X.to_numpy()), y)
    with refused(TableError, mentions="hail"):
        clone(baseline).fit(X, np.where(y == "sun", "hail", y))


def test_cross_validation_and_grid_search(biased):
    X, y = biased
    for baseline in ALL:
        assert cross_val_score(baseline, X, y, cv=3).shape == (3,)
    search = GridSearchCV(LogisticRegressionBaseline(), {"C": [1e-6, 1.0]}, cv=3, scoring="f1_macro").fit(
        X, y
    )
    assert search.best_params_ == {"C": 1.0}


# Content-free inputs ---------------------------------------------------------------------------


def test_content_free_answers_are_matched_by_name(biased):
    X, y = biased
    table = ProbabilityTable(FOUR_CLASSES, classes=["snow", "fog", "rain", "sun"])
    expected = table.probabilities[list(X.columns)].mean().to_numpy()
    for answers in (table, table.probabilities):
        np.testing.assert_allclose(ContextualCalibration(answers).fit(X).prior_, expected)
    by_position = ContextualCalibration(pd.DataFrame(FOUR_CLASSES)).fit(X)
    np.testing.assert_allclose(by_position.prior_, FOUR_CLASSES.mean(axis=0))


@pytest.mark.parametrize(
    ("given", "error", "fields"),
    [
        (None, ParameterError, {"parameter": "content_free_probabilities", "mentions": "N/A"}),
        (TWO_CLASSES, TableError, {"parameter": "content_free_probabilities", "received": (2, 2)}),
        (np.empty((0, 4)), TableError, {"parameter": "content_free_probabilities", "received": (0, 4)}),
        (ProbabilityTable(FOUR_CLASSES), TableError, {"mentions": "['0', '1'"}),
        (FOUR_CLASSES * 2, TableError, {"mentions": "2"}),
    ],
)
def test_content_free_answers_that_do_not_fit_are_refused(given, error, fields, biased):
    with refused(error, **fields):
        ContextualCalibration(given).fit(*biased)


def test_class_that_gets_nothing_is_left_as_it_is_with_a_warning():
    X = np.array([[0.6, 0.4, 0.0], [0.8, 0.2, 0.0]])
    with pytest.warns(UserWarning, match="no row gives any probability to fog"):
        calibration = BatchCalibration(classes=["sun", "rain", "fog"]).fit(X)
    assert calibration.prior_.tolist() == pytest.approx([0.7, 0.3, 1.0])
    np.testing.assert_allclose(calibration.transform([[0.35, 0.15, 0.5]]), [[1 / 3, 1 / 3, 1 / 3]])


def test_smallest_probability_keeps_logarithms_finite():
    X = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert LogisticRegressionBaseline().fit(X, [0, 0, 1, 1]).predict(X).tolist() == [0, 0, 1, 1]
    for baseline in (*MODELS, *SCALINGS):
        with refused(ParameterError, parameter="smallest", received=0):
            clone(baseline).set_params(smallest=0).fit(X, [0, 0, 1, 1])


def test_content_free_inputs_are_the_published_ones():
    assert CONTENT_FREE_INPUTS == ("N/A", "", "[MASK]")


@given(st.lists(st.text("ab c", min_size=1), min_size=1, max_size=5), st.integers(1, 6), st.integers(0, 9))
def test_domain_context_inputs_are_random_words_of_average_length(texts, n_inputs, seed):
    words = [word for text in texts for word in text.split()]
    if not words:
        with refused(ParameterError, parameter="texts"):
            domain_context_inputs(texts, n_inputs, seed)
        return
    drawn = domain_context_inputs(texts, n_inputs, seed)
    assert len(drawn) == n_inputs
    assert {word for text in drawn for word in text.split()} <= set(words)
    assert {len(text.split()) for text in drawn} == {max(1, round(len(words) / len(texts)))}
    assert drawn == domain_context_inputs(texts, n_inputs, seed)


def test_domain_context_inputs_refuse_none():
    with refused(ParameterError, parameter="n_inputs", received=0):
        domain_context_inputs(["a b"], 0)


# Real tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["ddi", "pubmedqa", "rte"])
def test_majority_class_on_real_tables_has_the_known_scores(task):
    """Measured beforehand: DDI .832 / .400 on these rows, PubMedQA .552 / .667, RTE .527 / 1."""
    accuracy, gap = {"ddi": (0.832, 0.400), "pubmedqa": (0.552, 0.667), "rte": (0.527, 1.0)}[task]
    X, y = published(task, "test")
    predicted = MajorityClass().fit(*published(task, "opt")).predict(X)
    assert np.mean(predicted == y) == pytest.approx(accuracy, abs=1.1e-3)
    assert cobias(y, predicted) == pytest.approx(gap, abs=1e-3)


@pytest.mark.parametrize("task", ["agnews", "sst5"])
def test_batch_calibration_and_logistic_regression_help_on_real_balanced_tables(task):
    (X, y), (X_test, y_test) = published(task, "opt"), published(task, "test")
    before = Uncorrected().fit(X).predict(X_test)
    batch = BatchCalibration().fit(X).predict(X_test)
    regression = LogisticRegressionBaseline().fit(X, y).predict(X_test)
    for after in (batch, regression):
        assert cobias(y_test, after) < cobias(y_test, before)
    assert np.mean(regression == y_test) > np.mean(before == y_test)
    assert len(CLASSES[task]) == X.shape[1]
