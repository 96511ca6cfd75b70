"""Columns of a CSV file that are no class are named; none becomes a class in silence."""

import pandas as pd
import pytest

from debias.errors import TableError
from debias.tables.class_columns import match_classes
from debias.tables.matched_columns import matched_columns
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


AROUND = [("p_", ""), ("prob_", ""), ("", "_score"), ("logits/", ".p"), ("my_prob_", "")]


@pytest.mark.parametrize(("before", "after"), AROUND)
@pytest.mark.parametrize("names", [["no", "yes"], ["bug", "billing"], ["no_yes", "no"], ["é", "日本"]])
def test_columns_with_a_text_around_each_class(tmp_path, before, after, names):
    path = tmp_path / "table.csv"
    header = [f"{before}{name}{after}" for name in names]
    path.write_text(f"label,{','.join(header)}\n{names[0]},.7,.3\n{names[1]},.2,.8\n", encoding="utf-8")
    for classes in (None, names, header):
        table = ProbabilityTable.read(path, classes=classes)
        assert list(table.classes) == names and table.labels.tolist() == names
        assert table.probabilities.to_numpy().tolist() == [[0.7, 0.3], [0.2, 0.8]]
    turned = ProbabilityTable.read(path, classes=names[::-1])
    assert list(turned.classes) == names[::-1] and turned.probabilities[names[0]].tolist() == [0.7, 0.2]
    path.write_text(f"{','.join(header)}\n.7,.3\n.2,.8\n", encoding="utf-8")
    assert list(ProbabilityTable.read(path).classes) == header
    assert list(ProbabilityTable.read(path, classes=names).classes) == names
    with refused(TableError, fix=str, mentions="without"):
        matched_columns(ProbabilityTable.read(path), names)


def test_no_part_of_a_word_is_taken_off(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("label,cat,car\nt,.7,.3\nr,.2,.8\n")
    with refused(TableError, received="t", fix=str):
        ProbabilityTable.read(path)
    path.write_text("label,a_no,b_no,a_yes,b_yes\nno,.7,.7,.3,.3\nyes,.2,.2,.8,.8\n")
    with refused(TableError, parameter="classes", received="no"):  # a_ and b_ would both do
        ProbabilityTable.read(path, classes=["no", "yes"])


@pytest.mark.parametrize("names", [["1", "0"], ["True", "False"], ["yes", "no"]])
@pytest.mark.parametrize(("before", "after"), AROUND[1:])
def test_integers_that_are_names_beside_a_text(tmp_path, before, after, names):
    """The first column is class 1 by its name, and class 0 by its place."""
    path = tmp_path / "table.csv"
    header = [f"{before}{name}{after}" for name in names]
    path.write_text(f"label,{','.join(header)}\n1,.7,.3\n0,.2,.8\n")
    with refused(TableError, parameter="labels", mentions=("position", f"'{header[0]}'")):
        ProbabilityTable.read(path)
    assert ProbabilityTable.read(path, labels="position").labels.tolist() == header[::-1]
    path.write_text(f"label,{','.join(header[::-1])}\n1,.3,.7\n0,.8,.2\n")
    assert ProbabilityTable.read(path).labels.tolist() == header  # both readings agree


def test_integers_count_columns_from_one_where_these_say_so(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("class_1,class_2,class_3,label\n.7,.2,.1,1\n.2,.7,.1,2\n.1,.2,.7,3\n")
    assert ProbabilityTable.read(path).labels.tolist() == ["class_1", "class_2", "class_3"]


def test_a_frame_whose_columns_have_more_than_the_classes_says_so():
    frame = pd.DataFrame({"prob_no": [0.7, 0.2], "prob_yes": [0.3, 0.8]})
    with refused(TableError, received="no", mentions="without what they share"):
        match_classes(frame, ["no", "yes"])
