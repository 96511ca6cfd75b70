"""Columns in another order than the labels: found where it is sure, never where a model is merely weak."""

import warnings

import numpy as np
import pytest

from debias.errors import ColumnOrderWarning
from debias.estimators.debiasers import WeightDebiaser
from debias.tables.labels.column_order import better_order
from tests.support.published_tables import CLASSES, published


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
    np.testing.assert_array_equal(shifted[:, better_order(shifted, y)], probabilities)


def test_the_warning_names_the_order_that_is_right():
    probabilities, y = model()
    names = np.array(["a", "b", "c", "d"])
    with pytest.warns(ColumnOrderWarning, match=r"\['b', 'a', 'c', 'd'\] in place of \['a', 'b', 'c', 'd'\]"):
        WeightDebiaser(n_starts=1, shrink=False).fit(probabilities[:, [1, 0, 2, 3]], names[y])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WeightDebiaser(n_starts=1, shrink=False).fit(probabilities, names[y])


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
