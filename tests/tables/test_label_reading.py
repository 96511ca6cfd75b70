"""Which label is which class: one reading for all labels of a file, an array or a task, or a refusal."""

import numpy as np
import pandas as pd
import pytest

from debias.errors import ParameterError, TableError
from debias.tables.class_columns import match_classes
from debias.tables.labels.label_reading import plain_labels, read_labels
from debias.tables.table import ProbabilityTable
from tests.support.refusals import refused

STARS = ["1", "2", "3", "4", "5"]
WORDS = ["no", "yes", "maybe"]


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        (["yes", "no"], WORDS, [1, 0]),
        ([0, 1, 2], WORDS, [0, 1, 2]),
        (["0", "1.0", "2"], WORDS, [0, 1, 2]),
        ([0.0, 2.0], WORDS, [0, 2]),
        ([0, 4, 1], STARS, [0, 4, 1]),  # 0 is no name, so all are positions
        ([5, 1, 2], STARS, [4, 0, 1]),  # 5 is no position, so all are names
        (["1", "5"], STARS, [0, 4]),
        ([1, 2, 3], ["1.0", "2.0", "3.0"], [0, 1, 2]),
        (["1.0", "3.0"], ["1", "2", "3"], [0, 2]),
        ([0, 1], ["0", "1", "2"], [0, 1]),  # both readings agree
        ([2, 1], ["0", "1", "2"], [2, 1]),
        ([True, False], ["False", "True"], [1, 0]),
        ([0, 1], ["neg", "pos"], [0, 1]),  # both readings agree
        (["01", "02"], ["01", "02"], [0, 1]),
        ([-1, 1], ["-1", "1"], [0, 1]),
    ],
)
@pytest.mark.parametrize("kind", [list, lambda labels: pd.Series(labels, dtype=object)])
def test_one_reading_fits(labels, classes, expected, kind):
    assert read_labels(kind(labels), classes, of_file=True).tolist() == expected


@pytest.mark.parametrize(
    ("labels", "classes", "mentions"),
    [
        ([1, 4], STARS, ("'1'", "'2'", "name", "position")),
        (["2", "3"], STARS, ("name", "position")),
        ([1, 2], WORDS, ("'no'", "'yes'", "from 0", "from 1")),
        ([2, 1, 0], ["2", "1", "0"], ("name", "position")),
        ([1, 0], ["yes", "no"], ("truth value", "'yes'", "'no'", "position")),
        (["0", "1"], ["p_Positive", "p_Negative"], ("truth value", "position")),
    ],
)
def test_two_readings_that_differ_are_both_named(labels, classes, mentions):
    with refused(TableError, parameter="labels", fix=str, mentions=mentions):
        read_labels(labels, classes, of_file=True)
    by_position = read_labels(labels, classes, "position", of_file=True)
    assert by_position.tolist() == [int(label) for label in labels]
    if classes[0] in STARS:
        by_name = read_labels(labels, classes, "name", of_file=True)
        assert [classes[column] for column in by_name] == [str(label) for label in labels]


@pytest.mark.parametrize(
    ("labels", "classes", "row"),
    [
        (["0", "01"], STARS, 1),
        (["01", "02"], ["1", "2"], 0),
        ([1, 2, 3], WORDS, 2),
        (["yes", 0], WORDS, 1),
        (["0", "5"], STARS, 0),
        ([True, False], WORDS, 0),
        ([0.5, 1], WORDS, 0),
        ([-1, 0], WORDS, 0),
    ],
)
def test_labels_that_no_reading_fits_are_refused_with_their_row(labels, classes, row):
    with refused(TableError, row=row, column="label"):
        read_labels(labels, classes, of_file=True)


def test_advice_for_words_nearly_right_and_for_ids():
    with refused(TableError, row=1, fix="did you mean 'yes'?"):
        read_labels(["no", "Yes"], WORDS)
    with refused(TableError, mentions="ids"):
        read_labels([f"a{row}" for row in range(20)], WORDS)
    with refused(ParameterError, parameter="labels", received="names"):
        read_labels(["no"], WORDS, "names")


def test_strings_of_python_are_names():
    assert read_labels(["1", "2"], STARS).tolist() == [0, 1]
    with refused(TableError, row=0):
        read_labels(["0", "1"], WORDS)


def test_a_file_says_what_its_labels_are(tmp_path):
    path = tmp_path / "stars.csv"
    path.write_text("label,1,2,3\n1,.7,.2,.1\n2,.1,.8,.1\n")
    with refused(TableError, parameter="labels", file=str(path)):
        ProbabilityTable.read(path)
    assert ProbabilityTable.read(path, labels="name").label_indices.tolist() == [0, 1]
    assert ProbabilityTable.read(path, labels="position").label_indices.tolist() == [1, 2]
    path.write_text(path.read_text() + "3,.1,.1,.8\n")
    assert ProbabilityTable.read(path).label_indices.tolist() == [0, 1, 2]


# Columns of arrays and frames.

FOUR = np.full((8, 4), 0.25)
TWELVE = np.full((24, 12), 1 / 12)


