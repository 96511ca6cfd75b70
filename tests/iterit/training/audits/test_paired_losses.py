"""Intervals of gains: hand-solved, by simulation, and unclear where one side is a single draw."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from debias.errors import ParameterError
from iterit.training.audits.paired_losses import gain
from tests.support.refusals import refused


def tables(losses, tokens):
    return [pd.DataFrame({"row": np.arange(len(own)), "loss": own, "n_tokens": tokens}) for own in losses]


def test_two_seeds_and_two_records_by_hand():
    tokens = np.array([3, 1])
    drawn = tables(np.array([[2.0, 2.0], [2.0, 2.0]]), tokens)
    picked = tables(np.array([[1.0, 2.0], [1.5, 1.5]]), tokens)
    record, token = gain(picked, drawn, "record"), gain(picked, drawn, "token")
    assert record.mean == pytest.approx((1 + 0 + 0.5 + 0.5) / 4)
    assert token.mean == pytest.approx((1 * 3 + 0 + 0.5 * 3 + 0.5) / 8)
    seeds, records = np.var([0.5, 0.5], ddof=1) / 2, np.var([0.25, -0.25], ddof=1) / 2
    half = stats.t.ppf(0.975, 1) * np.sqrt(seeds + records)
    assert record.low == pytest.approx(0.5 - half) and record.high == pytest.approx(0.5 + half)
    assert (record.n_seeds, record.n_records, record.verdict) == (2, 2, "unclear")


def test_by_token_is_the_difference_of_means_over_all_tokens():
    random = np.random.default_rng(0)
    tokens = random.integers(1, 50, 30)
    drawn, picked = tables(random.normal(size=(4, 30)), tokens), tables(random.normal(size=(4, 30)), tokens)
    means = [np.mean([np.average(one["loss"], weights=tokens) for one in side]) for side in (drawn, picked)]
    assert gain(picked, drawn, "token").mean == pytest.approx(means[0] - means[1])
    assert gain(drawn, picked, "token").low == pytest.approx(-gain(picked, drawn, "token").high)


def test_five_seeds_by_hand():
    changes = np.array([[0.1, 0.3], [0.2, 0.4], [0.0, 0.2], [0.3, 0.3], [0.1, 0.1]])
    found = gain(tables(2.0 - changes, np.ones(2)), tables(np.full((5, 2), 2.0), np.ones(2)), "record")
    seeds, records = np.var(changes.mean(axis=1), ddof=1) / 5, np.var(changes.mean(axis=0), ddof=1) / 2
    banerjee = np.sqrt(stats.t.ppf(0.975, 4) ** 2 * seeds + stats.t.ppf(0.975, 1) ** 2 * records)
    assert (found.low, found.high) == pytest.approx((0.2 - banerjee, 0.2 + banerjee))  # of two records
    wide = np.tile(changes, 3)
    found = gain(tables(2.0 - wide, np.ones(6)), tables(np.full((5, 6), 2.0), np.ones(6)), "record")
    records = np.var(wide.mean(axis=0), ddof=1) / 6
    freedom = (seeds + records) ** 2 / (seeds**2 / 4 + records**2 / 5)
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, freedom) * np.sqrt(seeds + records))


@pytest.mark.parametrize("n_seeds", [2, 3, 4, 5])
@pytest.mark.parametrize("by", ["token", "record"])
def test_intervals_hold_the_true_gain_as_often_as_they_say(by, n_seeds):
    random = np.random.default_rng(7)
    held, n_draws, n = 0, 250, 60
    for _ in range(n_draws):
        tokens = random.integers(5, 100, n)
        of_seeds, of_records = random.normal(0, 0.06, n_seeds), random.normal(0, 0.1, n)
        noise = random.normal(0, 0.05, (n_seeds, n))
        drawn = tables(np.full((n_seeds, n), 2.0), tokens)
        picked = tables(2.0 - (0.03 + of_seeds[:, None] + of_records + noise), tokens)
        found = gain(picked, drawn, by)
        held += found.low <= 0.03 <= found.high
    assert held / n_draws >= 0.91  # 95 % but for chance among 250


def test_equal_losses_give_an_unclear_gain_of_zero():
    same = tables(np.ones((3, 4)), np.arange(1, 5))
    found = gain(same, same)
    assert (found.mean, found.low, found.high, found.verdict) == (0.0, 0.0, 0.0, "unclear")


def test_what_is_no_pair_is_refused():
    two, three = tables(np.ones((2, 4)), np.ones(4)), tables(np.ones((3, 4)), np.ones(4))
    with refused(ParameterError, parameter="drawn", received=3):
        gain(two, three)
    with refused(ParameterError, parameter="drawn"):
        gain(two, tables(np.ones((2, 5)), np.ones(5)))
    with refused(ParameterError, parameter="drawn"):
        gain([], [])
