"""Both linear programs against brute force over mixes, and how often they are wrong."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.guarantees.accuracy_bounds import clopper_pearson
from debias.guarantees.watching.class_mixtures import closest_mixture, closest_shares
from debias.guarantees.watching.histograms import Histogram
from debias.guarantees.watching.producible_mixes import producible_mix, share_ranges

GRID = [np.array([a, b, 20 - a - b]) / 20 for a, b in product(range(21), repeat=2) if a + b <= 20]


def drawn_confusion(rng, sizes, rates):
    return np.stack([rng.multinomial(n, row) for n, row in zip(sizes, rates, strict=True)])


RATES = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])


@given(st.integers(0, 2**31))
@settings(max_examples=30)
def test_no_mix_on_a_grid_comes_closer(seed):
    rng = np.random.default_rng(seed)
    classes, now = rng.random((3, 8)), rng.random(8)
    shares, gap = closest_shares(classes, now)
    assert shares.min() >= 0 and shares.sum() == pytest.approx(1)
    gaps = [np.abs(mix @ classes - now).max() for mix in GRID]
    assert gap == pytest.approx(np.abs(shares @ classes - now).max())
    assert gap <= min(gaps) + 1e-9


@given(st.integers(0, 2**31))
@settings(max_examples=15)
def test_what_a_mix_produces_within_all_bounds_is_producible(seed):
    """A witness by hand: rates and a histogram inside their bounds; then no p-value, and a range around q."""
    rng = np.random.default_rng(seed)
    confusion = drawn_confusion(rng, [50, 40, 60], RATES)
    mix = rng.dirichlet(np.ones(3))
    predicted = np.rint(1000 * mix @ (confusion / confusion.sum(axis=1, keepdims=True))).astype(int)
    found = producible_mix(confusion, predicted, 0.05)
    assert found.p_value == 1.0 and found.distance < 0.01
    low, high = share_ranges(confusion, predicted, 0.05)
    assert (low <= mix + 0.01).all() and (high >= mix - 0.01).all()


@given(st.integers(0, 2**31))
@settings(max_examples=15)
def test_infeasible_means_that_no_rates_within_bounds_reach_the_histogram(seed):
    """Brute force for two classes: the share predicted as 0 lies between two lines in the mix."""
    rng = np.random.default_rng(seed)
    confusion = drawn_confusion(rng, [40, 30], [[0.8, 0.2], [0.3, 0.7]])
    predicted = np.array([n := int(rng.integers(0, 201)), 200 - n])
    level = 0.05
    tail = level / (2 * 3 * 2)
    low, high = clopper_pearson(
        confusion, np.broadcast_to(confusion.sum(axis=1, keepdims=True), (2, 2)), tail
    )
    new_low, new_high = clopper_pearson(predicted, [200, 200], tail)
    q = np.linspace(0, 1, 2001)
    least = q * max(low[0, 0], 1 - high[0, 1]) + (1 - q) * max(low[1, 0], 1 - high[1, 1])
    most = q * min(high[0, 0], 1 - low[0, 1]) + (1 - q) * min(high[1, 0], 1 - low[1, 1])
    wanted = max(new_low[0], 1 - new_high[1]), min(new_high[0], 1 - new_low[1])
    feasible = bool(((least <= wanted[1]) & (most >= wanted[0])).any())
    assert (producible_mix(confusion, predicted, level).p_value == 1.0) == feasible
    ranges = share_ranges(confusion, predicted, level)
    assert (ranges is not None) == feasible
    if ranges is not None:
        inside = q[(least <= wanted[1]) & (most >= wanted[0])]
        assert ranges[0][0] == pytest.approx(inside.min(), abs=1e-3)
        assert ranges[1][0] == pytest.approx(inside.max(), abs=1e-3)


def test_the_p_value_falls_with_the_distance():
    confusion = np.array([[80, 20], [10, 90]])
    p_values = [
        producible_mix(confusion, np.array([n, 500 - n]), 0.5).p_value for n in (300, 440, 460, 480, 500)
    ]
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[0] == 1.0 and p_values[-1] < 1e-6


def test_a_class_without_labelled_rows_is_taken_to_be_absent():
    confusion = np.array([[80, 20, 0], [10, 90, 0], [0, 0, 0]])
    found = producible_mix(confusion, np.array([300, 700, 0]), 0.05)
    assert found.p_value == 1.0 and found.shares[2] == 0
    assert producible_mix(confusion, np.array([100, 100, 800]), 0.05).p_value < 1e-6
    low, high = share_ranges(confusion, np.array([300, 700, 0]), 0.05)
    assert (low[2], high[2]) == (0, 0)
    assert share_ranges(np.eye(31, dtype=int) * 9, np.full(31, 9), 0.05) is None


def histogram_of(rng, sizes, means):
    y = np.repeat(np.arange(len(sizes)), sizes)
    return Histogram.of(rng.normal(np.asarray(means)[y]), y, len(sizes), 16)


@pytest.mark.parametrize(("sizes", "n"), [((25, 25), 40), ((200, 100), 1000), ((10, 400), 300)])
def test_rows_of_another_mix_are_seldom_called_another_kind(sizes, n):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(150):
        histogram = histogram_of(rng, sizes, [0.0, 1.5])
        share = rng.random()
        values = rng.normal(1.5 * (rng.random(n) > share))
        found.append(closest_mixture([histogram], [histogram.count(values)]).p_value <= 0.1)
    assert np.mean(found) <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 150)


def test_a_mix_of_mostly_a_class_with_few_fitted_rows_is_seldom_called_another_kind():
    rng, y = np.random.default_rng(3), np.repeat([0, 1, 2], [50, 8, 2])

    def columns(classes):
        scores = np.exp(rng.normal(size=(len(classes), 3)) + 1.5 * np.eye(3)[classes])
        return (scores / scores.sum(axis=1, keepdims=True)).T

    found = []
    for _ in range(200):
        histograms = [Histogram.of(values, y, 3, 16) for values in columns(y)]
        new = columns(rng.choice(3, 500, p=[0.1, 0.1, 0.8]))
        counts = [one.count(values) for one, values in zip(histograms, new, strict=True)]
        found.append(closest_mixture(histograms, counts).p_value <= 0.05)
    assert np.mean(found) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_rows_of_another_kind_are_found():
    rng = np.random.default_rng(2)
    histogram = histogram_of(rng, (300, 300), [0.0, 1.5])
    between = histogram.count(rng.normal(0.75, 0.3, size=500))
    assert closest_mixture([histogram], [between]).p_value < 1e-3
    assert closest_mixture([histogram, histogram], [between, between]).p_value < 1e-3


def test_a_quantity_that_never_varies_says_nothing():
    constant = Histogram.of(np.ones(50), np.repeat([0, 1], 25), 2, 8)
    mixture = closest_mixture([constant], [constant.count(np.ones(9))])
    assert (mixture.distance, mixture.p_value) == (0.0, 1.0)
    assert mixture.shares.tolist() == [0.5, 0.5]
