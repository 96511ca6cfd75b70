"""The comparison: every method on the same rows, honest about labels, needs, failures and differences."""

import re
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from debias.console.progress import progress_on_stderr
from debias.errors import InterruptedWarning, OverlapError, ParameterError, TableError
from debias.estimators.baselines import MajorityClass, Uncorrected
from debias.inference.engine import Engine
from debias.inference.prompted_model import PromptedModel
from debias.inference.texts.tasks import Task
from debias.metrics.paired_bootstrap import paired_intervals
from debias.metrics.scores import intervals
from debias.reports.comparison import (
    METHODS,
    MethodSettings,
    choose_methods,
    compare,
    compare_tables,
    comparison_html,
    comparison_markdown,
    describe_missing,
    sections,
)
from debias.reports.comparison.measurement import labels_used
from debias.search.objective import Objective, confusion_counts
from debias.tables.table import ProbabilityTable
from tests.support.paths import ROOT
from tests.support.published_tables import CLASSES, published_path
from tests.support.refusals import refused
from tests.support.small_tables import skewed_table

QUICK = MethodSettings(n_starts=2)
OURS = ["weight (DNIP)", "fuzzy (FuRud)", "ensemble (DCS)", "log-bias"]
WITHOUT_MODEL = [m.name for m in METHODS if m.needs == "nothing" and not m.is_slow]


@pytest.fixture(scope="module")
def tables():
    return skewed_table(600).split(0.5)


@pytest.fixture(scope="module")
def comparison(tables):
    return compare_tables([tables], settings=QUICK, against="ensemble", n_resamples=200)


@pytest.fixture(scope="module")
def frame(comparison):
    return comparison.frames["table 1"]


def test_figures_are_those_of_each_method_on_the_test_rows(tables, frame):
    opt, test = tables
    assert list(frame.index) == WITHOUT_MODEL
    assert (frame["note"] == "").all()
    predicted = {
        method.name: method.make(QUICK, opt).fit(opt.probabilities, opt.labels).predict(test.probabilities)
        for method in choose_methods()
        if method.name in frame.index
    }
    for name, row in frame.iterrows():
        expected = intervals(test.labels, predicted[name], list(test.classes), n_resamples=200)
        pair = (test.labels, predicted["ensemble (DCS)"], predicted[name])
        paired = paired_intervals(*pair, list(test.classes), n_resamples=200)
        for metric in ("accuracy", "cobias", "worst_class_accuracy", "macro_f1"):
            values = row[[metric, f"{metric}_low", f"{metric}_high"]].to_numpy(dtype=float)
            by_hand = expected.loc[(metric, ""), ["value", "low", "high"]].to_numpy(dtype=float)
            np.testing.assert_array_equal(values, by_hand)
            away = paired.loc[(metric, ""), "difference"]
            assert row[f"{metric}_difference"] == pytest.approx(away)
            low, high = row[f"{metric}_difference_low"], row[f"{metric}_difference_high"]
            assert low <= away <= high
            assert low == pytest.approx(paired.loc[(metric, ""), "difference_low"], abs=0.03)
        recalls = [np.mean(predicted[name][test.labels == c] == c) for c in test.classes]
        assert row["balanced_accuracy"] == pytest.approx(np.mean(recalls))
        positions = pd.Index(test.classes).get_indexer(predicted[name])
        assert row["z"] == pytest.approx(Objective()(*confusion_counts(test.label_indices, positions, 2)))
        assert row["never_predicted"] == len(set(test.classes) - set(predicted[name]))
    own = frame.loc["ensemble (DCS)", [c for c in frame if "difference" in c]]
    assert (own == 0).all()


def test_labels_are_counted(frame):
    free = frame.index.isin(
        ["uncorrected", "batch calibration", "prior matching (uniform)"],
    )
    assert (frame.loc[free, "labels_used"] == 0).all()
    assert (frame.loc[~free, "labels_used"] == 300).all()
    assert labels_used(DummyClassifier(), 7) == 7


def test_corrections_lift_the_weak_class_here(frame):
    for name in OURS:
        assert frame.loc[name, "cobias"] < frame.loc["uncorrected", "cobias"]


