"""Few labels, as a user meets them: noise is left alone, a plain gain is kept, small classes are named."""

import json
import warnings

import numpy as np
import pytest
from sklearn.base import clone

import debias
from debias.errors import FewRowsWarning, InfeasibleWarning, ParameterError
from debias.estimators.debiasers import EnsembleDebiaser, FuzzyDebiaser, WeightDebiaser
from debias.estimators.few_labels.generalization import FEW_LABELS
from debias.search.constraints import Constrained
from tests.support.refusals import refused

pytestmark = pytest.mark.filterwarnings("ignore::debias.errors.FewRowsWarning")
DEBIASERS = [WeightDebiaser, FuzzyDebiaser, EnsembleDebiaser]


def rows(n_samples, seed, lean=0.0, signal=1.5, n_classes=3):
    """Return rows of a model that leans to the first class by `lean` logits."""
    rng = np.random.default_rng([seed, n_samples])
    y = rng.permutation(np.arange(n_samples) % n_classes)
    logits = rng.normal(size=(n_samples, n_classes)) + signal * np.eye(n_classes)[y]
    logits[:, 0] += lean
    values = np.exp(logits)
    return values / values.sum(axis=1, keepdims=True), y


def objective_on(debiaser, P, y):
    """Return errors and COBias of new rows, added."""
    accuracies = np.array([(debiaser.predict(P)[y == k] == k).mean() for k in range(3)])
    return 1 - (debiaser.predict(P) == y).mean() + np.abs(np.subtract.outer(accuracies, accuracies)).mean()


def test_a_model_that_needs_nothing_is_mostly_left_alone():
    P, y = rows(6000, 0)
    changed, worse = {True: 0, False: 0}, {True: 0.0, False: 0.0}
    plain = 1 - (P.argmax(axis=1) == y).mean()
    for seed in range(12):
        for shrink in (True, False):
            debiaser = WeightDebiaser(search="descent", shrink=shrink).fit(*rows(30, seed))
            changed[shrink] += debiaser.improved_
            worse[shrink] += objective_on(debiaser, P, y) - plain
    assert changed[True] <= changed[False] * 2 / 3, changed
    assert worse[True] < worse[False] * 3 / 4, worse


def test_a_plain_gain_is_kept():
    P, y = rows(6000, 1, lean=3.0)
    gains = []
    for seed in range(6):
        few = WeightDebiaser().fit(*rows(40, seed, lean=3.0))
        assert few.shrunk_ and few.improved_
        identity = (P.argmax(axis=1) == y).mean()
        gains.append((few.predict(P) == y).mean() - identity)
    assert min(gains) > 0.05, gains


@pytest.mark.parametrize("kind", DEBIASERS)
def test_what_is_chosen_is_never_worse_on_its_rows_than_no_correction(kind):
    for seed in range(4):
        debiaser = kind(search="descent").fit(*rows(25, seed, lean=1.0))
        assert debiaser.objective_value_ <= debiaser.baseline_objective_value_ + 1e-12


def test_auto_shrinks_below_a_hundred_labels_only():
    small, large = rows(FEW_LABELS - 1, 0, lean=1.0), rows(FEW_LABELS, 0, lean=1.0)
    assert WeightDebiaser().fit(*small).shrunk_
    assert not WeightDebiaser().fit(*large).shrunk_
    assert WeightDebiaser(shrink=True, search="descent").fit(*large).shrunk_
    assert not WeightDebiaser(shrink=False).fit(*small).shrunk_
    assert not WeightDebiaser(search="annealing-3/6").fit(*small).shrunk_  # published schedules stay
    assert not WeightDebiaser(polish=True).fit(*small).shrunk_


def test_the_path_says_what_was_passed_over():
    debiaser = EnsembleDebiaser().fit(*rows(40, 3, lean=2.0))
    path = debiaser.shrinkage_path_
    assert path["taken"].sum() == 1
    assert path["n_changed"].is_monotonic_decreasing
    assert path["n_changed"].iloc[-1] == 0
    taken = path[path["taken"]].iloc[0]
    assert taken["allowed"]
    if not path.attrs["refused"]:
        assert list(taken["choice"].values()) == debiaser.explain()["correction"].tolist()


def test_classes_with_fewer_than_five_rows_are_named():
    P, y = rows(40, 0, lean=1.0)
    keep = np.flatnonzero((y != 2) | (np.cumsum(y == 2) <= 3))
    with pytest.warns(FewRowsWarning, match=r"^truck has 3 labelled rows"):
        debiaser = WeightDebiaser(classes=["car", "bus", "truck"]).fit(
            P[keep], np.array(["car", "bus", "truck"])[y[keep]]
        )
    assert "truck has 3 labelled rows" in debiaser.summary()


def test_five_rows_of_each_are_not_named():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WeightDebiaser(search="descent").fit(*rows(15, 0))


def test_a_class_without_rows_is_named_too():
    P, y = rows(40, 0, lean=1.0)
    with pytest.warns(UserWarning, match="no labelled row of 1"):
        WeightDebiaser(search="descent").fit(P[y != 1], y[y != 1])


def test_a_file_says_the_same(tmp_path):
    P, y = rows(40, 5, lean=2.0)
    debiaser = EnsembleDebiaser(shrink=True).fit(P, y)
    debiaser.save(tmp_path / "few.json")
    again = debias.load(tmp_path / "few.json")
    assert again.summary() == debiaser.summary()
    assert again.shrunk_
    assert again.expectation_ == debiaser.expectation_
    assert json.loads((tmp_path / "few.json").read_text())
    np.testing.assert_array_equal(again.predict(P), debiaser.predict(P))


def test_clone_and_the_same_seed_give_the_same():
    P, y = rows(30, 6, lean=1.0)
    debiaser = EnsembleDebiaser(shrink=True, search="descent", random_state=7).fit(P, y)
    again = clone(debiaser)
    assert again.get_params()["shrink"] is True
    again.fit(P, y)
    assert again.choice_.tolist() == debiaser.choice_.tolist()
    assert again.expectation_ == debiaser.expectation_
    threads = clone(debiaser).set_params(n_jobs=2).fit(P, y)
    assert threads.expectation_ == debiaser.expectation_


@pytest.mark.parametrize(
    "settings",
    [
        {"shrink": "yes"},
        {"shrink": True, "search": "annealing-3/6"},
        {"shrink": True, "polish": True},
    ],
)
def test_contradictions_are_refused(settings):
    with refused(ParameterError, parameter="shrink", received=settings["shrink"]):
        WeightDebiaser(**settings).fit(*rows(20, 0))


def test_bounds_are_kept_by_what_is_shrunk():
    P, y = rows(60, 8, lean=2.5)
    objective = Constrained(min_class_accuracy=0.4)
    debiaser = WeightDebiaser(objective=objective, shrink=True).fit(P, y)
    assert debiaser.feasible_
    assert debiaser.explain()["accuracy_after"].min() >= 0.4


def test_where_no_choice_keeps_the_bounds_the_closest_is_not_shrunk():
    P, y = rows(30, 9, signal=0.2)
    with pytest.warns(InfeasibleWarning):
        debiaser = WeightDebiaser(objective=Constrained(min_accuracy=0.99), shrink=True).fit(P, y)
    assert not debiaser.feasible_ and not debiaser.shrunk_
