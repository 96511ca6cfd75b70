"""Bounds beside the objective: what counts are worth, what is refused, what is said and kept."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from debias import Constrained, EnsembleDebiaser, FuzzyDebiaser, Objective, WeightDebiaser, load
from debias.errors import CorrectionFileError, ParameterError
from debias.search.constraints import INFEASIBLE
from debias.search.goals.class_guard import batch_counts
from debias.search.objective import Counts
from tests.support.drawn_constraints import constraints, counted
from tests.support.refusals import refused

NAMES = ["sun", "rain", "fog"]


def literal(goal, counts):
    """Constrained, by loops, with exact comparisons left to the tolerance that is documented."""
    present = [(c, b) for c, b in zip(counts.correct.tolist(), counts.support.tolist(), strict=True) if b]
    accuracies = [c / b for c, b in present]
    gaps = [abs(a - b) for a, b in itertools.combinations(accuracies, 2)]
    right, samples = sum(c for c, _ in present), sum(b for _, b in present)
    out = 0.0
    if goal.max_cobias is not None and sum(gaps) / len(gaps) > goal.max_cobias + 1e-12:
        out += sum(gaps) / len(gaps) - goal.max_cobias
    if goal.min_accuracy is not None:
        needed = 0
        while needed / samples < goal.min_accuracy - 1e-9:
            needed += 1
        out += max(0, needed - right) / samples
    for accuracy in accuracies if goal.min_class_accuracy is not None else []:
        if accuracy < goal.min_class_accuracy - 1e-12:
            out += goal.min_class_accuracy - accuracy
    return 1000 + out if out else float(goal.inner(*counts))


@given(goal=constraints(), counts=counted())
def test_the_definition_literally(goal, counts):
    assert goal(*counts) == pytest.approx(literal(goal, counts), abs=1e-11)


@given(
    goal=constraints(), support=st.lists(st.integers(1, 9), min_size=2, max_size=4), seed=st.integers(0, 99)
)
def test_many_counts_at_once_are_the_same_as_one_by_one(goal, support, seed):
    rng = np.random.default_rng(seed)
    correct = rng.integers(0, np.array(support) + 1, (6, len(support)))
    predicted = correct + rng.integers(0, 9, correct.shape)
    together = goal(correct, predicted, np.tile(support, (6, 1)))
    alone = [goal(c, q, support) for c, q in zip(correct, predicted, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-12)


@given(counts=counted())
def test_counts_meet_the_bounds_that_were_computed_from_them(counts):
    """An equality is not refused by rounding, and nothing below it passes."""
    present = counts.support > 0
    accuracies = counts.correct[present] / counts.support[present]
    cobias = float(Objective(0, 1, 0)(*counts))
    share = counts.correct.sum() / counts.support.sum()
    met = Constrained(cobias, float(share), float(accuracies.min()))
    assert met.violation(counts.correct, counts.support) == 0
    assert met(*counts) == pytest.approx(met.inner(*counts))
    assert met.unmet(counts.correct, counts.support) == []
    if cobias > 1e-6:
        assert Constrained(max_cobias=cobias - 1e-6)(*counts) > INFEASIBLE
    if share < 0.999:
        above = Constrained(min_accuracy=float(share) + 1e-6)
        assert above(*counts) == pytest.approx(INFEASIBLE + 1 / counts.support.sum(), abs=1e-11)


def test_by_hand():
    # Recalls 1, .5 and 0 of 2 samples each: half are right; gaps .5, 1 and .5, mean 2/3.
    counts = Counts(np.array([2, 1, 0]), np.array([3, 3, 0]), np.array([2, 2, 2]))
    assert Constrained(max_cobias=0.7)(*counts) == pytest.approx(0.5, abs=1e-5)
    assert Constrained(max_cobias=0.5)(*counts) == pytest.approx(1000 + 2 / 3 - 0.5)
    assert Constrained(min_accuracy=0.5)(*counts) == pytest.approx(2 / 3, abs=1e-5)
    assert Constrained(min_accuracy=0.51)(*counts) == pytest.approx(1000 + 1 / 6)
    assert Constrained(min_class_accuracy=0.75)(*counts) == pytest.approx(1000 + 0.25 + 0.75)
    together = Constrained(0.5, 0.51, 0.75)
    assert together(*counts) == pytest.approx(1000 + (2 / 3 - 0.5) + 1 / 6 + 1.0)
    assert together.unmet(counts.correct, counts.support) == [
        "COBias at most 50 points (66.7 is reached)",
        "accuracy at least 51 % (50 is reached)",
        "every class accuracy at least 75 % (0 is reached)",
    ]


def test_what_is_reached_is_told_apart_from_the_bound():
    just = Constrained(min_accuracy=0.50001)
    assert just.unmet([1, 0], [1, 1]) == ["accuracy at least 50.001 % (50 is reached)"]
    third = Constrained(max_cobias=0.3333)
    assert third.unmet([3, 2], [3, 3]) == ["COBias at most 33.33 points (33.333 is reached)"]


def test_what_the_bounds_leave_open_is_minimised():
    assert Constrained(max_cobias=0.1).inner.error > Constrained(max_cobias=0.1).inner.cobias
    assert Constrained(min_class_accuracy=0.1, min_accuracy=0.5).inner.error == 1
    assert Constrained(min_accuracy=0.5).inner.cobias > Constrained(min_accuracy=0.5).inner.error
    own = Objective(3.0)
    assert Constrained(min_accuracy=0.5, objective=own).inner is own


def test_uncorrected_becomes_the_accuracy_of_the_uncorrected_model():
    goal = Constrained(max_cobias=0.2, min_accuracy="uncorrected", objective=Objective())
    resolved = goal.resolve(Counts(np.array([3, 2]), np.array([5, 3]), np.array([4, 4])))
    assert resolved.min_accuracy == 5 / 8
    assert (resolved.max_cobias, resolved.objective) == (goal.max_cobias, goal.objective)
    assert goal.min_accuracy == "uncorrected"
    assert resolved.least_correct(8) == 5
    with refused(ParameterError, parameter="min_accuracy", received="uncorrected"):
        goal([3, 2], [5, 3], [4, 4])


@pytest.mark.parametrize("n_samples", [3, 7, 49, 1000, 99_991, 10_000_019])
def test_every_accuracy_needs_just_the_samples_it_came_from(n_samples):
    for n_correct in {0, 1, n_samples // 3, n_samples // 2, n_samples - 1, n_samples}:
        assert Constrained(min_accuracy=n_correct / n_samples).least_correct(n_samples) == n_correct


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({}, {"mentions": "max_cobias"}),
        ({"objective": Objective()}, {"mentions": "max_cobias"}),
        ({"max_cobias": 10}, {"parameter": "max_cobias", "received": 10}),
        ({"max_cobias": "uncorrected"}, {"parameter": "max_cobias", "received": "uncorrected"}),
        ({"max_cobias": True}, {"parameter": "max_cobias", "received": True}),
        ({"min_accuracy": -0.1}, {"parameter": "min_accuracy", "mentions": "'uncorrected'"}),
        ({"min_accuracy": "as before"}, {"parameter": "min_accuracy", "received": "as before"}),
        ({"min_class_accuracy": float("nan")}, {"parameter": "min_class_accuracy", "received": float}),
        ({"min_class_accuracy": [0.5]}, {"parameter": "min_class_accuracy", "received": [0.5]}),
        ({"max_cobias": 0.1, "objective": "error"}, {"parameter": "objective", "received": "error"}),
        ({"max_cobias": 0.1, "objective": Constrained(0.1)}, {"parameter": "objective"}),
        ({"max_cobias": 0.1, "objective": Objective(-1)}, {"parameter": "error", "received": -1}),
    ],
)
def test_parameters_that_are_not_allowed(parameters, fields):
    with refused(ParameterError, **fields):
        Constrained(**parameters).validate()


@given(counts=counted(), pmi=st.sampled_from([0, 1, 30]), smoothing=st.sampled_from([1e-9, 1.0, 4000.0]))
def test_weights_that_pass_keep_z_below_what_is_out_of_bounds(counts, pmi, smoothing):
    goal = Constrained(max_cobias=1.0, objective=Objective(400, 400, pmi, smoothing))
    try:
        resolved = goal.resolve(counts)
    except ParameterError as error:
        assert error.parameter == "objective"
        smaller = clone(goal)
        factor = int(re.search(r"(\d+)$", error.fix)[1])
        smaller.set_params(
            **{f"objective__{w}": getattr(goal.objective, w) / factor for w in ("error", "cobias", "pmi")}
        )
        assert smaller.resolve(counts)(*counts) < INFEASIBLE
        return
    assert resolved(*counts) < INFEASIBLE


def test_weights_too_large_are_refused():
    counts = Counts(np.array([1, 1]), np.array([2, 2]), np.array([2, 2]))
    with refused(ParameterError, parameter="objective", mentions=(1200, 1000, 3)):
        Constrained(0.1, objective=Objective(600, 600, 0)).resolve(counts)


def test_only_bounds_make_a_value_infeasible():
    assert Objective(error=5000).is_feasible(2000.0)
    assert not Constrained(0.1).is_feasible(1000.001)


def test_its_parameters_are_for_clones_and_grids():
    goal = Constrained(max_cobias=0.1, objective=Objective(pmi=0))
    copied = clone(EnsembleDebiaser(objective=goal))
    assert copied.objective.get_params(deep=False).keys() == goal.get_params(deep=False).keys()
    copied.set_params(objective__max_cobias=0.2, objective__objective__error=3)
    assert (copied.objective.max_cobias, copied.objective.objective.error) == (0.2, 3)
    assert (goal.max_cobias, goal.objective.error) == (0.1, 1.0)


# Through the estimators.


@pytest.fixture(scope="module")
def rows():
    """Rows on which the last class is named too often, and evenness costs accuracy."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, 120, p=[0.6, 0.3, 0.1])
    y[:3] = [0, 1, 2]
    logits = rng.normal(size=(120, 3)) + 1.2 * np.eye(3)[y] + [0, 0.5, 1]
    X = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(X, columns=NAMES), np.array(NAMES)[y]


