"""What would be lost in silence: a second value of a field, names of columns, a row taken for a header."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from debias.errors import ParameterError, TableError
from debias.rows.bounded_json import RepeatedNameError, parse_json, parse_rows
from debias.rows.row_files import read_rows
from debias.tables.class_columns import match_classes
from debias.tables.labels.label_reading import did_you_mean, plain_labels
from debias.tables.labels.late_labels import late_labels
from debias.tables.matched_columns import matched_columns
from debias.tables.table import ProbabilityTable
from tests.support.refusals import refused

COMPOSED, DECOMPOSED = "Caf\u00e9", "Cafe\u0301"
ROWS = [[0.7, 0.3], [0.2, 0.8]]


def write(path, content):
    """Write a file and return its path."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def contents(table):
    """Return what a table says."""
    labels = None if table.labels is None else table.labels.tolist()
    return list(table.classes), table.to_numpy().round(3).tolist(), labels


# JSON.


@pytest.mark.parametrize("parse", [parse_json, parse_rows])
@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '[{"b": {"a": 1, "b": 2, "a": 1}}]'])
def test_a_name_twice_in_an_object_is_refused(parse, text):
    with pytest.raises(RepeatedNameError, match="'a'"):
        parse(text)


@pytest.mark.parametrize(
    ("name", "text", "fields"),
    [
        ("t.jsonl", '{"a": 0.7, "b": 0.3}\n{"a": 0.7, "a": 0.2, "b": 0.3}\n', {"row": 1, "line": 2}),
        ("t.json", '[{"label": "a", "label": "b", "a": 0.7, "b": 0.3}]', {"row": None}),
        ("t.json", '{"a": [0.7], "a": [0.2], "b": [0.3]}', {}),
    ],
)
def test_two_values_of_a_field_of_a_table_are_refused(tmp_path, name, text, fields):
    path = write(tmp_path / name, text)
    with refused(TableError, file=str(path), mentions="two values", **fields):
        ProbabilityTable.read(path)


def test_a_record_with_a_field_twice_is_refused_alone(tmp_path):
    path = write(tmp_path / "r.jsonl", '{"q": "a", "q": "b"}\n{"q": "c"}\n')
    assert [row.refused or row.value for row in read_rows(path)] == ["a field twice", {"q": "c"}]


THREE = [[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]]


@pytest.mark.parametrize("index", [["x", "y", "z"], [0, 1, 2]])
@pytest.mark.parametrize("classes", [["0", "1"], ["1", "2"]])
def test_rows_and_columns_that_are_numbers_are_told_apart_by_their_sums(tmp_path, index, classes):
    frame = pd.DataFrame(THREE, index=index, columns=classes)
    for orient in ("index", "records", "columns") if index == [0, 1, 2] else ("index",):
        frame.to_json(tmp_path / "t.json", orient=orient)
        table = ProbabilityTable.read(tmp_path / "t.json")
        assert table.classes == tuple(classes) and table.to_numpy().tolist() == THREE
    assert ProbabilityTable.read(tmp_path / "t.json", classes=classes).classes == tuple(classes)


def test_rows_and_columns_that_no_sum_tells_apart_are_refused(tmp_path):
    path = write(tmp_path / "t.json", '{"x": {"0": 0.4, "1": 0.6}, "y": {"0": 0.6, "1": 0.4}}')
    with refused(TableError, parameter="classes", file=str(path), fix=str, mentions=("'x'", "'0'")):
        ProbabilityTable.read(path)
    assert ProbabilityTable.read(path, classes=["0", "1"]).ids.tolist() == ["x", "y"]
    assert ProbabilityTable.read(path, classes=["x", "y"]).classes == ("x", "y")
    labelled = write(tmp_path / "u.json", '{"0": {"0": 0.7, "1": 0.3}, "label": {"0": 0, "1": 1}}')
    with refused(TableError, file=str(labelled), mentions="two or more classes"):
        ProbabilityTable.read(labelled)  # columns, since one is called label


def test_records_with_an_id_as_batches_have_it_are_records(tmp_path):
    rows = [{"custom_id": f"r{n}", "a": a, "b": b} for n, (a, b) in enumerate(ROWS)]
    path = write(tmp_path / "t.jsonl", "\n".join(map(json.dumps, rows)))
    assert ProbabilityTable.read(path, id_column="custom_id").ids.tolist() == ["r0", "r1"]


