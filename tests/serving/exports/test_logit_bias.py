"""Logit biases: which corrections are biases, how they fit the range of a server, and what is refused."""

import json
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.bases.base import Identity
from debias.corrections.bases.linear_maps import LinearMap
from debias.corrections.correction import Triangle, Weight
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid
from debias.corrections.sloped_weights import SlopedWeight
from debias.errors import LabelError, ParameterError
from debias.serving import ServedCorrection
from debias.serving.exports.logit_bias import biases_of, logit_bias
from tests.support.refusals import refused

SAME = Triangle(0, 1, 1)
NAMES = ("a", "b", "c")
TOKENS = [[5], [6], [7]]


def served(corrections, base=None):
    names = NAMES[: len(corrections)]
    return ServedCorrection(names, tuple(corrections), Identity() if base is None else base)


def linear(matrix, bias, kind="affine"):
    matrix = np.array(matrix, dtype=float)
    return LinearMap(matrix, np.array(bias, dtype=float), np.ones(len(matrix)), kind)


def agrees(correction, n=2000, seed=0):
    """Whether biases name the same class as the correction on random rows of clear probabilities."""
    rows = np.random.default_rng(seed).dirichlet(np.ones(len(correction.classes)), n)
    rows = rows[rows.min(axis=1) > 1e-5]
    found = (np.log(rows) + biases_of(correction)).argmax(axis=1)
    return (found == correction.decide(rows)).all()


@pytest.mark.parametrize(
    "corrections",
    [
        [Weight(1, 2), SAME, Weight(3, 30)],
        [Scaled(SAME, 0.25), Scaled(Weight(1, 3), 0.5), SAME],
        [SlopedWeight(0.1, 2.0), SlopedWeight(1.0, 2.0), SlopedWeight(0.03, 2.0)],
        [SlopedWeight(0.1, 0.5), SlopedWeight(1.0, 0.5), Scaled(SlopedWeight(0.5, 0.5), 0.5)],
        [Triangle(0, 2, 3), SAME, Trapezoid(0, 4, 5, 6)],  # they only rise within [0, 1]
    ],
    ids=["weights", "factors", "one slope", "one root", "lines from 0"],
)
def test_corrections_that_weigh_classes_are_biases(corrections):
    assert agrees(served(corrections))


@pytest.mark.parametrize(
    "base",
    [
        linear(np.eye(3), [0.5, -1, 0.25], "batch"),
        linear(2 * np.eye(3), [0.5, -1, 0.25], "vector"),
        linear(0.5 * np.eye(3) + np.array([0.3, -0.2, 0.1]), [0.5, -1, 0.25]),  # equal rows move all alike
    ],
    ids=["batch", "one slope", "equal rows"],
)
def test_bases_that_move_all_classes_alike_are_biases(base):
    assert agrees(served([Weight(1, 2), SAME, Weight(3, 30)], base))


@pytest.mark.parametrize(
    "corrections",
    [
        [Triangle(0.5, 1, 1), SAME],
        [Sigmoid(0.25, 16), Sigmoid(0.5, 8)],
        [SlopedWeight(0.5, 2.0), SlopedWeight(1.0, 0.5)],
        [Gaussian(1, 0.25), Triangle(0.75, 1, 1)],
    ],
    ids=["triangle", "curves", "two slopes", "bell"],
)
def test_of_two_classes_all_corrections_that_never_fall_are_a_bias(corrections):
    assert agrees(served(corrections))
    base = linear([[1.5, 0.25], [-0.5, 1.0]], [0.5, 0.0])
    assert agrees(served(corrections, base))


@pytest.mark.parametrize(
    "corrections, base, column",
    [
        ([SAME, Triangle(0, 0.5, 1), SAME], None, "b"),
        ([SAME, SAME, Gaussian(0.5, 0.25)], None, "c"),
        ([SAME, SlopedWeight(1, 2.0), SAME], None, "b"),
        ([SAME] * 3, linear(np.diag([1.0, 1.0, 2.0]), [0, 0, 0], "vector"), "c"),
        ([SAME] * 3, linear([[1, 0.5, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0]), "b"),
        ([Triangle(0, 0, 1), SAME], None, "a"),  # two classes, and it falls
    ],
    ids=["membership", "bell", "slopes", "slopes of a base", "moved evidence", "falls"],
)
def test_other_corrections_are_refused_by_the_class_that_shows_it(corrections, base, column):
    with refused(ParameterError, parameter="correction", column=column, fix=str):
        biases_of(served(corrections, base))


def test_a_class_that_is_never_named_is_refused():
    always_one = Trapezoid(-1, 0, 1, 2)
    with refused(ParameterError, parameter="correction", column="a"):
        biases_of(served([Weight(1, 2), always_one]))
    with refused(ParameterError, parameter="correction", column="b"):
        biases_of(served([always_one, Weight(1, 2)]))


def test_where_two_corrections_are_zero_the_probabilities_decide():
    assert agrees(served([Triangle(0.625, 1, 1), Triangle(0.75, 1, 1)]))


@given(st.lists(st.integers(1, 30), min_size=3, max_size=3), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_any_weights_agree(steps, seed):
    assert agrees(served([Weight(one, 30) for one in steps]), n=300, seed=seed)


def test_the_lowest_bias_is_zero_and_labels_alone_are_raised_to_the_top():
    half = served([Weight(15, 30), SAME, SAME])
    assert logit_bias(half, TOKENS).biases == {5: 0.0, 6: log(2), 7: log(2)}
    alone = logit_bias(half, TOKENS, only_labels=True)
    assert alone.biases == pytest.approx({5: 100 - log(2), 6: 100.0, 7: 100.0})
    assert json.loads(alone.to_json()) == {str(token): bias for token, bias in alone.biases.items()}
    assert alone.clipped == () and alone.describe() == []


@pytest.mark.parametrize("factor, lost", [(1e-20, ()), (1e-60, ()), (1e-100, ("a",))])
def test_biases_fit_the_range_and_what_does_not_is_named(factor, lost):
    found = logit_bias(served([Scaled(SAME, factor), SAME, SAME]), TOKENS)
    biases = np.array(list(found.biases.values()))
    assert (np.abs(biases) <= 100).all()
    assert found.clipped == lost and bool(found.describe()) == bool(lost)
    if not lost:
        assert biases[1] - biases[0] == pytest.approx(-log(factor))


def test_what_else_is_lost_is_said():
    long = logit_bias(served([SAME] * 3), [[5, 1], [6], [7]])
    assert long.longer == ("a",)
    wide = served([SAME] * 3, linear(np.eye(3), [0, 0, 13.0], "batch"))
    narrow = served([SAME] * 3, linear(np.eye(3), [0, 0, 5.0], "batch"))
    assert logit_bias(wide, TOKENS).reaches_below and not logit_bias(narrow, TOKENS).reaches_below


@pytest.mark.parametrize("tokens", [[[5], [6], [5, 9]], [[5], [6]], [[5], [6], []]])
def test_labels_that_share_a_first_token_or_have_none_are_refused(tokens):
    with refused(LabelError, parameter="label_tokens"):
        logit_bias(served([SAME] * 3), tokens)