def reached(debiaser, X, y):
    predicted = debiaser.predict(X)
    accuracies = [(predicted[y == name] == name).mean() for name in NAMES]
    gaps = [abs(a - b) for a, b in itertools.combinations(accuracies, 2)]
    return (predicted == y).mean(), sum(gaps) / 3, min(accuracies)


@pytest.mark.parametrize("kind", [WeightDebiaser, FuzzyDebiaser, EnsembleDebiaser])
def test_predictions_keep_the_bounds(kind, rows):
    X, y = rows
    plain = reached(kind(n_starts=2, objective=Objective(1, 0, 0)).fit(X, y), X, y)
    even = kind(n_starts=2, objective=Constrained(max_cobias=0.08)).fit(X, y)
    accuracy, cobias, _ = reached(even, X, y)
    assert even.feasible_
    assert cobias <= 0.08 < plain[1]
    assert accuracy < plain[0]
    before = (X.to_numpy().argmax(axis=1) == [NAMES.index(name) for name in y]).mean()
    right = kind(n_starts=2, objective=Constrained(min_accuracy="uncorrected")).fit(X, y)
    accuracy, cobias, _ = reached(right, X, y)
    assert right.objective_.min_accuracy == pytest.approx(before)
    assert accuracy >= before
    floor = kind(n_starts=2, objective=Constrained(min_class_accuracy=0.5)).fit(X, y)
    assert reached(floor, X, y)[2] >= 0.5