# Saved answers of a server.


def answers(path, *tokens, **fields):
    """Write answers, each with the log-probabilities of its tokens, and return the path."""
    lines = []
    for number, listed in enumerate(tokens):
        top = [{"token": token, "logprob": logprob} for token, logprob in listed.items()]
        body = {"choices": [{"logprobs": {"content": [{"top_logprobs": top}]}}]}
        lines.append({"custom_id": f"r{number}", "response": {"status_code": 200, "body": body}, **fields})
    return write(path, "\n".join(map(json.dumps, lines)))


@pytest.mark.parametrize("option", ["label_column", "id_column"])
def test_a_field_of_answers_that_is_absent_is_refused(tmp_path, option):
    path = answers(tmp_path / "a.jsonl", {"yes": -0.2, "no": -1.8}, gold="yes")
    with refused(TableError, parameter=option, received="golden", fix="did you mean 'gold'?"):
        ProbabilityTable.read(path, classes=["yes", "no"], **{option: "golden"})
    read = ProbabilityTable.read(path, classes=["yes", "no"], label_column="gold")
    assert read.labels.tolist() == ["yes"] and read.ids.tolist() == ["r0"]


def test_tokens_and_classes_are_compared_in_one_unicode_form(tmp_path):
    for token, name in ((COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)):
        path = answers(tmp_path / "a.jsonl", {token: -0.2, "no": -2.0})
        values = ProbabilityTable.read(path, classes=[name, "no"]).to_numpy()
        assert values[0, 0] == pytest.approx(1 / (1 + np.exp(-1.8)))


def test_tokens_of_more_than_all_probability_are_refused(tmp_path):
    path = answers(tmp_path / "a.jsonl", {"yes": -0.2, "no": -1.8}, {"yes": -0.1, "no": -0.1})
    with refused(TableError, file=str(path), row=1, received=float, fix=str):
        ProbabilityTable.read(path, classes=["yes", "no"])


# CSV.


@pytest.mark.parametrize(
    "text",
    [
        "0.7,0.3\n0.2,0.8\n",
        "World,0.7,0.3\nSports,0.2,0.8\n",
        "0,0.7,0.3\n1,0.2,0.8\n",
        "r1,0.7,0.2,0.1\nr2,0.2,0.8,0.0\n",
    ],
)
def test_a_row_in_place_of_the_header_is_refused(tmp_path, text):
    path = write(tmp_path / "t.csv", text)
    with refused(TableError, file=str(path), line=1, fix=str, mentions="header"):
        ProbabilityTable.read(path)


def test_classes_that_are_numbers_are_no_row(tmp_path):
    for names in (["0.5", "1.0", "1.5"], ["0.0", "1.0", "2.0"], ["0", "1", "2"]):
        path = write(tmp_path / "t.csv", f"{','.join(names)}\n.7,.2,.1\n")
        assert ProbabilityTable.read(path).classes == tuple(names)
    path = write(tmp_path / "t.csv", "0.25,0.75\n.7,.3\n")
    assert ProbabilityTable.read(path, classes=["0.25", "0.75"]).to_numpy().tolist() == [[0.7, 0.3]]


