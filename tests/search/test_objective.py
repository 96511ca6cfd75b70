"""The objective: hand-solved counts, and the formula evaluated literally on random ones."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from debias.errors import ParameterError
from debias.search.objective import Objective, confusion_counts
from tests.support.refusals import refused


def literal(correct, predicted, support, error, cobias, pmi, smoothing):
    """z as the papers write it, a loop per sum; classes without samples have no accuracy."""
    n, m = len(support), sum(support)
    z = error * (m - sum(correct)) / m
    accuracies = [c / b for c, b in zip(correct, support, strict=True) if b]
    gaps = 0.0
    for i in range(len(accuracies)):
        for j in range(i + 1, len(accuracies)):
            gaps += abs(accuracies[i] - accuracies[j])
    if len(accuracies) > 1:
        z += cobias * 2 / (len(accuracies) * (len(accuracies) - 1)) * gaps
    if pmi:
        for c, q, b in zip(correct, predicted, support, strict=True):
            joint = (c + smoothing) / (m + smoothing * n * n)
            marginals = ((q + smoothing) / (m + smoothing * n)) * ((b + smoothing) / (m + smoothing * n))
            z -= pmi * math.log(joint / marginals)
    return z


@given(
    y=st.lists(st.integers(0, 4), min_size=2, max_size=60),
    seed=st.integers(0, 1000),
    weights=st.tuples(st.floats(0.1, 3), st.floats(0, 10), st.sampled_from([0, 0.2, 1.0, 5.0])),
    smoothing=st.sampled_from([0.5, 1.0, 4000.0]),
)
def test_the_formula_literally(y, seed, weights, smoothing):
    predicted = np.random.default_rng(seed).integers(0, 5, len(y))
    counts = confusion_counts(np.array(y), predicted, 5)
    error, cobias, pmi = weights
    value = Objective(error, cobias, pmi, smoothing)(*counts)
    assert value == pytest.approx(literal(*(c.tolist() for c in counts[:3]), *weights, smoothing), abs=1e-10)


@given(seed=st.integers(0, 1000))
def test_many_counts_at_once_are_the_same_as_one_by_one(seed):
    rng = np.random.default_rng(seed)
    support = rng.integers(1, 20, 4)
    correct = rng.integers(0, support + 1, (7, 4))
    predicted = rng.integers(0, 30, (7, 4))
    objective = Objective()
    together = objective(correct, predicted, np.tile(support, (7, 1)))
    alone = [objective(c, q, support) for c, q in zip(correct, predicted, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-14)


def test_by_hand():
    # Recalls 1, .5 and 0 of 2 samples each: half are wrong; gaps .5, 1 and .5, mean 2/3.
    counts = ([2, 1, 0], [3, 3, 0], [2, 2, 2])
    assert Objective(1, 0, 0)(*counts) == 0.5
    assert Objective(0, 1, 0)(*counts) == pytest.approx(2 / 3)
    assert Objective(2, 3, 0)(*counts) == pytest.approx(3.0)
    # PMI of the first class, smoothing 1: ln((2+1)/(6+9) / ((3+1)/(6+3) * (2+1)/(6+3))) = ln 1.35.
    assert Objective(smoothing=1).pointwise_mutual_information(*counts)[0] == pytest.approx(math.log(1.35))


def test_a_class_without_samples_is_left_out_of_cobias():
    assert Objective(0, 1, 0)([2, 1, 0], [2, 1, 0], [2, 2, 0]) == 0.5
    assert Objective(0, 1, 0)([2, 0], [2, 0], [2, 0]) == 0.0


@given(y=st.lists(st.integers(0, 3), min_size=1, max_size=40), seed=st.integers(0, 100))
def test_counts_by_loop(y, seed):
    predicted = np.random.default_rng(seed).integers(0, 4, len(y))
    counts = confusion_counts(np.array(y), predicted, 4)
    for k in range(4):
        assert counts.support[k] == sum(label == k for label in y)
        assert counts.predicted[k] == sum(guess == k for guess in predicted)
        assert counts.correct[k] == sum(
            label == guess == k for label, guess in zip(y, predicted, strict=True)
        )


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"error": -1}, {"parameter": "error", "received": -1}),
        ({"cobias": float("nan")}, {"parameter": "cobias", "received": float}),
        ({"pmi": "much"}, {"parameter": "pmi", "received": "much"}),
        ({"smoothing": 0.0}, {"parameter": "smoothing", "received": 0}),
        ({"error": 0, "cobias": 0, "pmi": 0}, {"parameter": "error", "mentions": ("cobias", "pmi")}),
    ],
)
def test_weights_that_are_not_allowed(parameters, fields):
    with refused(ParameterError, **fields):
        Objective(**parameters).validate()


def test_its_weights_are_parameters_for_a_grid_search():
    assert clone(Objective(cobias=2.7)).get_params() == {
        "error": 1.0,
        "cobias": 2.7,
        "pmi": 0.2,
        "smoothing": 4000.0,
        "worst_class": 0.0,
        "balanced_error": 0.0,
        "macro_f1": 0.0,
        "costs": None,
    }
