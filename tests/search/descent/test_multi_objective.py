"""One search for many objectives against every choice enumerated, and against a search for each alone."""

import itertools
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.families import memberships, weights
from debias.errors import ParameterError
from debias.search.constraints import Constrained
from debias.search.counting import bit_tables
from debias.search.counting.bit_tables import build_wins
from debias.search.counting.sweeps import RankSweeper, WinSweeper, sweepers
from debias.search.descent import multi_objective
from debias.search.descent.coordinate_descent import descend
from debias.search.descent.multi_objective import factors_of, search_together, unit_objectives
from debias.search.objective import Objective
from debias.search.problem import build_problem
from tests.support.published_tables import published
from tests.support.small_problems import SMALL_FAMILY, enumerate_best, random_rows

GRID = [
    Objective(error, cobias, pmi, smoothing)
    for error, cobias, pmi, smoothing in [
        (1.0, 1.0, 0.0, 4000.0),
        (1.0, 0.5, 0.0, 4000.0),
        (0.0, 1.0, 0.0, 4000.0),
        (1.0, 0.0, 0.0, 4000.0),
        (1.0, 1.0, 0.2, 4000.0),
        (0.5, 2.7, 5.0, 4000.0),
        (0.0, 0.0, 1.0, 30.0),
        (0.5, 2.7, 1.0, 30.0),
    ]
]


def small_problem(seed, steps, n_classes):
    family = SMALL_FAMILY if n_classes < 4 else weights(3) | memberships()[3:5]
    probabilities, y = random_rows(seed, steps=steps, n_classes=n_classes)
    return build_problem(probabilities, y, family, Objective())


def as_tuple(candidate):
    return candidate.objective, candidate.n_changed, candidate.change


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), steps=st.sampled_from([4, 8, 100]), n_classes=st.integers(2, 4))
def test_every_objective_gets_its_enumerated_optimum(seed, steps, n_classes):
    problem = small_problem(seed, steps, n_classes)
    found = search_together(problem, GRID)
    assert found.radius == n_classes
    assert found.n_evaluations == problem.n_corrections**n_classes
    for objective, best in zip(GRID, found.best, strict=True):
        alone = enumerate_best(replace(problem, objective=objective))
        np.testing.assert_allclose(as_tuple(best), as_tuple(alone), atol=1e-11)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), steps=st.sampled_from([8, 100]), n_classes=st.integers(3, 4))
def test_descents_together_end_where_no_two_classes_improve(seed, steps, n_classes):
    problem = small_problem(seed, steps, n_classes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multi_objective, "MOST_CHOICES", 0)
        found = search_together(problem, GRID, n_starts=8)
    assert found.radius == 2
    for objective, best in zip(GRID, found.best, strict=True):
        of_its_own = replace(problem, objective=objective)
        assert best.objective == pytest.approx(of_its_own.evaluate(best.choice), abs=1e-12)
        if n_classes == 3:
            assert best.objective <= descend(of_its_own, n_starts=8).best.objective + 1e-12
        for i, j in itertools.combinations(range(n_classes), 2):
            for moved in itertools.product(range(problem.n_corrections), repeat=2):
                choice = np.array(best.choice)
                choice[[i, j]] = moved
                assert not of_its_own.candidate(choice).beats(best)


def test_with_four_classes_together_is_better_than_alone_far_more_often_than_worse(monkeypatch):
    monkeypatch.setattr(multi_objective, "MOST_CHOICES", 0)
    gaps = []
    for seed in range(12):
        problem = small_problem(seed, 100, 4)
        together = search_together(problem, GRID, n_starts=8).best
        alone = [descend(replace(problem, objective=one), n_starts=8).best for one in GRID]
        gaps += [a.objective - b.objective for a, b in zip(together, alone, strict=True)]
    worse, better = (np.array(gaps) > 1e-12).sum(), (np.array(gaps) < -1e-12).sum()
    assert worse <= 0.05 * len(gaps) < better


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 5), n_samples=st.sampled_from([10, 300]))
def test_terms_weighed_are_the_objective(seed, n_classes, n_samples):
    probabilities, y = random_rows(seed, n_samples=n_samples, n_classes=n_classes, steps=50)
    problem = build_problem(probabilities, y, weights(5) | memberships()[3:5], Objective())
    rng = np.random.default_rng(seed)
    choice = rng.integers(0, problem.n_corrections, n_classes)
    i, j = np.sort(rng.choice(n_classes, 2, replace=False))
    units = unit_objectives(GRID)
    for sweeper in (WinSweeper(problem, build_wins(problem), units), RankSweeper(problem, units)):
        pair = np.tensordot(factors_of(GRID).T, sweeper.all_values(choice, i, j), 1)
        single = np.tensordot(factors_of(GRID).T, sweeper.all_values(choice, j), 1)
        np.testing.assert_allclose(pair[:, choice[i]], single, atol=1e-12)
        for s, r in itertools.product(range(problem.n_corrections), repeat=2):
            moved = choice.copy()
            moved[[i, j]] = s, r
            for z, objective in zip(pair[:, s, r], GRID, strict=True):
                assert z == pytest.approx(objective(*problem.counts(moved)), abs=1e-11)


def test_what_is_too_large_for_wins_goes_by_ranks_to_the_same_answer(monkeypatch):
    problem = small_problem(3, 100, 4)
    by_wins = search_together(problem, GRID)
    monkeypatch.setattr(bit_tables, "LARGEST_WINS", 0)
    assert isinstance(sweepers(problem, unit_objectives(GRID))(), RankSweeper)
    by_ranks = search_together(problem, GRID)
    assert [best.choice for best in by_ranks.best] == [best.choice for best in by_wins.best]


def test_many_classes_move_one_at_a_time(monkeypatch):
    problem = small_problem(3, 100, 4)
    monkeypatch.setattr(multi_objective, "MOST_CHOICES", 0)
    monkeypatch.setattr(multi_objective, "MOST_TRIPLES", 0)
    assert search_together(problem, GRID, n_starts=2).radius == 1


def test_a_search_that_is_stopped_proves_nothing():
    stop = threading.Event()
    stop.set()
    found = search_together(small_problem(3, 100, 4), GRID, stop=stop)
    assert found.radius == 0
    assert all(best.n_changed == 0 for best in found.best)


@pytest.mark.parametrize("wrong", [[], [Constrained(max_cobias=0.1)], [Objective(error=-1.0)]])
def test_objectives_that_are_not_allowed(wrong):
    with pytest.raises(ParameterError):
        search_together(small_problem(3, 4, 3), wrong)


def test_a_real_table_takes_fewer_evaluations_together_for_answers_as_good():
    grid = [
        Objective(1.0, cobias, pmi) for cobias in (0.5, 1.0, 2.7, 3.0, 10.0) for pmi in (0.0, 0.2, 1.0, 5.0)
    ]
    problem = build_problem(*published("trec", "opt"), weights(12) | memberships()[:9], Objective())
    together = search_together(problem, grid, n_starts=8)
    alone = [descend(replace(problem, objective=objective), n_starts=4, n_threads=2) for objective in grid]
    gaps = [a.objective - b.best.objective for a, b in zip(together.best, alone, strict=True)]
    assert max(gaps) < 1e-9
    assert together.n_evaluations * 2 < sum(result.n_evaluations for result in alone)