def test_out_of_bounds_is_said_everywhere_and_no_placeholder_is_shown(rows, tmp_path):
    X, y = rows
    debiaser = EnsembleDebiaser(n_starts=2, objective=Constrained(0.05, 0.99))
    with pytest.warns(UserWarning, match="no choice of corrections satisfies all bounds") as caught:
        debiaser.fit(X, y)
    assert not debiaser.feasible_
    assert debiaser.improved_
    assert debiaser.objective_value_ < debiaser.baseline_objective_value_
    accuracy, cobias, worst = (100 * value for value in reached(debiaser, X, y))
    (message,) = (str(warning.message) for warning in caught)
    assert "accuracy at least 99 %" in message
    assert f"closest has accuracy {accuracy:.1f} %, COBias {cobias:.1f} points" in message
    assert f"worst class accuracy {worst:.1f} %" in message
    assert (
        "OUT OF BOUNDS: accuracy at least 99 %" in debiaser.summary()
        or "OUT OF BOUNDS: COBias" in debiaser.summary()
    )
    assert "1000" not in message + debiaser.summary()
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    assert not again.feasible_
    assert again.summary() == debiaser.summary()
    assert json.loads((tmp_path / "c.json").read_text())["feasible"] is False


def test_nothing_closer_than_the_uncorrected_model():
    X = np.array([[0.6, 0.4], [0.6, 0.4], [0.61, 0.39]])
    debiaser = WeightDebiaser(objective=Constrained(min_accuracy=0.8))
    with pytest.warns(UserWarning, match=r"accuracy at least 80 % \(66.7 is reached\)"):
        debiaser.fit(X, [1, 0, 0])
    assert not debiaser.improved_
    assert "none comes closer to the bounds than the uncorrected model (accuracy 66.7 %" in debiaser.summary()