def test_columns_are_matched_by_name(tables, frame):
    opt, test = tables
    turned = ProbabilityTable(test.probabilities[["yes", "no"]], test.labels, ids=[f"t{i}" for i in test.ids])
    chosen = ["ensemble", "logistic"]
    again = compare(opt, turned, chosen, settings=QUICK, n_resamples=20)
    for name in again.index:
        assert again.loc[name, "accuracy"] == frame.loc[name, "accuracy"]


def test_methods_are_announced_in_order(tables):
    said = []
    methods = {"first": DummyClassifier(), "second": DummyClassifier()}
    compare(*tables, methods, on_method=said.append, n_resamples=5)
    assert said == ["first", "second"]
    compare_tables(two_pairs(), ["uncorrected"], names=["a", "b"], on_method=said.append, n_resamples=5)
    assert said[2:] == ["a: uncorrected", "b: uncorrected"]


def test_overlap_other_classes_and_unknown_names_are_refused(tables):
    opt, test = tables
    with refused(OverlapError, mentions="300"):
        compare(opt, opt)
    with refused(TableError, parameter="the classes of the test table"):
        compare(opt, ProbabilityTable([[0.5, 0.5]], [0], classes=["no", "perhaps"]))
    with refused(TableError):
        compare(opt, ProbabilityTable([[0.5, 0.5], [0.3, 0.7]], classes=["no", "yes"]))
    for methods in (["ensembel"], []):
        with refused(ParameterError, parameter="methods", mentions="log-bias"):
            compare(opt, test, methods)
    with refused(ParameterError, parameter="against", received="trees"):
        compare(opt, test, ["batch", "logistic"], against="trees")
    for pairs, names in (([], None), ([(opt, test)], ["a", "b"]), ([(opt, test)] * 2, ["a", "a"])):
        with refused(ParameterError, parameter="names"):
            compare_tables(pairs, names=names)


def test_slow_rows_are_run_where_they_are_asked_for():
    slow = {method.key for method in choose_methods(slow=True)} - {m.key for m in choose_methods()}
    assert slow == {method.key for method in METHODS if method.is_slow} == {"annealing-long"}
    keys = [method.key for method in METHODS]
    assert len(set(keys)) == len(keys) == len({method.name for method in METHODS})


class Broken(MajorityClass):
    """A method that fails."""

    def predict(self, X):
        raise ZeroDivisionError("no answer")


def test_a_method_that_fails_is_a_row_with_its_reason(tables):
    methods = {"broken": Broken(), "majority": MajorityClass()}
    compared = compare_tables([tables], methods, n_resamples=20)
    frame = compared.frames["table 1"]
    assert frame["note"].tolist() == ["failed: no answer", ""]
    assert frame["accuracy"].isna().tolist() == [True, False]
    assert "broken: failed: no answer." in compared.notes
    for page in (comparison_markdown(compared, "t"), comparison_html(compared, "t")):
        assert "no answer" in page
    notes = compare(*tables, ["texts", "states", "uncorrected"], n_resamples=5)["note"]
    assert notes["TF-IDF logistic regression"].startswith("failed: it needs the texts")
    assert "needs the model" in notes["linear probe"]
    alone = compare_tables([tables], methods, against="broken", n_resamples=20)
    assert alone.frames["table 1"]["accuracy_difference"].isna().all()
    assert not any("difference" in section.title for section in sections(alone))
    assert "highest accuracy: majority (" in alone.verdict[0]


class Moody(Engine):
    """A model that likes one label, and whose vectors tell the classes apart."""

    context_length, fingerprint = 1000, {"model": "moody"}

    def continuation_logprobs(self, prompts, continuations):
        return [np.log([0.6 if text.endswith("no") else 0.2]) for text in continuations]

    def embed(self, texts):
        return np.array([[len(text), "yes" in text] for text in texts], dtype=np.float32)


