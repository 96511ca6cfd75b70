"""The estimator that chooses its own setting: what it learns, says, saves, and does on real tables."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from debias import EnsembleDebiaser, EnsembleDebiaserCV, FuzzyDebiaser, Objective, WeightDebiaser, load
from debias.errors import ParameterError
from debias.metrics.scores import accuracy_minus_cobias
from tests.support.published_tables import published
from tests.support.refusals import refused
from tests.support.scikit_learn_checks import expected_failures
from tests.support.small_tables import skewed_rows
from tests.support.tuning_objectives import OBJECTIVES


@parametrize_with_checks([EnsembleDebiaserCV()], expected_failed_checks=expected_failures, xfail_strict=True)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def table():
    """Rows of a biased model: (DataFrame, labels)."""
    P, y = skewed_rows(n_samples=150)
    names = ["sun", "rain", "fog"]
    return pd.DataFrame(P, columns=names), np.array(names)[y]


def make(**parameters):
    return EnsembleDebiaserCV(**{"settings": OBJECTIVES, "n_weights": 5, "cv": 3, "n_starts": 4} | parameters)


@pytest.fixture(scope="module")
def fitted(table):
    return make(families=("ensemble", "weights", "memberships")).fit(*table)


def test_the_best_by_the_rule_is_fitted_on_all_rows(table, fitted):
    results = fitted.cv_results_
    assert len(results) == len(OBJECTIVES) * 3
    assert sorted(results["rank"]) == list(range(1, len(results) + 1))
    best = results.loc[results["rank"].idxmin()]
    assert best["mean_accuracy_minus_cobias"] == results["mean_accuracy_minus_cobias"].max()
    setting = fitted.best_setting_
    assert (setting.family, setting.objective.pmi) == (best["family"], best["pmi_weight"])
    kinds = {"ensemble": EnsembleDebiaser, "weights": WeightDebiaser, "memberships": FuzzyDebiaser}
    parameters = {} if setting.n_weights is None else {"n_weights": setting.n_weights}
    alone = kinds[setting.family](objective=setting.objective, n_starts=4, **parameters).fit(*table)
    np.testing.assert_array_equal(fitted.choice_, alone.choice_)
    np.testing.assert_array_equal(fitted.predict(table[0]), alone.predict(table[0]))
    assert fitted.n_labels_ == 150
    assert fitted.fold_choices_.shape == (3, len(results), 3)
    assert fitted.certificate_.status == "optimal"


@pytest.mark.parametrize("family", ["ensemble", "weights", "memberships"])
def test_what_is_saved_is_the_plain_debiaser_with_setting_and_labels(family, table, tmp_path):
    X, y = table
    debiaser = make(families=family).fit(X, y)
    debiaser.save(tmp_path / "correction.json")
    document = json.loads((tmp_path / "correction.json").read_text())
    again = load(tmp_path / "correction.json")
    assert type(again) is type(debiaser.best_debiaser_)
    assert document["n_labels"] == again.n_labels_ == 150
    assert document["objective"] == debiaser.best_setting_.objective.used_params()
    assert document.get("n_weights") == debiaser.best_setting_.n_weights
    np.testing.assert_array_equal(again.predict(X), debiaser.predict(X))
    np.testing.assert_array_equal(debiaser.best_debiaser_.predict(X), debiaser.predict(X))
    assert again.certificate_ == debiaser.certificate_


def test_it_is_a_debiaser_in_all_else(table, fitted, tmp_path):
    X, _ = table
    assert fitted.transform(X).shape == X.shape
    assert list(fitted.explain().index) == list(X.columns)
    assert len(fitted.frontier_) >= 1
    picked = fitted.pick(0)
    picked.save(tmp_path / "picked.json")
    np.testing.assert_array_equal(load(tmp_path / "picked.json").predict(X), picked.predict(X))
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    assert again.summary() == fitted.summary()


def test_the_summary_says_how_it_was_chosen_and_counts_every_label(fitted):
    said = fitted.summary()
    assert said.startswith("Of 15 settings the best on 3 folds by the rule accuracy-minus-cobias is: ")
    assert str(fitted.best_setting_) in said
    assert "Choosing and fitting used all 150 labels" in said


def test_the_published_protocol_by_name(table):
    debiaser = make(cv="holdout", rule="accuracy-cobias").fit(*table)
    results = debiaser.cv_results_
    best = results.loc[results["rank"].idxmin()]
    assert best["mean_accuracy"] == results["mean_accuracy"].max()
    assert (results["std_accuracy"] == 0).all()
    assert debiaser.n_labels_ == 150
    assert "one held-out split" in debiaser.summary()


def test_fitting_again_is_the_same_and_leaves_parameters_alone(table):
    debiaser = make()
    parameters = debiaser.get_params()
    first = debiaser.fit(*table).cv_results_
    attributes = set(vars(debiaser))
    assert debiaser.get_params() == parameters
    assert debiaser.fit(*table).cv_results_.equals(first)
    assert set(vars(debiaser)) == attributes
    assert clone(debiaser).get_params()["n_weights"] == 5
    threads = make(n_jobs=2).fit(*table)
    assert threads.cv_results_.equals(first)
    np.testing.assert_array_equal(threads.choice_, debiaser.choice_)


def test_a_rule_of_ones_own(table):
    def evenest(results):
        return -results["mean_cobias"]

    debiaser = make(rule=evenest).fit(*table)
    results = debiaser.cv_results_
    assert results.loc[results["rank"].idxmin(), "mean_cobias"] == results["mean_cobias"].min()
    assert "by the rule evenest" in debiaser.summary()


@pytest.mark.parametrize(
    ("parameters", "parameter"),
    [
        ({"rule": "best"}, "rule"),
        ({"cv": 1}, "cv"),
        ({"families": "fuzzy"}, "families"),
        ({"n_weights": 0}, "n_weights"),
        ({"settings": []}, "settings"),
        ({"settings": [Objective(error=-1)]}, "error"),
        ({"search": "magic"}, "search"),
        ({"rule": "one-standard-error", "cv": "holdout"}, "rule"),
    ],
)
def test_parameters_that_are_not_allowed(parameters, parameter, table):
    with refused(ParameterError, parameter=parameter):
        make(**parameters).fit(*table)


def test_it_has_no_objective_to_set():
    with pytest.raises(ValueError, match="objective"):
        EnsembleDebiaserCV().set_params(objective__cobias=2.0)


def test_not_fitted(table):
    for call in ("summary", "explain"):
        with pytest.raises(NotFittedError):
            getattr(EnsembleDebiaserCV(), call)()
    with pytest.raises(NotFittedError):
        EnsembleDebiaserCV().best_debiaser_  # noqa: B018
    with pytest.raises(NotFittedError):
        EnsembleDebiaserCV().predict(table[0])


def test_on_a_real_table_its_rule_gives_a_better_pair_on_held_out_rows_than_the_published_one():
    (X, y), (X_test, y_test) = (published("agnews", split) for split in ("opt", "test"))
    ours, theirs = (
        EnsembleDebiaserCV(n_weights=30, families="weights", rule=rule, cv=cv).fit(X, y)
        for rule, cv in (("accuracy-minus-cobias", 5), ("accuracy-cobias", "holdout"))
    )
    values = [accuracy_minus_cobias(y_test, debiaser.predict(X_test)) for debiaser in (ours, theirs)]
    assert values[0] > values[1] + 0.05


def test_the_best_debiaser_takes_the_columns_of_the_fit():
    values, y = skewed_rows(n_samples=90)
    for columns in ([7, 8, 9], ["x", "y", "z"]):
        X = pd.DataFrame(values, columns=columns)
        labels = np.array(["c", "a", "b"])
        debiaser = make(classes=labels, cv=2).fit(X, labels[y])
        assert debiaser.best_debiaser_.predict(X).tolist() == debiaser.predict(X).tolist()
