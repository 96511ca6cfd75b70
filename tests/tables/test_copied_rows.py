"""Rows that stand on both sides without a text or an id that says so: copies are warned of, chance is not."""

import warnings

import numpy as np
import pytest

from debias.errors import OverlapWarning
from debias.tables.overlap import check_disjoint
from debias.tables.table import ProbabilityTable

NAMES = ("a", "b", "c")


def table(n=400, decimals=16, n_copies=0, with_texts=False):
    """Return labelled rows of a model that is often right, the first of which are there again at the end."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=n)
    evidence = rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[y]
    rows = (np.exp(evidence) / np.exp(evidence).sum(axis=1, keepdims=True)).round(decimals)
    order = np.r_[:n, :n_copies]
    texts = [f"text {row}" for row in order] if with_texts else None
    return ProbabilityTable(rows[order], np.array(NAMES)[y][order], classes=NAMES, texts=texts)


@pytest.mark.parametrize("decimals", [16, 4])
def test_copies_on_both_sides_of_a_split_are_warned_of(decimals):
    with pytest.warns(OverlapWarning, match=r"test rows have the same probabilities and label.*text_column"):
        opt, test = table(decimals=decimals, n_copies=150).split(seed=0)
    with pytest.warns(OverlapWarning, match="the first is test row"):
        check_disjoint(opt, test)
    other = ProbabilityTable(test.probabilities[["c", "a", "b"]], test.labels)
    with pytest.warns(OverlapWarning):
        check_disjoint(ProbabilityTable(opt.probabilities, opt.labels), other)


def test_equal_texts_stay_together_and_are_no_copies():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table(n_copies=150, with_texts=True).split(seed=0)


@pytest.mark.parametrize("decimals", [16, 1])
def test_rows_that_are_equal_by_chance_are_no_copies(decimals):
    rng = np.random.default_rng(0)
    certain = np.tile([0.995, 0.003, 0.002], (200, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table(2000, decimals).split(seed=0)
        ProbabilityTable(certain, ["a"] * 200, classes=NAMES).split(seed=0)
        votes = rng.multinomial(4, [0.5, 0.3, 0.2], size=400) / 4
        ProbabilityTable(votes, rng.choice(NAMES, size=400), classes=NAMES).split(seed=0)
        check_disjoint(table(50), ProbabilityTable(np.full((3, 3), 1 / 3), classes=NAMES))
