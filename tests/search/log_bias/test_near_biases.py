"""Near-ties of log-biases, against every interval tried literally and on real rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.decision_rule import decide
from debias.estimators.calibrated import CalibratedDebiaser
from debias.estimators.log_bias import LogBiasDebiaser
from debias.estimators.tuning.debiaser import Debiaser
from debias.search.constraints import Constrained
from debias.search.log_bias.log_bias_descent import descend_log_bias
from debias.search.log_bias.near_biases import GOALS, near_biases
from debias.search.objective import Objective, confusion_counts
from debias.search.problem import TOLERANCE
from tests.support.published_tables import CLASSES, published
from tests.support.small_problems import random_rows


def worth(P, y, biases, goal):
    """What a goal is worth with log-biases, decided literally."""
    return float(goal(*confusion_counts(y, decide(P * np.exp(biases), P), P.shape[1])))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([0.0, 0.01, 0.1, 0.5]))
def test_with_two_classes_no_interval_within_the_limit_is_better(seed, within):
    P, y = random_rows(seed, n_samples=14, n_classes=2, steps=1000)
    if len(np.unique(y)) < 2:
        return
    goal = Objective()
    best = descend_log_bias(P, P, y, goal, 4, 0)
    highest = best.objective + within + TOLERANCE
    found, _ = near_biases(P, P, y, goal, best.biases, highest)
    edges = np.sort(np.log(P[:, 0]) - np.log(P[:, 1]))
    middles = np.concatenate([[edges[0] - 1], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1]])
    wide = np.concatenate([[True], np.diff(edges) > 1e-8, [True]])
    tried = [np.array([0.0, bias]) for bias in middles[wide]]
    allowed = [biases for biases in tried if worth(P, y, biases, goal) <= highest]
    for measure in GOALS:
        least = min(worth(P, y, biases, measure) for biases in [*allowed, best.biases])
        assert min(worth(P, y, biases, measure) for biases in found) <= least + 1e-9


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 100_000),
    st.sampled_from([3, 4, 6]),
    st.sampled_from([Objective(), Objective(1, 2.7, 0), Constrained(max_cobias=0.4)]),
    st.sampled_from([0.002, 0.05, 0.3]),
)
def test_all_keep_the_limit_and_none_is_worse_than_the_best_in_its_measure(seed, n_classes, goal, within):
    P, y = random_rows(seed, n_samples=40, n_classes=n_classes, steps=50)
    best = descend_log_bias(P, P, y, goal, 4, 0)
    if not goal.is_feasible(best.objective):
        return
    highest = best.objective + within + TOLERANCE
    found, n_evaluations = near_biases(P, P, y, goal, best.biases, highest)
    assert np.array_equal(found[0], best.biases) and n_evaluations > 0
    assert all(worth(P, y, biases, goal) <= highest + 1e-12 for biases in found)
    for measure in GOALS:
        values = [worth(P, y, biases, measure) for biases in found]
        assert min(values) <= values[0]


@pytest.fixture(scope="module")
def sst5():
    P, y = published("sst5", "opt")
    return P[:1500], np.asarray(y)[:1500]


@pytest.mark.parametrize(
    "make", [LogBiasDebiaser, CalibratedDebiaser, lambda **given: Debiaser(method="calibrated", **given)]
)
def test_a_tolerance_buys_balanced_accuracy_for_no_more_than_it_allows(make, sst5):
    P, y = sst5
    plain, near = make().fit(P, y), make(tolerance=0.01).fit(P, y)
    first, taken = plain.near_ties_.iloc[0], near.near_ties_.iloc[0]
    assert taken["taken"] and first["taken"]
    assert taken["balanced_accuracy"] > first["balanced_accuracy"]
    assert first["objective"] < taken["objective"] <= first["objective"] + 0.01 + 1e-9
    assert near.objective_value_ == pytest.approx(taken["objective"])
    ties = near.near_ties_
    assert (ties["objective"] > first["objective"] - 1e-9).all()  # the best itself need not be an extreme
    assert (ties["objective"] <= first["objective"] + 0.01 + 1e-9).all()
    assert ties["cobias"].min() <= first["cobias"] + 1e-9 and ties["accuracy"].max() >= first["accuracy"]
    assert near.near_ties_.attrs == {"within": 0.01, "complete": False}


def test_without_one_the_best_is_taken_and_the_others_are_listed(sst5):
    P, y = sst5
    ties = LogBiasDebiaser().fit(P, y).near_ties_
    assert ties["objective"].iloc[0] == ties["objective"].min()
    assert len(ties) > 1 and (ties["objective"] <= ties["objective"].iloc[0] + 0.002 + 1e-9).all()


def test_they_are_kept_in_the_file(sst5, tmp_path):
    from debias import load

    P, y = sst5
    debiaser = Debiaser(method="calibrated", tolerance=0.005, classes=CLASSES["sst5"]).fit(
        P, np.array(CLASSES["sst5"])[y]
    )
    debiaser.save(tmp_path / "correction.json")
    again = load(tmp_path / "correction.json")
    assert again.near_ties_.equals(debiaser.near_ties_)
    assert (again.predict(P) == debiaser.predict(P)).all()
