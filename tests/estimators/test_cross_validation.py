"""Cross-validation in one search against each setting fitted and judged on its own, and what it may see."""

import numpy as np
import pytest
from sklearn.model_selection import PredefinedSplit, ShuffleSplit

from debias.corrections.decision_rule import correct, decide
from debias.errors import ParameterError, TableError
from debias.estimators.tuning import cross_validation
from debias.estimators.tuning.cross_validation import cross_validate
from debias.estimators.tuning.folds import make_folds
from debias.estimators.tuning.tuning_settings import combine
from debias.metrics.scores import cobias, worst_class_accuracy
from debias.search.problem import build_problem
from tests.support.refusals import refused
from tests.support.small_problems import enumerate_best
from tests.support.small_tables import skewed_rows
from tests.support.tuning_objectives import OBJECTIVES


def test_every_setting_gets_what_it_would_get_alone():
    P, y = skewed_rows()
    settings = combine(OBJECTIVES, [4, 6], ("weights", "memberships"))
    folds = make_folds(y, range(3), 3, 0)
    found = cross_validate(P, y, settings, folds)
    assert found.results.attrs["n_folds"] == 3
    for index in range(0, len(settings), 2):
        setting, figures = settings[index], []
        family = setting.corrections()
        for fold, (train, dev) in enumerate(folds):
            alone = enumerate_best(build_problem(P[train], y[train], family, setting.objective))
            np.testing.assert_array_equal(found.choices[fold, index], family.ids[list(alone.choice)])
            predicted = decide(correct(P[dev], [family[i] for i in alone.choice]), P[dev])
            recalls = [(predicted[y[dev] == k] == k).mean() for k in range(3)]
            accuracy, gap = (predicted == y[dev]).mean(), cobias(y[dev], predicted, labels=range(3))
            worst = worst_class_accuracy(y[dev], predicted, labels=range(3))
            figures.append([accuracy, gap, accuracy - gap, worst, np.mean(recalls), alone.n_changed])
        row = found.results.iloc[index]
        names = ["accuracy", "cobias", "accuracy_minus_cobias", "worst_class_accuracy", "balanced_accuracy"]
        np.testing.assert_allclose(
            [row[f"mean_{n}"] for n in [*names, "n_changed"]], np.mean(figures, axis=0)
        )
        np.testing.assert_allclose([row[f"std_{n}"] for n in names], np.std(figures, axis=0)[:5], atol=1e-12)
        assert row["proved_radius"] == 3
    assert found.n_evaluations == 3 * (4**3 + 6**3 + 19**3)  # for all objectives


@pytest.mark.parametrize("seed", range(3))
def test_what_is_known_of_dev_rows_does_not_change_what_a_fold_chooses(seed):
    P, y = skewed_rows(seed)
    rng = np.random.default_rng(seed)
    settings = combine(OBJECTIVES, 4, ("weights", "ensemble"))
    train, dev = next(ShuffleSplit(1, test_size=0.3, random_state=seed).split(P))
    before = cross_validate(P, y, settings, [(train, dev)])
    y[dev] = rng.permutation(y[dev])
    P[dev] = rng.permutation(P[dev])
    after = cross_validate(P, y, settings, [(train, dev)])
    np.testing.assert_array_equal(before.choices, after.choices)
    assert (before.results["mean_accuracy"] != after.results["mean_accuracy"]).any()


def test_threads_and_other_families_do_not_change_anything():
    P, y = skewed_rows(n_samples=90, n_classes=4)
    settings = combine(OBJECTIVES, [5, 30], ("ensemble", "weights"))
    folds = make_folds(y, range(4), 2, 0)
    one, two = (cross_validate(P, y, settings, folds, 4, n_threads=n) for n in (1, 2))
    assert one.results.equals(two.results)
    np.testing.assert_array_equal(one.choices, two.choices)
    assert one.n_evaluations == two.n_evaluations


def test_a_class_without_dev_rows_is_left_out_of_what_is_judged():
    P, y = skewed_rows()
    train, dev = np.flatnonzero(y < 3), np.flatnonzero(y < 2)
    train = np.setdiff1d(train, dev[:20])
    found = cross_validate(P, y, combine(OBJECTIVES, 4, "weights"), [(train, dev[:20])])
    assert np.isfinite(found.results["mean_worst_class_accuracy"]).all()


