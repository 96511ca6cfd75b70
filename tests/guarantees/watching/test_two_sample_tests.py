"""p-values of two samples against scipy's on the rows themselves, and Holm's correction by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact, ks_2samp

from debias.guarantees.watching.two_sample_tests import (
    below_tests,
    distribution_test,
    fall_tests,
    holm,
    shares_test,
)

counts = st.lists(st.integers(0, 40), min_size=3, max_size=3)


@given(counts, counts)
def test_the_gap_is_that_of_the_rows_and_its_p_value_is_never_much_below_the_exact_one(fitted, now):
    distance, p_value = distribution_test(fitted, now)
    if not sum(fitted) or not sum(now):
        assert (distance, p_value) == (0.0, 1.0)
        return
    values = [np.repeat(np.arange(3), one) for one in (now, fitted)]
    exact = ks_2samp(*values, method="exact" if min(map(sum, (fitted, now))) < 30 else "asymp")
    assert distance == pytest.approx(exact.statistic, abs=1e-9)
    assert p_value >= 0.9 * exact.pvalue - 1e-12


def test_a_fall_is_told_from_a_rise():
    fell, rose = [30, 10, 0], [0, 10, 30]
    assert distribution_test(rose, fell, lower_only=True)[1] < 1e-6
    assert distribution_test(fell, rose, lower_only=True) == (0.0, 1.0)
    assert distribution_test(fell, rose)[1] == distribution_test(rose, fell)[1] < 1e-6


@given(counts, counts)
def test_shares_are_fishers_exact_tests_of_one_class_each(fitted, now):
    distance, p_value = shares_test(fitted, now)
    n, m = sum(now), sum(fitted)
    if not n or not m:
        assert (distance, p_value) == (0.0, 1.0)
        return
    tails = [
        fisher_exact([[k, n - k], [f, m - f]], alternative=side).pvalue
        for k, f in zip(now, fitted, strict=True)
        if k or f
        for side in ("less", "greater")
    ]
    assert p_value == pytest.approx(min(1.0, len(tails) * min(tails)), rel=1e-6)
    moved = sum(abs(k / n - f / m) for k, f in zip(now, fitted, strict=True)) / 2
    assert distance == pytest.approx(moved)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_a_fall_of_a_share_is_fishers_exact_test(correct_before, wrong_before, correct, wrong):
    m, n = correct_before + wrong_before, correct + wrong
    falls, p_values = fall_tests([correct_before], [m], [correct], [n])
    table = [[correct, wrong], [correct_before, wrong_before]]
    expected = fisher_exact(table, alternative="less").pvalue if m and n else 1.0
    assert p_values[0] == pytest.approx(expected, rel=1e-6)
    if m and n:
        assert falls[0] == pytest.approx(correct_before / m - correct / n)


def test_below_a_guarantee_by_hand():
    falls, p_values = below_tests([0, 2, 0], [2, 2, 0], [0.5, 0.5, 0.5])
    assert falls.tolist() == [0.5, -0.5, 0.0]
    assert p_values.tolist() == pytest.approx([0.25, 1.0, 1.0])


def test_no_p_value_is_below_its_level_more_often_than_that():
    """Both samples from one distribution, each of a few sizes: a share of .05 may be below .05."""
    rng = np.random.default_rng(0)
    for n, m in ((8, 200), (40, 40), (500, 60)):
        drawn = [(rng.multinomial(m, [0.1] * 10), rng.multinomial(n, [0.1] * 10)) for _ in range(400)]
        for test in (distribution_test, shares_test):
            share = np.mean([test(*pair)[1] <= 0.05 for pair in drawn])
            assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.001, 1, exclude_max=True))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, level):
    rejected = set()
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    for step, k in enumerate(order):
        if p_values[k] * (len(p_values) - step) > level:
            break
        rejected.add(k)
    assert set(np.flatnonzero(holm(p_values) <= level)) == rejected