@pytest.mark.parametrize("last", ["text", "id", "note"])
def test_a_row_with_fewer_cells_than_the_header_is_refused(tmp_path, last):
    path = write(tmp_path / "t.csv", f"label,a,b,{last}\na,.7,.3,1\n\nb,.2,.8\n")
    with refused(TableError, file=str(path), row=1, line=4, fix=str, mentions=("3 cells", "4")):
        ProbabilityTable.read(path, classes=["a", "b"])
    write(path, "label,a,b,text\na,.7,.3,\n   \nb,.2,.8,y\n")
    assert ProbabilityTable.read(path).texts.tolist() == ["", "y"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_lines_end_as_any_system_ends_them(tmp_path, delimiter, end):
    lines = ["label,a,b", "a,.7,.3", "b,.2,.8", ""]
    path = write(tmp_path / "t.csv", end.join(lines).replace(",", delimiter))
    assert contents(ProbabilityTable.read(path)) == (["a", "b"], ROWS, ["a", "b"])


def test_empty_columns_after_the_last_are_nothing(tmp_path):
    path = write(tmp_path / "t.csv", "label,a,b,,\na,.7,.3,,\nb,.2,.8,,\n")
    assert contents(ProbabilityTable.read(path)) == (["a", "b"], ROWS, ["a", "b"])
    write(path, "label,a,b,,\na,.7,.3,,\nb,.2,.8,,x\n")
    with refused(TableError, file=str(path)):
        ProbabilityTable.read(path)


def test_digits_with_an_underline_are_no_number(tmp_path):
    path = write(tmp_path / "t.csv", "label,a,b\na,0.7_1,.29\n")
    with refused(TableError, row=0, column="a", received="0.7_1"):
        ProbabilityTable.read(path)


@pytest.mark.parametrize("end", ["csv", "parquet"])
@pytest.mark.parametrize("names", [["a", "b"], ["0", "1"]])
def test_written_predictions_are_read_as_a_table(tmp_path, end, names):
    frame = pd.DataFrame({"id": ["x", "y"], "label": names, "uncorrected": names[0], "prediction": names})
    frame = frame.assign(**{f"p_{name}": [row[k] for row in ROWS] for k, name in enumerate(names)})
    path = tmp_path / f"t.{end}"
    frame.to_csv(path, index=False) if end == "csv" else frame.to_parquet(path)
    with refused(TableError, file=str(path)):
        ProbabilityTable.read(path)
    for classes in (names, [f"p_{name}" for name in names]):
        with pytest.warns(match="not read") if names == ["a", "b"] else pytest.MonkeyPatch.context():
            assert contents(ProbabilityTable.read(path, classes=classes)) == (names, ROWS, names)


def test_predictions_of_one_class_are_no_classes(tmp_path):
    path = write(tmp_path / "t.csv", "uncorrected,prediction,p_0,p_1\n0,0,.7,.3\n0,0,.8,.2\n")
    with refused(TableError, parameter="classes", file=str(path), mentions=("'uncorrected'", "'prediction'")):
        ProbabilityTable.read(path)


# Lists of classes.


@pytest.mark.parametrize("classes", ["ab", {"a", "b"}, {0: "a", 1: "b"}, b"ab", 3])
def test_classes_without_an_order_are_refused(tmp_path, classes):
    path = write(tmp_path / "t.csv", "a,b\n.7,.3\n")
    for read in (
        lambda: ProbabilityTable.read(path, classes=classes),
        lambda: ProbabilityTable(ROWS, classes=classes),
    ):
        with refused(TableError, parameter="classes", mentions="a list of names"):
            read()


def test_classes_may_come_one_by_one(tmp_path):
    path = write(tmp_path / "t.csv", "a,b\n.7,.3\n")
    assert ProbabilityTable.read(path, classes=iter("ba")).classes == ("b", "a")
    frame = pd.DataFrame(ROWS, columns=["a", "b"])
    assert ProbabilityTable(frame, classes=iter("ba")).classes == ("b", "a")
    assert ProbabilityTable(ROWS, classes=iter("ba")).classes == ("b", "a")


def test_a_class_listed_twice_or_with_another_role_is_refused(tmp_path):
    path = write(tmp_path / "t.csv", "label,a,b\na,1,0\nb,0,1\n")
    with refused(TableError, parameter="classes", received="b", file=str(path)):
        ProbabilityTable.read(path, classes=["a", "b", "b"])
    with refused(TableError, parameter="label_column", received="a", file=str(path)):
        ProbabilityTable.read(path, classes=["a", "b"], label_column="a")


def harness(path, target):
    """Write one logged sample and return the path."""
    line = {"doc": {"n": 0}, "target": target, "arguments": [["c", " no"], ["c", " yes"]], "filter": "none"}
    return write(path, json.dumps({**line, "resps": [[["-1", "True"]], [["-2", "False"]]]}))


@pytest.mark.parametrize("classes", [["yes", "nope"], ["Yes", "maybe"], ["nein", "no"]])
def test_a_choice_is_never_called_like_another(tmp_path, classes):
    path = harness(tmp_path / "samples_mood.jsonl", 0)
    with refused(TableError, parameter="classes", received=classes, file=str(path), fix=str):
        ProbabilityTable.read(path, classes=classes)
    for fitting in (["yes", "no"], ["nein", "ja"], ["no", "ja"]):
        table = ProbabilityTable.read(path, classes=fitting)
        assert table.labels.tolist() == [fitting[1] if fitting[1] == "no" else fitting[0]]


# Names that look alike.


@pytest.mark.parametrize(
    "alike", [("a", "a "), ("a b", "a\u00a0b"), ("a", "a\u200b"), (COMPOSED, DECOMPOSED)]
)
def test_names_that_look_alike_are_refused_in_files_and_frames(tmp_path, alike):
    path = write(tmp_path / "t.csv", f"{alike[0]},{alike[1]},c\n.3,.3,.4\n")
    with refused(TableError, parameter="classes", received=list(alike), file=str(path), fix=str):
        ProbabilityTable.read(path)
    frame = pd.DataFrame([[0.3, 0.3, 0.4]], columns=[*alike, "c"])
    for read in (lambda: ProbabilityTable(frame), lambda: match_classes(frame, ["c"])):
        with refused(TableError, parameter="X"):
            read()
    assert match_classes(frame[["c", alike[0]]], ["c"]).y.tolist() == [0]


def test_advice_says_what_cannot_be_seen():
    assert did_you_mean(COMPOSED, [DECOMPOSED, "b"]) != f"did you mean '{DECOMPOSED}'?"
    assert did_you_mean("World ", ["World"]).endswith("letters")
    table = ProbabilityTable(ROWS, classes=[COMPOSED, "b"])
    with refused(TableError, mentions="Unicode"):
        matched_columns(table, [DECOMPOSED, "b"])
    with refused(TableError, fix="fit on a table with these classes, or name its columns after them"):
        matched_columns(table, ["c", "b"])


# Frames of other libraries, and arrays that say more than their numbers.


def test_names_of_other_frames_are_names():
    table = pa.table({"World": [0.7, 0.2], "Sports": [0.3, 0.8]})
    assert ProbabilityTable(table, ["World", "Sports"]).label_indices.tolist() == [0, 1]
    assert match_classes(table, ["Sports", "Sports"]).y.tolist() == [1, 1]
    polars = pytest.importorskip("polars")
    assert ProbabilityTable(polars.DataFrame(table), ["World", "Sports"]).label_indices.tolist() == [0, 1]


def test_masked_cells_and_labels_are_missing():
    values = np.ma.array(ROWS, mask=[[False, False], [True, False]])
    with refused(TableError, row=1):
        ProbabilityTable(values)
    with refused(TableError, row=1):
        plain_labels(np.ma.array(["a", "b"], mask=[False, True]))
    assert ProbabilityTable(np.ma.array(ROWS)).to_numpy().tolist() == ROWS


def test_every_second_column_keeps_its_number():
    frame = pd.DataFrame(np.full((2, 6), 1 / 3)).iloc[:, ::2]
    assert match_classes(frame, [0, 2]).y.tolist() == [0, 1]
    with refused(TableError, received=1):
        match_classes(frame, [0, 1])


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        (pd.DataFrame(ROWS, columns=pd.MultiIndex.from_product([["p"], ["a", "b"]])), {"parameter": "X"}),
        (pd.DataFrame(ROWS, columns=["a", "a"]), {"parameter": "X"}),
        (pd.DataFrame(ROWS, columns=[1.0, np.nan]), {"parameter": "X", "mentions": "no name"}),
        (pd.DataFrame({"a": [0.7, 0.2], "b": ["0,3", "0,8"]}), {"row": 0, "column": "b", "received": "0,3"}),
        (np.array(ROWS) + 1j, {"mentions": "complex"}),
        ([0.5, 0.5], {"received": (2,)}),
    ],
)
def test_frames_and_arrays_that_are_no_table_say_why(values, fields):
    with refused(TableError, **fields):
        ProbabilityTable(values)
    if isinstance(values, pd.DataFrame):
        with refused(TableError, **fields):
            match_classes(values, ["a", "b"])