def interrupt_after(n_tasks, monkeypatch):
    def completed(futures):
        for future in futures[:n_tasks]:
            future.result()
            yield future
        raise KeyboardInterrupt

    monkeypatch.setattr(cross_validation, "as_completed", completed)


def test_interrupted_the_folds_that_are_done_count(monkeypatch):
    P, y = skewed_rows()
    settings, folds = combine(OBJECTIVES, 4, "weights"), make_folds(y, range(3), 5, 0)
    whole = cross_validate(P, y, settings, folds)
    interrupt_after(3, monkeypatch)
    cut = cross_validate(P, y, settings, folds)
    n_folds = cut.results.attrs["n_folds"]
    assert cut.interrupted and n_folds >= 3
    np.testing.assert_array_equal(cut.choices, whole.choices[:n_folds])


def test_interrupted_before_a_fold_is_done_there_is_nothing(monkeypatch):
    P, y = skewed_rows(n_samples=300, n_classes=5)
    settings, folds = combine(OBJECTIVES, 30, "ensemble"), make_folds(y, range(5), 2, 0)
    interrupt_after(0, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(P, y, settings, folds)


# Folds.


def test_folds_hold_every_class_and_every_row_once():
    y = np.repeat([0, 1, 2], [50, 20, 5])
    folds = make_folds(y, "abc", 5, 0)
    np.testing.assert_array_equal(np.sort(np.concatenate([dev for _, dev in folds])), np.arange(75))
    for train, dev in folds:
        np.testing.assert_array_equal(np.bincount(y[dev]), [10, 4, 1])
        np.testing.assert_array_equal(np.sort([*train, *dev]), np.arange(75))


def test_a_class_with_fewer_rows_than_folds_is_named():
    y = np.repeat([0, 1, 2], [20, 20, 3])
    with pytest.warns(UserWarning, match=r"fewer rows than the 5 folds: fog \(3\)"):
        make_folds(y, ["sun", "rain", "fog"], 5, 0)


def test_the_published_split_holds_out_a_twentieth():
    ((train, dev),) = make_folds(np.arange(200) % 2, "ab", "holdout", 0)
    assert (len(train), len(dev)) == (190, 10)


def test_splitters_and_iterables_of_ones_own():
    y = np.arange(20) % 2
    assert len(make_folds(y, "ab", ShuffleSplit(3, random_state=0), 0)) == 3
    ((_, dev),) = make_folds(y, "ab", PredefinedSplit([-1] * 16 + [0] * 4), 0)
    np.testing.assert_array_equal(dev, np.arange(16, 20))
    own = [(np.arange(20) < 16, np.arange(20) >= 16)]
    np.testing.assert_array_equal(make_folds(y, "ab", own, 0)[0][1], np.arange(16, 20))


@pytest.mark.parametrize(
    "cv",
    [1, 11, True, "loo", None, [], object(), [(np.arange(12), np.arange(10, 20))]],
    ids=lambda cv: type(cv).__name__ if type(cv) is object else str(cv),
)
def test_folds_that_are_none(cv):
    with refused(ParameterError, parameter="cv"):
        make_folds(np.arange(20) % 2, "ab", cv, 0)


def test_train_rows_of_one_class_are_too_few():
    y = np.arange(20) % 2
    with refused(TableError, parameter="cv", mentions="10 train rows of 1"):
        make_folds(y, "ab", [(np.flatnonzero(y == 0), np.flatnonzero(y == 1))], 0)


@pytest.mark.parametrize("cv", [3, "holdout"])
def test_copies_of_a_row_are_not_divided(cv):
    y = np.repeat(np.arange(40) % 2, 3)
    group = np.repeat(np.arange(40), 3)
    for train, dev in make_folds(y, "ab", cv, 0, group=group):
        assert len(train) + len(dev) == 120
        assert not np.intersect1d(group[train], group[dev]).size
    with pytest.warns(UserWarning, match="copies counted once: b"):
        folds = make_folds(
            np.array([0] * 9 + [1] * 6), "ab", 3, 0, group=np.array([*range(9), 9, 9, 9, 10, 10, 10])
        )
    assert len(folds) == 3


def test_copies_of_a_few_rows_are_divided_as_far_as_they_can_be():
    y, group = np.repeat([0, 1, 2, 3], 8), np.arange(32) // 4
    with pytest.warns(UserWarning, match="copies counted once"):
        folds = make_folds(y, "abcd", 4, 0, group=group)
    assert [len(dev) for _, dev in folds] == [8] * 4
