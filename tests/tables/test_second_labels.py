"""A text with two labels is said, by number and example, wherever a table comes in."""

import warnings

import pytest

from debias.errors import SecondLabelWarning
from debias.tables.labels.second_labels import warn_of_second_labels
from debias.tables.table import ProbabilityTable

TEXTS = ["fine", "dull", "fine", "dull", "dull"]
LABELS = ["yes", "no", "no", "no", "yes"]


def said(call):
    """Return the one warning of a call."""
    with pytest.warns(SecondLabelWarning) as caught:
        call()
    (warning,) = caught
    return str(warning.message)


def test_a_table_of_texts_with_two_labels_says_so_once():
    sentence = said(lambda: ProbabilityTable([[0.5, 0.5]] * 5, LABELS, classes=["no", "yes"], texts=TEXTS))
    assert all(part in sentence for part in ("2 texts", "two labels", "row 2", "'fine'", "row 0"))


def test_its_parts_do_not_say_it_again():
    with pytest.warns(SecondLabelWarning):
        table = ProbabilityTable([[0.5, 0.5]] * 5, LABELS, classes=["no", "yes"], texts=TEXTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table.take([0, 2]).normalised()


def test_a_file_says_it_with_its_lines(tmp_path):
    path = tmp_path / "table.csv"
    rows = [f"{text},{label},.5,.5" for text, label in zip(TEXTS, LABELS, strict=True)]
    path.write_text("\n".join(["text,label,no,yes", *rows]) + "\n")
    sentence = said(lambda: ProbabilityTable.read(path))
    assert all(part in sentence for part in (str(path), "line 4", "line 2"))
    assert "row" not in sentence.removeprefix(str(path)).replace("these rows", "")


def test_three_labels_are_counted():
    assert "1 text has 3 labels" in said(lambda: warn_of_second_labels(["a", "a", "a"], ["x", "y", "z"]))
    sentence = said(lambda: warn_of_second_labels(["a", "a", "a", "b", "b"], ["x", "y", "z", "x", "y"]))
    assert "2 texts" in sentence and "3" in sentence


def test_a_text_that_repeats_with_its_label_is_no_fault():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_second_labels(["fine", "fine"], ["good", "good"])