def test_the_uncorrected_model_within_bounds_is_an_answer_like_any_other():
    X = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]])
    debiaser = EnsembleDebiaser(objective=Constrained(max_cobias=0.1)).fit(X, [0, 0, 1, 1])
    assert debiaser.feasible_
    assert not debiaser.improved_
    assert "none within the bounds beats the uncorrected model (accuracy 100.0 %" in debiaser.summary()
    assert "It keeps COBias at most 10 points." in debiaser.summary()


def test_summaries_say_whether_the_uncorrected_model_kept_the_bounds(rows):
    X, y = rows
    tight = EnsembleDebiaser(n_starts=2, objective=Constrained(max_cobias=0.08)).fit(X, y)
    assert "keeps COBias at most 8 points; the uncorrected model does not." in tight.summary()
    loose = EnsembleDebiaser(n_starts=2, objective=Constrained(max_cobias=0.9)).fit(X, y)
    assert "keeps COBias at most 90 points; the uncorrected model does too." in loose.summary()


def test_a_class_without_rows_has_no_bound(rows):
    X, y = rows
    some = y != "rain"
    with pytest.warns(UserWarning, match="no labelled row of rain"):
        debiaser = WeightDebiaser(n_starts=2, objective=Constrained(min_class_accuracy=0.5)).fit(
            X[some], y[some]
        )
    assert debiaser.feasible_
    assert "every class accuracy at least 50 %" in debiaser.summary()


@pytest.mark.parametrize(
    "goal",
    [
        Constrained(max_cobias=0.1),
        Constrained(min_accuracy="uncorrected"),
        Constrained(0.2, 0.5, 0.3, Objective(1.0, 2.0, 0.5, 100.0)),
    ],
)
def test_saved_and_read_it_is_the_same_again(goal, rows, tmp_path):
    X, y = rows
    debiaser = EnsembleDebiaser(n_starts=2, objective=goal).fit(X, y)
    debiaser.save(tmp_path / "c.json")
    again = load(tmp_path / "c.json")
    assert again.feasible_ is True
    assert again.summary() == debiaser.summary()
    assert again.objective_.inner.get_params() == debiaser.objective_.inner.get_params()
    for name in ("max_cobias", "min_accuracy", "min_class_accuracy"):
        assert getattr(again.objective_, name) == getattr(debiaser.objective_, name)
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "c.json").read_text()
    assert again.fit(X, y).choice_.tolist() == debiaser.choice_.tolist()


