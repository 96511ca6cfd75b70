"""Rows corrected together: to the bit as by each correction alone, and as scikit-fuzzy has the shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skfuzzy.membership import gaussmf, sigmf, trapmf, trimf

from debias.corrections.bases.linear_maps import LinearMap
from debias.corrections.correction import Correction, Function, Triangle, Weight
from debias.corrections.decision_rule import DecisionRule, correct, decide
from debias.corrections.families import gaussians, memberships, sigmoids, trapezoids, weights, wide
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid
from debias.corrections.sloped_weights import SlopedWeight

GRID = np.unique(
    np.concatenate([np.linspace(0, 1, 1001), np.geomspace(5e-324, 1, 400), [np.nextafter(1, 0), 0.1 + 0.2]])
)
REFEREES = {
    Triangle: lambda one: trimf(GRID, [one.left, one.peak, one.right]),
    Trapezoid: lambda one: trapmf(GRID, [one.left, one.left_top, one.right_top, one.right]),
    Gaussian: lambda one: gaussmf(GRID, one.mean, one.deviation),
    Sigmoid: lambda one: sigmf(GRID, one.center, one.slope),
}
STEPS = (
    [
        Triangle(1e-300, 1e-300, 1),
        Triangle(0, 1e-310, 1),
        Triangle(-1, 0, 0),
    ]
    + [
        Triangle(*corners)
        for corners in [
            (0.3, 0.3, 0.7),
            (0.3, 0.7, 0.7),
            (0, 0, 1),
            (0, 0.2, 0.2),
            (0.5, 1, 1),
        ]
    ]
    + [Trapezoid(0.2, 0.2, 0.6, 0.6), Trapezoid(0, 0, 1, 1), Trapezoid(0, 0.1, 0.4, 0.4)]
)
SHAPES = [*memberships(), *trapezoids(), *gaussians(), *sigmoids(), *STEPS]
SQUARE = Function("square", np.square)
ALL = [*SHAPES, *wide(30, monotone=False), *weights(30), SlopedWeight(0.3, 0.7), SQUARE]


@pytest.mark.parametrize("correction", SHAPES, ids=lambda one: one.name)
def test_shapes_are_those_of_scikit_fuzzy(correction):
    assert np.array_equal(correction(GRID), REFEREES[type(correction)](correction))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 20), st.integers(0, 10**6), st.booleans())
def test_a_row_is_corrected_as_each_correction_does_it_alone(n_classes, seed, scaled):
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(n_classes, 0.3), 7)
    P[0], P[1] = np.eye(n_classes)[0], 1 / n_classes
    corrections = [ALL[k] for k in rng.integers(len(ALL), size=n_classes)]
    if scaled:
        corrections = [Scaled(one, float(rng.uniform(0.01, 1))) for one in corrections]
    rule = DecisionRule(tuple(corrections))
    together = rule.corrected(P)
    alone = np.column_stack([one(column) for one, column in zip(corrections, P.T, strict=True)])
    assert np.array_equal(together, alone)
    assert np.array_equal(np.concatenate([rule.corrected(row[None]) for row in P]), together)
    winners = [
        max(range(n_classes), key=lambda k: ((v if v.any() else p)[k], -k))
        for v, p in zip(alone, P, strict=True)
    ]
    assert rule.decide(P).tolist() == winners


@pytest.mark.parametrize("kind", ["affine", "batch"])
@pytest.mark.parametrize("n_classes", [2, 9, 40])
def test_a_row_has_the_same_values_alone_and_in_any_batch(n_classes, kind):
    rng = np.random.default_rng(n_classes)
    P = rng.dirichlet(np.full(n_classes, 0.3), 300)
    matrix = rng.normal(size=(n_classes, n_classes)) if kind == "affine" else np.eye(n_classes)
    base = LinearMap(matrix, rng.normal(size=n_classes), np.ones(n_classes), kind)
    rule = DecisionRule(tuple(wide(30))[:n_classes], base)
    whole = rule.values(P)
    assert np.array_equal(np.concatenate([rule.values(row[None]) for row in P]), whole)
    assert np.array_equal(rule.values(np.asfortranarray(P)), whole)
    logits = np.log(np.maximum(P, 1e-6)) @ matrix.T + base.bias
    literal = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(base.posteriors(P), literal, rtol=1e-10)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("width", [5e-324, 2.0**-1030, 1e-291, 1e-200])
def test_a_side_that_is_all_but_a_step_is_one_without_a_warning(width):
    side = Trapezoid(0.0, width, 1.0, 1.0)
    P = np.array([[0.0, 1.0], [width / 2, 0.5], [width, 1.0], [0.5, 0.5], [1.0, 0.0]])
    expected = [0.0, 0.0 if width / 2 == 0 else 0.5, 1.0, 1.0, 1.0]
    assert side(P[:, 0]).tolist() == expected
    corrected = DecisionRule((side, Triangle(0, 1, 1))).corrected(P)
    assert corrected[:, 0].tolist() == expected
    assert corrected[:, 1].tolist() == P[:, 1].tolist()


def test_a_value_a_little_above_one_is_one():
    P = np.array([[1.0000005, 0.0]])
    assert correct(P, [Triangle(0, 1, 1), Weight(1, 2)]).tolist() == [[1.0, 0.0]]
    assert Triangle(0, 1, 1)(P[0]).tolist() == [1.0, 0.0]
    assert Weight(30, 30)(P[0]).tolist() == [1.0, 0.0]


def test_a_row_of_zeros_is_decided_by_what_was_corrected():
    assert decide(np.zeros((1, 3)), np.array([[0.2, 0.5, 0.3]])).tolist() == [1]
    rule = DecisionRule((Triangle(0.5, 1, 1), Triangle(0.5, 1, 1)))
    assert rule.shares(np.array([[0.4, 0.6], [0.5, 0.5]]))[1].tolist() == [0.5, 0.5]


def test_the_rows_that_are_given_are_not_changed():
    P = np.array([[0.4, 0.6]])
    for rule in (DecisionRule((Triangle(0, 1, 1),) * 2), DecisionRule((Triangle(0, 1, 1), Weight(1, 3)))):
        rule.corrected(P)[:] = 7
    assert P.tolist() == [[0.4, 0.6]]


def test_a_correction_that_defines_values_of_its_own_is_called():
    class Half(Weight):
        def _values(self, p):
            return p / 2

    assert correct(np.array([[0.4, 0.6]]), [Half(1, 3), Weight(1, 3)]).round(3).tolist() == [[0.2, 0.2]]
    with pytest.raises(TypeError):
        Correction()(0.5)