def test_texts_and_a_model_bring_rows_of_their_own():
    table = skewed_table(200)
    said = [f"number {row} {label} word" for row, label in enumerate(table.labels)]
    pair = ProbabilityTable(table.probabilities, table.labels, texts=said).split(0.5)
    rows = ["batch", "contextual", "domain-context", "texts", "states"]
    with_texts = compare_tables([pair], n_resamples=10, settings=QUICK)
    assert set(with_texts.frames["table 1"].index) == {*WITHOUT_MODEL, "TF-IDF logistic regression"}
    model = PromptedModel(Moody(), Task("mood", labels=["no", "yes"]))
    compared = compare_tables([pair], rows, settings=MethodSettings(model=model), n_resamples=50)
    frame = compared.frames["table 1"]
    assert (frame["note"] == "").all()
    assert frame["needs"].tolist() == ["nothing", "model", "texts, model", "texts", "weights"]
    assert frame["labels_used"].tolist() == [0, 0, 0, 100, 100]
    assert frame["accuracy"].tolist()[-2:] == [1, 1]
    assert "With the same labels, " in compared.verdict[-1]
    expected = (pair[1].probabilities / [0.75, 0.25]).idxmax(axis=1)
    right = (expected.to_numpy() == pair[1].labels.to_numpy()).mean()
    assert frame.loc["contextual calibration", "accuracy"] == right


# Several tables --------------------------------------------------------------------------------


def two_pairs():
    ids = [[f"{seed}-{row}" for row in range(300)] for seed in (1, 2)]
    return [skewed_table(300, seed=seed, ids=own).split(0.5) for seed, own in enumerate(ids, 1)]


def test_several_tables_have_means_deviations_and_one_file():
    names, methods = ["one", "two"], ["uncorrected", "logistic", "weight"]
    compared = compare_tables(two_pairs(), methods, names=names, settings=QUICK, n_resamples=300)
    mean, frames = compared.mean, compared.frames
    for metric in ("accuracy", "cobias", "z"):
        for method in mean.index:
            both = [frames[name].loc[method, metric] for name in names]
            assert mean.loc[method, metric] == pytest.approx(np.mean(both))
            assert mean.loc[method, f"{metric}_deviation"] == pytest.approx(np.std(both, ddof=1))
            away = [frames[name].loc[method, f"{metric}_difference"] for name in names]
            assert mean.loc[method, f"{metric}_difference"] == pytest.approx(np.mean(away))
    width = "accuracy_difference_high", "accuracy_difference_low"
    row = "uncorrected"
    of_mean, of_one = (f.loc[row, width[0]] - f.loc[row, width[1]] for f in (mean, frames["one"]))
    assert 0 < of_mean < of_one  # twice the rows
    assert mean.loc["logistic regression", "labels_used"] == 300
    whole = compared.to_frame()
    assert whole["table"].tolist() == ["one"] * 3 + ["two"] * 3 + ["mean"] * 3
    titles = [section.title for section in sections(compared)]
    assert titles[0] == "Mean of 2 tables, with deviation"
    assert compared.verdict[0].startswith("On average over 2 tables, ")
    for name, frame in frames.items():
        assert (
            compared.verdicts[name]
            == compare_tables(
                [two_pairs()[names.index(name)]],
                methods,
                settings=QUICK,
                n_resamples=300,
                seed=names.index(name),
            ).verdict
        )
        assert compared.verdicts[name][0] in comparison_markdown(compared, "t").replace("\\", "")
        assert frame.index.tolist() == mean.index.tolist()
    assert "±" in sections(compared)[0].rows[0][3]
    assert len(titles) == 2 + 3 * 2
    assert sections(compared, brief=True)[0].header == [
        "method",
        "labels",
        "acc.",
        "bal.",
        "COBias",
        "worst",
        "z",
    ]