def test_files_from_before_there_were_bounds_are_read(rows, tmp_path):
    X, y = rows
    debiaser = WeightDebiaser(n_starts=1).fit(X, y)
    debiaser.save(tmp_path / "new.json")
    document = json.loads((tmp_path / "new.json").read_text())
    assert document.pop("feasible") is True
    document["schema_version"] = 1
    del document["checksum"]
    (tmp_path / "old.json").write_text(json.dumps(document))
    again = load(tmp_path / "old.json")
    assert again.feasible_
    np.testing.assert_array_equal(again.predict(X), debiaser.predict(X))


@pytest.mark.parametrize(
    ("objective", "fields"),
    [
        ({"max_cobias": 7, "objective": {"error": 1}}, {"parameter": "max_cobias", "received": 7.0}),
        ({"objective": {"error": 1}}, {"fix": str, "mentions": "max_cobias"}),
        ({"min_accuracy": "uncorrected", "objective": {"error": 1}}, {"mentions": "'uncorrected'"}),
        ({"max_cobias": 0.1, "objective": {"objective": {}}}, {"mentions": "'dict'"}),
        ({"max_cobias": 0.1, "objective": 3}, {"mentions": "'int'"}),
        ({"max_cobias": 0.1, "objective": {"pmi": -1}}, {"parameter": "pmi", "received": -1.0}),
        ({"most": 0.1, "objective": {}}, {"mentions": "'most'"}),
    ],
)
def test_bounds_in_a_file_that_are_not_as_they_should_be(objective, fields, rows, tmp_path):
    WeightDebiaser(n_starts=1).fit(*rows).save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    document |= {"objective": objective, "checksum": None}
    (tmp_path / "c.json").write_text(json.dumps(document))
    with refused(CorrectionFileError, file=str(tmp_path / "c.json"), **fields):
        load(tmp_path / "c.json")


@pytest.mark.parametrize("bound", [0.05, 0.3])
def test_bounds_can_be_searched_over(bound, rows):
    X, y = rows
    grid = {"objective__max_cobias": [bound, 0.9]}
    debiaser = WeightDebiaser(n_starts=1, objective=Constrained(max_cobias=0.5))
    search = GridSearchCV(debiaser, grid, cv=2, scoring="accuracy").fit(X, y)
    assert search.best_params_["objective__max_cobias"] in (bound, 0.9)
    assert debiaser.objective.max_cobias == 0.5
    assert search.best_estimator_.objective_.max_cobias == search.best_params_["objective__max_cobias"]


def test_something_else_is_no_objective(rows):
    with refused(ParameterError, mentions="even"):
        WeightDebiaser(objective="even").fit(*rows)


def test_a_margin_is_a_number():
    with refused(ParameterError, parameter="margin", received=None):
        Constrained(no_class_worse_than="uncorrected", margin=None).validate()


@pytest.mark.parametrize("seed", range(100))
def test_batch_calibration_is_the_same_in_any_order_of_the_rows(seed):
    rng = np.random.default_rng(seed)
    P, y = rng.multinomial(10, np.full(4, 0.25), 19) / 10, rng.integers(0, 4, 19)
    order = rng.permutation(19)
    found = batch_counts(y, P)
    assert [one.tolist() for one in batch_counts(y[order], P[order])[:3]] == [
        one.tolist() for one in found[:3]
    ]
    twice = batch_counts(np.tile(y, 2), np.tile(P, (2, 1)))
    assert twice.predicted.tolist() == (2 * found.predicted).tolist()
