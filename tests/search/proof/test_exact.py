"""The exact search against every choice evaluated one after another, and against real optima."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.families import ensemble, memberships, weights
from debias.errors import ParameterError
from debias.metrics.scores import cobias_from_accuracies
from debias.search.counting import bit_tables
from debias.search.counting.bit_tables import tables_fit
from debias.search.counting.score import terms_of
from debias.search.descent.coordinate_descent import descend
from debias.search.objective import Objective
from debias.search.problem import build_problem
from debias.search.proof.bounds import least_objective
from debias.search.proof.exact_search import ExactSearch
from tests.support.published_tables import published
from tests.support.refusals import refused
from tests.support.small_problems import GOALS, SMALL_FAMILY, assert_same, enumerate_best, random_rows


def literal_fronts(problem):
    """The least COBias of all choices, by number of right samples."""
    least = np.full(problem.n_samples + 1, np.inf)
    for choice in itertools.product(range(problem.n_corrections), repeat=problem.n_classes):
        counts = problem.counts(choice)
        present = counts.support > 0
        cobias = cobias_from_accuracies(counts.correct[present] / counts.support[present])
        right = counts.correct.sum()
        least[right] = min(least[right], cobias)
    return least


@pytest.mark.parametrize("goal", GOALS, ids=repr)
@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 10_000), steps=st.sampled_from([4, 8, 100]), n_classes=st.integers(2, 4))
def test_the_optimum_is_the_enumerated_one(goal, seed, steps, n_classes):
    family = SMALL_FAMILY if n_classes < 4 else weights(3) | memberships()[3:5]
    probabilities, y = random_rows(seed, steps=steps, n_classes=n_classes)
    problem = build_problem(probabilities, y, family, goal)
    best = enumerate_best(problem)
    for prune in (True, False):
        result = ExactSearch(problem).run(prune=prune)
        assert_same(result.best, best)
        assert result.certificate.status == "optimal"
        assert result.certificate.gap == 0
    assert result.frontier_complete


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), steps=st.sampled_from([4, 100]), n_classes=st.integers(2, 4))
def test_the_frontier_is_the_enumerated_one(seed, steps, n_classes):
    family = SMALL_FAMILY if n_classes < 4 else weights(3) | memberships()[3:5]
    probabilities, y = random_rows(seed, steps=steps, n_classes=n_classes)
    problem = build_problem(probabilities, y, family, Objective())
    fronts = ExactSearch(problem).run(prune=False).pareto
    literal = literal_fronts(problem)
    above = np.append(np.minimum.accumulate(literal[::-1])[::-1][1:], np.inf)
    rows = np.flatnonzero(literal < above - 1e-12)
    np.testing.assert_array_equal(fronts.not_dominated(), rows)
    np.testing.assert_allclose(fronts.cobias[rows], literal[rows], atol=1e-12)
    for right in rows:
        counts = problem.counts(fronts.choice[right])
        assert counts.correct.sum() == right


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    n_classes=st.integers(2, 5),
    goal=st.sampled_from([goal for goal in GOALS if getattr(goal, "min_accuracy", None) is None]),
)
def test_the_bound_is_below_every_box_of_counts(seed, n_classes, goal):
    rng = np.random.default_rng(seed)
    probabilities, y = random_rows(seed, n_samples=30, n_classes=n_classes, steps=100)
    problem = build_problem(probabilities, y, weights(3), goal)
    terms = terms_of(problem)
    most = rng.integers(0, problem.support + 1)
    bound = least_objective(most, terms, np.zeros(n_classes))
    for _ in range(50):
        correct = rng.integers(0, most + 1)
        wrong = rng.multinomial(problem.n_samples - correct.sum(), rng.dirichlet(np.full(n_classes, 0.3)))
        value = goal(correct, correct + wrong, problem.support)
        assert bound <= value + 1e-9


def test_the_bound_is_reached_where_classes_are_evened_out():
    # Two classes of equal size, the second with at most half right: the first is best cut to the same level.
    probabilities, y = np.tile([[0.6, 0.4]], (8, 1)), np.repeat([0, 1], 4)
    problem = build_problem(probabilities, y, weights(3), Objective(error=1, cobias=1, pmi=0))
    bound = least_objective(np.array([4, 2]), terms_of(problem), np.zeros(2))
    assert bound == pytest.approx(0.5)
    problem = build_problem(probabilities, y, weights(3), Objective(error=1, cobias=0.25, pmi=0))
    bound = least_objective(np.array([4, 2]), terms_of(problem), np.zeros(2))
    assert bound == pytest.approx(0.25 + 0.25 * 0.5)


def test_threads_do_not_change_anything_but_the_time():
    probabilities, y = random_rows(5, n_samples=300, n_classes=4, steps=1000)
    problem = build_problem(probabilities, y, weights(9) | memberships()[:6], Objective())
    for prune in (True, False):
        one, two = (ExactSearch(problem).run(prune=prune, n_threads=n) for n in (1, 2))
        assert one.best == two.best
        assert one.certificate.n_evaluations == two.certificate.n_evaluations
        np.testing.assert_array_equal(one.pareto.cobias, two.pareto.cobias)
        np.testing.assert_array_equal(one.pareto.choice, two.pareto.choice)


def test_out_of_time_the_best_so_far_has_an_honest_bound():
    probabilities, y = random_rows(5, n_samples=300, n_classes=5, steps=1000)
    problem = build_problem(probabilities, y, ensemble(30), Objective(pmi=0))
    start = descend(problem, n_starts=4).best
    optimum = ExactSearch(problem).run(start).best.objective
    cut = ExactSearch(problem).run(start, time_limit=0.0)
    assert cut.certificate.status == "heuristic" and cut.certificate.limit == "time"
    assert cut.certificate.lower_bound <= optimum <= cut.best.objective
    assert not cut.frontier_complete


def test_a_person_who_interrupts_keeps_the_best_so_far(monkeypatch):
    probabilities, y = random_rows(5, n_samples=60, n_classes=4, steps=1000)
    problem = build_problem(probabilities, y, weights(8), Objective(pmi=0))
    n_batches = 0

    def interrupted_once(futures):
        nonlocal n_batches
        n_batches += 1
        raise KeyboardInterrupt

    monkeypatch.setattr("debias.search.proof.exact_search.wait", interrupted_once)
    result = ExactSearch(problem).run()
    assert n_batches == 1
    assert result.certificate.interrupted or result.certificate.status == "optimal"
    assert result.certificate.lower_bound <= result.best.objective


def test_progress_ends_at_one():
    probabilities, y = random_rows(1, n_samples=60, n_classes=3, steps=100)
    shares = []
    ExactSearch(build_problem(probabilities, y, ensemble(30), Objective())).run(on_progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_what_acts_alike_is_one_correction_and_the_identity_stands_for_its_group():
    probabilities = np.array([[0.2, 0.8], [0.3, 0.7]])  # triangles above .8 are zero for the first class
    problem = build_problem(probabilities, np.array([0, 1]), ensemble(30), Objective())
    search = ExactSearch(problem)
    assert search.tables.n_distinct.max() < problem.n_corrections
    for k in range(2):
        members = search.tables.members[k, : search.tables.n_distinct[k]]
        for choice in itertools.product(range(problem.n_corrections), repeat=2):
            rows = problem.columns[np.arange(2), list(choice)].argmax(axis=0)
            alike = [
                m
                for m in members
                if (
                    problem.columns[np.arange(2), [*choice[:k], m, *choice[k + 1 :]]].argmax(axis=0) == rows
                ).all()
            ]
            assert alike
    assert problem.identity in search.tables.members[0]


def test_the_work_of_evaluating_all_is_counted():
    probabilities, y = random_rows(5, n_samples=400, n_classes=5, steps=1000)
    problem = build_problem(probabilities, y, weights(24), Objective(pmi=0))
    search = ExactSearch(problem)
    assert search.complete_work == 24**5 * problem.work_per_choice


def test_what_does_not_fit_is_refused(monkeypatch):
    probabilities, y = random_rows(5, n_samples=40, n_classes=3)
    problem = build_problem(probabilities, y, weights(3), Objective())
    assert tables_fit(problem)
    monkeypatch.setattr(bit_tables, "LARGEST_WINS", 0)
    assert not tables_fit(problem)
    with refused(ParameterError, parameter="search"):
        ExactSearch(problem)


OPTIMA = {  # proved, and all but the last confirmed by complete enumeration (experiments/proved_optima.py)
    "rte": 0.520902,
    "pubmedqa": 0.697283,
    "agnews": 0.289091,
    "sst5": 0.650301,
}


@pytest.mark.parametrize("task", OPTIMA)
def test_real_tables_are_proved(task):
    problem = build_problem(*published(task, "opt"), ensemble(30), Objective())
    result = ExactSearch(problem).run(descend(problem, n_starts=4).best, n_threads=2)
    assert result.certificate.status == "optimal"
    assert result.best.objective == pytest.approx(OPTIMA[task], abs=5e-7)


@pytest.mark.slow
def test_six_classes_are_proved():
    problem = build_problem(*published("trec", "opt"), ensemble(30), Objective())
    result = ExactSearch(problem).run(descend(problem).best, n_threads=2)
    assert result.certificate.status == "optimal"
    assert result.best.objective == pytest.approx(0.733055, abs=5e-7)


@pytest.mark.parametrize("at_call", [1, 2, 3])
def test_an_interrupt_between_two_batches_keeps_what_was_found(at_call, monkeypatch):
    monkeypatch.setattr("debias.search.proof.exact_search.BATCH", 5)
    rng = np.random.default_rng(5)
    y = np.concatenate([np.arange(4), rng.integers(4, size=56)])
    problem = build_problem(rng.dirichlet(np.ones(4), 60), y, ensemble(8), Objective())
    best = ExactSearch(problem).run()
    calls = []

    def interrupt(share):
        calls.append(share)
        if len(calls) == at_call:
            raise KeyboardInterrupt

    found = ExactSearch(problem).run(on_progress=interrupt, prune=False)
    assert found.certificate.interrupted
    assert found.certificate.lower_bound <= best.best.objective + 1e-12
    assert best.best.objective <= found.best.objective + 1e-12
    assert found.best.objective <= problem.evaluate(problem.identity_choice) + 1e-12
    assert not found.frontier_complete
