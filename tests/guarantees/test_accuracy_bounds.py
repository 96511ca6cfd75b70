"""Bounds of class accuracies: against scipy's exact test, all corners of boxes, and all permutations."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from debias.errors import ParameterError
from debias.guarantees.accuracy_bounds import (
    check_confidence,
    clopper_pearson,
    divergence,
    divergence_bounds,
    labels_needed,
    most_cobias,
    nats_of_choice,
)
from debias.metrics.confusion import cobias_of_accuracies
from tests.support.refusals import refused


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (0, 20), (7, 20), (20, 20), (613, 1150)])
@pytest.mark.parametrize("tail", [0.025, 0.05 / 28])
def test_clopper_pearson_is_that_of_scipy(correct, n, tail):
    low, high = clopper_pearson([correct], [n], tail)
    expected = binomtest(correct, n).proportion_ci(1 - 2 * tail, method="exact")
    assert low[0] == pytest.approx(expected.low, abs=1e-12)
    assert high[0] == pytest.approx(expected.high, abs=1e-12)


def boxes(n_classes, count, seed=0):
    rng = np.random.default_rng([seed, n_classes])
    for _ in range(count):
        yield np.sort(rng.uniform(size=(2, n_classes)), axis=0)


@pytest.mark.parametrize("n_classes", range(1, 8))
def test_the_largest_cobias_is_at_a_corner(n_classes):
    for low, high in boxes(n_classes, 30):
        corners = np.array([np.where(at, high, low) for at in product([0, 1], repeat=n_classes)])
        assert most_cobias(low, high) == pytest.approx(cobias_of_accuracies(corners).max(), abs=1e-15)


@pytest.mark.parametrize("n_classes", range(2, 7))
def test_the_largest_cobias_is_the_largest_over_all_orders(n_classes):
    weights = 2.0 * np.arange(1, n_classes + 1) - n_classes - 1
    orders = weights[np.array(list(permutations(range(n_classes))))]
    for low, high in boxes(n_classes, 20, seed=1):
        sums = np.maximum(orders * low, orders * high).sum(axis=1)
        expected = 2 / (n_classes * (n_classes - 1)) * sums.max()
        assert most_cobias(low, high) == pytest.approx(expected, abs=1e-15)


def test_many_classes_and_a_box_of_one_point():
    rng = np.random.default_rng(0)
    point = rng.uniform(size=150)
    assert most_cobias(point, point) == pytest.approx(float(cobias_of_accuracies(point)), abs=1e-14)
    inside = rng.uniform(0.2, 0.7, size=(2000, 150))
    assert most_cobias(np.full(150, 0.2), np.full(150, 0.7)) >= cobias_of_accuracies(inside).max()


@pytest.mark.parametrize(
    ("correct", "n", "nats"), [(0, 30, 5.0), (30, 30, 5.0), (12, 30, 5.0), (1, 2000, 23.0)]
)
def test_the_divergence_at_a_bound_is_what_was_asked(correct, n, nats):
    low, high = (bound[0] for bound in divergence_bounds([correct], [n], nats))
    share = np.array([correct / n])
    assert low <= share[0] <= high
    for bound in (low, high):
        if 0 < bound < 1:
            assert n * divergence(share, np.array([bound]))[0] == pytest.approx(nats, abs=1e-6)
    exact_low, exact_high = (bound[0] for bound in clopper_pearson([correct], [n], np.exp(-nats)))
    assert low <= exact_low + 1e-12 and exact_high - 1e-12 <= high  # Chernoff is never narrower


def test_bounds_hold_as_often_as_they_say_for_every_accuracy():
    """Exactly, from the binomial distribution: no draws."""
    n, tail = 40, 0.02
    correct = np.arange(n + 1)
    for bounds in (
        clopper_pearson(correct, np.full(n + 1, n), tail),
        divergence_bounds(correct, n, -np.log(tail)),
    ):
        for accuracy in np.linspace(0.001, 0.999, 97):
            mass = binom.pmf(correct, n, accuracy)
            assert mass[bounds[0] > accuracy].sum() <= tail + 1e-12
            assert mass[bounds[1] < accuracy].sum() <= tail + 1e-12


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.97, 1.0])
def test_so_many_labels_are_enough_and_one_less_is_not(share):
    tail, precision = 0.05 / 12, 0.05
    needed = labels_needed(share, tail, precision)
    for n, is_enough in ((needed, True), (needed - 1, False)):
        low, high = clopper_pearson([share * n], [n], tail)
        assert (max(share - low[0], high[0] - share) <= precision) == is_enough


def test_the_prior_sums_to_one():
    for n_classes, size in ((1, 5), (3, 4), (2, 1)):
        choices = product(range(size), repeat=n_classes)  # 0 is the identity
        nats = [nats_of_choice(n_classes, int(np.count_nonzero(choice)), size) for choice in choices]
        assert np.exp(-np.array(nats)).sum() == pytest.approx(1)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, -0.1, float("nan"), "0.95", True, None])
def test_a_confidence_is_between_0_and_1(confidence):
    with refused(ParameterError, parameter="confidence", allowed=str):
        check_confidence(confidence)
