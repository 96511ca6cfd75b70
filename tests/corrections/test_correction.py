"""Corrections: the published table by hand, properties, and the two rules of the decision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from debias.corrections.correction import Correction, Function, Triangle, Weight
from debias.corrections.decision_rule import correct, decide
from debias.corrections.families import Family, ensemble, memberships, weights
from debias.corrections.serialization import correction_from_dict
from debias.errors import ParameterError
from tests.support.refusals import refused

# Ids and corners as the papers number them.
PUBLISHED = {
    0: (0, 0, 0.5),
    1: (0, 0.5, 1),
    2: (0.5, 1, 1),
    3: (0, 0, 0.25),
    4: (0, 0.25, 0.5),
    5: (0.25, 0.5, 0.75),
    6: (0.5, 0.75, 1),
    7: (0.75, 1, 1),
    8: (0, 0, 0.125),
    9: (0, 0.125, 0.25),
    10: (0.125, 0.25, 0.375),
    11: (0.25, 0.375, 0.5),
    12: (0.375, 0.5, 0.625),
    13: (0.5, 0.625, 0.75),
    14: (0.625, 0.75, 0.875),
    15: (0.75, 0.875, 1),
    16: (0.875, 1, 1),
    17: (0, 1, 1),
    18: (0, 0, 1),
}
probabilities = npst.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1))


def triangle_by_hand(p: float, a: float, b: float, c: float) -> float:
    """The definition: up from a to b, down from b to c, one at b, zero outside."""
    if p == b:
        return 1.0
    if a < p < b:
        return (p - a) / (b - a)
    if b < p < c:
        return (c - p) / (c - b)
    return 0.0


def test_the_memberships_have_the_published_ids_and_corners():
    family = memberships()
    assert family.ids.tolist() == list(range(19))
    assert {c.id: (c.left, c.peak, c.right) for c in family} == PUBLISHED


@given(p=probabilities)
def test_every_membership_is_its_definition(p):
    for correction in memberships():
        expected = [triangle_by_hand(x, *PUBLISHED[correction.id]) for x in p]
        np.testing.assert_allclose(correction(p), expected, atol=1e-12)


@given(p=probabilities)
def test_dont_change_is_exactly_the_identity_and_its_mirror_one_minus_p(p):
    np.testing.assert_array_equal(memberships()[17](p), p)
    np.testing.assert_allclose(memberships()[18](p), 1 - p, atol=1e-15)


@pytest.mark.parametrize("n_weights", [30, 50, 70, 90])
def test_weights_are_numbered_from_19(n_weights):
    family = weights(n_weights)
    assert family.ids.tolist() == list(range(19, 19 + n_weights))
    for i, correction in enumerate(family):
        assert correction([0.6])[0] == 0.6 * ((i + 1) / n_weights)
    assert family.identity == n_weights - 1


def test_the_ensemble_holds_one_identity():
    family = ensemble(30)
    assert len(family) == 48
    assert [c.id for c in family if c.is_identity] == [17]
    assert 48 not in family.ids


def test_a_family_without_identity_gets_one():
    family = Family([Triangle(0, 0.5, 1, id=1)])
    assert [c.name for c in family] == ["identity", "triangle (0, 0.5, 1)"]


def test_a_family_of_ones_own():
    square = Function("square", np.square)
    family = memberships() | [square, Function("root", np.sqrt)]
    assert family.ids.tolist() == [*range(19), 1000, 1001]
    assert family[family.index_of(1000)]([0.5])[0] == 0.25


def test_weights_of_numpy_integers_can_be_written():
    given = Weight(np.int64(1), np.uint8(3), id=1000)
    assert given.to_dict() == Weight(1, 3, id=1000).to_dict()
    assert {type(number) for number in (given.steps, given.of)} == {int}


def test_a_family_of_what_can_be_read_once_is_whole():
    assert Family(correction for correction in weights(3)) == Family(weights(3))


def test_the_same_id_twice_is_refused():
    with refused(ParameterError, parameter="id", received=3):
        memberships() | [Triangle(0.1, 0.2, 0.3, id=3)]


def test_union_drops_what_is_there_already():
    assert memberships() | memberships() == memberships()


def test_a_correction_of_ones_own_must_stay_in_the_unit_interval():
    with refused(ParameterError, received=1.5, mentions=("'double'", "0.75")):
        Function("double", lambda p: 2 * p)([0.25, 0.75])
    with refused(ParameterError, received=(1,), mentions="'short'"):
        Function("short", lambda p: p[:1])([0.25, 0.75])
    with refused(ParameterError, received=float, mentions=("'broken'", "nan")):
        Function("broken", lambda p: p * np.nan)([0.25])


@pytest.mark.parametrize("corners", [(0.5, 0.25, 1), (0.5, 0.5, 0.5), (0.1, 0.3, 0.2)])
def test_impossible_triangles_are_refused(corners):
    with refused(ParameterError, received=corners):
        Triangle(*corners)


@pytest.mark.parametrize(("steps", "of"), [(0, 30), (31, 30), (-1, 30), (1.5, 3), ("1", 3), (True, 3)])
def test_impossible_weights_are_refused(steps, of):
    with refused(ParameterError, received=(steps, of)):
        Weight(steps, of)


@pytest.mark.parametrize("n_weights", [0, -3, 2.5, "30"])
def test_impossible_scales_are_refused(n_weights):
    with refused(ParameterError, parameter="n_weights", received=n_weights):
        weights(n_weights)


def test_a_base_class_without_values_says_what_to_define():
    with pytest.raises(TypeError) as caught:
        Correction()([0.5])
    assert Correction._values.__name__ in str(caught.value)


def test_things_that_are_no_corrections_are_refused():
    with refused(ParameterError, parameter="corrections", received="identity"):
        Family(["identity"])
    with refused(ParameterError, parameter="id", received=99):
        memberships().index_of(99)


@pytest.mark.parametrize("correction", [*ensemble(30)], ids=lambda c: c.name)
def test_plain_data_and_back(correction):
    assert correction_from_dict(correction.to_dict()) == correction


@pytest.mark.parametrize(
    ("description", "parameter"),
    [
        ({"kind": "eval", "id": 1}, "kind"),
        ({"kind": "weight", "id": 1}, "correction"),
        ({"kind": "weight", "id": 1, "steps": "x", "of": 3}, "correction"),
        ({"kind": "weight", "id": 1, "steps": 2.9, "of": 3}, "correction"),
        ({"kind": "weight", "id": 1, "steps": True, "of": 3}, "correction"),
        ({"kind": "weight", "id": 1.5, "steps": 2, "of": 3}, "correction"),
        ({"kind": "membership", "id": 1, "left": "0", "peak": 0, "right": 1}, "correction"),
        ({"kind": "membership", "id": None, "left": 0, "peak": 0, "right": 1}, "correction"),
        ({}, "kind"),
    ],
)
def test_damaged_plain_data_is_refused(description, parameter):
    with refused(ParameterError, parameter=parameter):
        correction_from_dict(description)


def decide_by_hand(row: list[float], original: list[float]) -> int:
    """The rules, literally."""
    if all(value == 0 for value in row):
        row = original
    best = 0
    for k in range(1, len(row)):
        if row[k] > row[best]:
            best = k
    return best


coarse = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@given(
    rows=st.lists(
        st.tuples(st.lists(coarse, min_size=3, max_size=3), st.lists(coarse, min_size=3, max_size=3))
    )
)
def test_ties_go_to_the_first_class_and_zeros_to_the_original(rows):
    corrected = np.array([row for row, _ in rows]).reshape(-1, 3)
    original = np.array([row for _, row in rows]).reshape(-1, 3)
    assert decide(corrected, original).tolist() == [decide_by_hand(*row) for row in rows]


def test_the_input_is_not_changed():
    p = np.array([[0.2, 0.8], [0.5, 0.5]])
    before = p.copy()
    decide(correct(p, [Weight(1, 2), Triangle(0, 0, 0.5)]), p)
    np.testing.assert_array_equal(p, before)