def test_the_same_rows_after_two_prompts_are_no_more_rows():
    opt, test = two_pairs()[0]
    methods = ["uncorrected", "logistic"]
    other = ProbabilityTable(test.probabilities**0.9, test.labels, ids=test.ids, normalise=True)
    twice = compare_tables([(opt, test), (opt, test)], methods, n_resamples=400)
    prompts = compare_tables([(opt, test), (opt, other)], methods, n_resamples=400)
    apart = compare_tables(two_pairs(), methods, n_resamples=400)

    def width(frame):
        row = frame.loc["logistic regression"]
        return row["accuracy_difference_high"] - row["accuracy_difference_low"]

    one = width(twice.frames["table 1"])
    assert width(twice.mean) == pytest.approx(one)
    assert 0.8 * one < width(prompts.mean) < 1.2 * one
    assert width(apart.mean) < 0.85 * one
    assert any("resampled together" in note for note in prompts.notes)
    assert not any("resampled together" in note for note in apart.notes)


def test_a_method_without_all_tables_has_no_mean():
    first, second = two_pairs()
    texts = [[f"{name} {i}" for i in range(150)] for name in ("a", "b")]
    first = tuple(
        ProbabilityTable(t.probabilities, t.labels, texts=said) for t, said in zip(first, texts, strict=True)
    )
    compared = compare_tables([first, second], ["uncorrected", "texts"], n_resamples=20)
    row = compared.mean.loc["TF-IDF logistic regression"]
    assert np.isnan(row["accuracy"])
    assert row["note"] == "measured on 1 of 2 tables"
    assert "–" in sections(compared)[0].rows[1]


def test_pages_say_the_verdict_the_figures_and_what_is_missing(comparison):
    page, html = comparison_markdown(comparison, "A | title"), comparison_html(comparison, "<A>")
    assert page.startswith("# A \\| title\n\nOn these rows, highest accuracy: ")
    assert html.startswith("<!doctype html>")
    assert "<A>" not in html and "&lt;A&gt;" in html
    for name in comparison.frames["table 1"].index:
        assert f"| {name} | " in page
        assert f">{name}</th>" in html
    titles = [section.title for section in sections(comparison)]
    assert titles == [
        "table 1: fitted on 300 rows, measured on 300",
        "table 1: difference from ensemble (DCS), in points, 95 % intervals",
        "table 1: class accuracies",
    ]
    assert all(len(row) == len(s.header) for s in sections(comparison, brief=True) for row in s.rows)


def test_a_class_without_test_rows_is_said():
    opt = ProbabilityTable([[0.6, 0.4], [0.3, 0.7]] * 20, [0, 1] * 20, ids=[f"o{i}" for i in range(40)])
    test = ProbabilityTable([[0.55, 0.45]] * 5, [0] * 5, ids=[f"t{i}" for i in range(5)])
    compared = compare_tables([(opt, test)], ["uncorrected", "weight"], settings=QUICK, n_resamples=20)
    assert any(note.startswith("No test rows of 1 in table 1") for note in compared.notes)
    assert compared.frames["table 1"].loc["uncorrected", "accuracy"] == 1
    comparison_html(compared, "t")


def test_many_classes_are_rows_and_estimators_of_the_caller_are_left_alone():
    names = [f"class {place}" for place in range(15)]
    opt, test = (
        ProbabilityTable(
            np.full((30, 15), 1 / 15), [*range(15)] * 2, classes=names, ids=[f"{one}{i}" for i in range(30)]
        )
        for one in "ab"
    )
    own = MajorityClass()
    compared = compare_tables([(opt, test)], {"own": own, "other": Uncorrected()}, n_resamples=5)
    assert not hasattr(own, "classes_")
    last = sections(compared)[-1]
    assert last.header == ["class", "own", "other"]
    assert [row[0] for row in last.rows] == names
    assert "which never predicts 14 classes" in compared.verdict[0]


def test_real_tables():
    opt, test = (
        ProbabilityTable.read(published_path("agnews", split), classes=CLASSES["agnews"])
        for split in ("opt", "test")
    )
    rows = ["uncorrected", "logistic-balanced", "ensemble"]
    found = compare(opt, test, rows, settings=MethodSettings(n_starts=4), n_resamples=50)
    assert found.loc["uncorrected", "cobias"] == pytest.approx(0.358, abs=0.001)
    assert found.loc["ensemble (DCS)", "cobias"] < 0.08
    assert found.loc["logistic regression (balanced)", "accuracy"] > found.loc["uncorrected", "accuracy"]


