"""The line for who decides: true in every case; and what stands beside it on a page."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias import Constrained, Debiaser, WeightDebiaser
from debias.console.number_formats import percent
from debias.errors import ParameterError, TableError
from debias.estimators.baselines import Uncorrected
from debias.guarantees.guarantee import Guarantee
from debias.pages import citation
from debias.reports.advice.confusions import largest_confusions, shades
from debias.reports.advice.moved_examples import moved_examples
from debias.reports.advice.plain_methods import THIS, compare_with_plain, comparison_rows, rival_of
from debias.reports.advice.recommendation import Rival, recommend
from debias.reports.correction_report import Report
from tests.support.paths import ROOT
from tests.support.refusals import refused
from tests.support.small_reports import report
from tests.support.small_tables import skewed_table

METRICS = ("accuracy", "cobias", "worst_class_accuracy")
NAMES = {
    "accuracy": "accuracy",
    "cobias": "COBias",
    "worst_class_accuracy": "the accuracy of the worst class",
}
GUARANTEE = Guarantee(classes=("a", "b"), n=(90, 90), correct=(60, 70))


@pytest.fixture(scope="module")
def tables():
    return skewed_table(400, texts=[f"text {row} <b>" for row in range(400)]).split(0.5)


@pytest.fixture(scope="module")
def debiaser(tables):
    return WeightDebiaser(n_weights=10).fit(tables[0].probabilities, tables[0].labels)


def frames(verdicts, moved=True):
    """Figures with these verdicts, the better side of a metric where the verdict says so."""
    rows = {}
    for metric, verdict in zip(METRICS, verdicts, strict=True):
        up = verdict != "worse" if metric != "cobias" else verdict == "worse"
        rows[metric] = {"before": 0.4, "after": 0.6 if up else 0.2, "verdict": verdict}
    by_class = pd.DataFrame(
        {
            "support": [50, 50],
            "moved_out": [int(moved), 0],
            "before": [0.3, 0.5],
            "after": [0.4, 0.4],
            "predicted_before": [40, 60],
            "predicted_after": [50, 50],
        }
    )
    return pd.DataFrame.from_dict(rows, orient="index"), by_class


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(*[st.sampled_from(["better", "worse", "unclear"])] * 3),
    st.booleans(),
    st.sampled_from([(), ("it was fitted on these rows",), ("one", "another")]),
    st.sampled_from([None, GUARANTEE]),
    st.sampled_from([None, Rival("logistic", "is better"), Rival("logistic", "is better", False)]),
)
def test_the_answer_follows_from_figures_guarantee_and_rival(verdicts, moved, blockers, guarantee, rival):
    overall, by_class = frames(verdicts, moved)
    made = recommend(overall, by_class, blockers=blockers, guarantee=guarantee, rival=rival)
    better, worse = "better" in verdicts, "worse" in verdicts
    decided = not blockers and moved and not (rival and rival.is_clear)
    expected = "Use it" if better and not worse else "Use it only if" if better and worse else "Do not use it"
    assert made.answer == (expected if decided else "Do not use it")
    assert made.sentence.startswith(made.answer) and made.sentence.endswith(".")
    told = {
        name: re.search(rf"(?<!of ){name} (rises|falls) from 40.0 to (\S+) ", made.sentence + " ")
        for name in NAMES.values()
    }
    if decided and (better or worse):
        for metric, verdict in zip(METRICS, verdicts, strict=True):
            match = told[NAMES[metric]]
            assert (match is not None) == (verdict != "unclear")  # a change that is not clear is never told
            if match:
                after = overall.loc[metric, "after"]
                assert match[2] == percent(after, unit=False)
                assert (match[1] == "rises") == (after > 0.4)
    elif not decided:
        assert not any(told.values())
    for reason in blockers:
        assert reason in made.sentence
    if not blockers and moved and rival is not None and rival.is_clear:
        assert "logistic is better" in made.sentence and made.sentence.endswith("use that.")
    beside = " ".join(made.beside)
    shown = decided
    assert ("new rows" in beside) == (shown and guarantee is not None)
    assert ("plain method" in beside) == (shown and rival is not None)
    if shown and guarantee is not None:
        assert re.search(r"at least (\S+) %", beside)[1] == f"{np.floor(1000 * guarantee.low.min()) / 10:.1f}"
        assert ("not yet more" in beside) == (guarantee.low.min() <= 0.3)


def test_the_report_says_why_not(tables, debiaser):
    opt, test = tables
    seen = Report.from_debiaser(debiaser, opt, n_resamples=10)
    assert (
        seen.recommendation.answer == "Do not use it"
        and "fitted on these rows" in seen.recommendation.because
    )
    part = Report.from_debiaser(debiaser, opt.take(range(50)), n_resamples=10)
    assert "some of these rows" in part.recommendation.because
    fresh = Report.from_debiaser(debiaser, test, n_resamples=200)
    assert fresh.recommendation.answer == "Use it"
    strict = WeightDebiaser(objective=Constrained(max_cobias=0.02)).fit(opt.probabilities, opt.labels)
    missed = Report.from_debiaser(strict, test, n_resamples=10)
    assert "does not satisfy its bounds on these rows" in missed.recommendation.because
    same = Report(["a", "b"], ["a", "a"], ["a", "a"])
    assert "changes no prediction of these 2 rows" in same.recommendation.sentence
    for made in (seen, fresh, missed):
        assert made.recommendation.sentence.replace(" %", "\xa0%") in made.to_html().replace("&#39;", "'")


def test_plain_methods_stand_beside_the_very_correction(tables, debiaser):
    opt, test = tables
    compared = compare_with_plain(debiaser, opt, test, n_resamples=30)
    frame = compared.frames["this table"]
    predicted = debiaser.predict(test.probabilities)
    assert frame.loc[THIS, "accuracy"] == np.mean(predicted == test.labels.to_numpy())
    assert frame.loc[THIS, "labels_used"] == len(opt)
    own = Uncorrected().fit(opt.probabilities, opt.labels).predict(test.probabilities)
    assert frame.loc["uncorrected", "accuracy"] == np.mean(own == test.labels.to_numpy())
    assert (frame["group"] != "ours").sum() == len(frame) - 1
    rows = comparison_rows(compared)
    assert [row[0] for row in rows] == list(frame.index)
    made = Report.from_debiaser(debiaser, test, fitted_on=opt, compare=True, n_resamples=30)
    for page in (made.to_html(), made.to_markdown()):
        assert "Compared with plain methods" in page and "logistic regression" in page
    with refused(ParameterError, parameter="fitted_on"):
        Report.from_debiaser(debiaser, test, compare=True)
    with refused(ParameterError, parameter="fitted_on"):
        compare_with_plain(debiaser, opt.take(range(100)), test)


@pytest.mark.parametrize("seed", range(8))
def test_a_rival_is_named_where_the_figures_say_so(tables, debiaser, seed, monkeypatch):
    """Random figures in place of the measured ones: an independent reader checks the choice."""
    opt, test = tables
    compared = compare_with_plain(debiaser, opt, test, n_resamples=5)
    rng = np.random.default_rng(seed)
    names = ["plain a", "plain b", THIS]
    accuracies = pd.DataFrame(rng.integers(4, 9, (3, 2)) / 10, index=names, columns=["no", "yes"])
    figures = pd.DataFrame(
        {"accuracy": accuracies.mean(axis=1), "cobias": (accuracies["no"] - accuracies["yes"]).abs()}
    )
    for metric in figures.columns.tolist():
        figures[f"{metric}_difference"] = figures[metric] - figures.loc[THIS, metric]
        half = rng.choice([0.01, 0.5], 3)
        figures[f"{metric}_difference_low"] = figures[f"{metric}_difference"] - half
        figures[f"{metric}_difference_high"] = figures[f"{metric}_difference"] + half
    vars(compared)["frames"] = {"this table": figures}
    monkeypatch.setattr(type(compared.tables[0]), "class_accuracies", lambda table: accuracies)
    found = rival_of(compared)
    right = [n for n in names[:2] if (accuracies.loc[n] >= accuracies.loc[THIS] - 1e-12).all()]
    gains = figures[["accuracy", "cobias"]] * [1, -1] - figures.loc[THIS, ["accuracy", "cobias"]] * [1, -1]
    better = [n for n in names[:2] if (gains.loc[n] >= -1e-12).all() and (gains.loc[n] > 1e-12).any()]
    surely = (figures["accuracy_difference_low"] > 0) | (figures["cobias_difference_high"] < 0)
    clear = [n for n in better if surely[n]]
    if right:
        assert found.name in right and found.is_clear
    elif better:
        assert found.name in (clear or better) and found.is_clear == bool(clear)
    else:
        assert found is None


@pytest.mark.parametrize("seed", range(3))
def test_a_correction_that_is_a_plain_method_itself_is_not_turned_down_for_it(seed):
    opt, test = skewed_table(800, seed).split(0.5)
    debiaser = Debiaser(method="batch").fit(opt.probabilities, opt.labels)
    made = Report.from_debiaser(debiaser, test, fitted_on=opt, compare=True, n_resamples=100)
    assert "batch calibration" in made.comparison.same_as_chosen()
    assert made.overall.loc["cobias", "verdict"] == "better"
    told = " ".join([made.recommendation.sentence, *made.comparison.verdict])
    assert "use batch calibration" not in told and "batch calibration is at least" not in told
    if made.recommendation.answer == "Do not use it":  # another method is better on these rows
        assert re.search(r"because (?!batch calibration).* is at least as ", made.recommendation.sentence)
    own = made.comparison.tables[0].predictions()
    others = [name for name in own if name != THIS]
    assert made.comparison.same_as_chosen() == [name for name in others if (own[name] == own[THIS]).all()]


def test_classes_that_are_even_because_all_are_worse_are_no_gain():
    truth = ["a"] * 50 + ["b"] * 50
    for before, after in (
        (["a"] * 100, ["b"] * 50 + ["a"] * 50),
        (["a"] * 80 + ["b"] * 20, ["a"] * 20 + ["b"] * 30 + ["a"] * 30 + ["b"] * 20),
    ):
        made = Report(truth, before, after, n_resamples=50)
        assert made.overall.loc["cobias", "verdict"] == "better"
        assert made.recommendation.answer == "Do not use it"
        assert "without it is at least as accurate for every class" in made.recommendation.because


def test_a_class_that_is_no_longer_predicted_must_not_matter():
    truth = ["a"] * 100 + ["b"] * 100 + ["c"] * 2
    before = ["a"] * 160 + ["b"] * 40 + ["c", "a"]
    after = ["a"] * 90 + ["b"] * 10 + ["a"] * 20 + ["b"] * 80 + ["a", "b"]
    made = Report(truth, before, after, n_resamples=50)
    assert made.recommendation.answer == "Use it only if"
    assert "c does not matter, since no row is predicted as it any more" in made.recommendation.because
    kept = Report(truth, before, [*after[:-2], "c", "c"], n_resamples=50)
    assert kept.recommendation.answer == "Use it"


def test_a_single_row_is_spoken_of_as_one():
    for before, words in (
        ("b", "this row shows no clear change"),
        ("a", "changes no prediction of this row."),
    ):
        assert words in Report(["a"], [before], ["a"], ["a", "b"], n_resamples=5).recommendation.sentence


def test_a_plain_method_that_does_the_same_is_named_beside_the_answer():
    overall, by_class = frames(["better"] * 3)
    same = Rival("batch calibration", "gives every row the same class", is_same=True)
    made = recommend(overall, by_class, rival=same)
    assert made.answer == "Use it"
    assert made.beside == (
        "Batch calibration, a plain method, gives every row the same class: on these rows, either will do.",
    )


def test_examples_are_drawn_from_what_moved_and_shown_only_where_asked(tables, debiaser):
    opt, test = tables
    made = Report.from_debiaser(debiaser, test, n_examples=2, n_resamples=5)
    shown = made.examples
    rows = made.rows.loc[shown.index]
    assert (rows["before"] != rows["after"]).all() and shown["outcome"].value_counts().max() <= 2
    right = rows["after"] == rows["label"]
    assert (shown["outcome"] == "became right").tolist() == right.tolist()
    assert shown["text"].tolist() == test.texts.loc[shown.index].tolist()
    assert shown["text"].iloc[0].replace("<b>", "&lt;b&gt;") in made.to_html()
    assert "text " not in Report.from_debiaser(debiaser, test, n_resamples=5).to_markdown()
    bare = skewed_table(60)
    with refused(TableError, parameter="n_examples", received=1):
        Report.from_debiaser(debiaser, bare, n_examples=1)
    same = made.rows.assign(after=made.rows["before"])
    assert not len(moved_examples(same, test.texts, 3))
    assert len(moved_examples(made.rows, pd.Series(["word " * 200] * len(test)), 1)["text"].iloc[0]) == 300


def test_heat_maps_have_numbers_and_shades_of_their_rows():
    made = report()
    for side, counts in made.confusions.items():
        for row, cells in zip(counts.to_numpy(), shades(counts), strict=True):
            assert [cell.strength for cell in cells] == np.round(100 * row / row.sum()).tolist()
            assert [int(cell.rows.replace("·", "0")) for cell in cells] == row.tolist()
        assert [cells[k].is_right for k, cells in enumerate(shades(counts))] == [True] * len(counts)
        assert f"Confusion matrix {side}" in made.to_html()
    assert shades(pd.DataFrame([[0, 0], [0, 4]]))[0][0].share == ""


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_the_largest_confusions_are_the_largest(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    names = [f"c{k}" for k in range(n)]
    sides = {side: pd.DataFrame(rng.integers(0, 5, (n, n)), names, names) for side in ("before", "after")}
    found = largest_confusions(sides, most=4)
    every = {
        (a, b): (sides["before"].loc[a, b], sides["after"].loc[a, b])
        for a in names
        for b in names
        if a != b and (sides["before"].loc[a, b] or sides["after"].loc[a, b])
    }
    assert (
        sorted((max(x) for x in every.values()), reverse=True)[:4]
        == found[["before", "after"]].max(axis=1).tolist()
    )
    assert all(tuple(row[["before", "after"]]) == every[pair] for pair, row in found.iterrows())


def test_many_classes_list_their_largest_confusions():
    names = [f"class {k}" for k in range(15)]
    truth = names * 8
    made = Report(truth, np.random.default_rng(0).choice(names, 120), truth, names, n_resamples=5)
    for page in (made.to_html(), made.to_markdown()):
        assert "largest confusions" in page.lower()
        assert "Confusion matrix" not in page


def test_near_ties_are_a_table_where_there_are_any(tables, debiaser):
    made = Report.from_debiaser(debiaser, tables[1], n_resamples=5)
    if len(debiaser.near_ties_) > 1:
        assert "near-tie 1" in made.to_html() and "near-tie 1" in made.to_markdown()
    alone = debiaser.near_ties_.head(1)
    alone.attrs = debiaser.near_ties_.attrs
    made.near_ties = alone
    assert "near-tie 1" not in made.to_html()


def test_how_to_cite_is_what_the_file_of_the_project_says():
    text = " ".join((ROOT / "CITATION.cff").read_text().split())
    for said in (
        f"title: {citation.TITLE}", f"name: {citation.AUTHORS}", f"license: {citation.LICENSE}",
        f"repository-code: {citation.ADDRESS}", f"message: {citation.MESSAGE}",
    ):  # fmt: skip
        assert said in text
    assert citation.citation() in report().to_html()
