"""Frames and labels as users have them: fitted, predicted, scored and reported by one reading, or refused."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from debias.errors import ParameterError, TableError
from debias.estimators.baselines.references import Uncorrected
from debias.estimators.debiasers import WeightDebiaser
from debias.estimators.tuning.methods import load
from debias.reports.correction_report import Report
from debias.tables.table import ProbabilityTable
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


@pytest.mark.parametrize(("cell", "column"), [("fine day", "text"), ("0,5", "1")])
def test_a_cell_that_is_no_number_is_refused_by_row_and_column(cell, column):
    X = pd.DataFrame(VALUES, columns=["1", "2"]).assign(**{column: 0.5}).astype(object)
    X.loc[3, column] = cell
    with refused(TableError, row=3, column=column, received=cell, fix=str):
        WeightDebiaser().fit(X, TEXTS)
    debiaser, frame = fitted(["1", "2"], TEXTS)
    with refused(TableError, row=3, column=column, received=cell):
        debiaser.predict(frame.astype(object).assign(**{column: X[column]}))


@pytest.mark.parametrize(
    ("labels", "others"),
    [
        ([1, 2, 1, 2], [0, 1, 0, 1]),
        ([0, 1, 0, 1], ["0", "1", "0", "1"]),
        ([0, 1, 0, 1], [False, True, False, True]),
        (["a", "b", "a", "b"], [0, 1, 0, 1]),
        (["a", "b", "a", "b"], ["a ", "b", "a", "b"]),
    ],
)
def test_a_score_of_labels_that_are_no_classes_is_refused(labels, others):
    debiaser = WeightDebiaser(n_weights=3, n_starts=1).fit(VALUES, labels * 5)
    assert (
        debiaser.score(VALUES, labels * 5) == debiaser.score(VALUES, np.array(labels * 5, dtype=object)) == 1
    )
    with refused(TableError, parameter="y", row=0, received=others[0], fix=str):
        debiaser.score(VALUES, others * 5)


@pytest.mark.parametrize("weights", [[-1.0] * 20, [float("nan")] * 20, [0.0] * 20, [1.0] * 19])
def test_weights_of_a_score_are_checked_as_those_of_a_fit(weights):
    debiaser, X = fitted(["1", "2"], TEXTS)
    assert debiaser.score(X, TEXTS, [2.0] * 20) == 1.0
    with refused(ParameterError, parameter="sample_weight"):
        debiaser.score(X, TEXTS, weights)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["1", "2"], [int(text) for text in TEXTS]),
        (["False", "True"], [text == "2" for text in TEXTS]),
        (["01", "02"], [f"0{text}" for text in TEXTS]),
        ([1, 2], [int(text) for text in TEXTS]),
    ],
)
def test_a_saved_correction_predicts_the_frame_it_was_fitted_on(tmp_path, names, labels):
    debiaser, X = fitted(names, labels)
    debiaser.save(tmp_path / "c.json")
    loaded = load(tmp_path / "c.json")
    assert loaded.predict(X).tolist() == debiaser.predict(X).tolist() == labels
    assert loaded.classes_.dtype.kind == debiaser.classes_.dtype.kind


def test_frames_of_other_libraries_are_fitted_by_their_names():
    table = pa.table({"b": VALUES[:, 0], "a": VALUES[:, 1]})
    labels = ["b", "a"] * 10
    debiaser = WeightDebiaser(n_weights=3, n_starts=1).fit(table, labels)
    assert debiaser.predict(table).tolist() == labels
    with pytest.raises(ValueError, match="order"):
        debiaser.predict(table.select(["a", "b"]))
    with refused(ParameterError, parameter="classes"):
        WeightDebiaser(classes=["a", "b"]).fit(table, labels)
    masked = np.ma.array(VALUES, mask=np.arange(40).reshape(20, 2) == 6)
    with refused(TableError, row=3, column=0):
        WeightDebiaser().fit(masked, labels)


@pytest.mark.parametrize("rows", [1, 4])
def test_rows_of_one_class_are_refused_with_its_name(rows):
    X = pd.DataFrame(VALUES[:rows], columns=["no", "yes"])
    with refused(TableError, parameter="y", received=["yes"], fix=str, mentions="one class"):
        WeightDebiaser().fit(X, ["yes"] * rows)


@pytest.mark.parametrize("names", [[1, 2], [1.0, 2.0]])
def test_columns_that_are_numbers_are_compared_with_those_that_are_text(names):
    debiaser, X = fitted(["1", "2"], TEXTS)
    numbers = X.set_axis(names, axis=1)
    with pytest.warns(UserWarning, match="feature names"):
        assert debiaser.predict(numbers).tolist() == TEXTS
    with pytest.warns(UserWarning, match="feature names"), refused(TableError, parameter="the columns"):
        debiaser.predict(numbers[numbers.columns[::-1]])


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_text_of_any_length_is_text(missing):
    kind = np.dtypes.StringDType(na_object=missing)
    labels = np.array(TEXTS, dtype=kind)
    debiaser = WeightDebiaser(n_weights=3, n_starts=1).fit(VALUES, labels)
    assert debiaser.predict(VALUES).tolist() == TEXTS
    assert debiaser.score(VALUES, labels) == debiaser.score(VALUES, TEXTS) == 1.0
    labels[3] = missing
    with refused(TableError, row=3, parameter="y"):
        debiaser.fit(VALUES, labels)


def test_labels_of_half_precision_are_numbers_without_a_warning():
    labels = np.array(TEXTS).astype(np.float16)
    assert WeightDebiaser(n_weights=3, n_starts=1).fit(VALUES, labels).classes_.tolist() == [1, 2]


def test_labels_that_end_in_a_zero_byte_are_scored():
    labels = np.array(["a", "a\0"] * 10, dtype=object)
    assert WeightDebiaser(n_weights=3, n_starts=1).fit(VALUES, labels).score(VALUES, labels) == 1.0


@pytest.mark.parametrize("kind", [WeightDebiaser, Uncorrected])
@pytest.mark.parametrize(
    ("rows", "received"),
    [
        (dict, "dict"),
        (lambda X: (row for row in X.to_numpy()), "generator"),
        (lambda X: ProbabilityTable(X, TEXTS), "ProbabilityTable"),
        (lambda X: X.to_dict("records"), "list of dict"),
        (lambda X: None, "NoneType"),
    ],
)
def test_rows_that_are_no_table_are_refused_by_their_kind(kind, rows, received):
    X = pd.DataFrame(VALUES, columns=["1", "2"])
    with refused(TableError, parameter="X", received=received, fix=str):
        kind().fit(rows(X), TEXTS)
    with refused(TableError, parameter="X", received=received, fix=str):
        kind().fit(X, TEXTS).predict(rows(X))
