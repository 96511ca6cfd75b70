"""The published schedule: its temperatures, its number of evaluations, its rule of acceptance."""

import math

import numpy as np
import pytest

from debias.corrections.families import ensemble, memberships
from debias.search.descent.annealing import SCHEDULES, Schedule, anneal
from debias.search.descent.coordinate_descent import descend
from debias.search.objective import Objective
from debias.search.problem import build_problem
from tests.support.published_tables import published
from tests.support.small_problems import random_rows


def test_135_temperatures_from_2e5_down_to_200():
    temperatures = list(Schedule(3, 6).temperatures())
    assert len(temperatures) == 135
    assert temperatures[0] == 2e5
    assert temperatures[-1] >= 200 > temperatures[-1] * 0.95
    np.testing.assert_allclose(np.diff(np.log(temperatures)), math.log(0.95))


@pytest.mark.parametrize(
    ("name", "fewest", "most"), [("annealing-3/6", 405, 810), ("annealing-150/300", 20250, 40500)]
)
def test_evaluations_of_the_published_schedules(name, fewest, most):
    probabilities, y = random_rows(0, n_samples=30)
    problem = build_problem(probabilities, y, memberships(), Objective())
    result = anneal(problem, SCHEDULES[name])
    assert fewest <= result.n_evaluations - 1 <= most


def test_all_is_accepted_while_hot_and_the_worse_is_refused_when_the_gap_is_huge():
    probabilities, y = random_rows(1, n_samples=30)
    problem = build_problem(probabilities, y, memberships(), Objective())
    calls = []

    def evaluate(choice):
        calls.append(tuple(choice))
        return 0.0

    anneal(problem, SCHEDULES["annealing-3/6"], evaluate=evaluate)
    assert len(calls) == 1 + 3 * 135  # equal objectives are accepted: three proposals a temperature
    calls.clear()

    def ever_worse(choice):
        calls.append(tuple(choice))
        return float(len(calls)) * 1e9

    anneal(problem, SCHEDULES["annealing-3/6"], evaluate=ever_worse)
    assert len(calls) == 1 + 6 * 135  # never accepted: six tries a temperature
    start = np.array(calls[0])
    assert all((np.array(call) != start).sum() <= 1 for call in calls)  # so each is one step from the start


def test_its_objective_is_that_of_its_choice_and_the_seed_decides():
    probabilities, _ = random_rows(2, n_samples=3000, n_classes=4, steps=100)
    y = np.argmax(probabilities * [1.0, 1.5, 2.0, 3.0], axis=1)
    problem = build_problem(probabilities, y, ensemble(30), Objective())
    first, again, other = (anneal(problem, random_state=seed) for seed in (1, 1, 2))
    assert first.best == again.best
    assert first.best.choice != other.best.choice
    assert problem.evaluate(first.best.choice) == first.best.objective


def test_descent_is_never_worse_on_real_tables():
    for task in ("trec", "agnews", "pubmedqa"):
        probabilities, y = published(task, "opt")
        problem = build_problem(probabilities, y, ensemble(30), Objective())
        assert descend(problem).best.objective < anneal(problem).best.objective
