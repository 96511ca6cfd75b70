"""Copies: every pair compared is the referee."""

import random

import numpy as np
import pytest

from debias.errors import ParameterError
from iterit.selection.near_duplicates import near_duplicates
from tests.support.plain_selection import plain_shares
from tests.support.refusals import refused


def some_texts(seed, n=150):
    """Return texts of which many are others with a word or two changed."""
    source = random.Random(seed)
    words = [f"{a}{b}" for a in "bcdfgh" for b in "aeiou"]
    texts = []
    for _ in range(n):
        if texts and source.random() < 0.6:
            copy = source.choice(texts).split()
            for _ in range(source.randint(0, 3)):
                copy[source.randrange(len(copy))] = source.choice(words)
            texts.append(" ".join(copy))
        else:
            texts.append(" ".join(source.choices(words, k=source.randint(1, 40))))
    return texts


@pytest.mark.parametrize("threshold", [0.6, 0.8, 1.0])
def test_only_duplicates_are_called_so_and_few_are_missed(threshold):
    missed = n_copies = 0
    for seed in range(4):
        texts = some_texts(seed)
        found = near_duplicates(texts, threshold=threshold)
        shares = np.array(plain_shares(texts, str.split))
        kept = set(found.kept)
        for copy in found.table.itertuples():
            assert copy.copy_of in kept
            assert copy.row not in kept
            assert copy.copy_of < copy.row
            if copy.kind == "near":
                assert copy.similarity == shares[copy.row, copy.copy_of] >= threshold
                assert len(texts[copy.row].split()) >= 5
        assert len(found.kept) + len(found.table) == len(texts)
        n_copies += len(found.table)
        for row in found.kept:
            earlier = [other for other in found.kept if other < row and len(texts[other].split()) >= 5]
            if len(texts[row].split()) >= 5 and earlier:
                missed += shares[row, earlier].max() >= threshold
    assert n_copies > 50
    assert missed <= 0.02 * n_copies


def test_exact_duplicates_are_found_whatever_they_are():
    found = near_duplicates(["", "5", "", "five of them", "5", "-5"])
    assert found.kept.tolist() == [0, 1, 3, 5]
    assert found.table["copy_of"].tolist() == [0, 1]
    assert found.table["kind"].tolist() == ["exact", "exact"]


def test_a_copy_of_a_near_duplicate_names_what_was_kept():
    first = "one two three four five six seven eight nine ten"
    near = first + "!"
    found = near_duplicates([first, near, near])
    assert found.kept.tolist() == [0]
    assert found.table["copy_of"].tolist() == [0, 0]


def test_no_texts():
    assert len(near_duplicates([]).kept) == 0


@pytest.mark.parametrize("threshold", [0.0, 1.5, float("nan")])
def test_thresholds_that_are_not_allowed(threshold):
    with refused(ParameterError, parameter="threshold", received=float):
        near_duplicates(["a"], threshold=threshold)
