"""Digests of rows: which rows are told to be shared, and texts that are none."""

import base64

import numpy as np
import pytest

from debias.errors import TableError
from debias.tables.row_digests import MOST_KEPT, RowDigests, digests_of
from tests.support.refusals import refused


def fine(n, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(3), n)


def test_one_shared_row_is_found_where_no_other_coincides():
    kept, others = fine(500), fine(300, seed=1)
    digests = RowDigests.of(kept)
    assert not len(digests.shared(others))
    others[7] = kept[400]
    assert digests.shared(others).tolist() == [7]
    assert RowDigests.read(digests.text).shared(others).tolist() == [7]


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_coarse_rows_coincide_by_chance_and_are_not_told_to_be_shared(decimals):
    first = np.random.default_rng(0).uniform(size=1200).round(decimals)
    rows = np.stack([first, 1 - first], axis=1)
    assert np.isin(digests_of(rows[600:]), digests_of(rows[:600])).any()
    assert not len(RowDigests.of(rows[:600]).shared(rows[600:]))


def test_coarse_rows_that_are_the_same_are_found_where_chance_does_not_explain_it():
    rows = fine(1200).round(6)
    digests = RowDigests.of(rows[:600])
    assert not len(digests.shared(rows[600:]))
    assert len(digests.shared(np.concatenate([rows[500:600], rows[600:]]))) == 100


def test_a_large_table_keeps_a_sample():
    kept = fine(MOST_KEPT + 5000)
    digests = RowDigests.of(kept)
    assert len(digests.values) == MOST_KEPT
    found = digests.shared(kept[:2000])
    assert 1700 < len(found) < 2000
    assert not len(digests.shared(fine(2000, seed=1)))


def test_minus_zero_is_zero():
    assert digests_of(np.array([[0.0, 1.0]]))[0] == digests_of(np.array([[-0.0, 1.0]]))[0]


@pytest.mark.parametrize(
    "text",
    ["x", "AAAA", 3, None, "é" * 8, base64.b64encode(bytes([1] + [0] * 7 + [0] * 8)).decode()],
)
def test_what_is_no_text_of_digests(text):
    with refused(TableError, parameter="row_digests", received=text):
        RowDigests.read(text)


def test_more_digests_than_are_kept_are_refused():
    text = base64.b64encode(bytes(8 * (MOST_KEPT + 1))).decode()
    with refused(TableError, parameter="row_digests"):
        RowDigests.read(text)
