"""Searches within bounds against every choice enumerated and filtered, and the compiled value."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.families import ensemble, memberships, weights
from debias.search.constraints import INFEASIBLE, Constrained
from debias.search.counting.score import score, tabulate
from debias.search.counting.sweeps import RankSweeper, sweepers
from debias.search.descent.annealing import anneal
from debias.search.descent.coordinate_descent import descend
from debias.search.objective import Objective
from debias.search.problem import build_problem
from debias.search.search_settings import SearchSettings
from debias.search.solve import solve
from tests.support.drawn_constraints import constraints, counted
from tests.support.published_tables import published
from tests.support.small_problems import SMALL_FAMILY, literal_counts, random_rows


@settings(deadline=None)
@given(goal=constraints(), counts=counted())
def test_the_compiled_value_is_that_of_the_counts(goal, counts):
    tables = tabulate([goal], counts.support)
    stacked = np.stack([counts.correct, counts.predicted])
    value = score(stacked, tables, 0, np.zeros(len(counts.support)))
    assert value == pytest.approx(goal(*counts), abs=1e-11)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    n_classes=st.sampled_from([2, 3, 5]),
    on_wins=st.booleans(),
    goal=constraints(),
)
def test_single_and_pair_sweeps(seed, n_classes, on_wins, goal):
    probabilities, y = random_rows(seed, n_samples=40, n_classes=n_classes, steps=100)
    problem = build_problem(probabilities, y, memberships() | weights(6), goal)
    sweeper = sweepers(problem)() if on_wins else RankSweeper(problem)
    rng = np.random.default_rng(seed)
    choice = rng.integers(0, problem.n_corrections, n_classes)
    i, j = rng.choice(n_classes, 2, replace=False)
    single, pair = sweeper.values(choice, j), sweeper.values(choice, i, j)
    for s, r in rng.integers(0, problem.n_corrections, (20, 2)):
        changed = choice.copy()
        changed[j] = r
        assert single[r] == pytest.approx(problem.evaluate(changed), abs=1e-11)
        changed[i] = s
        assert pair[s, r] == pytest.approx(problem.evaluate(changed), abs=1e-11)


def reached(probabilities, y, family, choice):
    """Accuracy, COBias and least class accuracy of a choice, from the probabilities alone."""
    counts = literal_counts(probabilities, y, family, choice)
    accuracies = counts.correct / counts.support
    gaps = [abs(a - b) for a, b in itertools.combinations(accuracies, 2)]
    return counts.correct.sum() / len(y), float(np.mean(gaps)), float(accuracies.min())


def filtered_best(probabilities, y, family, goal, least_accuracy):
    """The least objective of all choices within the bounds; None where there is none."""
    best = None
    for choice in itertools.product(range(len(family)), repeat=probabilities.shape[1]):
        accuracy, cobias, worst = reached(probabilities, y, family, choice)
        kept = (
            (goal.max_cobias is None or cobias <= goal.max_cobias + 1e-12)
            and (least_accuracy is None or accuracy >= least_accuracy - 1e-9)
            and (goal.min_class_accuracy is None or worst >= goal.min_class_accuracy - 1e-12)
        )
        if kept:
            value = goal.inner(*literal_counts(probabilities, y, family, choice))
            best = value if best is None else min(best, value)
    return best


GOALS = [
    Constrained(max_cobias=0.1),
    Constrained(max_cobias=0.0),
    Constrained(min_accuracy="uncorrected"),
    Constrained(min_accuracy=0.6),
    Constrained(min_class_accuracy=0.4),
    Constrained(max_cobias=0.2, min_accuracy="uncorrected"),
    Constrained(max_cobias=0.2, min_class_accuracy=0.3, objective=Objective()),
    Constrained(0.25, 0.4, 0.3, Objective(2.0, 0.5, 1.0, 10.0)),
]


@pytest.mark.parametrize("goal", GOALS, ids=Constrained.describe)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_descent_finds_the_best_of_the_choices_within_bounds(goal, n_classes):
    """Feasible or not: where no choice is within bounds, the closest of all is the answer."""
    found_feasible = found_infeasible = 0
    for seed in range(8):
        probabilities, y = random_rows(seed, n_samples=25, n_classes=n_classes, steps=12)
        if seed % 2:
            # Half of the labels follow the model, so that some problems are not hopeless.
            y = np.where(np.arange(25) % 4 > 0, probabilities.argmax(axis=1), y)
            y[:n_classes] = np.arange(n_classes)
        problem = build_problem(probabilities, y, SMALL_FAMILY, goal)
        uncorrected = float((probabilities.argmax(axis=1) == y).mean())
        least = uncorrected if goal.min_accuracy == "uncorrected" else goal.min_accuracy
        expected = filtered_best(probabilities, y, SMALL_FAMILY, goal, least)
        best = descend(problem, n_starts=4).best
        if expected is not None:
            found_feasible += 1
            assert best.objective == pytest.approx(expected, abs=1e-12)
            continue
        found_infeasible += 1
        choices = itertools.product(range(len(SMALL_FAMILY)), repeat=n_classes)
        closest = min(problem.objective.violation(*_pair(problem, choice)) for choice in choices)
        assert best.objective == pytest.approx(INFEASIBLE + closest, abs=1e-11)
    assert found_feasible + found_infeasible == 8
    assert found_feasible or goal.max_cobias == 0.0


def _pair(problem, choice):
    counts = problem.counts(choice)
    return counts.correct, counts.support


def test_both_outcomes_are_met_by_the_problems_above():
    kinds = set()
    for goal, seed in itertools.product(GOALS, range(8)):
        probabilities, y = random_rows(seed, n_samples=25, steps=12)
        kinds.add(descend(build_problem(probabilities, y, SMALL_FAMILY, goal), 1).best.objective < INFEASIBLE)
    assert kinds == {True, False}


def test_a_bound_that_the_optimum_keeps_changes_nothing():
    probabilities, y = random_rows(3, n_samples=60, steps=50)
    free = build_problem(probabilities, y, weights(12), Objective())
    bound = build_problem(probabilities, y, weights(12), Constrained(max_cobias=1.0, objective=Objective()))
    assert descend(bound, 4).best == descend(free, 4).best


def test_annealing_works_within_bounds_too():
    probabilities, y = random_rows(5, n_samples=60, n_classes=2, steps=50)
    problem = build_problem(probabilities, y, weights(6), Constrained(max_cobias=0.3))
    best = anneal(problem).best
    assert best.objective == pytest.approx(problem.evaluate(best.choice), abs=1e-12)
    assert best.objective == pytest.approx(descend(problem).best.objective, abs=1e-6)


def test_uncorrected_is_the_accuracy_of_the_identity():
    probabilities, y = random_rows(2, n_samples=50, n_classes=4)
    problem = build_problem(probabilities, y, memberships(), Constrained(min_accuracy="uncorrected"))
    right = int(problem.counts(problem.identity_choice).correct.sum())
    assert problem.objective.least_correct(50) == right
    assert problem.evaluate(problem.identity_choice) < INFEASIBLE


def test_on_trec_the_classes_can_be_made_even_within_ten_points():
    probabilities, y = published("trec", "opt")
    problem = build_problem(probabilities, y, ensemble(30), Constrained(max_cobias=0.1))
    best = descend(problem, n_threads=2).best
    _, cobias, _ = reached(probabilities, y, ensemble(30), best.choice)
    assert best.objective < 0.8
    assert cobias <= 0.1


def test_on_ddi_they_cannot_and_the_closest_is_the_most_even_choice():
    probabilities, y = published("ddi", "opt")
    bounded, even = (
        descend(build_problem(probabilities, y, ensemble(30), goal), n_threads=2).best
        for goal in (Constrained(max_cobias=0.1), Objective(0, 1, 0))
    )
    assert bounded.objective == pytest.approx(INFEASIBLE + even.objective - 0.1, abs=1e-11)
    assert even.objective == pytest.approx(0.11522, abs=1e-5)


@pytest.mark.parametrize(
    "goal",
    [
        Constrained(max_cobias=0.1),
        Constrained(min_class_accuracy=0.15),
        Constrained(min_accuracy="uncorrected"),
    ],
    ids=repr,
)
def test_bounds_on_a_real_table_are_optimised_exactly(goal, monkeypatch):
    monkeypatch.setattr("debias.search.solve.LITTLE_WORK", 0.0)
    problem = build_problem(*published("agnews", "opt"), ensemble(30), goal)
    pruned = solve(problem, SearchSettings("exact", n_starts=4))
    whole = solve(problem, SearchSettings("enumerate", n_starts=4))
    assert pruned.certificate.status == whole.certificate.status == "optimal"
    assert pruned.best.objective == pytest.approx(whole.best.objective, abs=1e-12)
    assert pruned.best.objective < 1
