"""Radius certificates against every neighbour evaluated, and the search that picks what to prove."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.console.progress import Progress
from debias.corrections.families import ensemble, memberships, weights
from debias.search.certificate import Certificate
from debias.search.descent.coordinate_descent import descend
from debias.search.descent.iterated_local_search import iterated_local_search
from debias.search.objective import Objective
from debias.search.pareto import fronts_of
from debias.search.problem import build_problem
from debias.search.proof.radius import look_around, pair_bound
from debias.search.search_settings import SearchSettings
from debias.search.solve import solve
from tests.support.published_tables import published
from tests.support.small_problems import SMALL_FAMILY, enumerate_best, random_rows


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), radius=st.integers(1, 3))
def test_no_neighbour_within_the_radius_is_better(seed, radius):
    probabilities, y = random_rows(seed, n_samples=60, n_classes=4, steps=100)
    problem = build_problem(probabilities, y, SMALL_FAMILY, Objective())
    found = look_around(problem, problem.candidate(problem.identity_choice), radius, n_threads=2)
    assert found.radius == radius
    for choice in itertools.product(range(problem.n_corrections), repeat=4):
        if (np.array(choice) != found.best.choice).sum() <= radius:
            assert not problem.candidate(choice).beats(found.best)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_the_radius_of_all_classes_is_the_optimum_and_bounds_are_below_it(seed):
    probabilities, y = random_rows(seed, n_samples=40, steps=50)
    problem = build_problem(probabilities, y, SMALL_FAMILY, Objective())
    best = enumerate_best(problem)
    found = look_around(problem, problem.candidate(problem.identity_choice))
    assert found.radius == 3
    assert found.best.objective == pytest.approx(best.objective, abs=1e-12)
    assert pair_bound(problem) <= best.objective + 1e-12


def test_within_small_limits_only_what_is_quick_is_tried(monkeypatch):
    probabilities, y = random_rows(3, n_samples=200, n_classes=5, steps=1000)
    problem = build_problem(probabilities, y, ensemble(30), Objective())
    start = descend(problem, n_starts=1).best
    for limits in ({"time_limit": 1e-9}, {"most_work": 1}):
        found = look_around(problem, start, **limits)
        assert found.radius == 2
        assert f"{found.limit}" == next(iter(limits)).replace("most_", "").removesuffix("_limit")
    monkeypatch.setattr("debias.search.proof.radius.ALWAYS", 0)
    assert look_around(problem, start, time_limit=1e-9).radius == 1
    assert look_around(problem, start, most_work=1).radius == 1


@pytest.mark.parametrize("method", ["auto", "exact", "exact by boxes", "enumerate", "descent"])
def test_every_method_ends_with_a_certificate_that_holds(method, monkeypatch):
    if method == "exact by boxes":  # so few choices are all evaluated otherwise
        monkeypatch.setattr("debias.search.solve.LITTLE_WORK", 0.0)
    probabilities, y = random_rows(7, n_samples=80, n_classes=3, steps=100)
    problem = build_problem(probabilities, y, weights(6) | memberships()[:4], Objective())
    best = enumerate_best(problem)
    result = solve(problem, SearchSettings(method.removesuffix(" by boxes"), n_starts=4))
    certificate = result.certificate
    assert certificate.objective == pytest.approx(result.best.objective, abs=1e-15)
    assert certificate.lower_bound <= best.objective + 1e-12
    assert result.best.objective >= best.objective - 1e-12
    if method == "descent":
        assert certificate.status == "heuristic" and certificate.radius == 0
    else:
        assert certificate.status == "optimal"
        assert result.best.objective == pytest.approx(best.objective, abs=1e-12)
    assert result.frontier_complete == (method in ("auto", "exact", "enumerate"))


def test_out_of_time_a_proof_falls_back_to_a_radius():
    probabilities, y = random_rows(7, n_samples=300, n_classes=6, steps=1000)
    problem = build_problem(probabilities, y, ensemble(30), Objective())
    result = solve(problem, SearchSettings("exact", n_starts=2, time_limit=0.01))
    assert result.certificate.status == "radius" and 1 <= result.certificate.radius < 6
    assert result.certificate.lower_bound < result.best.objective
    assert result.certificate.limit == "time" and "time limit" in str(result.certificate)
    assert not result.frontier_complete


def test_what_takes_long_is_announced_before_it_starts():
    probabilities, y = random_rows(7, n_samples=300, n_classes=6, steps=1000)
    problem = build_problem(probabilities, y, ensemble(30), Objective())
    said = []
    solve(problem, SearchSettings("enumerate", 2, 0.01), 0, Progress(lambda *_: None, said.append))
    said = [sentence for sentence in said if "compiled" not in sentence]
    assert len(said) == 1
    assert "different choices" in said[0] and "stops after 0.01 seconds" in said[0]


def test_fourteen_classes_get_a_radius_of_two():
    rng = np.random.default_rng(0)
    y = np.arange(1400) % 14
    logits = rng.normal(size=(1400, 14)) + 2 * rng.normal(size=14)
    logits[np.arange(1400), y] += 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    problem = build_problem(probabilities, y, ensemble(30), Objective())
    result = solve(problem, SearchSettings(n_starts=4, time_limit=2.0))
    assert result.certificate.status == "radius" and result.certificate.radius >= 2
    for i, j in ((0, 1), (3, 12)):  # literally, on some of the pairs
        for r, s in itertools.product(range(0, 48, 5), repeat=2):
            choice = np.array(result.best.choice)
            choice[[i, j]] = r, s
            assert not problem.candidate(choice).beats(result.best)


def test_kicks_find_more_than_descents_of_single_classes():
    better = worse = 0
    for seed in range(6):
        probabilities, y = random_rows(seed, n_samples=240, n_classes=12, steps=1000)
        problem = build_problem(probabilities, y, weights(8) | memberships()[:6], Objective())
        single = descend(problem, 4, pair_moves=False).best
        kicked = iterated_local_search(problem, 4).best
        better += kicked.objective < single.objective - 1e-12
        worse += kicked.objective > single.objective + 1e-12
    assert better >= 3 and not worse


def test_many_classes_have_the_same_answer_on_any_number_of_threads():
    probabilities, y = random_rows(2, n_samples=240, n_classes=12, steps=1000)
    problem = build_problem(probabilities, y, weights(8), Objective())
    one, two = (iterated_local_search(problem, 4, n_threads=n) for n in (1, 2))
    assert one.best == two.best and one.n_evaluations == two.n_evaluations


def test_fronts_keep_the_least_gap_by_right_samples():
    probabilities, y = random_rows(2, n_samples=40, n_classes=3, steps=10)
    problem = build_problem(probabilities, y, SMALL_FAMILY, Objective())
    choices = list(itertools.product(range(5), repeat=3))
    whole = solve(problem, SearchSettings("enumerate", n_starts=1)).pareto
    again = fronts_of(problem, [problem.candidate(choice) for choice in choices])
    rows = whole.not_dominated()
    np.testing.assert_array_equal(again.not_dominated(), rows)
    np.testing.assert_allclose(again.cobias[rows], whole.cobias[rows], atol=1e-12)


def test_a_certificate_says_what_it_knows():
    assert "up to 3 classes" in str(Certificate("radius", 3, 0.5, 0.25, 1, 0.1))
    assert "one class" in str(Certificate("radius", 1, 0.5, 0.25, 1, 0.1))
    assert str(Certificate("optimal", 3, 0.5, 0.5, 1, 0.1)).startswith("proved")
    assert "only that" in str(Certificate("heuristic", 0, 0.5, 0.25, 1, 0.1))
    assert Certificate("radius", 3, 0.5, 0.25, 1, 0.1).to_dict()["gap"] == 0.25


def test_the_bound_from_pairs_is_below_real_optima():
    for task, optimum in (("rte", 0.520902), ("pubmedqa", 0.697283), ("agnews", 0.289091)):
        problem = build_problem(*published(task, "opt"), ensemble(30), Objective())
        assert pair_bound(problem) <= optimum