def test_the_page_lists_every_row_and_its_python_runs(capsys):
    page = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    for method in METHODS:
        assert f"| `{method.key}` | {method.name} | {method.needs} | " in page
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    exec(compile(block, "compare.md", "exec"), {})
    assert "On average over 2 tables, highest accuracy: " in capsys.readouterr().out


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
    """A method that notes what progress would promise about Ctrl-C."""

    promises: ClassVar[list[str]] = []

    def fit(self, X, y=None):
        with progress_on_stderr(verbose=0) as progress:
            self.promises.append(progress.promise)
        return super().fit(X, y)


def test_a_comparison_does_not_promise_to_keep_what_it_drops():
    table = (
        ProbabilityTable([[0.6, 0.4], [0.7, 0.3]], [1, 0]),
        ProbabilityTable([[0.65, 0.35], [0.95, 0.05]], [1, 0]),
    )
    Promising().fit(table[0].probabilities, table[0].labels)
    compare(*table, {"a": Promising()}, n_resamples=20)
    alone, compared = Promising.promises
    assert "keeps" in alone
    assert "keeps" not in compared


@pytest.mark.parametrize("at_once", [True, False])
def test_ctrl_c_stops_a_comparison_and_names_what_is_missing(at_once):
    pairs = two_pairs()
    methods = {"uncorrected": Uncorrected(), "a": Stopped(at_once=at_once), "b": MajorityClass()}
    with pytest.warns(InterruptedWarning, match="not measured: a, b\\."):
        frame = compare(*pairs[0], methods, n_resamples=20)
    assert frame["accuracy"].notna().tolist() == [True, False, False]
    assert frame["note"].tolist() == ["", *["interrupted: not measured"] * 2]
    with pytest.warns(InterruptedWarning, match="a, b on one; uncorrected, a, b on two"):
        compared = compare_tables(pairs, methods, names=["one", "two"], n_resamples=20)
    assert list(compared.frames) == ["one"]
    assert not any("interrupted" in note for note in compared.notes)
    assert compared.mean is None
    assert describe_missing(compared).endswith("uncorrected, a, b on two.")
    with pytest.raises(KeyboardInterrupt):
        compare(*pairs[0], {"a": methods["a"]}, n_resamples=20)


@pytest.mark.parametrize("options", [{"level": 95}, {"n_resamples": 0}, {"seed": -1}])
def test_settings_of_the_intervals_are_refused_before_anything_is_fitted(options):
    opt = ProbabilityTable([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]], [1, 1, 0, 0])
    test = ProbabilityTable([[0.65, 0.35], [0.95, 0.05]], [1, 0])
    fitted: list[str] = []
    with refused(ParameterError, parameter=next(iter(options))):
        compare_tables([(opt, test)], ["uncorrected"], on_method=fitted.append, **options)
    assert not fitted


def test_one_row_that_a_method_gets_right_confirms_no_difference():
    truth, half = ["yes"] * 40 + ["no"] * 40, [[0.4, 0.6], [0.6, 0.4]]
    rows = [half[k % 2] for k in range(40)] + [half[0]] * 40
    other = [[0.9, 0.1], *rows[1:]]  # the first row becomes right
    frames = []
    for seed in range(6):
        test = ProbabilityTable(rows, truth, classes=["yes", "no"], ids=[f"t{i}" for i in range(80)])
        opt = ProbabilityTable(other, truth, classes=["yes", "no"], ids=[f"o{i}" for i in range(80)])
        methods = {"plain": Uncorrected(), "lucky": OneRowRight()}
        frames.append(compare(opt, test, methods, against="plain", n_resamples=100, seed=seed).loc["lucky"])
    for row in frames:
        assert row["accuracy_difference"] > 0
        assert row["accuracy_difference_low"] <= 0
        assert row["cobias_difference_low"] <= 0 <= row["cobias_difference_high"]


class OneRowRight(Uncorrected):
    """The uncorrected model, but for the first row."""

    def predict(self, X):
        predicted = super().predict(X).copy()
        predicted[0] = "yes"
        return predicted
