"""Rank agreement: against scipy and the naive ranks, coverage of the interval in a simulation."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from iterit.rounds.rank_agreement import agreement_sample, rank_agreement


def test_the_correlation_is_that_of_ranks_and_missing_scores_are_omitted():
    source = np.random.default_rng(0)
    one = source.normal(size=100)
    other = one + source.normal(size=100)
    other[[3, 50]] = np.nan
    found = rank_agreement(one, other)
    assert found.n_rows == 98
    assert found.correlation == pytest.approx(spearmanr(one, other, nan_policy="omit").statistic)
    assert found.low < found.correlation < found.high


def test_the_interval_covers_as_often_as_it_says():
    source = np.random.default_rng(1)
    truth = 6 / np.pi * np.arcsin(0.7 / 2)  # Spearman's of a normal pair with correlation 0.7
    covered = 0
    for _ in range(400):
        one, noise = source.normal(size=(2, 200))
        found = rank_agreement(one, 0.7 * one + np.sqrt(1 - 0.49) * noise)
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 400 <= 0.985


def test_little_is_known_from_few_or_equal_scores():
    assert rank_agreement(np.array([1.0, 2, 3]), np.array([1.0, 2, 3]))[1:3] == (-1, 1)
    equal = rank_agreement(np.ones(50), np.arange(50.0))
    assert equal.correlation == 0
    assert equal.is_low
    assert rank_agreement(np.empty(0), np.empty(0)).n_rows == 0


def test_a_sample_is_drawn_once_by_its_seed():
    rows = np.arange(0, 2000, 2)
    one = agreement_sample(rows, 3)
    assert len(set(one.tolist())) == 200
    assert set(one.tolist()) <= set(rows.tolist())
    np.testing.assert_array_equal(one, agreement_sample(rows, 3))
    assert not np.array_equal(one, agreement_sample(rows, 4))


def test_a_few_rows_in_the_same_order_are_no_perfect_agreement():
    few, many = (rank_agreement(np.arange(float(n)), np.arange(float(n))) for n in (4, 200))
    assert few.correlation == few.high == 1
    assert few.low < 0  # four rows are in one order by chance once in 24 times
    assert few.is_low
    assert many.low > 0.999
    reversed_ = rank_agreement(np.arange(5.0), -np.arange(5.0))
    assert reversed_.low == pytest.approx(-1)
    assert reversed_.high > -0.9
