"""Ranks against the literal rules: what the search sees is what a prediction does."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.correction import Function, Weight
from debias.corrections.families import Family, ensemble, memberships, weights
from debias.errors import TableError
from debias.search.objective import Objective
from debias.search.problem import Candidate, build_problem
from tests.support.refusals import refused
from tests.support.small_problems import SMALL_FAMILY, literal_counts, random_rows


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_counts_of_every_choice_are_the_literal_ones(seed):
    probabilities, y = random_rows(seed)
    problem = build_problem(probabilities, y, SMALL_FAMILY, Objective())
    for choice in itertools.product(range(5), repeat=3):
        ours, theirs = problem.counts(choice), literal_counts(probabilities, y, SMALL_FAMILY, choice)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("n_classes", "family", "dtype"),
    [
        (5, ensemble(30), np.uint8),
        (6, ensemble(30), np.uint16),
        (2, ensemble(90), np.uint8),
        (14, ensemble(30), np.uint16),
    ],
)
def test_ranks_are_as_narrow_as_the_number_of_values_allows(n_classes, family, dtype):
    probabilities, y = random_rows(0, n_samples=50, n_classes=n_classes, steps=40)
    problem = build_problem(probabilities, y, family, Objective())
    assert problem.ranks.dtype == dtype
    rng = np.random.default_rng(1)
    for _ in range(20):
        choice = rng.integers(0, len(family), n_classes)
        for a, b in zip(
            problem.counts(choice), literal_counts(probabilities, y, family, choice), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_many_rows_are_ranked_in_blocks(monkeypatch):
    probabilities, y = random_rows(3, n_samples=500)
    whole = build_problem(probabilities, y, weights(10), Objective())
    monkeypatch.setattr("debias.search.problem._BLOCK", 1000)
    blocks = build_problem(probabilities, y, weights(10), Objective())
    np.testing.assert_array_equal(whole.ranks, blocks.ranks)
    np.testing.assert_allclose(whole.change, blocks.change, atol=1e-12)


def test_change_is_the_mean_distance_from_the_identity():
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6]])
    problem = build_problem(probabilities, np.array([0, 1]), weights(2), Objective())
    np.testing.assert_allclose(problem.change, [[0.3, 0.0], [0.2, 0.0]])


def test_one_class_alone_cannot_be_evened_out():
    with refused(TableError, parameter="y", received=list):
        build_problem(np.full((3, 2), 0.5), np.zeros(3, dtype=np.int64), memberships(), Objective())


def test_a_function_of_ones_own_is_ranked_like_any_other():
    probabilities, y = random_rows(5, n_classes=2)
    family = Family([Weight(1, 1), Function("root", np.sqrt), Function("square", np.square)])
    problem = build_problem(probabilities, y, family, Objective())
    for choice in itertools.product(range(3), repeat=2):
        np.testing.assert_array_equal(
            problem.counts(choice).correct, literal_counts(probabilities, y, family, choice).correct
        )


def test_the_better_candidate():
    one = Candidate(0.5, 2, 0.3, (0, 1))
    assert Candidate(0.4, 3, 0.9, (2, 2)).beats(one)
    assert not Candidate(0.6, 0, 0.0, (0, 0)).beats(one)
    assert Candidate(0.5, 1, 0.9, (0, 2)).beats(one)
    assert Candidate(0.5, 2, 0.2, (0, 2)).beats(one)
    assert not one.beats(one)
