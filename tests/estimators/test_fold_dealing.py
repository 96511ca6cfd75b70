"""Folds: classes are dealt out evenly, copies of a row stay together, rows that are common do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debias.estimators.few_labels.fold_dealing import deal, deal_rows, groups_of


def literal_groups(P, y):
    """Compare every row with all before it; rows that a tenth of all are like stay alone."""
    rounded = [tuple(row) for row in np.round(P, 6).tolist()]
    group = []
    for i, row in enumerate(P.tolist()):
        is_common = rounded.count(rounded[i]) >= max(2, 0.1 * len(P))
        like = [j for j in range(i) if P[j].tolist() == row and y[j] == y[i] and not is_common]
        group.append(group[like[0]] if like else max(group, default=-1) + 1)
    return group


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
