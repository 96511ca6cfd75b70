"""A text with two labels is said, by number and example."""

import warnings

import pytest

from debias.cli.options.table_options import labels_of
from debias.errors import SecondLabelWarning
from debias.tables.second_labels import warn_of_second_labels
from debias.tables.table import ProbabilityTable


def test_a_table_of_texts_with_two_labels_is_said_before_it_is_fitted():
    labels, texts = ["yes", "no", "no", "no", "yes"], ["fine", "dull", "fine", "dull", "dull"]
    table = ProbabilityTable([[0.5, 0.5]] * 5, labels, classes=["no", "yes"], texts=texts)
    with pytest.warns(
        SecondLabelWarning, match="2 texts have two labels, such as row 2: 'fine' is 'no', and 'yes'"
    ):
        assert labels_of(table).tolist() == labels


def test_a_text_that_repeats_with_its_label_is_no_fault():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_second_labels(["fine", "fine"], ["good", "good"])
