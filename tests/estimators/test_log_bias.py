"""Log-biases as an estimator: scikit-learn's conventions, what it learns, and saved files."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from debias import Constrained, LogBiasDebiaser, Objective, WeightDebiaser, load
from debias.corrections import Scaled
from debias.errors import (
    CorrectionFileError,
    InfeasibleWarning,
    InterruptedWarning,
    ParameterError,
    TableError,
)
from debias.reports.correction_report import Report
from debias.tables.table import ProbabilityTable
from tests.support.published_tables import CLASSES, published
from tests.support.refusals import refused
from tests.support.scikit_learn_checks import expected_failures

NAMES = ["sun", "rain", "fog", "snow"]


@parametrize_with_checks([LogBiasDebiaser()], expected_failed_checks=expected_failures, xfail_strict=True)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def biased():
    """Rows whose class probabilities favour the last classes: (DataFrame, labels)."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 60)
    logits = rng.normal(size=(240, 4)) + 2.0 * np.eye(4)[y] + np.array([0.0, 0.5, 1.0, 4.0])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(probabilities, columns=NAMES), np.array(NAMES)[y]


def test_fit_leaves_parameters_and_input_alone_and_is_idempotent(biased):
    X, y = biased
    before, labels = X.copy(), y.copy()
    debiaser = LogBiasDebiaser(n_starts=3)
    parameters = debiaser.get_params()
    assert debiaser.fit(X, y) is debiaser
    first = [correction.to_dict() for correction in debiaser.corrections_]
    debiaser.predict(X), debiaser.transform(X), debiaser.predict_proba(X), debiaser.explain()
    pd.testing.assert_frame_equal(X, before)
    np.testing.assert_array_equal(y, labels)
    assert debiaser.get_params() == parameters == clone(debiaser).get_params()
    attributes = set(vars(debiaser))
    assert all(name.endswith("_") for name in attributes - set(parameters))
    assert [correction.to_dict() for correction in debiaser.fit(X, y).corrections_] == first
    assert set(vars(debiaser)) == attributes


def test_learned_attributes(biased):
    X, y = biased
    debiaser = LogBiasDebiaser(n_starts=3).fit(X, y)
    assert debiaser.improved_
    assert debiaser.feasible_
    assert debiaser.n_labels_ == 240
    assert debiaser.n_evaluations_ > 1000
    assert debiaser.objective_value_ < debiaser.baseline_objective_value_
    assert [c.id for c in debiaser.corrections_] == debiaser.choice_.tolist()
    largest = [c.factor if isinstance(c, Scaled) else 1.0 for c in debiaser.corrections_]
    assert max(largest) == 1.0
    assert debiaser.transform(X).max() <= 1
    values = X.to_numpy() * [largest[debiaser.classes_.tolist().index(name)] for name in X.columns]
    np.testing.assert_array_equal(debiaser.transform(X), values)


@pytest.mark.parametrize("objective", [Objective(1.0, 2.0, 0.5, 10.0), Constrained(max_cobias=0.1)])
def test_objective_value_is_that_of_the_predictions(objective, biased):
    X, y = biased
    debiaser = LogBiasDebiaser(n_starts=3, objective=objective).fit(X, y)
    predicted = debiaser.predict(X)
    counts = [
        [((predicted == name) & (y == name)).sum(), (predicted == name).sum(), (y == name).sum()]
        for name in X.columns
    ]
    assert objective(*np.transpose(counts)) == pytest.approx(debiaser.objective_value_, abs=1e-12)


def test_arrays_integers_and_names_agree(biased):
    X, y = biased
    integers = np.array([NAMES.index(label) for label in y])
    by_name = LogBiasDebiaser(n_starts=3).fit(X, y)
    by_position = LogBiasDebiaser(n_starts=3).fit(X.to_numpy(), integers)
    by_classes = LogBiasDebiaser(n_starts=3, classes=NAMES).fit(X.to_numpy(), y)
    np.testing.assert_array_equal(by_name.transform(X), by_position.transform(X.to_numpy()))
    np.testing.assert_array_equal(by_classes.predict(X.to_numpy()), by_name.predict(X))
    np.testing.assert_array_equal(np.array(NAMES)[by_position.predict(X.to_numpy())], by_name.predict(X))


def test_the_order_of_the_rows_does_not_matter(biased):
    X, y = biased
    order = np.random.default_rng(1).permutation(len(X))
    one, two = (LogBiasDebiaser(n_starts=3).fit(X.iloc[o], y[o]) for o in (np.arange(len(X)), order))
    np.testing.assert_allclose(one.transform(X), two.transform(X), rtol=1e-12)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000))
def test_never_worse_than_nothing_nor_than_the_scale_with_two_classes(seed):
    rng = np.random.default_rng(seed)
    X = rng.dirichlet(np.ones(2), 60)
    y = np.argmax(X * rng.dirichlet(np.ones(2)), axis=1)
    y[:2] = [0, 1]
    found = LogBiasDebiaser(n_starts=2).fit(X, y)
    assert found.objective_value_ <= found.baseline_objective_value_ + 1e-12
    assert found.objective_value_ <= WeightDebiaser().fit(X, y).objective_value_ + 1e-12


