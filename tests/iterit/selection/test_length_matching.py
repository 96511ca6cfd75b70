"""Draws that are as long as the picks: histogram, total, chance, and every subset of tiny cases."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.errors import ParameterError
from iterit.selection.length_matching import TOLERANCE, length_matched_draw, quantile_bins
from tests.support.refusals import refused


def bins_by_hand(lengths, picks, n_bins):
    """Return the bin of each row: how many of the picks' quantiles its length has reached."""
    ordered = sorted(lengths[row] for row in picks)
    edges = {ordered[len(ordered) * number // n_bins] for number in range(1, n_bins)}
    return [sum(length >= edge for edge in edges) for length in lengths]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), min_size=1, max_size=60),
    st.integers(1, 12),
    st.booleans(),
    st.integers(0, 2**40),
)
def test_a_draw_has_the_picks_histogram_of_lengths_and_turns(rows, n_bins, by_turns, seed):
    lengths = [length for length, _ in rows]
    turns = [number for _, number in rows] if by_turns else None
    source = random.Random(seed)
    picks = source.sample(range(len(rows)), source.randint(0, len(rows)))
    drawn = length_matched_draw(lengths, picks, seed, turns=turns, n_bins=n_bins).tolist()
    assert len(set(drawn)) == len(drawn) == len(picks)
    assert drawn == length_matched_draw(lengths, picks, seed, turns=turns, n_bins=n_bins).tolist()
    if not picks:
        return
    bins = bins_by_hand(lengths, picks, n_bins)
    same = [(bins[row], by_turns and turns[row]) for row in range(len(rows))]
    assert [same[row] for row in drawn] == [same[row] for row in picks]
    own = [lengths[row] for row in picks]
    assert all(min(own) <= lengths[row] <= max(own) for row in drawn)


@pytest.mark.parametrize("seed", range(60))
def test_no_swap_within_a_bin_would_bring_the_total_nearer_unless_it_is_near(seed):
    source = random.Random(seed)
    n, n_bins = source.randint(4, 9), source.randint(1, 3)
    lengths = [source.randint(1, 30) for _ in range(n)]
    picks = sorted(source.sample(range(n), source.randint(2, n - 1)))
    drawn = length_matched_draw(lengths, picks, seed, n_bins=n_bins).tolist()
    bins = bins_by_hand(lengths, picks, n_bins)
    target = sum(lengths[row] for row in picks)
    gap = abs(sum(lengths[row] for row in drawn) - target)
    low, high = min(lengths[row] for row in picks), max(lengths[row] for row in picks)
    allowed = [
        subset
        for subset in itertools.combinations(range(n), len(picks))
        if Counter(bins[row] for row in subset) == Counter(bins[row] for row in picks)
        and all(low <= lengths[row] <= high for row in subset)
    ]
    assert tuple(sorted(drawn)) in allowed
    near = [s for s in allowed if len(set(s) & set(drawn)) >= len(picks) - 1]
    assert gap <= TOLERANCE * target or gap == min(
        abs(sum(lengths[row] for row in subset) - target) for subset in near
    )
    best = min(abs(sum(lengths[row] for row in subset) - target) for subset in allowed)
    assert best == 0  # the picks themselves are allowed
    assert gap <= 0.05 * target or len(allowed) < 30


@pytest.mark.parametrize("n_picks", [50, 500, 5000])
def test_totals_agree_within_half_a_per_cent_for_picks_of_any_length(n_picks):
    generator = np.random.default_rng(n_picks)
    lengths = np.ceil(generator.lognormal(4, 1, 20_000))
    longest, shortest = np.argsort(-lengths)[:n_picks], np.argsort(lengths)[:n_picks]
    for picks in (longest, shortest, generator.permutation(20_000)[:n_picks]):
        for seed in range(3):
            drawn = length_matched_draw(lengths, picks, seed)
            assert abs(lengths[drawn].sum() / lengths[picks].sum() - 1) <= TOLERANCE


def test_rows_of_one_length_are_drawn_equally_often_and_picks_are_among_them():
    times = np.zeros(12)
    for seed in range(600):
        times[length_matched_draw([7] * 12, [0, 5, 11], seed)] += 1
    assert abs(times - 150).max() < 5 * np.sqrt(600 * 0.25 * 0.75)


def test_candidates_bound_the_draw():
    lengths, outside = [5, 5, 5, 9, 9, 1, 100], [1, 4]
    for seed in range(20):
        drawn = length_matched_draw(lengths, [0, 3], seed, candidates=[1, 4, 5, 6])
        assert drawn.tolist() == outside
    with refused(ParameterError, parameter="candidates", received=0):
        length_matched_draw(lengths, [0, 3], 0, candidates=[1, 2, 5])


@pytest.mark.parametrize(
    ("changed", "parameter"),
    [
        ({"picks": [0, 0]}, "picks"),
        ({"picks": [9]}, "picks"),
        ({"lengths": [1.0, np.nan, 2.0]}, "lengths"),
        ({"lengths": [[1.0]]}, "lengths"),
        ({"turns": [1]}, "turns"),
        ({"candidates": [1, 1]}, "candidates"),
        ({"n_bins": 0}, "n_bins"),
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_refusals_name_the_argument(changed, parameter):
    with refused(ParameterError, parameter=parameter):
        length_matched_draw(**{"lengths": [1.0, 2.0, 3.0], "picks": [0, 1], "seed": 0} | changed)


def test_bins_hold_equal_shares_and_ties_stay_together():
    lengths = np.arange(100.0)
    assert np.bincount(quantile_bins(lengths, lengths, 10)).tolist() == [10] * 10
    tied = np.array([3.0] * 50 + [9.0] * 50)
    assert set(quantile_bins(tied, tied, 10)[:50]) & set(quantile_bins(tied, tied, 10)[50:]) == set()
    assert quantile_bins(np.array([1.0, 5.0]), np.array([]), 4).tolist() == [0, 0]
