"""What to expect of new rows: folds that never see their own rows, and intervals that hold."""

import numpy as np
import pytest

from debias.corrections.correction import Weight
from debias.corrections.decision_rule import correct, decide
from debias.errors import ParameterError
from debias.estimators.debiasers import WeightDebiaser
from debias.estimators.few_labels.generalization import (
    N_FOLDS,
    N_REPEATS,
    Change,
    Expectation,
    expect_change,
    predictor,
)
from debias.metrics.confusion import cobias_of_accuracies
from debias.search.objective import Objective
from tests.support.refusals import refused

HALF = [Weight(1, 2), Weight(2, 2)]


def biased_rows(n_samples, seed, lean=1.0):
    """Two classes; the model leans to the first by `lean` logits."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n_samples) % 2)
    logit = rng.normal(size=n_samples) + 1.5 * (1 - 2 * y) + lean
    first = 1 / (1 + np.exp(-logit))
    return np.column_stack([first, 1 - first]), y


def accuracies(predicted, y):
    return np.array([(predicted[y == k] == k).mean() for k in range(2)])


def true_changes(lean=1.0):
    """What halving the first class does to a population, by a large sample of it."""
    P, y = biased_rows(400_000, 99, lean)
    before, after = accuracies(P.argmax(axis=1), y), accuracies(decide(correct(P, HALF), P), y)
    return {
        "accuracy": after.mean() - before.mean(),
        "cobias": float(cobias_of_accuracies(after) - cobias_of_accuracies(before)),
    }


def test_every_row_is_held_out_once_a_repeat_and_never_seen():
    P, y = biased_rows(37, 0)
    seen = []

    def choose(rows, seed):
        seen.append(np.asarray(rows))
        return predictor(HALF)

    expect_change(P, y, choose, Objective(), fitted=predictor(HALF))
    assert len(seen) == N_FOLDS * N_REPEATS
    held_out = np.zeros(len(y), dtype=int)
    for rows in seen:
        assert len(np.unique(rows)) == len(rows)
        held_out[np.setdiff1d(np.arange(len(y)), rows)] += 1
    assert (held_out == N_REPEATS).all()


def test_means_are_those_of_the_counts_and_a_row_more_a_class():
    # With one correction for all folds, the held-out prediction of a row is always the same.
    P, y = biased_rows(60, 1)
    found = expect_change(P, y, lambda rows, seed: predictor(HALF), Objective())
    before, after = (P.argmax(axis=1) == y), (decide(correct(P, HALF), P) == y)
    shares = [(right[y == k].sum() + 0.5) / ((y == k).sum() + 1) for right in (before, after) for k in (0, 1)]
    assert found.accuracy.before == pytest.approx(np.mean(shares[:2]), abs=0.01)
    assert found.accuracy.after == pytest.approx(np.mean(shares[2:]), abs=0.01)
    assert found.accuracy.difference == found.accuracy.after - found.accuracy.before


@pytest.mark.parametrize(("size", "fewest"), [(20, 170), (60, 178)])
def test_intervals_hold_about_as_often_as_they_say(size, fewest):
    true, n_draws = true_changes(), 200
    held = {"accuracy": 0, "cobias": 0}
    for seed in range(n_draws):
        found = expect_change(*biased_rows(size, seed), lambda rows, _: predictor(HALF), Objective(), seed)
        for metric, value in true.items():
            change = getattr(found, metric)
            held[metric] += change.low <= value <= change.high
    # 95 % of 200 draws within four standard errors. COBias, which chance widens, is held less often
    # by ten rows a class.
    assert min(held.values()) >= fewest, held


def test_one_row_of_a_class_leaves_its_accuracy_open():
    P, y = biased_rows(40, 2)
    few = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:1]])
    found = expect_change(P[few], y[few], lambda rows, seed: predictor(HALF), Objective())
    whole = expect_change(P, y, lambda rows, seed: predictor(HALF), Objective())
    assert found.cobias.high - found.cobias.low > 1.5 * (whole.cobias.high - whole.cobias.low)


def test_any_predictor_is_cross_validated():
    P, y = biased_rows(50, 3)
    always = expect_change(P, y, lambda rows, seed: lambda values: np.ones(len(values), int), Objective())
    assert always.accuracy.after == pytest.approx(0.5, abs=0.02)
    assert always.cobias.after > 0.9


def test_the_optimism_of_what_learns_rows_by_heart_is_taken_off():
    P, _ = biased_rows(200, 6)
    y = np.random.default_rng(6).integers(0, 2, 200)  # nothing can be learned

    def choose(rows, seed):
        known = {P[row, 0]: y[row] for row in rows}
        return lambda values: np.array([known.get(first, int(first * 1e6) % 2) for first in values[:, 0]])

    found = expect_change(P, y, choose, Objective())
    assert (choose(np.arange(200), 0)(P) == y).all()
    assert found.accuracy.after == pytest.approx(0.5, abs=0.08)


def test_figures_are_of_what_was_fitted_and_wider_where_folds_differ():
    P, y = biased_rows(100, 7)
    as_it_is = predictor([Weight(2, 2), Weight(2, 2)])
    alike = expect_change(P, y, lambda rows, seed: predictor(HALF), Objective())
    assert alike.accuracy.difference == pytest.approx(
        (predictor(HALF)(P) == y).mean() - (as_it_is(P) == y).mean(), abs=0.02
    )
    none = expect_change(P, y, lambda rows, seed: predictor(HALF), Objective(), fitted=as_it_is)
    assert none.accuracy.difference == pytest.approx(0, abs=0.02)

    def either(rows, seed):
        return predictor(HALF) if rows.sum() % 2 else as_it_is

    differing = expect_change(P, y, either, Objective(), fitted=predictor(HALF))
    for metric in ("accuracy", "cobias"):
        one, other = getattr(alike, metric), getattr(differing, metric)
        assert other.high - other.low > 1.1 * (one.high - one.low)


def test_threads_give_the_same_answer():
    P, y = biased_rows(50, 3)

    def choose(rows, seed):
        return predictor([Weight(1 + len(rows) % 2, 2), Weight(2, 2)])

    one, two = (expect_change(P, y, choose, Objective(), n_jobs=n) for n in (1, 2))
    assert one == two


def test_what_stops_a_fold_stops_all():
    def choose(rows, seed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        expect_change(*biased_rows(20, 0), choose, Objective(), n_jobs=2)


def test_improves_compares_held_out_objectives():
    P, y = biased_rows(200, 4, lean=2.0)
    good = expect_change(P, y, lambda rows, seed: predictor(HALF), Objective(pmi=0.0))
    bad = expect_change(P, y, lambda rows, seed: predictor(HALF[::-1]), Objective(pmi=0.0))
    assert good.improves and good.objective_after < good.objective_before
    assert not bad.improves and bad.objective_after > bad.objective_before


def test_what_is_said_follows_the_intervals():
    up, open_ = Change(0.5, 0.6, 0.1, 0.02, 0.2), Change(0.5, 0.4, -0.1, -0.2, 0.05)
    sure = Expectation(40, 5, 4, 0.95, up, Change(0.5, 0.3, -0.2, -0.3, -0.1), 1.0, 0.9)
    half = Expectation(40, 5, 4, 0.95, up, open_, 1.0, 0.9)
    none = Expectation(40, 5, 4, 0.95, open_, open_, 1.0, 0.9)
    assert "uncertain" not in sure.describe()
    assert half.describe().endswith("Whether COBias falls is uncertain.")
    assert none.describe().endswith("With so few labels the gain is uncertain.")
    assert none.describe(made=False).startswith("What such corrections would do to new rows")


def test_other_rows_than_those_fitted_are_refused():
    P, y = biased_rows(120, 5)
    debiaser = WeightDebiaser(n_starts=2, search="descent").fit(P, y)
    with refused(ParameterError, parameter="X and y"):
        debiaser.expect(P[:60], y[:60])
    assert debiaser.expectation_ is None
    assert debiaser.expect(P, y) is debiaser.expectation_
    assert debiaser.expectation_.describe() in debiaser.summary()


@pytest.mark.parametrize(
    "goal",
    [
        Objective(error=0.0, cobias=0.0, pmi=0.0, costs=[[0, 1, 2], [5, 0, 1], [9, 9, 0]]),
        Objective(pmi=1.0, smoothing=5.0),
    ],
)
def test_a_class_that_no_row_has_and_none_is_predicted_as_is_a_class_all_the_same(goal):
    P, y = biased_rows(40, 4)
    P = np.column_stack([0.99 * P, np.full(40, 0.01)])
    before = P.argmax(axis=1)
    found = expect_change(P, y, lambda rows, seed: predictor([*HALF, Weight(2, 2)]), goal)
    assert found.objective_before == pytest.approx(goal(*goal.counts(y, before, 3)))


@pytest.mark.parametrize("size", [90, 110])
def test_a_fold_is_shrunk_where_the_fit_is(size):
    P, y = biased_rows(size, 8)
    settings = {"n_weights": 6, "n_starts": 2, "search": "descent"}
    auto = WeightDebiaser(**settings).fit(P, y)
    same = WeightDebiaser(**settings, shrink=auto.shrunk_).fit(P, y)
    assert auto.shrunk_ == (size == 90)
    assert auto.expect(P, y) == same.expect(P, y)
