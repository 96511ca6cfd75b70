"""Compiled sweeps against one evaluation at a time, for narrow and wide ranks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.families import ensemble, memberships, weights
from debias.objective import Objective
from debias.search.problem import build_problem
from debias.search.sweeps import Sweeper
from tests.search.test_problem import random_rows


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    n_classes=st.sampled_from([2, 3, 4, 7]),
    pmi=st.sampled_from([0.0, 0.2]),
    steps=st.sampled_from([4, 1000]),
)
def test_single_and_pair_sweeps(seed, n_classes, pmi, steps):
    probabilities, y = random_rows(seed, n_samples=40, n_classes=n_classes, steps=steps)
    problem = build_problem(probabilities, y, memberships() | weights(20), Objective(1.0, 2.7, pmi))
    sweeper = Sweeper(problem)
    rng = np.random.default_rng(seed)
    choice = rng.integers(0, problem.n_corrections, n_classes)
    i, j = rng.choice(n_classes, 2, replace=False)
    single, pair = sweeper.single(choice, j), sweeper.pair(choice, i, j)
    np.testing.assert_allclose(pair[choice[i]], single, atol=1e-14)
    for r in range(problem.n_corrections):
        changed = choice.copy()
        changed[j] = r
        assert single[r] == pytest.approx(problem.evaluate(changed), abs=1e-12)
    for s, r in rng.integers(0, problem.n_corrections, (20, 2)):
        changed = choice.copy()
        changed[[i, j]] = s, r
        assert pair[s, r] == pytest.approx(problem.evaluate(changed), abs=1e-12)
    assert sweeper.n_evaluations == single.size + pair.size


@pytest.mark.parametrize("n_classes", [2, 6])
def test_tallies_do_not_overflow(n_classes):
    """More samples of a class than a narrow counter holds (255), all won by the same class."""
    n_samples = 1500
    probabilities = np.full((n_samples, n_classes), 0.1 / (n_classes - 1))
    probabilities[:, 0] = 0.9
    y = np.arange(n_samples) % n_classes
    problem = build_problem(probabilities, y, ensemble(30), Objective())
    values = Sweeper(problem).pair(problem.identity_choice, 0, 1)
    for s, r in [(0, 0), (17, 17), (47, 3), (3, 47)]:
        choice = problem.identity_choice.copy()
        choice[[0, 1]] = s, r
        assert values[s, r] == pytest.approx(problem.evaluate(choice), abs=1e-12)


def test_more_samples_than_a_wide_counter_holds():
    """More than 65,535 samples of one label."""
    n_samples = 140_000
    probabilities = np.tile([[0.7, 0.2, 0.1]], (n_samples, 1))
    y = (np.arange(n_samples) >= 70_000).astype(np.int64)
    problem = build_problem(probabilities, y, weights(200), Objective())
    assert problem.ranks.dtype == np.uint16
    choice = problem.identity_choice
    values = Sweeper(problem).single(choice, 0)
    for r in (0, 20, 57, 58, 199):
        changed = choice.copy()
        changed[0] = r
        assert values[r] == pytest.approx(problem.evaluate(changed), abs=1e-12)


def test_a_class_without_samples():
    probabilities, y = random_rows(11, n_samples=40, n_classes=4, steps=50)
    y = np.where(y == 2, 0, y)
    problem = build_problem(probabilities, y, weights(10), Objective())
    values = Sweeper(problem).single(problem.identity_choice, 2)
    for r in range(10):
        choice = problem.identity_choice.copy()
        choice[2] = r
        assert values[r] == pytest.approx(problem.evaluate(choice), abs=1e-12)
