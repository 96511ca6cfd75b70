"""Tools of scikit-learn that strip names or number labels anew: right or refused."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score

from debias.errors import ColumnOrderWarning, TableError
from debias.estimators.debiasers import WeightDebiaser
from tests.support.refusals import refused

NAMES = np.array(["Business", "Sports", "World"])
UNSORTED = [2, 0, 1]


def debiaser():
    """Return a debiaser that is quick."""
    return WeightDebiaser(n_weights=5, n_starts=1, shrink=False)


TOOLS = {
    "grid": lambda: GridSearchCV(debiaser(), {"n_weights": [4, 5]}, cv=2, error_score="raise"),
    "calibrated": lambda: CalibratedClassifierCV(debiaser(), cv=2),
    "bagging": lambda: BaggingClassifier(debiaser(), n_estimators=2, random_state=0),
    "voting": lambda: VotingClassifier([("one", debiaser()), ("two", debiaser())], voting="soft"),
    "stacking": lambda: StackingClassifier([("one", debiaser())], debiaser(), cv=2),
}
LABELS = {
    "strings": NAMES,
    "integers": np.arange(3),
    "integers from 1": np.arange(1, 4),
    "objects": NAMES.astype(object),
}


@pytest.fixture(scope="module")
def rows():
    """Class probabilities in the order of the sorted labels, and label positions."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=150)
    values = np.exp(rng.normal(size=(150, 3)) + 2 * np.eye(3)[y] + 0.5 * np.arange(3))
    return values / values.sum(axis=1, keepdims=True), y


def accuracy(model, X, y):
    """Return the accuracy on the rows that a model is fitted on."""
    return float((model.fit(X, y).predict(X) == y).mean())


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("tool", TOOLS)
def test_arrays_of_sorted_columns_are_right_in_every_tool(tool, kind, rows):
    values, y = rows
    with warnings.catch_warnings():
        warnings.simplefilter("error", ColumnOrderWarning)
        found = accuracy(TOOLS[tool](), values, LABELS[kind][y])
    assert found == accuracy(TOOLS[tool](), values, y)


@pytest.mark.parametrize("tool", TOOLS)
def test_frames_of_unsorted_columns_are_right_or_refused(tool, rows):
    values, y = rows
    frame = pd.DataFrame(values[:, UNSORTED], columns=NAMES[UNSORTED])
    model, labels = TOOLS[tool](), NAMES[y]
    if tool in ("voting", "stacking"):  # they number the labels, and keep the names
        with refused(TableError, mentions="VotingClassifier"):
            model.fit(frame, labels)
    elif tool == "bagging":  # it numbers the labels and drops the names
        with refused(TableError, mentions=([2, 0, 1], [0, 1, 2])):
            model.fit(frame, labels)
        stated = model.set_params(estimator__classes=UNSORTED)
        assert accuracy(stated, frame, labels) == accuracy(TOOLS[tool](), values, labels)
    else:
        assert accuracy(model, frame, labels) > 0.75


def test_probabilities_of_any_classifier_with_the_labels_it_had(rows):
    values, y = rows
    for labels in LABELS.values():
        scores = cross_val_score(debiaser(), values, labels[y], cv=3, error_score="raise")
        assert scores.mean() > 0.7


def test_labels_of_another_kind_are_told_to_be_passed_as_in_the_fit():
    rows = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4], [0.1, 0.9]])
    fitted = WeightDebiaser(shrink=False).fit(rows, [0, 1, 0, 1])
    with refused(TableError, row=0, received="0", fix="pass labels in the same form as in fit"):
        fitted.score(rows, ["0", "1", "0", "1"])