def test_classes_and_labels_are_no_bytes():
    with refused(TableError, parameter="classes", received=b"a"):
        ProbabilityTable(ROWS, classes=[b"a", b"b"])
    for labels in (np.array([b"a", b"b"]), [b"a", b"b"]):
        with refused(TableError, parameter="y", received=b"a", fix=str):
            plain_labels(labels)
    with refused(ParameterError, parameter="classes"):
        match_classes(ROWS @ np.eye(2), ["a", "b"], ["a", None])


@pytest.mark.parametrize("kind", [list, tuple, lambda labels: np.array(labels, dtype=object)])
@pytest.mark.parametrize("labels", [[1, True, 0], [True, 0, 1], ["a", 1, "b"], [0, "1", 2], [b"a", "a", "b"]])
def test_labels_of_two_kinds_are_refused_however_they_come(kind, labels):
    with refused(TableError, parameter="y", row=1, received=labels[1]):
        plain_labels(kind(labels))


def test_a_missing_label_in_a_frame_of_one_column_has_its_row():
    with refused(TableError, parameter="y", row=1):
        plain_labels(pd.DataFrame({"label": ["a", None]}))


# Labels that come later.


def test_ids_and_labels_are_the_same_in_every_kind_of_file(tmp_path):
    table = ProbabilityTable(ROWS, classes=["0", "1"], ids=["1", "2"])
    pd.DataFrame({"id": [1.0, 2.0], "label": [0.0, 1.0]}).to_parquet(tmp_path / "l.parquet")
    files = [
        tmp_path / "l.parquet",
        write(tmp_path / "l.jsonl", '{"id": 1.0, "label": 0}\n{"id": 2, "label": 1.0}'),
    ]
    for path in [*files, write(tmp_path / "l.csv", "id,label\n1,0\n2,1\n")]:
        assert late_labels(table, path) == ["0", "1"]
    with refused(TableError, row=0, line=2):
        late_labels(table, write(tmp_path / "l.csv", "id,label\n1, \n2,1\n"))


