"""Reports of very few rows, of classes without rows, of odd labels, and of tables with private texts."""

import re

import numpy as np
import pandas as pd
import pytest

from debias import WeightDebiaser
from debias.errors import ParameterError, TableError
from debias.reports.correction_report import Report
from debias.tables.table import ProbabilityTable
from tests.support.refusals import refused
from tests.support.small_tables import skewed_table


def with_texts(table, name):
    """The table with texts and ids that no page may show."""
    n = len(table)
    texts, ids = [f"PRIVATE text {name}{i}" for i in range(n)], [f"PRIVATE-id-{name}{i}" for i in range(n)]
    return ProbabilityTable(table.probabilities, table.labels, texts=texts, ids=ids)


@pytest.fixture(scope="module")
def whole():
    return with_texts(skewed_table(300), "a")


@pytest.fixture(scope="module")
def debiaser(whole):
    opt = whole.take(slice(0, 200))
    return WeightDebiaser(n_weights=10).fit(opt.probabilities, opt.labels)


def test_shared_rows_are_counted_without_their_texts_and_ids(whole, debiaser):
    opt, test = whole.take(slice(0, 200)), whole.take(slice(150, 300))
    made = Report.from_debiaser(debiaser, test, fitted_on=opt, n_resamples=10)
    assert any("share 50 of the 200 opt rows (rows 150, 151, 152" in note.text for note in made.notes)
    for page in (made.to_html(), made.to_markdown()):
        assert "share 50 of the 200" in page
        assert "PRIVATE" not in page
    assert made.recommendation.answer == "Do not use it"


def test_rows_of_a_table_that_was_not_fitted_on_flatter_nothing(whole, debiaser):
    test = whole.take(slice(200, 300))
    made = Report.from_debiaser(debiaser, test, fitted_on=test, n_resamples=10)
    said = [note.text for note in made.notes if note.kind == "warning"]
    assert any("is not the one that the correction was fitted on" in text for text in said)
    assert not any("flatter" in text for text in said)
    assert "PRIVATE" not in made.to_markdown()


@pytest.mark.parametrize("weights", [np.arange(200) % 3 + 1, np.full(200, 2), np.arange(200) % 4])
def test_a_weighted_fit_is_not_said_to_be_of_another_table(whole, weights):
    opt, test = whole.take(slice(0, 200)), whole.take(slice(200, 300))
    fitted = WeightDebiaser(n_weights=5).fit(opt.probabilities, opt.labels, sample_weight=weights)
    made = Report.from_debiaser(fitted, test, fitted_on=opt, n_resamples=10)
    assert not any("is not the one" in note.text for note in made.notes)
    shared = Report.from_debiaser(fitted, whole.take(slice(150, 300)), fitted_on=opt, n_resamples=10)
    assert any("share 50 of the 200" in note.text for note in shared.notes)
    assert shared.recommendation.answer == "Do not use it"


def test_a_correction_is_not_recommended_for_classes_of_which_no_row_is_here():
    truth = ["a"] * 60
    before, after = ["b"] * 40 + ["a"] * 20, ["a"] * 60
    made = Report(truth, before, after, ["a", "b"])
    assert made.recommendation.answer == "Use it only if"
    assert made.recommendation.because.startswith("b does not matter, since no row of it is here: ")
    many = Report(truth, before, after, ["a", "b", "c"])
    assert many.recommendation.because.startswith("b and c do not matter, since no row of them is here")
    mixed = Report(
        ["a"] * 60 + ["b"] * 30, ["a"] * 90, ["a"] * 20 + ["b"] * 70, ["a", "b", "c"], n_resamples=100
    )
    assert mixed.recommendation.because.startswith(
        "even classes matter more than accuracy, and c does not matter, since no row of it is here: COBias"
    )
    both = Report(truth + ["b"] * 9, [*before, *"b" * 9], [*after, *"b" * 9])
    assert both.recommendation.answer == "Use it"


