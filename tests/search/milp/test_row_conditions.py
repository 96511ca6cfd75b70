"""Contests against the literal rules: reach and hurdles say what a prediction does."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.families import ensemble, weights
from debias.search.milp.row_conditions import alike, build_conditions
from tests.support.small_problems import SMALL_FAMILY, literal_counts, random_rows


def counts_of(conditions, choice):
    """Count the rows that are right by their conditions."""
    correct = np.zeros(len(choice), dtype=np.int64)
    for label, n_samples, standing in conditions:
        hurdle = max(standing[k, choice[k]] for k in range(len(choice)) if k != label)
        correct[label] += n_samples * (standing[label, choice[label]] >= hurdle)
    return correct


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), steps=st.sampled_from([2, 4, 8, 100]))
def test_rows_are_right_exactly_when_they_are_predicted_as_their_class(seed, steps):
    probabilities, y = random_rows(seed, steps=steps)
    conditions = build_conditions(probabilities, y, SMALL_FAMILY)
    for choice in itertools.product(range(5), repeat=3):
        literal = literal_counts(probabilities, y, SMALL_FAMILY, choice)
        np.testing.assert_array_equal(counts_of(conditions, choice), literal.correct)


def test_many_classes_and_corrections():
    probabilities, y = random_rows(1, n_samples=60, n_classes=6, steps=1000)
    conditions = build_conditions(probabilities, y, ensemble(30))
    rng = np.random.default_rng(0)
    for _ in range(100):
        choice = rng.integers(0, 48, 6)
        literal = literal_counts(probabilities, y, ensemble(30), choice)
        np.testing.assert_array_equal(counts_of(conditions, choice), literal.correct)


def test_rows_that_no_choice_tells_apart_are_one_condition():
    probabilities = np.array([[0.9, 0.1], [0.95, 0.05], [0.5, 0.5], [0.95, 0.05]])
    conditions = build_conditions(probabilities, np.array([0, 0, 0, 1]), weights(3))
    assert sorted((condition.label, condition.n_samples) for condition in conditions) == [
        (0, 1),
        (0, 2),
        (1, 1),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_corrections_that_act_alike_give_the_same_counts_in_every_choice(seed):
    probabilities, y = random_rows(seed, n_samples=8, steps=10)
    family = weights(5)
    groups = alike(build_conditions(probabilities, y, family), family.identity)
    assert [sorted(itertools.chain(*of_class)) for of_class in groups] == [list(range(5))] * 3
    assert all(of_class[0][0] == family.identity for of_class in groups)
    first_of = [{r: group[0] for group in of_class for r in group} for of_class in groups]
    for choice in itertools.product(range(5), repeat=3):
        first = [first_of[k][r] for k, r in enumerate(choice)]
        np.testing.assert_array_equal(
            literal_counts(probabilities, y, family, choice).correct,
            literal_counts(probabilities, y, family, first).correct,
        )
