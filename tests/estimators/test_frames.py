"""Frames and labels as users have them: fitted, predicted, scored and reported by one reading, or refused."""

import numpy as np
import pandas as pd
import pytest

from debias.errors import ParameterError, TableError
from debias.estimators.baselines.references import Uncorrected
from debias.estimators.debiasers import WeightDebiaser
from debias.reports.correction_report import Report
from tests.support.refusals import refused

pytestmark = pytest.mark.filterwarnings("ignore::debias.errors.FewRowsWarning")
VALUES = np.array([[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.3, 0.7]] * 5)
TEXTS = ["1", "2", "1", "2"] * 5


def fitted(names, labels, **settings):
    """Return a quick debiaser and the frame it was fitted on."""
    X = pd.DataFrame(VALUES, columns=names)
    return WeightDebiaser(n_weights=3, n_starts=1, **settings).fit(X, labels), X


@pytest.mark.parametrize(
    ("names", "labels", "settings"),
    [
        ([1, 2], TEXTS, {}),
        ([1, 2], [int(text) for text in TEXTS], {}),
        ([1.0, 2.0], TEXTS, {}),
        (["1", "2"], [int(text) for text in TEXTS], {}),
        ([False, True], [text == "2" for text in TEXTS], {}),
        ([False, True], [str(text == "2") for text in TEXTS], {}),
        ([7, 8], TEXTS, {"classes": ["1", "2"]}),
    ],
)
def test_what_was_fitted_can_be_predicted(names, labels, settings):
    debiaser, X = fitted(names, labels, **settings)
    assert debiaser.predict(X).tolist() == list(labels)
    assert debiaser.score(X, labels) == 1.0
    if not all(isinstance(name, str) for name in names):
        with refused(TableError, parameter="the columns"):
            debiaser.predict(X[X.columns[::-1]] if names != [False, True] else X.iloc[:, ::-1])


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_missing_label_is_refused_by_its_row_in_a_score(missing):
    debiaser, X = fitted([1, 2], TEXTS)
    with refused(TableError, row=3, parameter="y", fix=str):
        debiaser.score(X, [*TEXTS[:3], missing, *TEXTS[4:]])


@pytest.mark.parametrize("kind", [WeightDebiaser, Uncorrected])
@pytest.mark.parametrize("names", [["1", "1"], [1, "2"]])
def test_columns_without_a_name_of_their_own_are_refused(kind, names):
    with refused(TableError, parameter="X", fix=str):
        kind().fit(pd.DataFrame(VALUES, columns=names), TEXTS)


def test_a_column_that_is_no_class_is_refused_before_it_is_normalised():
    X = pd.DataFrame(VALUES, columns=["1", "2"]).assign(confidence=VALUES.max(axis=1))
    with refused(TableError, parameter="classes", fix=str, mentions="'confidence'") as caught:
        WeightDebiaser().fit(X, TEXTS)
    assert "normalise" not in str(caught.value)


def test_a_report_takes_what_a_fit_takes():
    debiaser, X = fitted([1, 2], TEXTS)
    report = Report.from_debiaser(debiaser, (X, TEXTS), n_resamples=20)
    assert report.findings
    with refused(ParameterError, parameter="table"):
        Report.from_debiaser(debiaser, X)
    with refused(TableError, row=0, received="3"):
        Report.from_debiaser(debiaser, (X, ["3", *TEXTS[1:]]))
