"""Descent against enumeration of every choice, on small problems and on real tables."""

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.families import ensemble, memberships, weights
from debias.search.descent.coordinate_descent import descend
from debias.search.objective import Objective
from debias.search.problem import build_problem
from tests.support.published_tables import published
from tests.support.small_problems import SMALL_FAMILY, enumerate_best, literal_counts, random_rows

# z that the best known search reaches with error = cobias = 1, pmi = .2, smoothing = 4000.
TARGETS = {"trec": 0.7331, "sst5": 0.6504, "agnews": 0.2891, "ddi": 0.4404, "pubmedqa": 0.6973}


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), steps=st.sampled_from([4, 8, 100]))
def test_three_classes_reach_the_enumerated_optimum(seed, steps):
    probabilities, y = random_rows(seed, steps=steps)
    problem = build_problem(probabilities, y, SMALL_FAMILY, Objective())
    found, best = descend(problem, n_starts=8).best, enumerate_best(problem)
    assert found.objective == pytest.approx(best.objective, abs=1e-12)
    assert found.n_changed == best.n_changed
    assert found.change == pytest.approx(best.change, abs=1e-12)


@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 10_000))
def test_three_classes_are_settled_from_a_single_start_in_a_rugged_family(seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(3), 60)
    y = np.argmax(probabilities * rng.dirichlet(np.ones(3)), axis=1)
    y[:3] = [0, 1, 2]
    problem = build_problem(probabilities, y, weights(12) | memberships()[:9], Objective())
    found, best = descend(problem, n_starts=1).best, enumerate_best(problem)
    assert found.objective == pytest.approx(best.objective, abs=1e-12)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_two_classes_are_settled_from_a_single_start(seed):
    probabilities, y = random_rows(seed, n_samples=60, n_classes=2, steps=200)
    problem = build_problem(probabilities, y, memberships(), Objective())
    found, best = descend(problem, n_starts=1).best, enumerate_best(problem)
    assert found.objective == pytest.approx(best.objective, abs=1e-12)


def test_the_result_is_a_local_optimum_of_pairs():
    probabilities, y = random_rows(4, n_samples=200, n_classes=4, steps=1000)
    problem = build_problem(probabilities, y, weights(12), Objective())
    best = descend(problem, n_starts=4).best
    assert best.objective == pytest.approx(problem.evaluate(best.choice), abs=1e-12)
    for i, j in itertools.combinations(range(4), 2):
        for s, r in itertools.product(range(12), repeat=2):
            choice = np.array(best.choice)
            choice[[i, j]] = s, r
            assert not problem.candidate(choice).beats(best)


def test_single_moves_alone_can_be_stuck_where_pairs_are_not():
    worse = 0
    for seed in range(30):
        probabilities, y = random_rows(seed, n_samples=60, n_classes=2, steps=200)
        problem = build_problem(probabilities, y, memberships(), Objective())
        single = descend(problem, n_starts=1, pair_moves=False).best
        pair = descend(problem, n_starts=1).best
        assert not single.beats(pair)
        worse += pair.beats(single)
    assert worse > 0


def test_with_many_classes_the_ensemble_is_no_worse_than_the_weights_alone():
    """Random choices of all kinds are hopeless here, and the even-but-wrong answer is near."""
    rng = np.random.default_rng(0)
    y = np.arange(750) % 25
    logits = rng.normal(size=(750, 25)) + 1.2 * np.eye(25)[y] + np.linspace(2, -2, 25)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    both = build_problem(probabilities, y, memberships() | weights(10), Objective())
    alone = build_problem(probabilities, y, weights(10), Objective())
    best = descend(both, n_starts=3, pair_moves=False).best
    assert best.objective <= descend(alone, n_starts=1, pair_moves=False).best.objective + 1e-12
    assert both.counts(best.choice).correct.sum() > both.counts(both.identity_choice).correct.sum()


def test_threads_do_not_change_the_answer():
    probabilities, y = random_rows(8, n_samples=300, n_classes=5, steps=1000)
    problem = build_problem(probabilities, y, ensemble(30), Objective())
    one, two, three = (descend(problem, 6, random_state=3, n_threads=n) for n in (1, 2, 3))
    assert one.best == two.best == three.best
    assert one.n_evaluations == two.n_evaluations == three.n_evaluations


def test_the_identity_is_kept_when_nothing_beats_it():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    problem = build_problem(probabilities, np.array([0, 0, 1, 1]), ensemble(30), Objective(pmi=0))
    assert descend(problem).best == problem.candidate(problem.identity_choice)


def test_interrupted_it_returns_the_best_met_so_far():
    probabilities, y = random_rows(9, n_samples=300, n_classes=4, steps=1000)
    problem = build_problem(probabilities, y, ensemble(30), Objective())
    done = []

    def interrupt():
        done.append(threading.get_ident())
        raise KeyboardInterrupt

    result = descend(problem, n_starts=50, on_start_done=interrupt)
    assert result.interrupted
    assert len(done) == 1
    assert result.best.objective == pytest.approx(problem.evaluate(result.best.choice), abs=1e-12)
    assert not problem.candidate(problem.identity_choice).beats(result.best)


@pytest.mark.parametrize("task", TARGETS)
def test_the_best_known_objective_is_reached_on_real_tables(task):
    probabilities, y = published(task, "opt")
    problem = build_problem(probabilities, y, ensemble(30), Objective())
    result = descend(problem, random_state=0, n_threads=2)
    assert result.best.objective <= TARGETS[task]
    assert problem.evaluate(result.best.choice) == pytest.approx(result.best.objective, abs=1e-12)


def test_on_rte_the_descent_finds_the_optimum_of_all_2304_choices():
    """Every pair of corrections evaluated literally, from the probabilities alone."""
    probabilities, y = published("rte", "opt")
    family, objective = ensemble(30), Objective()
    values = {
        choice: objective(*literal_counts(probabilities, y, family, choice))
        for choice in itertools.product(range(48), repeat=2)
    }
    best = min(values.values())
    result = descend(build_problem(probabilities, y, family, objective), n_starts=1)
    assert result.best.objective == pytest.approx(best, abs=1e-12)
    assert best == pytest.approx(0.520902, abs=1e-6)
