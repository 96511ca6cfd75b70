"""Weighted rows: a fit counts them exactly, scores and intervals weigh them, and nothing is rounded."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, cross_validate

from debias import (
    CalibratedDebiaser,
    Constrained,
    Debiaser,
    EnsembleDebiaser,
    EnsembleDebiaserCV,
    LogBiasDebiaser,
    Objective,
    WeightDebiaser,
)
from debias.errors import ParameterError, TableError
from debias.estimators.tuning.folds import make_folds
from debias.metrics.paired_bootstrap import paired_intervals
from debias.metrics.sample_weights import whole_counts
from debias.metrics.scores import (
    accuracy_minus_cobias,
    class_accuracy,
    cobias,
    cobias_scorer,
    intervals,
    worst_class_accuracy,
)
from tests.support.refusals import refused
from tests.support.small_tables import skewed_rows

X, Y = skewed_rows(n_samples=120)
TIMES = np.random.default_rng(0).integers(0, 4, size=len(Y))
AGAIN = np.repeat(X, TIMES, axis=0), np.repeat(Y, TIMES)


@pytest.mark.parametrize(
    "debiaser",
    [
        WeightDebiaser(n_starts=3, shrink=False),
        WeightDebiaser(n_starts=3, polish=True),
        WeightDebiaser(n_starts=3, shrink=False, objective=Constrained(min_accuracy="uncorrected")),
        LogBiasDebiaser(n_starts=3),
    ],
)
def test_a_row_of_weight_three_is_three_rows(debiaser):
    weighted = debiaser.fit(X, Y, sample_weight=TIMES).fitted_
    repeated = debiaser.fit(*AGAIN).fitted_
    assert weighted.corrections == repeated.corrections
    assert weighted.objective_value == repeated.objective_value
    assert weighted.facts == repeated.facts
    assert (weighted.n_labels, repeated.n_labels) == ((TIMES > 0).sum(), TIMES.sum())


@pytest.mark.parametrize("free", [{}, {"X_unlabelled": skewed_rows(seed=3, n_samples=50)[0]}])
@pytest.mark.parametrize(
    "debiaser",
    [
        Debiaser(method="batch"),
        CalibratedDebiaser(base="batch", family="weights", search="descent"),
        CalibratedDebiaser(base="vector", n_starts=1),
        CalibratedDebiaser(base="affine", n_starts=1),
    ],
)
def test_a_base_counts_a_row_of_weight_three_as_three_rows(debiaser, free):
    weighted = debiaser.fit(X, Y, sample_weight=TIMES, **free).transform(X)
    np.testing.assert_allclose(weighted, debiaser.fit(*AGAIN, **free).transform(X), rtol=1e-9)
    other = X.copy()
    other[TIMES == 0] = skewed_rows(seed=9, n_samples=120)[0][TIMES == 0]  # rows that do not count
    np.testing.assert_allclose(
        weighted, debiaser.fit(other, Y, sample_weight=TIMES, **free).transform(X), rtol=1e-9
    )


def test_rows_without_labels_are_whole_rows_beside_halves():
    free = skewed_rows(seed=3, n_samples=50)[0]
    halves = Debiaser(method="batch").fit(X, Y, sample_weight=TIMES / 2, X_unlabelled=free)
    doubled = Debiaser(method="batch").fit(*AGAIN, X_unlabelled=np.repeat(free, 2, axis=0))
    np.testing.assert_allclose(halves.transform(X), doubled.transform(X))


def test_halves_of_rows_are_counted_exactly():
    debiaser = WeightDebiaser(n_starts=3, shrink=False, objective=Objective(smoothing=40.0))
    halves = debiaser.fit(X, Y, sample_weight=TIMES / 2).fitted_
    doubled = (
        WeightDebiaser(n_starts=3, shrink=False, objective=Objective(smoothing=80.0)).fit(*AGAIN).fitted_
    )
    assert halves.corrections == doubled.corrections
    assert halves.objective_value == doubled.objective_value
    assert debiaser.objective.smoothing == 40.0


def test_weights_of_one_are_no_weights():
    few = X[:60], Y[:60]
    plain, ones = (WeightDebiaser(n_starts=2).fit(*few, w).fitted_ for w in (None, np.ones(60)))
    assert plain.shrunk and ones.shrunk
    assert plain.corrections == ones.corrections


@pytest.mark.parametrize(
    ("weights", "row"),
    [(np.ones(3), None), (np.full(120, -1.0), 0), (np.full(120, np.nan), 0), (np.zeros(120), None)],
)
def test_weights_that_are_none_are_refused(weights, row):
    with refused(ParameterError, parameter="sample_weight", row=row):
        WeightDebiaser().fit(X, Y, sample_weight=weights)
    with refused(ParameterError, parameter="sample_weight", row=row):
        intervals(Y, Y, sample_weight=weights)


def test_weights_that_counts_cannot_hold_are_refused_not_rounded():
    for weights in (np.random.default_rng(0).random(120), np.full(120, 1e5), np.full(120, 1 / np.pi)):
        with refused(ParameterError, parameter="sample_weight", allowed=str):
            WeightDebiaser().fit(X, Y, sample_weight=weights)
    assert whole_counts(np.array([5 / 3, 5 / 7])) == (pytest.approx([35, 15]), 21)


def test_one_class_with_weight_is_one_class():
    with refused(TableError, parameter="y"):
        WeightDebiaser().fit(X, Y, sample_weight=(Y == 0).astype(float))


def test_shrinking_takes_no_weights():
    with refused(ParameterError, parameter="shrink"):
        WeightDebiaser(shrink=True).fit(X, Y, sample_weight=TIMES)


def test_scores_of_weighted_rows_are_those_of_repeated_rows():
    predicted = X.argmax(axis=1)
    truth_again, predicted_again = np.repeat(Y, TIMES), np.repeat(predicted, TIMES)
    for metric in (cobias, worst_class_accuracy, accuracy_minus_cobias):
        weighted = metric(Y, predicted, sample_weight=TIMES)
        assert weighted == pytest.approx(metric(truth_again, predicted_again))
        assert weighted != pytest.approx(metric(Y, predicted))
    mean = class_accuracy(Y, predicted, sample_weight=TIMES).mean()
    assert mean == pytest.approx(balanced_accuracy_score(Y, predicted, sample_weight=TIMES))


def test_intervals_do_not_narrow_when_all_weights_grow():
    predicted = X.argmax(axis=1)
    plain, doubled = (intervals(Y, predicted, sample_weight=np.full(120, w)) for w in (1.0, 2.0))
    assert np.allclose(plain.to_numpy(), doubled.to_numpy())
    weighted = intervals(Y, predicted, sample_weight=TIMES)
    assert weighted.loc["cobias", "value"].item() == pytest.approx(cobias(Y, predicted, sample_weight=TIMES))
    some = weighted.loc["class_accuracy", "high"] - weighted.loc["class_accuracy", "low"]
    full = plain.loc["class_accuracy", "high"] - plain.loc["class_accuracy", "low"]
    assert (some > full).all()  # unequal weights are worth fewer rows


def test_differences_are_weighted_too():
    before, after = X.argmax(axis=1), Y
    frame = paired_intervals(Y, before, after, sample_weight=TIMES)
    row = frame.loc[("accuracy", "")]
    assert row["before"] == pytest.approx(np.average(before == Y, weights=TIMES))
    assert row["difference"] == pytest.approx(1 - row["before"])
    assert row["difference_low"] <= row["difference"] <= row["difference_high"]


def chosen(X, y, weights=None, cv=2, smoothing=40.0):
    """Fit the debiaser that chooses its own settings, from two of them."""
    settings = [Objective(pmi=0.2, smoothing=smoothing), Objective(cobias=3.0, pmi=1.0, smoothing=smoothing)]
    debiaser = EnsembleDebiaserCV(settings=settings, n_weights=4, families="weights", cv=cv, n_starts=2)
    return debiaser.fit(X, y, weights)


def test_settings_are_chosen_on_weighted_rows():
    train, dev = np.arange(80), np.arange(80, 120)
    again = np.repeat(np.arange(120), TIMES)
    folds = [(train, dev)], [(np.flatnonzero(again < 80), np.flatnonzero(again >= 80))]
    weighted, repeated = chosen(X, Y, TIMES, folds[0]), chosen(*AGAIN, cv=folds[1])
    assert weighted.cv_results_.equals(repeated.cv_results_)
    assert str(weighted.best_setting_) == str(repeated.best_setting_)
    assert weighted.fitted_.corrections == repeated.fitted_.corrections
    assert weighted.n_labels_ == (TIMES > 0).sum()
    halves = chosen(X, Y, TIMES / 2, folds[0], smoothing=20.0)
    assert (halves.fold_choices_ == weighted.fold_choices_).all()
    assert (halves.cv_results_["smoothing"] == 20.0).all()
    assert halves.best_setting_.objective.smoothing == 20.0


def test_folds_hold_rows_that_count_and_share_none():
    rows = make_folds(Y, range(4), 3, 0, TIMES)
    for train, dev in rows:
        assert not np.intersect1d(train, dev).size
        assert (np.bincount(np.concatenate([train, dev]), minlength=120) == TIMES).all()
    (_, dev) = make_folds(Y, range(4), "holdout", 0, (Y != 0).astype(int))[0]
    assert (Y[dev] != 0).all()


def test_grid_search_varies_the_default_objective_and_passes_weights():
    search = GridSearchCV(
        EnsembleDebiaser(n_weights=3, n_starts=1, search="descent", shrink=False),
        {"objective__cobias": [0.0, 5.0]},
        cv=2,
    ).fit(X, Y, sample_weight=TIMES)
    assert search.best_estimator_.objective.cobias == search.best_params_["objective__cobias"]
    assert search.estimator.objective is None
    with config_context(enable_metadata_routing=True):
        debiaser = WeightDebiaser(n_weights=3, n_starts=1, shrink=False).set_fit_request(sample_weight=True)
        scorer = cobias_scorer.set_score_request(sample_weight=True)
        routed = cross_validate(debiaser, X, Y, cv=2, scoring=scorer, params={"sample_weight": TIMES})
    assert np.isfinite(routed["test_score"]).all()


def judged(X, y, weights=None):
    """What each method was worth on held-out rows, and which was chosen."""
    return Debiaser(n_weights=4, search="descent").fit(X, y, weights).selection_.to_frame()


def test_fractions_make_no_more_rows_of_which_a_method_could_be_sure():
    halves = np.where(np.arange(120) % 2, 1.5, 0.5)
    errors = [judged(X, Y, weights)["standard_error"] for weights in (halves, 2 * halves)]
    assert errors[1].max() == pytest.approx(errors[0].max() / np.sqrt(2), rel=0.25)
    assert errors[0].max() > 0.8 * judged(X, Y)["standard_error"].max()


def test_rows_of_weight_zero_are_not_judged():
    rows, labels = skewed_rows(seed=5, n_samples=180)
    weighted = judged(rows, labels, (np.arange(180) < 150).astype(float))
    assert weighted.equals(judged(rows[:150], labels[:150]))


def test_a_class_whose_rows_do_not_count_in_a_fold_is_a_class_without_rows_there():
    two = Y < 2
    P = X[two][:, :2] / X[two][:, :2].sum(axis=1, keepdims=True)
    weights = np.where(Y[two] == 0, 1.0, 0.0)
    weights[np.flatnonzero(Y[two] == 1)[0]] = 1.0
    assert judged(P, Y[two], weights)["chosen"].sum() == 1


@pytest.mark.parametrize("n_rows", [120, 30_000])
def test_the_advice_for_other_weights_leaves_as_many_rows_as_there_are(n_rows):
    weights = np.random.default_rng(0).random(n_rows)
    with pytest.raises(ParameterError) as refusal:
        whole_counts(weights)
    advice = refusal.value.fix.partition("numpy.round(")[2]
    decimals = int(advice.rpartition(",")[2].strip(" )"))
    assert advice.startswith("weights / weights.mean(), ")
    times, parts = whole_counts(np.round(weights / weights.mean(), decimals))
    assert times.sum() / parts == pytest.approx(n_rows, rel=0.01)


def test_a_row_of_weight_two_is_two_copies_in_one_fold():
    twice = np.repeat(X, 2, axis=0), np.repeat(Y, 2)
    assert chosen(X, Y, np.full(120, 2.0), 3).cv_results_.equals(chosen(*twice, cv=3).cv_results_)


def test_balanced_classes_weigh_the_same_where_rows_have_weights():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(240) % 3)
    logits = (rng.normal(size=(240, 3)) + 2 * np.eye(3)[y]) @ [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    P = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    times = np.where(y == 0, 4, rng.integers(0, 3, 240))
    settings = {"base": "affine", "family": "none", "class_weight": "balanced"}
    weighted = CalibratedDebiaser(**settings).fit(P, y, times).base_
    repeated = CalibratedDebiaser(**settings).fit(np.repeat(P, times, axis=0), np.repeat(y, times)).base_
    assert weighted.kind == repeated.kind == "affine"
    np.testing.assert_allclose(weighted.matrix, repeated.matrix, rtol=1e-5)
    np.testing.assert_allclose(weighted.bias, repeated.bias, rtol=1e-5)
