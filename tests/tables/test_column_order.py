"""Columns in another order than the labels: found where it is sure, never where a model is merely weak."""

import warnings

import numpy as np
import pandas as pd
import pytest

from debias.errors import ColumnOrderWarning, TableError
from debias.estimators.debiasers import WeightDebiaser
from debias.guarantees.certification import certify
from debias.reports.correction_report import Report
from debias.tables.labels.column_order import better_order
from tests.support.published_tables import CLASSES, published
from tests.support.refusals import refused


def model(n_rows=400, n_classes=4, strength=2.0, seed=0):
    """Return the probabilities of a model that favours its last classes, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_rows)
    scores = rng.normal(size=(n_rows, n_classes)) + strength * np.eye(n_classes)[y] + np.arange(n_classes)
    values = np.exp(scores)
    return values / values.sum(axis=1, keepdims=True), y


@pytest.mark.parametrize("order", [[1, 2, 3, 0], [1, 0, 2, 3], [3, 2, 1, 0]])
def test_another_order_is_found(order):
    probabilities, y = model()
    shifted = probabilities[:, order]
    np.testing.assert_array_equal(shifted[:, better_order(shifted, y).columns], probabilities)


NAMES = np.array(["a", "b", "c", "d"])


def fit(probabilities, labels, classes=None):
    """Fit a debiaser that is quick."""
    return WeightDebiaser(n_starts=1, shrink=False, classes=classes).fit(probabilities, labels)


@pytest.mark.parametrize("labels", [NAMES, np.arange(4), np.arange(1, 5), NAMES.astype(object)])
def test_an_order_that_no_one_stated_is_refused_where_it_is_surely_another(labels):
    probabilities, y = model()
    right = str(labels[[1, 0, 2, 3]].tolist())
    mentions = (right, labels.tolist(), "BaggingClassifier")
    with refused(TableError, parameter="classes", received=labels.tolist(), mentions=mentions):
        fit(probabilities[:, [1, 0, 2, 3]], labels[y])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(probabilities, labels[y])
        fit(probabilities[:, [1, 0, 2, 3]], labels[y], classes=labels[[1, 0, 2, 3]])


def test_a_stated_order_and_a_weak_finding_are_warned_of():
    probabilities, y = model()
    shifted = probabilities[:, [1, 0, 2, 3]]
    expected = r"\['b', 'a', 'c', 'd'\] instead of \['a', 'b', 'c', 'd'\]"
    with pytest.warns(ColumnOrderWarning, match=expected):
        fit(shifted, NAMES[y], classes=NAMES)
    with pytest.warns(ColumnOrderWarning, match=expected):
        fit(pd.DataFrame(shifted, columns=NAMES), NAMES[y])
    weak, y = model(2000, 4, 0.45)
    with pytest.warns(ColumnOrderWarning, match=expected):
        fit(weak[:, [1, 0, 2, 3]], NAMES[y])


@pytest.mark.parametrize("n_rows", [8, 40, 400, 4000])
@pytest.mark.parametrize("strength", [0.0, 0.1, 0.5])
def test_weak_models_and_few_rows_raise_no_alarm(n_rows, strength):
    for seed in range(10):
        assert better_order(*model(n_rows, 5, strength, seed)) is None


@pytest.mark.parametrize("task", CLASSES)
def test_real_tables_raise_no_alarm_and_shifted_ones_do(task):
    probabilities, y = published(task, "opt")
    for n_rows in (50, 500, len(y)):
        assert better_order(probabilities[:n_rows], y[:n_rows]) is None
    if task in ("agnews", "sst5", "trec"):  # whose model tells the classes apart
        assert better_order(np.roll(probabilities, 1, axis=1), y) is not None


def test_held_out_rows_in_another_order_are_warned_of_and_reported():
    probabilities, y = model()
    debiaser = fit(probabilities[:100], NAMES[y[:100]], classes=NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        certify(debiaser, (probabilities[100:], NAMES[y[100:]]))
    shifted = probabilities[100:, [1, 0, 2, 3]], NAMES[y[100:]]
    with pytest.warns(ColumnOrderWarning, match=r"\['b', 'a', 'c', 'd'\] instead of \['a', 'b', 'c', 'd'\]"):
        certify(debiaser, shifted)
    for rows, is_said in ((shifted, True), ((probabilities[100:], NAMES[y[100:]]), False)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ColumnOrderWarning)
            findings = Report.from_debiaser(debiaser, rows, n_resamples=10).findings
        said = [one.text for one in findings if "different order of the columns" in one.text]
        assert bool(said) == is_said