@pytest.mark.parametrize(
    ("labels", "by_column"),
    [
        ([0, 1, 2, 3] * 2, [0, 1, 2, 3]),
        ([0, 1, 3, 3] * 2, [0, 1, 2, 3]),
        ([4, 3, 2, 1] * 2, [1, 2, 3, 4]),
        ([-1, 10, 3, 7] * 2, [-1, 3, 7, 10]),
        (["d", "b", "a", "c"] * 2, ["a", "b", "c", "d"]),
        (pd.Series(["d", "b", "a", "c"] * 2, dtype="category"), ["a", "b", "c", "d"]),
        (pd.Series([1, 2, 3, 4] * 2, dtype="Int64"), [1, 2, 3, 4]),
        ([1.0, 2.0, 3.0, 4.0] * 2, [1, 2, 3, 4]),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame])
def test_columns_without_names_are_the_sorted_labels_or_positions(labels, by_column, kind):
    assert match_classes(kind(FOUR), labels).by_column.tolist() == by_column


@pytest.mark.parametrize(
    "labels",
    [
        [1, 2, 3] * 3,  # from 0, or from 1
        [2, 3] * 4,
        [1, 2, 4] * 3,
        [0, 1, 4] * 3,
        ["a", "b", "c"] * 3,
        [True, False] * 4,
    ],
)
def test_columns_without_names_never_shift(labels):
    values = np.full((len(labels), 4), 0.25)
    with refused(TableError, parameter="classes", mentions="classes="):
        match_classes(values, labels)
    if labels[0] == 1 and labels[0] is not True:
        assert match_classes(values, labels, [1, 2, 3, 4]).y.tolist() == [label - 1 for label in labels]


def test_numbers_as_text_have_two_orders():
    with refused(TableError, parameter="classes"):
        match_classes(TWELVE, [str(number) for number in range(12)] * 2)
    assert match_classes(TWELVE, list(range(1, 13)) * 2).by_column.tolist() == list(range(1, 13))


@pytest.mark.parametrize(
    ("columns", "labels", "by_column"),
    [
        ([1.0, 2.0, 3.0, 4.0], [1, 4] * 4, [1, 2, 3, 4]),
        ([3, 1, 2, 0], [1, 2] * 4, [3, 1, 2, 0]),
        (["0", "1", "2", "3"], [1, 0] * 4, [0, 1, 2, 3]),
        (["1", "2", "3", "4"], [1, 4] * 4, [1, 2, 3, 4]),
        ([0, 1, 2, 3], ["1", "0"] * 4, ["0", "1", "2", "3"]),
        (range(1, 5), [1, 2] * 4, [1, 2, 3, 4]),
    ],
)
def test_named_columns_are_found_whatever_form_numbers_have(columns, labels, by_column):
    match = match_classes(pd.DataFrame(FOUR, columns=columns), labels)
    assert match.by_column.tolist() == by_column
    assert match.by_column[match.y].tolist() == labels


@pytest.mark.parametrize(
    ("columns", "labels"),
    [
        (["1", "2", "3", "4"], [1, 2] * 4),  # names, or positions
        (["d", "b", "a", "c"], [0, 1, 2, 3] * 2),  # in which order?
        (["True", "False", "a", "b"], [1, 0] * 4),
        ([True, False, 2, 3], ["yes", "no"] * 4),
    ],
)
def test_named_columns_are_not_positions(columns, labels):
    with pytest.raises(TableError):
        match_classes(pd.DataFrame(FOUR, columns=columns), labels)


def test_boolean_columns_in_any_form():
    values = np.full((4, 2), 0.5)
    for columns in ([True, False], ["True", "False"]):
        match = match_classes(pd.DataFrame(values, columns=columns), [True, False, True, True])
        assert match.y.tolist() == [0, 1, 0, 0] and match.by_column.tolist() == [True, False]
    assert match_classes(values, [True, True, True, True]).by_column.tolist() == [False, True]


@pytest.mark.parametrize(
    "labels",
    [
        ["a", None, "b", "a"],
        ["a", float("nan"), "b", "a"],
        np.array([1.0, np.nan, 0.0, 1.0]),
        pd.Series([1, pd.NA, 0, 1], dtype="Int64"),
        pd.Series(["a", pd.NA, "b", "a"], dtype="string"),
        pd.Series(["a", None, "b", "a"], dtype="category"),
        pd.Series([True, None, False, True], dtype="boolean"),
        (1, None, 0, 1),
    ],
    ids=str,
)
def test_missing_labels_are_refused_with_their_row(labels):
    with refused(TableError, row=1):
        match_classes(np.full((4, 2), 0.5), labels)
    with refused(TableError, row=1):
        ProbabilityTable(np.full((4, 2), 0.5), labels, classes=["a", "b"])


def test_labels_of_two_kinds_and_names_of_two_levels_are_refused():
    with refused(TableError, parameter="y", row=1, received=1):
        plain_labels(np.array(["a", 1, "b"], dtype=object))
    levels = pd.MultiIndex.from_product([["p"], ["no", "yes"]])
    with refused(TableError, parameter="X", mentions="2 levels"):
        match_classes(pd.DataFrame([[0.4, 0.6]], columns=levels), ["no"])
