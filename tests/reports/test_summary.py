"""Reports as DataFrames and words: hand-solved counts, identities that always hold, and honesty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.correction import Weight
from debias.errors import ParameterError, TableError
from debias.estimators.debiasers import EnsembleDebiaser, WeightDebiaser
from debias.reports.correction_report import Report
from debias.reports.figures import CorrectionDetails
from debias.tables.table import ProbabilityTable
from tests.support.refusals import refused
from tests.support.small_tables import skewed_table

NAMES = ["World", "Sports", "Arts"]

# label, before, after
HAND = [
    ("World", "Sports", "World"),  # moved, became right
    ("World", "Sports", "World"),  # moved, became right
    ("World", "World", "World"),
    ("World", "Sports", "Arts"),  # moved, stayed wrong
    ("Sports", "Sports", "World"),  # moved, became wrong
    ("Sports", "Sports", "Sports"),
    ("Arts", "Arts", "Arts"),
    ("Arts", "Sports", "Sports"),
]


def hand_report(**options):
    return Report(*zip(*HAND, strict=True), NAMES, **options)


def kinds_with(report, words):
    return [finding.kind for finding in report.findings if words in finding.text]


def test_overall_by_hand():
    overall = hand_report().overall
    assert overall.loc["accuracy", ["before", "after"]].tolist() == [4 / 8, 5 / 8]
    # accuracies 1/4, 1, 1/2 and 3/4, 1/2, 1/2: mean gaps (3/4 + 1/4 + 1/2) / 3 and (1/4 + 1/4 + 0) / 3
    assert overall.loc["cobias", ["before", "after"]].tolist() == pytest.approx([1 / 2, 1 / 6])
    assert overall.loc["worst_class_accuracy", ["before", "after"]].tolist() == [1 / 4, 1 / 2]
    assert set(overall["verdict"]) <= {"better", "worse", "unclear"}
    assert (overall["difference_low"] <= overall["difference_high"]).all()


def test_by_class_by_hand():
    by_class = hand_report(
        details=CorrectionDetails([Weight(30, 30), Weight(10, 30), Weight(20, 30)])
    ).by_class
    assert by_class.index.tolist() == NAMES
    expected = {
        "support": [4, 2, 2],
        "correction": ["identity", "weight 10/30", "weight 20/30"],
        "before": [1 / 4, 1, 1 / 2],
        "after": [3 / 4, 1 / 2, 1 / 2],
        "predicted_before": [1, 6, 1],
        "predicted_after": [4, 2, 2],
        "moved_in": [3, 0, 1],
        "gained": [2, 0, 0],
        "moved_out": [0, 4, 0],
        "lost": [0, 1, 0],
    }
    assert {name: by_class[name].tolist() for name in expected} == expected


def test_moves_by_hand():
    report = hand_report()
    assert report.moves.loc["Sports"].tolist() == [3, 0, 1]
    assert report.moves.to_numpy().sum() == 4
    outcomes = report.move_outcomes
    assert outcomes.index.tolist() == [("Sports", "World"), ("Sports", "Arts")]
    assert outcomes.loc[("Sports", "World")].tolist() == [3, 2, 1, 0]
    assert outcomes.loc[("Sports", "Arts")].tolist() == [1, 0, 0, 1]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(NAMES)] * 3), min_size=1, max_size=40))
def test_counts_always_add_up(rows):
    report = Report(*zip(*rows, strict=True), NAMES, n_resamples=10)
    frame = report.by_class
    correct = {side: (frame[side].fillna(0) * frame["support"]).round() for side in ("before", "after")}
    assert (correct["after"] == correct["before"] + frame["gained"] - frame["lost"]).all()
    moved = frame["moved_in"] - frame["moved_out"]
    assert (frame["predicted_after"] == frame["predicted_before"] + moved).all()
    assert report.moves.sum(axis=1).tolist() == frame["moved_out"].tolist()
    assert report.moves.sum(axis=0).tolist() == frame["moved_in"].tolist()
    assert (np.diag(report.moves) == 0).all()
    outcomes = report.move_outcomes
    assert outcomes["rows"].sum() == report.moves.to_numpy().sum()
    assert outcomes["became_right"].sum() == frame["gained"].sum()
    assert outcomes["became_wrong"].sum() == frame["lost"].sum()
    assert report.headline
    assert report.findings
    assert report.to_markdown()


def test_better_is_called_better():
    truth = ["a"] * 100 + ["b"] * 100
    report = Report(truth, ["a"] * 190 + ["b"] * 10, ["a"] * 100 + ["b"] * 100)
    assert report.headline.startswith("The classes are more even (COBias 90.0 to 0.0 points); accuracy rose")
    assert kinds_with(report, "Clearly more rows classified correctly: b (10.0 % to 100.0 %)") == ["better"]


def test_worse_is_called_worse():
    truth = ["a"] * 100 + ["b"] * 100
    report = Report(truth, ["a"] * 100 + ["b"] * 100, ["a"] * 190 + ["b"] * 10)
    assert "LESS even" in report.headline
    assert "accuracy FELL (100.0 % to 55.0 %)" in report.headline
    assert kinds_with(report, "Accuracy: 100.0 % before, 55.0 % after (−45.0 points") == ["worse"]
    assert kinds_with(report, "Clearly fewer rows classified correctly: b") == ["worse"]
    results = [f.kind for f in report.findings if f.kind in ("worse", "unclear", "better")]
    assert results == sorted(results, key=["worse", "unclear", "better"].index)


def test_a_difference_whose_interval_covers_zero_is_no_clear_change():
    truth = ["a"] * 50 + ["b"] * 50
    report = Report(truth, ["a"] * 70 + ["b"] * 30, ["a"] * 48 + ["b"] * 1 + ["a"] * 20 + ["b"] * 31)
    assert report.overall.loc["accuracy", "verdict"] == "unclear"
    assert "accuracy did not clearly change" in report.headline
    assert kinds_with(report, "the interval of the difference covers zero")


def test_no_change_is_said():
    report = Report(["a", "b"], ["a", "a"], ["a", "a"])
    assert kinds_with(report, "No prediction changed on these rows") == ["unclear"]


def test_majority_answer_small_and_absent_classes_are_named():
    report = Report(["a"] * 90 + ["b"] * 10, ["a"] * 100, ["a"] * 85 + ["b"] * 15, ["a", "b", "c"])
    assert kinds_with(report, "Always answering a") == []  # 95 of 100 are right
    worse = Report(["a"] * 90 + ["b"] * 10, ["a"] * 100, ["a"] * 70 + ["b"] * 30)
    assert kinds_with(worse, "Always answering a would be correct for 90.0 %") == ["warning"]
    assert kinds_with(report, "No row of c: nothing is known about it") == ["warning"]
    assert kinds_with(report, "rows of b (10): one row moves a class accuracy by up to 10.0 points") == [
        "warning"
    ]


def test_majority_as_good_as_the_correction_is_named():
    report = Report(["a"] * 90 + ["b"] * 10, ["b"] * 100, ["a"] * 90 + ["a"] * 10)
    assert kinds_with(report, "no less than the corrected 90.0 %") == ["warning"]


def test_from_debiaser():
    opt, test = skewed_table().split(0.5)
    debiaser = WeightDebiaser().fit(opt.probabilities, opt.labels)
    report = Report.from_debiaser(debiaser, test, fitted_on=opt)
    assert report.classes == ("no", "yes")
    assert report.rows["after"].tolist() == debiaser.predict(test.probabilities).tolist()
    assert report.sentences == debiaser.explain()["sentence"].tolist()
    assert report.by_class["correction"].tolist() == debiaser.explain()["correction"].tolist()
    assert report.overall.loc["cobias", "verdict"] == "better"
    assert report.settings["Correction"]["labels used"] == len(opt)
    assert report.settings["Correction"]["choices evaluated"] == debiaser.n_evaluations_
    assert [f.kind for f in report.findings if "flatter" in f.text] == []
    assert report.findings[-1].text == debiaser.summary()


def test_columns_in_another_order_give_the_same_report():
    opt, test = skewed_table().split(0.5)
    debiaser = EnsembleDebiaser(n_starts=4).fit(opt.probabilities, opt.labels)
    turned = ProbabilityTable(test.probabilities[["yes", "no"]], test.labels, ids=test.ids)
    there, back = (Report.from_debiaser(debiaser, table) for table in (test, turned))
    assert there.overall.equals(back.overall)
    assert there.by_class.equals(back.by_class)


def test_the_rows_it_was_fitted_on_are_noticed_in_any_column_order():
    opt = skewed_table()
    debiaser = WeightDebiaser().fit(opt.probabilities, opt.labels)
    for columns in (["no", "yes"], ["yes", "no"]):
        table = ProbabilityTable(opt.probabilities[columns], opt.labels)
        finding = Report.from_debiaser(debiaser, table).findings[0]
        assert finding.kind == "warning"
        assert "was fitted on these very rows" in finding.text


def test_shared_rows_and_wrong_opt_tables_are_noticed():
    table = skewed_table(texts=[f"text {row}" for row in range(400)])
    opt, test = table.take(slice(0, 300)), table.take(slice(250, 400))
    debiaser = WeightDebiaser().fit(opt.probabilities, opt.labels)
    report = Report.from_debiaser(debiaser, test, fitted_on=opt)
    assert kinds_with(report, "share 50 of the 300 opt rows") == ["warning"]
    other = Report.from_debiaser(debiaser, test, fitted_on=table.take(slice(0, 200)))
    assert kinds_with(other, "is not the one that the correction was fitted on") == ["warning"]
    assert kinds_with(Report.from_debiaser(debiaser, test), "opt rows") == []


def test_a_correction_that_changes_nothing_says_so():
    table = ProbabilityTable([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]], [0, 0, 1, 1])
    debiaser = EnsembleDebiaser(n_starts=2).fit(table.probabilities, table.labels)
    report = Report.from_debiaser(debiaser, table)
    assert kinds_with(report, "Nothing was changed") == ["note"]
    assert kinds_with(report, "No prediction changed") == ["unclear"]


def test_an_unlabelled_table_is_refused():
    table = skewed_table()
    debiaser = WeightDebiaser(n_starts=1).fit(table.probabilities, table.labels)
    with refused(TableError):
        Report.from_debiaser(debiaser, ProbabilityTable(table.probabilities))


ROWS = (["a"], ["b"], ["b"])


@pytest.mark.parametrize(
    ("arguments", "options", "parameter", "received"),
    [
        (
            (["a"], ["a", "b"], ["a"]),
            {},
            "y_true, y_before and y_after",
            {"label": 1, "before": 2, "after": 1},
        ),
        (([], [], []), {}, "y_true, y_before and y_after", dict),
        ((["a"], ["a"], ["a"]), {}, "classes", ["a"]),
        ((["a"], ["b"], ["c"]), {"classes": ["a", "b"]}, "classes", ["a", "b"]),
        (ROWS, {"classes": ["a", "b", "a"]}, "classes", ["a", "b", "a"]),
        (ROWS, {"details": CorrectionDetails(sentences=["one"])}, "sentences", 1),
        (ROWS, {"details": CorrectionDetails(probabilities=[[0.5, 0.5]] * 2)}, "probabilities", (2, 2)),
        (ROWS, {"level": 1.5}, "level", 1.5),
    ],
)
def test_what_makes_no_report_is_refused(arguments, options, parameter, received):
    with refused(ParameterError, parameter=parameter, received=received):
        Report(*arguments, **options)


def test_write_chooses_by_suffix(tmp_path):
    report = hand_report()
    for name, start in (("a.html", "<!doctype html>"), ("a.md", "# Class")):
        report.write(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    with refused(ParameterError, parameter="path", received=str(tmp_path / "a.pdf")):
        report.write(tmp_path / "a.pdf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.md"]
