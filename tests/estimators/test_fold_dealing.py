"""Folds: classes are dealt out evenly, copies of a row stay together, rows that are common do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias.estimators.debiasers import EnsembleDebiaser
from debias.estimators.few_labels.fold_dealing import deal, deal_rows, groups_of


def literal_groups(P, y):
    """Groups by comparing each row with each, but for rows that a tenth are like and where labels differ."""
    n = len(y)
    alike = [[(P[i] == P[j]).all() for j in range(n)] for i in range(n)]
    common = [sum(own) >= max(2, 0.1 * n) for own in alike]
    pairs = [(i, j) for i in range(n) for j in range(i) if alike[i][j] and not common[i]]
    mixed = sum(y[i] != y[j] for i, j in pairs)
    leaders = [
        i if common[i] or mixed > 0.05 * len(pairs) else min(j for j in range(n) if alike[i][j])
        for i in range(n)
    ]
    numbers = {leader: number for number, leader in enumerate(sorted(set(leaders)))}
    return [numbers[leader] for leader in leaders]


@given(
    st.lists(
        st.tuples(st.sampled_from(np.linspace(0, 1, 40).tolist()), st.integers(0, 1)), min_size=1, max_size=90
    )
)
def test_groups_are_those_of_a_literal_comparison(pairs):
    p, y = (np.array(values) for values in zip(*pairs, strict=True))
    P = np.column_stack([p, 1 - p])
    group, first = groups_of(P, y)
    expected = literal_groups(P, y)
    assert group.tolist() == expected
    assert first.tolist() == [expected.index(k) for k in range(max(expected) + 1)]


@pytest.mark.parametrize("times", [1, 2, 5])
def test_copies_are_dealt_as_one_row(times):
    rng = np.random.default_rng(0)
    P, y = rng.dirichlet(np.ones(3), 60), rng.integers(0, 3, 60)
    once = deal(y, 5, [7])
    order = rng.permutation(np.arange(60 * (times - 1)))
    copies = np.tile(np.arange(60), times)[60:][order]
    fold = deal_rows(np.vstack([P, P[copies]]), np.concatenate([y, y[copies]]), 5, [7])
    np.testing.assert_array_equal(fold, np.concatenate([once, once[copies]]))


def test_a_row_that_is_common_is_dealt_out_one_by_one():
    P = np.vstack([np.tile([0.5, 0.5], (50, 1)), np.random.default_rng(0).dirichlet(np.ones(2), 50)])
    y = np.tile([0, 1], 50)
    np.testing.assert_array_equal(deal_rows(P, y, 5, [0]), deal(y, 5, [0]))


def test_rows_that_are_alike_by_chance_are_dealt_out_one_by_one():
    rng = np.random.default_rng(0)
    p = rng.choice(np.linspace(0.2, 0.8, 49), 600)
    P, y = np.column_stack([p, 1 - p]), (rng.random(600) > p).astype(int)
    np.testing.assert_array_equal(deal_rows(P, y, 10, [0]), deal(y, 10, [0]))


def test_a_few_copies_with_another_label_stay_in_one_fold():
    rng = np.random.default_rng(0)
    P, y = rng.dirichlet(np.ones(3), 60), rng.integers(0, 3, 60)
    other = y.copy()
    other[0] = (y[0] + 1) % 3
    fold = deal_rows(np.vstack([P, P]), np.concatenate([y, other]), 5, [7])
    np.testing.assert_array_equal(fold[:60], fold[60:])


def test_expectations_of_coarse_probabilities_are_not_those_of_contradicting_folds():
    missed = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        p = rng.choice(np.linspace(0.3, 0.78, 49), 20_300)
        P, y = np.column_stack([p, 1 - p]), (rng.random(20_300) > 0.5 + 0.4 * (p - 0.6)).astype(int)
        fitted, new = slice(300), slice(300, None)
        options = {"search": "descent", "n_starts": 4, "random_state": 0}
        debiaser = EnsembleDebiaser(shrink=False, **options).fit(P[fitted], y[fitted])
        gained = debiaser.score(P[new], y[new]) - (P[new].argmax(axis=1) == y[new]).mean()
        missed.append(debiaser.expect(P[fitted], y[fitted]).accuracy.difference - gained)
    assert np.mean(missed) > -0.06  # -0.11 if equal rows of one label share a fold
