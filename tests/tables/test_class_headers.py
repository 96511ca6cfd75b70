"""Columns of a CSV file that are no class are named; none becomes a class in silence."""

import pytest

from debias.errors import TableError
from debias.tables.table import ProbabilityTable
from tests.support.refusals import refused

ROWS = [("no", 0.7, 0.3), ("yes", 0.2, 0.8), ("no", 0.6, 0.4), ("yes", 0.45, 0.55)]


def written(tmp_path, header, cells):
    """Write a CSV file with label, no, yes and one more column."""
    path = tmp_path / "table.csv"
    lines = [",".join(map(str, (*row, cell))) for row, cell in zip(ROWS, cells, strict=True)]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("confidence", [0.7, 0.8, 0.6, 0.55]),
        ("entropy", [0.61, 0.5, 0.67, 0.69]),
        ("length", [12, 7, 31, 4]),
        ("y", [0, 1, 0, 1]),
        ("p_no", [0.71, 0.2, 0.6, 0.45]),
        ("p_yes", [0.3, 0.8, 0.4, 0.55]),
    ],
)
def test_a_number_that_is_no_class(tmp_path, name, cells, normalise):
    path = written(tmp_path, f"label,no,yes,{name}", cells)
    with refused(TableError, parameter="classes", file=str(path), mentions=(name, "classes")):
        ProbabilityTable.read(path, normalise=normalise)
    kept = ProbabilityTable.read(path, classes=["no", "yes"], normalise=normalise)
    assert kept.classes == ("no", "yes")


def test_two_columns_that_are_no_class(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("no,yes,margin,rank\n.7,.3,.4,0\n.2,.8,.6,1\n.6,.4,.2,2\n")
    with refused(TableError, received=["no", "yes", "margin", "rank"], mentions=("margin", "rank")):
        ProbabilityTable.read(path)


@pytest.mark.parametrize("role", ["Label", "LABEL", " label"])
def test_capitals_in_the_name_of_a_column(tmp_path, role):
    path = written(tmp_path, f"{role},no,yes,ID", ["a", "b", "c", "d"])
    table = ProbabilityTable.read(path)
    assert table.classes == ("no", "yes")
    assert table.labels.tolist() == ["no", "yes", "no", "yes"]
    assert table.ids.tolist() == ["a", "b", "c", "d"]


def test_a_column_that_could_be_labels_or_a_class_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("Label,no,yes\n0,.7,.3\n1,.2,.8\n")
    with refused(TableError, parameter="label_column", column="Label", fix=str):
        ProbabilityTable.read(path)
    assert ProbabilityTable.read(path, label_column="Label").labels.tolist() == ["no", "yes"]
    path.write_text("label,Label,no,yes\n0,.1,.6,.3\n1,.2,.1,.7\n")
    with refused(TableError, parameter="label_column", mentions=("'label'", "'Label'")):
        ProbabilityTable.read(path)


def test_columns_written_with_p_before_each_class(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("label,p_no,p_yes\nno,.7,.3\nyes,.2,.8\n")
    assert ProbabilityTable.read(path).classes == ("no", "yes")
    path.write_text("label,p_no,p_yes\np_no,.7,.3\np_yes,.2,.8\n")
    assert ProbabilityTable.read(path).classes == ("p_no", "p_yes")


def test_a_column_of_words_is_said_to_be_no_class(tmp_path):
    path = written(tmp_path, "label,no,yes,split", ["dev", "dev", "dev", "dev"])
    with refused(TableError, row=0, column="split", mentions="classes"):
        ProbabilityTable.read(path)


def test_unlikely_classes_and_label_mass_stay_classes(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("label,no,yes,rare\nno,.5,.3,.001\nyes,.2,.6,.002\nno,.2,.1,.003\n")
    assert ProbabilityTable.read(path).classes == ("no", "yes", "rare")
