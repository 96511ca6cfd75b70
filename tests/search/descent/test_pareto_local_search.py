"""Tracing against the complete frontier of an enumeration."""

import numpy as np

from debias.corrections.families import ensemble, memberships, weights
from debias.search.descent.pareto_local_search import pareto_local_search
from debias.search.objective import Objective
from debias.search.pareto import empty_fronts
from debias.search.problem import build_problem
from debias.search.proof.exact_search import ExactSearch
from debias.search.search_settings import SearchSettings
from debias.search.solve import solve
from tests.support.published_tables import published
from tests.support.small_problems import random_rows


def least_from_the_right(cobias):
    return np.minimum.accumulate(cobias[::-1])[::-1]


def test_two_classes_are_traced_completely():
    for seed in range(5):
        probabilities, y = random_rows(seed, n_samples=60, n_classes=2, steps=100)
        problem = build_problem(probabilities, y, ensemble(30), Objective())
        traced = pareto_local_search(problem, empty_fronts(problem))
        whole = ExactSearch(problem).run(prune=False).pareto
        assert traced.complete
        np.testing.assert_array_equal(traced.fronts.not_dominated(), whole.not_dominated())
        rows = whole.not_dominated()
        np.testing.assert_allclose(traced.fronts.cobias[rows], whole.cobias[rows], atol=1e-12)


def test_what_is_traced_exists_and_is_never_beyond_the_frontier():
    probabilities, y = random_rows(3, n_samples=120, n_classes=4, steps=1000)
    problem = build_problem(probabilities, y, weights(8) | memberships()[:5], Objective())
    traced = pareto_local_search(problem, empty_fronts(problem))
    whole = least_from_the_right(ExactSearch(problem).run(prune=False).pareto.cobias)
    rows = traced.fronts.not_dominated()
    assert (traced.fronts.cobias[rows] >= whole[rows] - 1e-12).all()
    for right in rows:
        counts = problem.counts(traced.fronts.choice[right])
        assert counts.correct.sum() == right
        assert np.isclose(Objective(0, 1, 0)(*counts), traced.fronts.cobias[right], atol=1e-12)


def test_what_was_known_is_kept_and_a_small_budget_is_kept_to():
    probabilities, y = random_rows(3, n_samples=120, n_classes=4, steps=1000)
    problem = build_problem(probabilities, y, weights(8) | memberships()[:5], Objective())
    whole = ExactSearch(problem).run(prune=False).pareto
    traced = pareto_local_search(problem, whole, most_evaluations=500)
    np.testing.assert_array_equal(traced.fronts.not_dominated(), whole.not_dominated())
    little = pareto_local_search(problem, empty_fronts(problem), most_evaluations=500)
    assert not little.complete and little.n_evaluations < 500 + problem.n_corrections**2


def test_most_of_a_real_frontier_is_traced():
    problem = build_problem(*published("agnews", "opt"), ensemble(30), Objective())
    whole = ExactSearch(problem).run(prune=False, n_threads=2).pareto
    rows = whole.not_dominated()
    traced = least_from_the_right(pareto_local_search(problem, empty_fronts(problem)).fronts.cobias)
    assert (traced[rows] <= whole.cobias[rows] + 1e-12).mean() > 0.8
    assert (traced[rows] - whole.cobias[rows]).mean() < 0.001


def test_a_search_that_cannot_enumerate_traces():
    probabilities, y = random_rows(7, n_samples=300, n_classes=6, steps=1000)
    problem = build_problem(probabilities, y, ensemble(30), Objective())
    result = solve(problem, SearchSettings(n_starts=2, time_limit=0.01))
    assert not result.frontier_complete
    assert len(result.pareto.not_dominated()) > 5
