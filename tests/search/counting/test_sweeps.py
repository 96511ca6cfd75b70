"""Compiled sweeps, on pairwise wins and on ranks, against one evaluation at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numba.core.caching import CacheImpl

from debias.compilation import compiled
from debias.corrections.families import ensemble, memberships, weights
from debias.search.counting.bit_tables import build_wins, n_bytes_of_wins, n_words_of, wins_of
from debias.search.counting.sweeps import RankSweeper, WinSweeper, sweepers
from debias.search.objective import Objective
from debias.search.problem import build_problem
from tests.support.small_problems import random_rows


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    n_classes=st.sampled_from([2, 3, 4, 7]),
    pmi=st.sampled_from([0.0, 0.2]),
    steps=st.sampled_from([4, 1000]),
    n_samples=st.sampled_from([10, 40, 300]),
    on_wins=st.booleans(),
)
def test_single_and_pair_sweeps(seed, n_classes, pmi, steps, n_samples, on_wins):
    probabilities, y = random_rows(seed, n_samples=n_samples, n_classes=n_classes, steps=steps)
    problem = build_problem(probabilities, y, memberships() | weights(20), Objective(1.0, 2.7, pmi))
    sweeper = WinSweeper(problem, wins_of(problem)) if on_wins else RankSweeper(problem)
    rng = np.random.default_rng(seed)
    choice = rng.integers(0, problem.n_corrections, n_classes)
    i, j = rng.choice(n_classes, 2, replace=False)
    single, pair = sweeper.values(choice, j), sweeper.values(choice, i, j)
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


def on_ranks(problem):
    return RankSweeper(problem)


def on_wins(problem):
    return WinSweeper(problem, wins_of(problem))


@pytest.mark.parametrize("sweeper", [on_ranks, on_wins])
@pytest.mark.parametrize("n_classes", [2, 6])
def test_tallies_do_not_overflow(n_classes, sweeper):
    """More samples of a class than a narrow counter holds (255), all won by the same class."""
    n_samples = 1500
    probabilities = np.full((n_samples, n_classes), 0.1 / (n_classes - 1))
    probabilities[:, 0] = 0.9
    y = np.arange(n_samples) % n_classes
    problem = build_problem(probabilities, y, ensemble(30), Objective())
    values = sweeper(problem).values(problem.identity_choice, 0, 1)
    for s, r in [(0, 0), (17, 17), (47, 3), (3, 47)]:
        choice = problem.identity_choice.copy()
        choice[[0, 1]] = s, r
        assert values[s, r] == pytest.approx(problem.evaluate(choice), abs=1e-12)


@pytest.mark.parametrize("sweeper", [on_ranks, on_wins])
def test_more_samples_than_a_wide_counter_holds(sweeper):
    """More than 65,535 samples of one label."""
    n_samples = 140_000
    probabilities = np.tile([[0.7, 0.2, 0.1]], (n_samples, 1))
    y = (np.arange(n_samples) >= 70_000).astype(np.int64)
    problem = build_problem(probabilities, y, weights(200), Objective())
    assert problem.ranks.dtype == np.uint16
    choice = problem.identity_choice
    values = sweeper(problem).values(choice, 0)
    for r in (0, 20, 57, 58, 199):
        changed = choice.copy()
        changed[0] = r
        assert values[r] == pytest.approx(problem.evaluate(changed), abs=1e-12)


@pytest.mark.parametrize("sweeper", [on_ranks, on_wins])
def test_a_class_without_samples(sweeper):
    probabilities, y = random_rows(11, n_samples=40, n_classes=4, steps=50)
    y = np.where(y == 2, 0, y)
    problem = build_problem(probabilities, y, weights(10), Objective())
    values = sweeper(problem).values(problem.identity_choice, 2)
    for r in range(10):
        choice = problem.identity_choice.copy()
        choice[2] = r
        assert values[r] == pytest.approx(problem.evaluate(choice), abs=1e-12)


def test_wins_that_would_not_fit_are_not_built():
    probabilities, y = random_rows(1, n_samples=40, n_classes=4)
    problem = build_problem(probabilities, y, weights(10), Objective())
    needed = n_bytes_of_wins(problem)
    assert needed == build_wins(problem).bits.nbytes
    assert isinstance(sweepers(problem, largest=needed)(), WinSweeper)
    assert isinstance(sweepers(problem, largest=needed - 1)(), RankSweeper)


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 10_000),
    n_classes=st.sampled_from([11, 40]),
    n_samples=st.sampled_from([45, 700]),
    n_steps=st.sampled_from([2, 9]),
)
def test_wins_and_ranks_are_equal_to_the_last_bit_and_ranks_are_taken_where_rows_are_few(
    seed, n_classes, n_samples, n_steps
):
    """So which of the two is faster never changes a result."""
    probabilities, y = random_rows(seed, n_samples=n_samples, n_classes=n_classes)
    problem = build_problem(probabilities, y, weights(n_steps), Objective(1.0, 2.7, 0.2))
    on_wins, on_ranks = WinSweeper(problem, wins_of(problem)), RankSweeper(problem)
    rng = np.random.default_rng(seed)
    choice = rng.integers(0, problem.n_corrections, n_classes)
    i, j = rng.choice(n_classes, 2, replace=False)
    for classes in [(j,), (i, j)]:
        np.testing.assert_array_equal(on_wins.values(choice, *classes), on_ranks.values(choice, *classes))
    few = n_classes * n_words_of(problem) > n_samples
    assert few == (n_classes == 40 or n_samples == 45)
    assert isinstance(sweepers(problem)(), RankSweeper if few else WinSweeper)


def test_without_a_place_for_compiled_code_it_is_compiled_all_the_same(monkeypatch):
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError):
        njit(cache=True)(lambda x: x + 1)
    assert compiled(lambda x: x + 1)(1) == 2
