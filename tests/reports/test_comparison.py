"""The comparison: every method on the same rows, honest about labels and about what wins."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from debias.console.progress import progress_on_stderr
from debias.errors import InterruptedWarning, OverlapError, TableError
from debias.estimators.baselines import MajorityClass, Uncorrected
from debias.metrics.scores import intervals
from debias.reports.comparison import (
    CORRECTIONS,
    compare,
    default_methods,
    formatted,
    labels_used,
    remarks,
    with_missing,
)
from debias.tables.table import ProbabilityTable
from tests.support.published_tables import CLASSES, published_path
from tests.support.refusals import refused
from tests.support.small_tables import skewed_table


@pytest.fixture(scope="module")
def tables():
    return skewed_table(600).split(0.5)


@pytest.fixture(scope="module")
def comparison(tables):
    return compare(*tables, default_methods(n_starts=2), n_resamples=200)


def test_figures_are_those_of_each_method_on_the_test_rows(tables, comparison):
    opt, test = tables
    assert list(comparison.index) == list(default_methods())
    for name, method in default_methods(n_starts=2).items():
        predicted = method.fit(opt.probabilities, opt.labels).predict(test.probabilities)
        expected = intervals(test.labels, predicted, list(test.classes), n_resamples=200)
        row = comparison.loc[name]
        for metric in ("accuracy", "cobias", "worst_class_accuracy", "macro_f1"):
            values = row[[metric, f"{metric}_low", f"{metric}_high"]].to_numpy(dtype=float)
            np.testing.assert_array_equal(
                values, expected.loc[(metric, ""), ["value", "low", "high"]].to_numpy(dtype=float)
            )


def test_labels_are_counted(comparison):
    free = comparison.index.isin(["uncorrected", "batch calibration"])
    assert (comparison.loc[free, "labels_used"] == 0).all()
    assert (comparison.loc[~free, "labels_used"] == 300).all()
    assert labels_used(DummyClassifier(), 7) == 7


def test_corrections_lift_the_weak_class_here(comparison):
    for name in CORRECTIONS:
        assert comparison.loc[name, "cobias"] < comparison.loc["uncorrected", "cobias"]


def test_columns_are_matched_by_name(tables, comparison):
    opt, test = tables
    turned = ProbabilityTable(test.probabilities[["yes", "no"]], test.labels, ids=[f"t{i}" for i in test.ids])
    again = compare(opt, turned, {"ensemble (DCS)": default_methods(n_starts=2)["ensemble (DCS)"]})
    assert again.loc["ensemble (DCS)", "accuracy"] == comparison.loc["ensemble (DCS)", "accuracy"]


def test_methods_are_announced_in_order(tables):
    said = []
    compare(*tables, {"first": DummyClassifier(), "second": DummyClassifier()}, on_method=said.append)
    assert said == ["first", "second"]


def test_overlap_and_other_classes_are_refused(tables):
    opt, test = tables
    with refused(OverlapError, mentions="300"):
        compare(opt, opt)
    with refused(TableError, parameter="the classes of the test table"):
        compare(opt, ProbabilityTable([[0.5, 0.5]], [0], classes=["no", "perhaps"]))
    with refused(TableError):
        compare(opt, ProbabilityTable([[0.5, 0.5], [0.3, 0.7]], classes=["no", "yes"]))


def test_for_people(comparison):
    header, rows = formatted(comparison)
    assert header == ["method", "labels used", "Accuracy", "COBias", "Worst class accuracy"]
    shown = rows[0]
    assert shown[:2] == ["uncorrected", "0"]
    assert shown[2].startswith(f"{100 * comparison.loc['uncorrected', 'accuracy']:.1f} (")
    assert len(rows) == len(comparison)


def frame(**rows):
    names = {"lr": "logistic regression", "dcs": "ensemble (DCS)", "plain": "uncorrected"}
    return pd.DataFrame.from_dict(
        {names[name]: values for name, values in rows.items()}, orient="index", columns=["accuracy", "cobias"]
    )


@pytest.mark.parametrize(
    ("rows", "unbeaten", "told"),
    [
        ({"plain": (0.6, 0.3), "lr": (0.8, 0.1), "dcs": (0.7, 0.2)}, "logistic regression", True),
        (
            {"plain": (0.6, 0.3), "lr": (0.8, 0.3), "dcs": (0.7, 0.2)},
            "logistic regression, ensemble (DCS)",
            False,
        ),
        (
            {"plain": (0.6, 0.3), "lr": (0.7, 0.2), "dcs": (0.7, 0.2)},
            "logistic regression, ensemble (DCS)",
            False,
        ),
        ({"plain": (0.6, 0.3), "dcs": (0.7, 0.2)}, "ensemble (DCS)", False),
    ],
)
def test_remarks_by_hand(rows, unbeaten, told):
    found = remarks(frame(**rows))
    assert found[0].endswith(f": {unbeaten}.")
    assert any("Logistic regression on the same labels beats every" in remark for remark in found) is told


def test_real_tables():
    opt, test = (
        ProbabilityTable.read(published_path("agnews", split), classes=CLASSES["agnews"])
        for split in ("opt", "test")
    )
    found = compare(opt, test, default_methods(n_starts=4), n_resamples=50)
    assert found.loc["uncorrected", "cobias"] == pytest.approx(0.358, abs=0.001)
    assert found.loc["ensemble (DCS)", "cobias"] < 0.08
    assert found.loc["logistic regression", "accuracy"] > found.loc["uncorrected", "accuracy"]


class Stopped(MajorityClass):
    """A method during which Ctrl-C is pressed, at once or in its search, which keeps the best so far."""

    def __init__(self, classes=None, at_once=True):
        self.classes, self.at_once = classes, at_once

    def fit(self, X, y=None):
        super().fit(X, y)
        if self.at_once:
            raise KeyboardInterrupt
        self.interrupted_ = True
        return self


class Promising(MajorityClass):
    """A method that keeps what progress would promise about Ctrl-C."""

    def fit(self, X, y=None):
        with progress_on_stderr(verbose=0) as progress:
            self.promise_ = progress.promise
        return super().fit(X, y)


def test_a_comparison_does_not_promise_to_keep_what_it_drops():
    table = (
        ProbabilityTable([[0.6, 0.4], [0.7, 0.3]], [1, 0]),
        ProbabilityTable([[0.65, 0.35], [0.95, 0.05]], [1, 0]),
    )
    alone, compared = (Promising() for _ in range(2))
    alone.fit(table[0].probabilities, table[0].labels)
    compare(*table, {"a": compared}, n_resamples=20)
    assert "keeps" in alone.promise_
    assert "keeps" not in compared.promise_


@pytest.mark.parametrize("at_once", [True, False])
def test_ctrl_c_stops_a_comparison_and_names_what_is_missing(at_once):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=80)
    P = np.column_stack([0.7 - 0.4 * y, 0.3 + 0.4 * y]) + rng.normal(0, 0.05, size=(80, 1)) * [1, -1]
    opt, test = (ProbabilityTable(P[part], y[part]) for part in (slice(0, 40), slice(40, 80)))
    methods = {"uncorrected": Uncorrected(), "a": Stopped(at_once=at_once), "b": MajorityClass()}
    with pytest.warns(InterruptedWarning, match="not measured: a, b"):
        frame = compare(opt, test, methods, n_resamples=20)
    assert list(frame.index) == ["uncorrected"]
    written = with_missing(frame)
    assert written["accuracy"].notna().tolist() == [True, False, False]
    assert written["note"].tolist() == ["", *["interrupted: not measured"] * 2]
    with pytest.raises(KeyboardInterrupt):
        compare(opt, test, {"a": methods["a"]}, n_resamples=20)
