"""Line searches over a log-bias, against every interval tried literally, and descents over them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.decision_rule import correct, decide
from debias.corrections.families import ensemble, weights
from debias.errors import TableError
from debias.search.constraints import Constrained
from debias.search.descent.coordinate_descent import descend
from debias.search.log_bias.log_bias_descent import descend_log_bias, polish
from debias.search.log_bias.log_bias_problem import END_WIDTH, FARTHEST, LogBiasProblem
from debias.search.objective import Objective, confusion_counts
from debias.search.problem import build_problem
from tests.support.published_tables import CLASSES, published
from tests.support.refusals import refused
from tests.support.small_problems import random_rows

GOALS = [
    Objective(),
    Objective(1.0, 2.7, 0.0),
    Objective(0.0, 0.0, 1.0, 10.0),
    Constrained(max_cobias=0.2),
    Constrained(min_accuracy="uncorrected", min_class_accuracy=0.3),
]


def literal(values, fallback, y, goal, biases):
    """z as a prediction makes it, one row at a time."""
    n_classes = values.shape[1]
    if isinstance(goal, Constrained):
        goal = goal.resolve(confusion_counts(y, decide(fallback, fallback), n_classes))
    return float(goal(*confusion_counts(y, decide(values * np.exp(biases), fallback), n_classes)))


def random_case(seed, n_classes, with_zeros, missing_class):
    """Coarse values, so that ties are common; some are zero, some rows are nothing but zeros."""
    rng = np.random.default_rng(seed)
    fallback, y = random_rows(seed, n_samples=14, n_classes=n_classes, steps=int(rng.choice([4, 9, 1000])))
    values = fallback * rng.choice([0.25, 0.5, 1.0], n_classes)
    if with_zeros:
        values[rng.random(values.shape) < 0.2] = 0
        values[rng.random(len(values)) < 0.15] = 0
    if missing_class:
        y = np.where(y == n_classes - 1, 0, y)
    return values, fallback, y


cases = {
    "seed": st.integers(0, 100_000),
    "n_classes": st.sampled_from([2, 3, 4]),
    "with_zeros": st.booleans(),
    "goal": st.sampled_from(GOALS),
}


@settings(deadline=None, max_examples=150)
@given(**cases)
def test_a_line_search_is_as_good_as_every_interval_tried_literally(seed, n_classes, with_zeros, goal):
    values, fallback, y = random_case(seed, n_classes, with_zeros, missing_class=n_classes > 2)
    rng = np.random.default_rng(seed)
    biases = rng.choice([-1.0, -0.3, 0.0], n_classes) if seed % 2 else np.zeros(n_classes)
    j = int(rng.integers(n_classes))

    def at(bias):
        return literal(values, fallback, y, goal, np.where(np.arange(n_classes) == j, bias, biases))

    # Every log-bias at which two values of a row are equal; rounding may tear one apart.
    with np.errstate(divide="ignore", invalid="ignore"):
        edges = np.log(values) + biases - np.log(values[:, [j]])
    edges = np.unique(edges[np.isfinite(edges)].round(10))
    edges = np.array([-1.0, 1.0]) if not len(edges) else np.array([edges[0] - 1, *edges, edges[-1] + 1])
    middles = (edges[1:] + edges[:-1]) / 2
    best = min(at(bias) for bias in (biases[j], *middles))

    step = LogBiasProblem(values, fallback, y, goal).line_search(biases, j)
    assert step.objective == pytest.approx(best, abs=1e-12)
    assert at(step.bias) == pytest.approx(step.objective, abs=1e-12)
    if at(biases[j]) <= best + 1e-12:
        assert step.bias == biases[j]


@settings(deadline=None, max_examples=60)
@given(**cases)
def test_the_profile_is_z_in_every_interval(seed, n_classes, with_zeros, goal):
    values, fallback, y = random_case(seed, n_classes, with_zeros, missing_class=False)
    biases = np.random.default_rng(seed).normal(size=n_classes)
    bounds, z = LogBiasProblem(values, fallback, y, goal).profile(biases, 0)
    assert len(bounds) == (len(z) + 1 if len(z) else 0)
    assert np.all(np.diff(bounds) >= 0)
    assert len(z) <= len(y) + 1
    for low, high, value in zip(bounds[:-1], bounds[1:], z, strict=True):
        for share in (0.1, 0.5, 0.9) if np.isfinite(value) else ():
            tried = np.array([low + share * (high - low), *biases[1:]])
            assert literal(values, fallback, y, goal, tried) == pytest.approx(value, abs=1e-12)


def test_a_line_search_by_hand():
    """Class 1 wins its row from log(.8/.2) on, and takes the two others from log(.9/.1) on."""
    P = np.array([[0.8, 0.2], [0.9, 0.1], [0.9, 0.1]])
    problem = LogBiasProblem(P, P, np.array([1, 0, 0]), Objective(pmi=0))
    bounds, z = problem.profile(np.zeros(2), 1)
    low, high = np.log(4), np.log(9)
    np.testing.assert_allclose(bounds, [low - END_WIDTH, low, high, high, high + END_WIDTH])
    np.testing.assert_allclose(z, [1 / 3 + 1, 0, np.inf, 2 / 3 + 1])
    assert problem.line_search(np.zeros(2), 1).bias == pytest.approx((low + high) / 2)
    assert problem.n_evaluations == 3 + 1 + 3


def test_the_widest_of_equally_good_intervals_and_of_these_the_nearest():
    # Two rows of class 1 and two of class 0, taken by class 1 in the order 1, 0, 1, 0.
    edges = np.array([1.0, 1.5, 2.5, 5.5])
    P = np.stack([np.exp(edges), np.ones(4)], axis=1)
    P /= P.sum(axis=1, keepdims=True)
    problem = LogBiasProblem(P, P, np.array([1, 0, 1, 0]), Objective(cobias=0, pmi=0))
    # One error between 1 and 1.5, and between 2.5 and 5.5; two elsewhere.
    assert problem.line_search(np.zeros(2), 1).bias == pytest.approx(4.0)
    even = np.array([1.0, 2.0, 3.0, 4.0])
    P = np.stack([np.exp(even), np.ones(4)], axis=1)
    P /= P.sum(axis=1, keepdims=True)
    problem = LogBiasProblem(P, P, np.array([1, 0, 1, 0]), Objective(cobias=0, pmi=0))
    assert problem.line_search(np.array([0.0, 0.0]), 1).bias == pytest.approx(1.5)
    assert problem.line_search(np.array([0.0, 9.0]), 1).bias == pytest.approx(3.5)


def test_zeros_are_never_won_and_rows_of_zeros_are_left_to_the_fallback():
    values = np.array([[0.0, 0.5], [0.0, 0.0], [0.5, 0.0], [0.4, 0.1]])
    fallback = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.8, 0.2]])
    problem = LogBiasProblem(values, fallback, np.array([0, 1, 0, 1]), Objective())
    bounds, z = problem.profile(np.zeros(2), 1)
    assert len(z) == 2  # one edge: of the last row
    assert bounds[1] == pytest.approx(np.log(4))
    assert problem.profile(np.zeros(2), 0)[0][1] == pytest.approx(-np.log(4))


def test_where_nothing_depends_on_a_class_it_stays():
    values = np.array([[0.5, 0.0], [0.0, 0.5]])
    problem = LogBiasProblem(values, values, np.array([1, 0]), Objective())
    assert len(problem.profile(np.zeros(2), 0)[1]) == 0
    assert problem.line_search(np.array([-0.5, 0.0]), 0).bias == -0.5


def test_values_of_very_different_sizes_stay_far_from_underflow():
    P = np.array([[1 - 1e-300, 1e-300], [1.0, 1e-40], [1e-40, 1.0], [0.5, 0.5]])
    y = np.array([1, 1, 0, 0])
    result = descend_log_bias(P, P, y, Objective(), n_starts=6)
    assert np.ptp(result.biases) <= FARTHEST
    assert result.objective == pytest.approx(literal(P, P, y, Objective(), result.biases), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(**cases, n_starts=st.integers(1, 4))
def test_a_descent_is_never_worse_than_no_bias_and_is_what_it_says(
    seed, n_classes, with_zeros, goal, n_starts
):
    values, fallback, y = random_case(seed, n_classes, with_zeros, missing_class=n_classes > 2)
    result = descend_log_bias(values, fallback, y, goal, n_starts, seed)
    unchanged = literal(values, fallback, y, goal, np.zeros(n_classes))
    assert result.biases.max() == 0
    assert result.objective <= unchanged + 1e-12
    assert result.objective == pytest.approx(literal(values, fallback, y, goal, result.biases), abs=1e-12)
    if result.objective > unchanged - 1e-12:
        assert not result.biases.any()


@settings(deadline=None, max_examples=60)
@given(**cases)
def test_a_polish_never_worsens(seed, n_classes, with_zeros, goal):
    values, fallback, y = random_case(seed, n_classes, with_zeros, missing_class=n_classes > 2)
    factors = polish(values, fallback, y, goal, n_starts=2)
    assert factors.max() == 1
    assert factors.min() > 0
    before, after = (literal(values, fallback, y, goal, np.log(f)) for f in (np.ones(n_classes), factors))
    assert after <= before + 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_two_classes_are_solved_and_three_nearly(seed):
    """Against every middle between all neighbouring edges: of one class, or of two on a fine grid."""
    P, y = random_rows(seed, n_samples=40, n_classes=2, steps=1000)
    edges = np.sort(np.log(P[:, 0]) - np.log(P[:, 1]))
    middles = [0.0, edges[0] - 1, edges[-1] + 1, *((edges[1:] + edges[:-1]) / 2)]
    best = min(literal(P, P, y, Objective(), np.array([0.0, bias])) for bias in middles)
    assert descend_log_bias(P, P, y, Objective(), n_starts=1).objective == pytest.approx(best, abs=1e-12)
    P, y = random_rows(seed, n_samples=40, n_classes=3, steps=1000)
    grid = itertools.product(np.linspace(-3, 3, 61), repeat=2)
    best = min(literal(P, P, y, Objective(), np.array([0.0, *pair])) for pair in grid)
    assert descend_log_bias(P, P, y, Objective()).objective <= best + 1e-12


def test_pairs_move_where_no_class_alone_improves(monkeypatch):
    cases = [random_rows(seed, n_samples=40, n_classes=3, steps=1000) for seed in range(20)]
    paired = [descend_log_bias(P, P, y, Objective(), n_starts=1) for P, y in cases]
    monkeypatch.setattr("debias.search.log_bias.log_bias_descent.MOST_LINE_SEARCHES", 0)
    single = [descend_log_bias(P, P, y, Objective(), n_starts=1) for P, y in cases]
    gains = [one.objective - two.objective for one, two in zip(single, paired, strict=True)]
    assert min(gains) >= -1e-12
    assert max(gains) > 0.01
    for (P, y), result in zip(cases, paired, strict=True):
        problem = LogBiasProblem(P, P, y, Objective())
        for j in range(3):
            assert problem.line_search(result.biases, j).objective >= result.objective - 1e-12


def test_so_many_classes_that_pairs_are_left_out():
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(50), 300)
    y = np.concatenate([np.arange(50), rng.integers(0, 50, 250)])
    result = descend_log_bias(P, P, y, Objective(), n_starts=2)
    assert result.objective < literal(P, P, y, Objective(), np.zeros(50))


def test_the_same_seed_gives_the_same_biases():
    P, y = random_rows(3, n_samples=60, n_classes=4, steps=1000)
    one, two = (descend_log_bias(P, P, y, Objective(), 5, 7).biases for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_interrupted_it_returns_the_best_so_far():
    P, y = random_rows(3, n_samples=60, n_classes=4, steps=1000)
    done = []

    def stop_after_two():
        done.append(1)
        if len(done) == 2:
            raise KeyboardInterrupt

    result = descend_log_bias(P, P, y, Objective(), n_starts=9, on_start_done=stop_after_two)
    assert result.interrupted
    assert result.objective == pytest.approx(literal(P, P, y, Objective(), result.biases), abs=1e-12)
    assert result.objective < literal(P, P, y, Objective(), np.zeros(4))


def test_one_class_alone_is_refused():
    with refused(TableError, parameter="y", received=[0]):
        polish(np.full((3, 2), 0.5), np.full((3, 2), 0.5), np.zeros(3, dtype=np.int64), Objective())


@pytest.mark.parametrize("task", CLASSES)
def test_on_real_rows_no_worse_than_the_published_scale(task):
    P, y = published(task, "opt")
    published_scale = descend(build_problem(P, y, weights(30), Objective()), n_starts=8).best.objective
    result = descend_log_bias(P, P, y, Objective(), n_starts=4)
    assert result.objective <= published_scale + 1e-12
    assert result.objective == pytest.approx(literal(P, P, y, Objective(), result.biases), abs=1e-12)


def test_on_real_rows_a_polish_improves_the_ensemble():
    P, y = published("rte", "opt")
    best = descend(build_problem(P, y, ensemble(30), Objective()), n_starts=8).best
    values = correct(P, [ensemble(30)[index] for index in best.choice])
    factors = polish(values, P, y, Objective())
    assert literal(values, P, y, Objective(), np.log(factors)) < best.objective - 0.01