@pytest.mark.parametrize("n", [1, 2])
def test_a_handful_of_rows_is_no_reason_to_use_a_correction(n):
    truth = ["a"] * n + ["b"]
    made = Report(truth, ["b"] * n + ["b"], truth)
    assert made.recommendation.answer == "Do not use it"
    assert "no clear change" in made.recommendation.because
    assert not any("Clearly" in finding.text for finding in made.findings)
    assert (made.overall["verdict"] == "unclear").all()


def test_one_moved_row_is_not_clearly_more_rows():
    truth = ["a"] * 12 + ["b"] * 12
    before = ["b"] * 6 + ["a"] * 6 + ["b"] * 12
    after = ["a", *before[1:]]
    for seed in range(6):
        made = Report(truth, before, after, seed=seed)
        assert not any("Clearly" in finding.text for finding in made.findings)


@pytest.mark.parametrize(
    "columns",
    [
        ([0, 1, 0, 1], [0.0, 1.0, 1.0, 1.0], [0, 1, 0, 1]),
        ([0, 1, 0, 1], np.array([0, 1, 1, 1], dtype=np.uint8), pd.Series([0, 1, 0, 1], dtype="Int64")),
        ([False, True, False, True], [0, 1, 1, 1], [0, 1, 0, 1]),
        (["0", "1", "0", "1"], [0, 1, 1, 1], [0.0, 1.0, 0.0, 1.0]),
    ],
)
def test_numbers_of_every_kind_are_the_same_classes(columns):
    made = Report(*columns)
    assert made.classes == ("0", "1")
    assert made.overall.loc["accuracy", ["before", "after"]].tolist() == [0.75, 1.0]
    assert Report(*columns, classes=[0.0, 1.0]).classes == ("0", "1")


def test_texts_stay_as_they_are():
    assert Report(["1.0", "01"], ["01", "01"], ["1.0", "01"]).classes == ("01", "1.0")


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_missing_label_is_no_class(missing):
    for place, name in enumerate(("y_true", "y_before", "y_after")):
        columns = [["a", "b", "a"] for _ in range(3)]
        columns[place] = ["a", missing, "b"]
        with refused(TableError, column=name, row=1):
            Report(*columns)


@pytest.mark.parametrize("odd", [np.array([["a"], ["b"]]), pd.DataFrame({"y": ["a", "b"]}), "ab", {"a", "b"}])
def test_what_is_not_one_label_for_each_row_is_refused(odd):
    with refused(ParameterError, parameter="y_before"):
        Report(["a", "b"], odd, ["a", "b"])


@pytest.mark.parametrize("title", ["", "  ", None, 5])
def test_a_page_has_a_heading(title):
    with refused(ParameterError, parameter="title", received=title):
        Report(["a", "b"], ["a", "a"], ["a", "b"], title=title)


def test_a_level_is_written_with_all_its_digits():
    made = Report(["a", "b"] * 40, ["a", "a"] * 40, ["a", "b"] * 40, level=0.99999, n_resamples=10)
    page, text = made.to_html(), made.to_markdown()
    said = " ".join(finding.text for finding in made.findings)
    for shown in (page, text, said):
        assert "99.999" in shown
        assert not re.search(r"(?<!\d)100(&nbsp;| |\xa0)% (interval|confidence)", shown)


def test_a_class_without_rows_has_a_dash_and_no_empty_interval():
    made = Report(["a"] * 9, ["a"] * 9, ["b"] * 9, ["a", "b"])
    assert "<small>–</small>" not in made.to_html()


@pytest.mark.parametrize(("n_rows", "is_said"), [(5, True), (20, False)])
def test_a_report_says_where_classes_have_too_few_rows_for_its_intervals(n_rows, is_said):
    truth = ["yes"] * n_rows + ["no"] * 60
    report = Report(truth, ["no"] * (n_rows + 60), truth)
    said = " ".join(finding.text for finding in report.findings)
    assert ("hold less often than they say" in said) == is_said
