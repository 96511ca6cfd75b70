"""Paired differences: hand-solved values, and a literal bootstrap over rows as the referee."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from debias.errors import ParameterError
from debias.metrics.paired_bootstrap import paired_intervals
from debias.metrics.resampling import resampled_counts
from debias.metrics.scores import class_accuracy, cobias, intervals, worst_class_accuracy
from tests.support.refusals import refused

NAMES = ["a", "b", "c"]


def test_hand_solved_values():
    truth = ["a"] * 4 + ["b"] * 4
    before = ["a"] * 4 + ["a", "a", "a", "b"]  # accuracies 1 and 1/4
    after = ["a", "a", "b", "b"] + ["a", "b", "b", "b"]  # accuracies 1/2 and 3/4
    frame = paired_intervals(truth, before, after, n_resamples=50)
    assert frame["before"].tolist()[:3] == [5 / 8, 3 / 4, 1 / 4]
    assert frame["after"].tolist()[:3] == [5 / 8, 1 / 4, 1 / 2]
    assert frame["difference"].tolist()[:3] == [0, -1 / 2, 1 / 4]
    assert frame.loc[("class_accuracy", "a"), "difference"] == -1 / 2
    assert frame.loc[("class_accuracy", "b"), "difference"] == 1 / 2
    assert frame["n_samples"].tolist() == [8, 8, 8, 8, 4, 4]


def test_sides_are_the_intervals_of_the_metrics_module():
    rng = np.random.default_rng(0)
    truth, before, after = (rng.choice(NAMES, 60) for _ in range(3))
    frame = paired_intervals(truth, before, after, NAMES, seed=3)
    for side, predicted in (("before", before), ("after", after)):
        alone = intervals(truth, predicted, NAMES, seed=3)
        columns = frame[[side, f"{side}_low", f"{side}_high"]]
        np.testing.assert_array_equal(columns.to_numpy(), alone[["value", "low", "high"]].to_numpy())


def test_differences_agree_with_a_literal_bootstrap_over_rows():
    rng = np.random.default_rng(1)
    truth = np.repeat(NAMES, [120, 60, 90])
    before = np.where(rng.random(270) < 0.6, truth, rng.choice(NAMES, 270))
    after = np.where(rng.random(270) < 0.3, truth, before)
    frame = paired_intervals(truth, before, after, NAMES, n_resamples=4000)
    own = [np.flatnonzero(truth == name) for name in NAMES]
    metrics = {"cobias": cobias, "worst_class_accuracy": worst_class_accuracy}
    drawn: dict[str, list[float]] = {name: [] for name in [*metrics, "class b"]}
    for _ in range(600):
        rows = np.concatenate([rng.choice(one, len(one)) for one in own])
        for name, metric in metrics.items():
            drawn[name].append(metric(truth[rows], after[rows]) - metric(truth[rows], before[rows]))
        shares = [class_accuracy(truth[rows], y[rows])["b"] for y in (before, after)]
        drawn["class b"].append(shares[1] - shares[0])
    drawn_by_key = {(name, ""): drawn[name] for name in metrics} | {("class_accuracy", "b"): drawn["class b"]}
    for key, values in drawn_by_key.items():
        expected = np.quantile(values, [0.025, 0.975])
        found = frame.loc[key, ["difference_low", "difference_high"]].to_numpy(dtype=float)
        np.testing.assert_allclose(found, expected, atol=0.025)


def test_pairs_are_resampled_together():
    """One row in a hundred changes: unpaired intervals would be ten times as wide."""
    truth = ["a"] * 100 + ["b"] * 100
    before = ["a"] * 50 + ["b"] * 150
    after = ["a"] * 51 + ["b"] * 149
    frame = paired_intervals(truth, before, after)
    row = frame.loc[("class_accuracy", "a")]
    assert 0 <= row["difference_low"] <= 0.01 <= row["difference_high"] <= 0.04
    assert frame.loc[("class_accuracy", "b"), ["difference_low", "difference_high"]].tolist() == [0, 0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(NAMES)] * 3), min_size=1, max_size=30))
def test_no_change_is_no_difference_and_order_is_sign(rows):
    truth, before, after = zip(*rows, strict=True)
    same = paired_intervals(truth, before, before, NAMES, n_resamples=20).dropna()
    assert (same[["difference", "difference_low", "difference_high"]] == 0).all(axis=None)
    there = paired_intervals(truth, before, after, NAMES, n_resamples=20)["difference"]
    back = paired_intervals(truth, after, before, NAMES, n_resamples=20)["difference"]
    np.testing.assert_array_equal(there.to_numpy(), -back.to_numpy())


def test_a_class_without_rows_is_nan_and_left_out():
    frame = paired_intervals(["a", "b"], ["a", "a"], ["a", "b"], NAMES)
    assert frame.loc[("class_accuracy", "c")].drop("n_samples").isna().all()
    assert frame.loc[("cobias", ""), ["before", "after"]].tolist() == [1, 0]


def test_other_rows_are_refused():
    with refused(ParameterError, received=(2, 1)):
        paired_intervals(["a", "b"], ["a", "a"], ["a"])


@pytest.mark.parametrize("n_changed", [1, 2, 3])
@pytest.mark.parametrize("n_rows", [12, 60, 300])
def test_a_few_changed_rows_are_no_clear_change_whatever_the_seed(n_changed, n_rows):
    truth = ["a"] * n_rows + ["b"] * n_rows
    before = ["b"] * (n_rows // 2) + ["a"] * (n_rows - n_rows // 2) + ["b"] * n_rows
    after = ["a"] * n_changed + before[n_changed:]
    for seed in range(8):  # whether the resamples' mean is above the estimate or below is chance
        for there, back in ((before, after), (after, before)):
            frame = paired_intervals(truth, there, back, n_resamples=200, seed=seed)
            assert (frame["difference_low"] <= 0).all() and (frame["difference_high"] >= 0).all()


def test_rows_that_all_change_alike_do_not_make_an_interval_a_point():
    truth = ["a", "b", "b"]
    frame = paired_intervals(truth, ["a", "a", "a"], truth, n_resamples=50)
    assert frame.loc[("class_accuracy", "b"), "difference"] == 1
    assert (frame["difference_low"] <= 0).all() and (frame["difference_high"] >= 0).all()
    many = ["b"] * 40 + ["a"] * 40
    frame = paired_intervals(many, ["a"] * 80, many, n_resamples=50)
    z = stats.norm.ppf(0.975) ** 2  # Wilson's interval of 40 of 40
    low = frame.loc[("class_accuracy", "b"), "difference_low"]
    assert low == pytest.approx(2 * 40 / (40 + z) - 1)
    assert frame.loc[("cobias", ""), "difference_high"] == pytest.approx(-low)


def test_weighted_rows_that_changed_count_as_many_as_their_weights_are_worth():
    truth = ["a"] * 40 + ["b"] * 40
    before = ["b"] * 8 + ["a"] * 32 + ["b"] * 40
    alone = paired_intervals(truth, before, truth, n_resamples=200)
    assert alone.loc[("class_accuracy", "a"), "difference_low"] > 0
    heavy = [100.0, *[0.01] * 7, *[1.0] * 72]  # eight rows that are worth one
    weighted = paired_intervals(truth, before, truth, n_resamples=200, sample_weight=heavy)
    assert weighted.loc[("class_accuracy", "a"), "difference_low"] <= 0


def test_resamples_of_few_rows_spread_as_the_accuracy_does():
    truth, predicted = np.zeros(5, dtype=np.int64), np.array([0, 0, 0, 1, 1])
    (drawn,) = resampled_counts(truth, [predicted], np.ones(5), 2, 40_000, seed=0)
    assert drawn.sum(axis=2)[:, 0] == pytest.approx(np.full(40_000, 5))
    assert (drawn[:, 0, 0] / 5).var() == pytest.approx(0.6 * 0.4 / 4, rel=0.03)  # not / 5


def _drawn(rng, accuracies, n_rows):
    """Labels, and predictions that are right with the accuracies of their classes."""
    n_classes = len(accuracies)
    truth = np.repeat(np.arange(n_classes), n_rows)
    wrong = (truth + rng.integers(1, n_classes, len(truth))) % n_classes
    return truth, np.where(rng.random(len(truth)) < np.asarray(accuracies)[truth], truth, wrong)


def _clear(metric, before, after, n_rows, n_runs=24, redrawn=1.0):
    """How many runs call a change clear; `redrawn` is the share of rows that are predicted anew."""
    rng, found = np.random.default_rng(8), 0
    for seed in range(n_runs):
        truth, first = _drawn(rng, before, n_rows)
        _, other = _drawn(rng, after, n_rows)
        second = np.where(rng.random(len(truth)) < redrawn, other, first)
        row = paired_intervals(truth, first, second, n_resamples=100, seed=seed).loc[(metric, "")]
        found += bool(row["difference_low"] > 0 or row["difference_high"] < 0)
    return found


def test_classes_that_are_even_before_and_after_are_not_called_more_even():
    # chance makes larger gaps at one half than at 0.9: 14 classes of 12 rows were called more even in
    # a third of such runs
    assert _clear("cobias", [0.5] * 14, [0.9] * 14, 12) <= 3
    assert _clear("cobias", [0.9] * 14, [0.5] * 14, 12) <= 3
    assert _clear("cobias", np.linspace(0.1, 0.95, 14), [0.9] * 14, 12) >= 22  # a real change still is clear


def test_the_worst_class_needs_changed_rows_of_its_own():
    uneven = np.linspace(0.3, 0.95, 14)
    assert _clear("worst_class_accuracy", uneven, uneven, 5, redrawn=0.5) <= 3
    truth = ["a"] * 5 + ["b"] * 200
    before = ["b"] * 4 + ["a"] + ["b"] * 170 + ["a"] * 30
    after = ["b"] * 2 + ["a"] * 3 + ["b"] * 140 + ["a"] * 60  # 30 rows of b change, two of a
    row = paired_intervals(truth, before, after).loc[("worst_class_accuracy", "")]
    assert row["difference"] == pytest.approx(0.4)
    assert row["difference_low"] <= 0


def test_many_changed_rows_of_a_large_class_do_not_make_those_of_a_small_one_many():
    truth = ["a"] * 5 + ["b"] * 400
    before = ["b"] * 3 + ["a"] * 2 + ["b"] * 400
    after = ["a"] * 5 + ["b"] * 392 + ["a"] * 8  # COBias falls by three rows of a
    for metric in ("cobias", "worst_class_accuracy", "macro_f1"):
        row = paired_intervals(truth, before, after).loc[(metric, "")]
        assert row["difference_low"] <= 0 <= row["difference_high"], metric


def test_a_class_interval_holds_more_than_the_changes_that_its_rows_show():
    truth = ["a"] * 12 + ["b"] * 12
    before = ["b"] * 12 + ["b"] * 12
    after = ["a"] * 5 + ["b"] * 19
    row = paired_intervals(truth, before, after).loc[("class_accuracy", "a")]
    won, lost, n, z = 5.5, 0.5, 14, stats.norm.ppf(0.975)  # Agresti and Min, by hand
    middle = (won - lost) / n
    reach = z * np.sqrt(((won + lost) / n - middle**2) / n)
    assert row["difference_low"] == pytest.approx(middle - reach)  # resamples alone: 0.17
    assert row["difference_high"] >= middle + reach - 1e-12
