"""What columns and labels mean in frames, arrays and files: one reading, or a refusal whose advice works."""

import gzip
import json
import warnings

import numpy as np
import pandas as pd
import pytest

from debias.errors import (
    ColumnOrderWarning,
    ExcludedRowsWarning,
    ParameterError,
    RecordsError,
    TableError,
    param,
)
from debias.rows.row_files import read_rows
from debias.tables.class_columns import match_classes
from debias.tables.labels.column_order import check_order
from debias.tables.labels.label_reading import plain_labels, read_labels
from debias.tables.table import ProbabilityTable
from tests.support.refusals import refused

TRUTHS = pd.DataFrame({True: [0.9, 0.1], False: [0.1, 0.9]})
AB = pd.DataFrame({"a": [0.9, 0.1, 0.2], "b": [0.1, 0.9, 0.8]})


def write(path, content):
    """Write a file and return its path."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# 0 and 1 beside classes called false and true.


@pytest.mark.parametrize("kind", [int, float, np.uint8])
def test_numbers_of_truth_values_are_refused_where_positions_differ(kind):
    labels = np.array([1, 0], dtype=kind)
    for read in (lambda: ProbabilityTable(TRUTHS, labels), lambda: match_classes(TRUTHS, labels)):
        with refused(TableError, parameter="labels", fix=str, mentions=("'True'", "'False'")):
            read()


def test_the_advice_for_truth_values_works(tmp_path):
    assert ProbabilityTable(TRUTHS, ["True", "False"]).label_indices.tolist() == [0, 1]
    assert match_classes(TRUTHS, ["True", "False"]).y.tolist() == [0, 1]
    assert match_classes(TRUTHS, [True, False]).y.tolist() == [0, 1]
    path = write(tmp_path / "t.csv", "TRUE,false,label\n.9,.1,1\n.1,.9,0\n")
    with refused(TableError, parameter="labels", file=str(path), mentions=("'TRUE'", "'false'")):
        ProbabilityTable.read(path)
    assert ProbabilityTable.read(path, labels="name").label_indices.tolist() == [0, 1]
    assert ProbabilityTable.read(path, labels="position").label_indices.tolist() == [1, 0]


def test_truth_values_in_the_order_of_numbers_need_no_advice():
    assert read_labels([1, 0], ["False", "True"]).tolist() == [1, 0]
    assert match_classes(TRUTHS.iloc[:, ::-1], [1, 0]).y.tolist() == [1, 0]


# Positions, where the classes are asked for in another order than they stand.


def test_positions_are_refused_where_two_orders_differ(tmp_path):
    path = write(tmp_path / "t.csv", "lo,mid,hi,label\n.6,.3,.1,0\n.2,.7,.1,1\n.1,.1,.8,2\n")
    for labels in (None, "position"):
        with refused(TableError, parameter="labels", row=None, fix=str, mentions=("'hi'", "'lo'")):
            ProbabilityTable.read(path, classes=["hi", "mid", "lo"], labels=labels)
    kept = ProbabilityTable.read(path, classes=["lo", "mid", "hi"])
    assert kept.labels.tolist() == ProbabilityTable.read(path).labels.tolist() == ["lo", "mid", "hi"]
    named = write(tmp_path / "u.csv", "lo,mid,hi,label\n.6,.3,.1,lo\n.2,.7,.1,mid\n.1,.1,.8,hi\n")
    assert ProbabilityTable.read(named, classes=["hi", "mid", "lo"]).labels.tolist() == ["lo", "mid", "hi"]
    frame = pd.DataFrame({"lo": [0.6, 0.2], "hi": [0.4, 0.8]})
    with refused(TableError, parameter="labels", fix=str):
        ProbabilityTable(frame, [0, 1], classes=["hi", "lo"])
    assert ProbabilityTable(frame, ["lo", "hi"], classes=["hi", "lo"]).label_indices.tolist() == [1, 0]


def test_positions_count_the_class_columns_alone(tmp_path):
    path = write(tmp_path / "t.csv", "confidence,lo,hi,label\n.6,.6,.4,0\n.8,.2,.8,1\n")
    assert ProbabilityTable.read(path, classes=["lo", "hi"]).labels.tolist() == ["lo", "hi"]


def test_text_that_is_no_position_is_said_to_be_none():
    with refused(TableError, row=0, received="a", fix=str, mentions="0 .. 1") as caught:
        read_labels(["a", "b"], ["a", "b"], "position", of_file=True)
    assert "did you mean" not in str(caught.value)


# Columns of a frame that are no class.


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("confidence", [0.9, 0.9, 0.8]),
        ("label", [0, 1, 1]),
        ("label", [0, 2, 3]),
        ("Label", [0, 0, 0]),
        ("id", [5, 6, 7]),
        ("length", [12, 7, 31]),
    ],
)
def test_a_column_that_is_no_class_is_refused_in_python_as_in_a_file(tmp_path, name, cells, normalise):
    frame = AB.assign(**{name: cells})
    with refused(TableError, parameter="classes", fix=str, mentions=repr(name)) as caught:
        ProbabilityTable(frame, ["a", "b", "b"], normalise=normalise)
    assert "normalise" not in str(caught.value)
    kept = ProbabilityTable(frame, ["a", "b", "b"], classes=["a", "b"], normalise=normalise)
    assert kept.classes == ("a", "b")


def test_a_class_that_is_called_like_a_role_stays_a_class():
    frame = pd.DataFrame({"en": [0.5, 0.2], "id": [0.5, 0.8]})
    assert ProbabilityTable(frame).classes == ("en", "id")


def test_one_odd_cell_is_refused_by_its_row_and_value(tmp_path):
    lines = [".2,.8,a"] * 20
    lines[9] = "1.7,.8,a"
    path = write(tmp_path / "t.csv", "\n".join(["b,a,label", *lines]) + "\n")
    for call in (
        lambda: ProbabilityTable.read(path),
        lambda: ProbabilityTable.read(path, classes=["b", "a"]),
    ):
        with refused(TableError, row=9, line=11, column="b", received=1.7, fix=str) as caught:
            call()
        assert "normalise" not in str(caught.value) and "classes" not in str(caught.value)


# Names of columns.


@pytest.mark.parametrize("names", [["a", "a"], [1, "a"], pd.MultiIndex.from_product([["a"], ["b", "c"]])])
def test_names_that_stand_for_no_one_column_are_refused(names):
    with refused(TableError, parameter="X", fix=str):
        match_classes(AB.set_axis(names, axis=1), ["a", "b", "b"])


@pytest.mark.parametrize("label", [2**70, 2**63, -(2**70), float(2**80), np.uint64(2**63)])
def test_numbers_beyond_64_bits_are_refused_with_their_row(label):
    with refused(TableError, row=1, parameter="y", fix=str):
        plain_labels(np.array([1, label], dtype=object) if isinstance(label, int) else np.array([1, label]))


def test_nearly_right_names_are_said():
    for labels in (["billing", "Bug"], ["Bugg", "Bug"]):
        with refused(TableError, row=0, fix=str, mentions="did you mean"):
            match_classes(AB.set_axis(["Billing", "Bug"], axis=1).iloc[:2], labels)
    with refused(TableError, parameter="classes", received="Bugg", fix="did you mean 'Bug'?"):
        ProbabilityTable(AB.set_axis(["Billing", "Bug"], axis=1), classes=["Billing", "Bugg"])


def test_the_advice_of_the_order_warning_works(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    values = 0.3 * np.eye(3)[y] + 0.7 * rng.dirichlet(np.ones(3), size=300)
    shifted, labels = values[:, [1, 2, 0]], np.array(["mid", "neg", "zed"])[y]

    def said(X, classes=None, by_header=False):
        match = match_classes(X, labels, classes)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check_order(np.asarray(X), match, True, by_header)
        return [one.message for one in caught if issubclass(one.category, ColumnOrderWarning)]

    frame = pd.DataFrame(shifted, columns=["mid", "neg", "zed"])
    (warning,) = said(frame, by_header=True)
    names = {"mid": "neg", "neg": "zed", "zed": "mid"}
    assert all(f"{old!r} to {new!r}" in str(warning) for old, new in names.items())
    assert not said(frame.rename(columns=names), by_header=True)
    other = frame[["zed", "mid", "neg"]]
    (warning,) = said(other, by_header=True)
    assert all(f"{old!r} to {new!r}" in str(warning) for old, new in names.items())
    assert not said(other.rename(columns=names), by_header=True)
    (warning,) = said(shifted, ["mid", "neg", "zed"])
    assert "--classes" in warning.render({"classes": "--classes"})
    assert not said(shifted, ["neg", "zed", "mid"])


# Files.


def test_unread_texts_are_said(tmp_path):
    path = write(tmp_path / "t.csv", "message,a,b,label\nhello,.2,.8,a\nhello,.3,.7,b\n")
    with pytest.warns(ExcludedRowsWarning, match="'message'") as caught:
        ProbabilityTable.read(path, classes=["a", "b"])
    assert "--text-column" in caught[0].message.render({"text_column": "--text-column"})
    with refused(TableError, column="message", fix=str, mentions=("text_column", "classes")):
        ProbabilityTable.read(path)


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("a,b,label\n.5,.5,a,9\n.5,.5,b\n", {"row": 0, "line": 2}),
        ("a,b,label\n.5,.5,a\n\n.5,.5,b,9\n", {"row": 1, "line": 4}),
        ("sep=,\na,b,label\n.5,.5,a\n.5,.5,b,9\n", {"row": 1, "line": 4}),
        ("# a comment\na,b,label\n.5,.5,a\n", {"line": 2}),
        ("# a, comment\na,b,label\n.5,.5,a\n", {"line": 2}),
        ('a,"b,label\n.5,.5,a\n.5,.5,b\n', {"line": 1}),
        ('a,b,label\n.5,.5,"a\n.5,.5,b\n', {"line": 2}),
    ],
)
def test_rows_of_other_lengths_are_refused_by_their_line(tmp_path, content, fields):
    path = write(tmp_path / "t.csv", content)
    with refused(TableError, file=str(path), fix=str, **fields) as caught:
        ProbabilityTable.read(path)
    assert "C error" not in str(caught.value) and "delimiter" not in str(caught.value)


@pytest.mark.parametrize("pack", [gzip.compress, lambda content: content])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "a,b,label\n.2,.8,a\n.3,.7,b\n"),
        ("t.tsv", "a\tb\tlabel\n.2\t.8\ta\n.3\t.7\tb\n"),
        ("t.jsonl", '{"a": 0.2, "b": 0.8, "label": "a"}\n{"a": 0.3, "b": 0.7, "label": "b"}\n'),
        ("t.json", '[{"a": 0.2, "b": 0.8, "label": "a"}, {"a": 0.3, "b": 0.7, "label": "b"}]'),
    ],
)
def test_packed_and_marked_files_read_as_plain_ones(tmp_path, name, content, encoding, pack):
    packed = pack(content.encode(encoding))
    for ending in ("", ".gz") if packed.startswith(b"\x1f\x8b") else ("",):
        table = ProbabilityTable.read(write(tmp_path / f"{name}{ending}", packed))
        assert table.labels.tolist() == ["a", "b"] and table.classes == ("a", "b")


def test_files_that_cannot_be_read_say_what_to_do(tmp_path):
    cut = write(tmp_path / "t.csv.gz", gzip.compress(b"a,b,label\n.2,.8,a\n")[:-9])
    with refused(TableError, file=str(cut)):
        ProbabilityTable.read(cut)
    feather = tmp_path / "t.feather"
    AB.to_feather(feather)
    with refused(TableError, file=str(feather), fix=str, mentions="Parquet"):
        ProbabilityTable.read(feather)
    old = write(tmp_path / "old.feather", b"FEA1" + bytes(40))
    with refused(RecordsError, file=str(old), fix=str):
        list(read_rows(old))
    for missing in (tmp_path / "missing", tmp_path / "missing" / "rows"):
        with refused(RecordsError, file=str(missing), mentions="not exist"):
            list(read_rows(missing))


def test_an_option_that_a_format_lacks_is_named_as_on_the_command_line(tmp_path):
    ProbabilityTable(AB, ["a", "b", "b"]).write(tmp_path / "t.parquet")
    with refused(ParameterError, parameter="encoding") as caught:
        ProbabilityTable.read(tmp_path / "t.parquet", encoding="latin-1")
    rendered = caught.value.render({"encoding": "--encoding", "id_column": "--id-column"})
    assert "--encoding" in rendered and "--id-column" in rendered


def test_a_second_row_is_named_by_its_line_too(tmp_path):
    path = write(tmp_path / "t.csv", "id,a,b\nx,.2,.8\nx,.3,.7\n")
    with refused(TableError, row=1, line=3, mentions="line 2"):
        ProbabilityTable.read(path)


def samples(tmp_path, *choices, target="yes"):
    """Write logged samples, one for each tuple of choices."""
    lines = [
        {
            "doc_id": number,
            "doc": {"number": number},
            "target": target if target in two else two[0],
            "arguments": [["context", f" {choice}"] for choice in two],
            "resps": [[["-0.1", "True"]], [["-2.0", "False"]]],
            "filter": "none",
        }
        for number, two in enumerate(choices)
    ]
    return write(tmp_path / "samples_mood.jsonl", "\n".join(map(json.dumps, lines)) + "\n")


@pytest.mark.parametrize("second", [("Yes", "No"), ("YES", "no"), ("yes ", " NO")])
def test_choices_that_differ_in_case_are_matched_by_name(tmp_path, second):
    table = ProbabilityTable.read(samples(tmp_path, ("no", "yes"), second))
    assert table.classes == ("no", "yes")
    assert table.to_numpy().argmax(axis=1).tolist() == [0, 1]  # the first choice of each is likelier
    assert table.labels.tolist() == ["yes", "yes"]


def test_choices_that_only_case_tells_apart_stay_apart(tmp_path):
    assert ProbabilityTable.read(samples(tmp_path, ("us", "US"), ("US", "us"))).classes == ("us", "US")


def test_samples_in_utf_16_are_samples(tmp_path):
    path = samples(tmp_path, ("no", "yes"), ("no", "yes"))
    write(path, path.read_text().encode("utf-16"))
    assert ProbabilityTable.read(path).classes == ("no", "yes")


def answers(tmp_path, *lines):
    """Write saved answers of a server, each with some more fields."""
    tokens = [{"token": "yes", "logprob": -0.2}, {"token": "no", "logprob": -1.8}]
    body = {"choices": [{"logprobs": {"content": [{"top_logprobs": tokens}]}}]}
    rows = [{"response": {"status_code": 200, "body": body}, **line} for line in lines]
    return write(tmp_path / "answers.jsonl", "\n".join(map(json.dumps, rows)) + "\n")


@pytest.mark.parametrize("missing", [None, ""])
def test_answers_of_which_one_lacks_its_id_or_label_are_refused_by_row(tmp_path, missing):
    for field, whole in (("custom_id", "x"), ("label", "yes")):
        lines = [{field: whole}, {field: missing}, {field: "no"}]
        path = answers(tmp_path, *lines)
        with refused(TableError, file=str(path), row=1, column=field, fix=str):
            ProbabilityTable.read(path, classes=["no", "yes"])
    assert ProbabilityTable.read(answers(tmp_path, {}, {}), classes=["no", "yes"]).ids.tolist() == ["0", "1"]
    with pytest.warns(UserWarning, match="1 of 2"), refused(TableError, row=1, received="never"):
        ProbabilityTable.read(
            answers(tmp_path, {"error": {"code": 1}}, {"label": "never"}), classes=["no", "yes"]
        )


# Sentences.


def test_no_sentence_quotes_more_than_200_characters():
    names = [f"column {number}" for number in range(5000)]
    for problem in (f"the columns are {names}", f"there is no {'x' * 50_000!r}", "a" * 50_000):
        error = TableError(problem, fix=f"choose one of {names}", column="y" * 50_000)
        assert len(str(error)) < 3000
        assert len(str(TableError(f"the columns are {names}"))) < 300
    assert str(TableError("it isn't " + "long, " * 60 + "it's")).count("...") == 0


def test_numpy_names_its_types_nowhere():
    error = TableError(parameter="x", allowed="a number", received=[np.str_("a"), np.float64(-1.0)])
    assert "np." not in str(error)
    assert "'a', -1.0" in str(error)


def test_a_warning_speaks_the_words_of_the_command_line():
    warning = ExcludedRowsWarning(f"pass {param('classes')}")
    assert str(warning) == "pass classes"
    assert warning.render({"classes": "--classes"}) == "pass --classes"


@pytest.mark.parametrize("labels", ["numbers", "names"])
def test_a_file_whose_labels_fit_another_order_is_warned_of_where_it_is_read(tmp_path, labels):
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    values = 0.5 * np.eye(3)[y] + 0.5 * rng.dirichlet(np.ones(3), size=300)
    frame = pd.DataFrame(values, columns=["low", "mid", "high"])
    frame["label"] = y if labels == "numbers" else frame.columns[y]
    frame.to_csv(tmp_path / "right.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ProbabilityTable.read(tmp_path / "right.csv")
    other = ["high", "low", "mid", "label"]
    frame = frame[other] if labels == "numbers" else frame.set_axis(other, axis=1)
    frame.to_csv(tmp_path / "shifted.csv", index=False)
    with pytest.warns(ColumnOrderWarning, match=r"numbers count in another order.*rename 'high' to"):
        ProbabilityTable.read(tmp_path / "shifted.csv")


@pytest.mark.parametrize("column", ["note", "text_of_customer"])
def test_decimal_commas_are_not_blamed_for_a_column_of_texts(tmp_path, column):
    path = tmp_path / "table.csv"
    path.write_text(f"no;yes;label;{column}\n0,25;0,75;yes;one\n0,5;0,5;no;two\n", encoding="utf-8")
    with refused(TableError, column=column, fix=str, mentions="text_column"):
        ProbabilityTable.read(path)
    path.write_text("no;yes;label\n0,25;0,75;yes\n0.5;0.5;no\n", encoding="utf-8")
    with refused(TableError, column="no"):
        ProbabilityTable.read(path)


def test_tables_of_other_shapes_are_refused_with_what_to_do(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("no;yes;label\n25,5 %;74,5 %;yes\n50 %;50 %;no\n", encoding="utf-8")
    with refused(TableError, row=0, column="no", received="25,5 %", fix=str, mentions="normalise=True"):
        ProbabilityTable.read(path)
    path.write_text("yes,label\n0.2,no\n0.7,yes\n", encoding="utf-8")
    with refused(TableError, fix=str, mentions="1 minus this one"):
        ProbabilityTable.read(path)
    path.write_text("id,no,yes\na,0.2,0.8\na,0.3,0.7\n", encoding="utf-8")
    with refused(TableError, column="id", row=1, fix=str, mentions="does not identify rows"):
        ProbabilityTable.read(path)
    path.write_text("no,yes,label\n0.2,0.8,2\n0.3,0.7,1\n", encoding="utf-8")
    with refused(TableError, column="label", received="2", fix=str, mentions="count from 0"):
        ProbabilityTable.read(path)
    nested = tmp_path / "nested.jsonl"
    for probabilities in ('{"no": 0.2, "yes": 0.8}', "[0.2, 0.8]", '"0.2 0.8"'):
        nested.write_text(f'{{"label": "no", "probs": {probabilities}}}\n' * 2, encoding="utf-8")
        with refused(TableError, fix=str, mentions="a column called like its class"):
            ProbabilityTable.read(nested)