def test_two_columns_of_one_name_in_a_parquet_file_are_named(tmp_path):
    columns = [pa.array(["a"]), pa.array(["b"]), pa.array([0.7]), pa.array([0.3])]
    pq.write_table(pa.table(columns, names=["label", "label", "a", "b"]), tmp_path / "t.parquet")
    with refused(TableError, file=str, mentions="two columns are called 'label'"):
        ProbabilityTable.read(tmp_path / "t.parquet")


@pytest.mark.parametrize("name", ["t", "t.csv", "t.xlsx", "t.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04" + bytes(9) + b"a,b",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1,",
        b"\x93NUMPY,",
        b"\n<!DOCTYPE html><table>a,b",
        b'<?xml version="1.0"?><a b="1,2"/>',
    ],
)
def test_files_that_are_often_taken_for_tables_are_named(tmp_path, name, content):
    path = write(tmp_path / name, content)
    with refused(TableError, file=str(path), parameter=None, fix=str, mentions="not a table"):
        ProbabilityTable.read(path)


def test_classes_called_with_a_prefix_are_found_by_naming_them(tmp_path):
    table = ProbabilityTable([[0.5, 0.5]], classes=["p_no", "p_yes"])
    table.probabilities.to_csv(tmp_path / "new.csv", index=False)
    with refused(TableError, fix=str, mentions=("name the classes in classes", "without 'p_'")):
        matched_columns(ProbabilityTable.read(tmp_path / "new.csv"), ["no", "yes"])
    named = ProbabilityTable.read(tmp_path / "new.csv", classes=["no", "yes"])
    assert matched_columns(named, ["yes", "no"]).columns.tolist() == ["yes", "no"]


@pytest.mark.parametrize(
    ("rows", "advice"),
    [
        ([[-2.3, -0.1], [-0.7, -0.7]], "log-probabilities"),
        ([[-2.3, 4.1], [1.7, -0.7]], "logits"),
        ([[0.5, 0.5], [0.2, 0.8], [1.25, -0.25]], "most rows sum to 1"),
        ([[0.5, 0.5], [0.2, np.nan]], "omit the row"),
    ],
)
def test_numbers_that_are_no_probabilities_are_refused_with_what_they_may_be(rows, advice):
    with refused(TableError, fix=str, mentions=advice):
        ProbabilityTable(rows, classes=["no", "yes"])
