"""The path to the identity and the one-standard-error rule, against enumeration and naive resampling."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.decision_rule import correct, decide
from debias.corrections.families import weights
from debias.search.constraints import Constrained
from debias.search.counting.sweeps import sweepers
from debias.search.descent.regularization_path import N_RESAMPLES, path_to_identity, quick_descent, shrink
from debias.search.descent.smoothed_bootstrap import smooth
from debias.search.objective import Objective, confusion_counts
from debias.search.problem import TOLERANCE, build_problem

FAMILY = weights(4)
PLAIN = Objective(pmi=0.0)
seeds = st.integers(0, 10_000)


def random_rows(seed, n_samples=25, n_classes=3):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=n_samples - n_classes)])
    return rng.dirichlet(np.full(n_classes, 0.7), n_samples), y


def every_choice(problem):
    """Evaluate all choices."""
    return [problem.candidate(c) for c in product(range(problem.n_corrections), repeat=problem.n_classes)]


def test_a_path_solved_by_hand():
    # Class 2 takes all rows. Halving it frees both rows of class 1; those of class 0 need a quarter.
    P = np.array([[0.2, 0.1, 0.7], [0.2, 0.1, 0.7], [0.1, 0.4, 0.5], [0.1, 0.4, 0.5], [0.05, 0.05, 0.9]])
    problem = build_problem(P, np.array([0, 0, 1, 1, 2]), FAMILY, PLAIN)
    sweeper = sweepers(problem)()
    best = quick_descent(problem, 4, 0, sweeper)
    assert (best.choice, best.objective) == ((3, 3, 0), 0.0)
    path = path_to_identity(problem, problem.candidate([2, 2, 0]), 0, sweeper)
    # Two of three put back at once in the second step, since weight 1/4 of class 2 alone does it all.
    assert [one.choice for one in path] == [(2, 2, 0), (3, 3, 0), (3, 3, 3)]
    # Without corrections one row of five is right, and accuracies are 0, 0 and 1.
    assert path[-1].objective == pytest.approx(4 / 5 + 2 / 3)


@settings(deadline=None, max_examples=40)
@given(seed=seeds)
def test_each_step_is_the_best_with_a_class_fewer_to_change(seed):
    problem = build_problem(*random_rows(seed), FAMILY, PLAIN)
    choices = every_choice(problem)
    start = max(choices, key=lambda one: one.n_changed)
    path = path_to_identity(problem, start, seed, sweepers(problem)())
    assert path[0] == start
    identity = problem.candidate(problem.identity_choice)
    assert path[-1].choice == identity.choice and path[-1].objective == pytest.approx(identity.objective)
    for before, after in zip(path, path[1:], strict=False):
        changed = {k for k, c in enumerate(before.choice) if c != problem.identity}
        # Up to two classes are free after one is put back: pair moves then reach the optimum.
        fewer = [
            one for one in choices if {k for k, c in enumerate(one.choice) if c != problem.identity} < changed
        ]
        assert after.choice in {one.choice for one in fewer}
        assert not any(one.beats(after) for one in fewer)


@settings(deadline=None, max_examples=20)
@given(seed=seeds, copies=st.sampled_from([1, 4]))
def test_the_simplest_within_one_standard_error_is_taken(seed, copies):
    found = shrink(*random_rows(seed), FAMILY, PLAIN, n_copies=copies, n_starts=2, random_state=seed)
    taken = found.path[found.taken]
    lowest = min(step.candidate.objective for step in found.path)
    near = [s for s in found.path if s.candidate.objective <= lowest + s.standard_error + TOLERANCE]
    assert taken in near
    assert all(taken.candidate[1:3] <= step.candidate[1:3] for step in near)
    assert found.choice == taken.candidate.choice
    assert [s.candidate.n_changed for s in found.path] == sorted(
        (s.candidate.n_changed for s in found.path), reverse=True
    )


def test_standard_errors_are_those_of_rows_drawn_one_by_one():
    P, y = random_rows(3)
    objective = Objective()
    found = shrink(P, y, FAMILY, objective, n_copies=1, n_starts=2, random_state=5)
    order = np.argsort(y, kind="stable")
    P, y = P[order], y[order]
    rng = np.random.default_rng(5)
    drawn = []
    for k in range(3):
        own = np.flatnonzero(y == k)
        times = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=N_RESAMPLES)
        drawn.append([np.repeat(own, row) for row in times])

    def values(step):
        predicted = decide(correct(P, [FAMILY[index] for index in step.candidate.choice]), P)
        resamples = (np.concatenate(rows) for rows in zip(*drawn, strict=True))
        return np.array([objective(*confusion_counts(y[rows], predicted[rows], 3)) for rows in resamples])

    best = min(found.path, key=lambda step: step.candidate.objective)
    for step in found.path:
        assert step.standard_error == pytest.approx((values(step) - values(best)).std(), abs=1e-12)


@settings(deadline=None, max_examples=15)
@given(seed=seeds)
def test_nothing_is_taken_that_is_not_allowed(seed):
    P, y = random_rows(seed)
    identity = (FAMILY.identity,) * 3
    only = shrink(P, y, FAMILY, PLAIN, allowed=lambda choice: choice == identity, n_starts=2, n_copies=4)
    assert only.choice == identity
    best = build_problem(P, y, FAMILY, PLAIN).candidate([0, 1, 3])
    one = shrink(P, y, FAMILY, PLAIN, best, lambda choice: choice == best.choice, n_starts=2, n_copies=4)
    assert one.choice == best.choice


def test_what_is_compared_on_a_path_leaves_bounds_aside():
    P, y = random_rows(1)
    bounded = Constrained(max_cobias=0.05, objective=PLAIN)
    found = shrink(P, y, FAMILY, bounded, n_copies=1, n_starts=4)
    problem = build_problem(P, y, FAMILY, PLAIN)
    for step in found.path:
        assert step.candidate.objective == pytest.approx(problem.evaluate(step.candidate.choice))


def test_the_objective_of_copies_is_that_of_rows_with_fractions_of_them_right():
    P, y = random_rows(2)
    objective = Objective(pmi=0.5, smoothing=3.0)
    found = shrink(P, y, FAMILY, objective, n_copies=4, n_starts=2, random_state=7)
    copies, labels = smooth(P, y, 4, 7)
    for step in found.path:
        predicted = decide(correct(copies, [FAMILY[index] for index in step.candidate.choice]), copies)
        counts = (np.asarray(count) / 4 for count in confusion_counts(labels, predicted, 3)[:3])
        assert step.candidate.objective == pytest.approx(objective(*counts))


def test_many_classes_take_the_cheapest_way_down():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(60) % 12)
    logits = rng.normal(size=(60, 12)) + 3 * np.eye(12)[y] + 2 * rng.normal(size=12)
    P = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = shrink(P, y, FAMILY, PLAIN, n_starts=2, n_copies=4)
    changed = [step.candidate.n_changed for step in found.path]
    assert changed[-1] == 0
    assert changed == sorted(changed, reverse=True)
    again = shrink(P, y, FAMILY, PLAIN, n_starts=2, n_copies=4)
    assert again == found
