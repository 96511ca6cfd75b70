"""Directions and thresholds, against a hash in plain Python and a sort."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from debias.inference.zeroth_order.directions import (
    descend,
    drawn,
    perturbed,
    perturbed_rows,
    quantiles,
    stream_of,
)
from debias.inference.zeroth_order.thresholds import EVERYTHING, threshold_of

ALL = float("inf")


def plain_number(stream, place):
    """The number at a place, with Python's integers."""
    mask = 2**64 - 1
    word = (stream.key + place // 4 * stream.step) & mask
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & mask
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & mask
    word ^= word >> 31
    return quantiles()[word >> place % 4 * 16 & 0xFFFF]


@settings(max_examples=30)
@given(st.integers(0, 2**64 - 1), st.integers(0, 10**12), st.integers(1, 23))
def test_numbers_are_those_of_the_plain_hash(seed, first, count):
    stream = stream_of(seed, "layer.weight")
    expected = [plain_number(stream, first + i) for i in range(count)]
    assert drawn(stream, first, count).tolist() == expected
    assert perturbed(torch.zeros(count), first, stream, ALL, 1.0).tolist() == expected


@given(st.integers(0, 9), st.integers(0, 50), st.integers(0, 50), st.floats(0.0, 1.0))
def test_any_part_has_the_bytes_of_the_whole(seed, start, size, threshold):
    weights = torch.from_numpy(np.random.default_rng(seed).normal(size=101).astype(np.float32))
    stream = stream_of(seed, "a")
    whole = perturbed(weights, 0, stream, threshold, 0.1)
    part = perturbed(weights[start : start + size], start, stream, threshold, 0.1)
    assert torch.equal(part, whole[start : start + size])
    by_operations = weights + torch.tensor(0.1) * drawn(stream, 0, 101)
    assert torch.equal(whole, torch.where(weights.abs() <= threshold, by_operations, weights))


@given(st.lists(st.integers(0, 6), max_size=9), st.integers(1, 9))
def test_rows_have_the_bytes_of_the_whole(rows, width):
    weights = torch.linspace(-1, 1, 7 * width).view(7, width)
    stream = stream_of(3, "embedding")
    whole = perturbed(weights, 0, stream, 0.6, 0.1)
    assert torch.equal(
        perturbed_rows(weights, torch.tensor(rows, dtype=torch.int64), stream, 0.6, 0.1), whole[rows]
    )


@pytest.mark.parametrize("threshold", [ALL, 0.5])
def test_a_step_in_place_is_the_one_by_operations(threshold):
    weights = torch.linspace(-1, 1, 1003)
    stream = stream_of(3, "a")
    moved = weights - (torch.tensor(0.2) * drawn(stream, 0, 1003) + torch.tensor(0.01) * weights)
    expected = torch.where(weights.abs() <= threshold, moved, weights)
    descend(weights, stream, threshold, along=0.2, decay=0.01)
    assert torch.equal(weights, expected)


def test_numbers_are_normal_and_unrelated():
    numbers = drawn(stream_of(11, "a"), 0, 200_000).double().numpy()
    assert stats.kstest(numbers, "norm").pvalue > 0.01
    assert abs(stats.kurtosis(numbers)) < 0.05
    others = drawn(stream_of(12, "a"), 0, 200_000).double().numpy()
    for one, other in ((numbers[:-1], numbers[1:]), (numbers[:-4], numbers[4:]), (numbers, others)):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(200_000)


def test_quantiles_are_the_same_bytes_everywhere():
    """A change of these numbers would make every run ever written unreadable."""
    assert hashlib.sha256(quantiles().astype("<f4").tobytes()).hexdigest()[:16] == "8babbcaf96568f10"


@given(
    st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=40),
    st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.8, 0.99]),
)
def test_a_threshold_is_the_one_that_a_sort_finds(values, sparsity):
    weights = torch.tensor(values)
    n_touched = max(1, round((1 - sparsity) * len(values)))
    sizes = sorted(abs(np.float32(value)) for value in values)
    expected = sizes[n_touched - 1]
    if sparsity == 0 or n_touched == len(values) or expected == 0:
        expected = EVERYTHING
    assert threshold_of(weights, sparsity) == expected


def test_sparsity_is_the_share_that_is_not_touched():
    weights = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    touched = weights.abs() <= threshold_of(weights, 0.8)
    assert int(touched.sum()) == 2_000
    assert weights[touched].abs().max() < weights[~touched].abs().min()