@pytest.mark.parametrize("task", CLASSES)
def test_on_real_rows_it_beats_or_ties_the_30_step_scale(task):
    X, y = published(task, "opt")
    scale, factors = WeightDebiaser(n_starts=8).fit(X, y), LogBiasDebiaser(n_starts=4).fit(X, y)
    assert factors.objective_value_ <= scale.objective_value_ + 1e-12
    assert factors.score(X, y) == pytest.approx((factors.predict(X) == y).mean())


def test_nothing_to_improve_is_said():
    X = pd.DataFrame({"a": [0.9] * 5 + [0.1] * 5, "b": [0.1] * 5 + [0.9] * 5})
    debiaser = LogBiasDebiaser().fit(X, ["a"] * 5 + ["b"] * 5)
    assert not debiaser.improved_
    assert debiaser.choice_.tolist() == [17, 17]
    assert debiaser.summary().startswith("Nothing was changed")


def test_what_it_says(biased):
    X, y = biased
    explained = LogBiasDebiaser(n_starts=3).fit(X, y).explain()
    assert set(explained["kind"]) == {"identity", "scaled"}
    snow = explained.loc["snow"]
    assert snow["correction"].startswith("factor 0.0")
    assert f"({snow['correction']}), because" in snow["sentence"]


def test_saved_and_read_again(biased, tmp_path):
    X, y = biased
    debiaser = LogBiasDebiaser(n_starts=2, objective=Objective(cobias=2.0)).fit(X, y)
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    assert type(again) is LogBiasDebiaser
    np.testing.assert_array_equal(again.transform(X), debiaser.transform(X))
    np.testing.assert_array_equal(again.predict(X), debiaser.predict(X))
    pd.testing.assert_frame_equal(again.explain(), debiaser.explain())
    assert again.summary() == debiaser.summary()
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "c.json").read_text()
    assert again.set_params(n_starts=2).fit(X, y).choice_.tolist() == debiaser.choice_.tolist()
    document = json.loads((tmp_path / "c.json").read_text())
    changed = [entry["correction"] for entry in document["classes"] if "factor" in entry["correction"]]
    changed[0]["factor"], document["checksum"] = 1.5, None
    (tmp_path / "c.json").write_text(json.dumps(document))
    with refused(CorrectionFileError, parameter="factor", received=1.5):
        load(tmp_path / "c.json")


def test_reports_on_it(biased):
    X, y = biased
    debiaser = LogBiasDebiaser(n_starts=2).fit(X, y)
    table = ProbabilityTable(X.to_numpy(), y, classes=NAMES)
    page = Report.from_debiaser(debiaser, table, n_resamples=5).to_html()
    assert "log-bias descent" in page
    assert debiaser.corrections_[2].name in page


def test_in_cross_validation(biased):
    X, y = biased
    assert cross_val_score(LogBiasDebiaser(n_starts=1), X, y, cv=3).mean() > 0.6


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"n_starts": 0}, {"parameter": "n_starts", "received": 0}),
        ({"objective": "cobias"}, {"parameter": "objective", "received": "cobias"}),
        ({"objective": Objective(error=-1)}, {"parameter": "error"}),
    ],
)
def test_parameters_that_are_not_allowed(parameters, fields, biased):
    with refused(ParameterError, **fields):
        LogBiasDebiaser(**parameters).fit(*biased)


def test_rows_and_classes_that_are_missing(biased):
    X, y = biased
    with refused(TableError):
        LogBiasDebiaser().fit(X, np.full(240, "fog"))
    with pytest.warns(UserWarning, match="no labelled row of fog"):
        debiaser = LogBiasDebiaser(n_starts=1).fit(X[y != "fog"], y[y != "fog"])
    assert np.isnan(debiaser.explain().loc["fog", "accuracy_before"])


def test_bounds_that_cannot_be_kept_are_named(biased):
    with pytest.warns(InfeasibleWarning, match="at least 99 %"):
        debiaser = LogBiasDebiaser(objective=Constrained(min_accuracy=0.99), n_starts=1).fit(*biased)
    assert not debiaser.feasible_


def test_interrupted_it_keeps_the_best_and_says_so(biased, monkeypatch):
    from debias.search.log_bias import log_bias_descent

    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(log_bias_descent, "_move_pair", interrupted)
    with pytest.warns(InterruptedWarning):
        debiaser = LogBiasDebiaser(n_starts=2).fit(*biased)
    assert calls
    assert debiaser.interrupted_
    assert debiaser.objective_value_ < debiaser.baseline_objective_value_


def test_interrupted_while_it_looks_for_near_ties_it_keeps_what_was_found(biased, monkeypatch):
    from debias.estimators import log_bias

    whole = LogBiasDebiaser(n_starts=2).fit(*biased)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(log_bias, "near_biases", interrupted)
    with pytest.warns(InterruptedWarning):
        debiaser = LogBiasDebiaser(n_starts=2).fit(*biased)
    assert debiaser.interrupted_ and debiaser.near_ties_ is None
    assert debiaser.objective_value_ == whole.objective_value_
