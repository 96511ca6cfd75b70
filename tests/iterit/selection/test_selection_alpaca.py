"""Selection on real responses: scikit-learn and the plain definition are the referees."""

import gzip
import json
from itertools import islice

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import weigh
from iterit.selection.near_duplicates import near_duplicates
from iterit.selection.selection import select
from tests.support.paths import SHARED
from tests.support.plain_selection import plain_greedy_matrix

ALPACA = SHARED / "instructions" / "alpaca_52k.jsonl.gz"
pytestmark = pytest.mark.skipif(not ALPACA.exists(), reason="the shared data is not beside this checkout")


@pytest.fixture(scope="module")
def texts():
    with gzip.open(ALPACA, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["output"] for line in islice(lines, 4000)]


def test_weights_of_a_slice_are_scikit_learns(texts):
    rows = np.arange(1, 4000, 3)
    counts = count_ngrams(texts, tokens="published")
    weights = weigh(counts, rows)
    vectorizer = TfidfVectorizer(ngram_range=(1, 3))
    expected = vectorizer.fit_transform([texts[row] for row in rows])
    columns = [vectorizer.vocabulary_[counts.ngram(column)] for column in weights.indices]
    found = csr_array((weights.data, columns, weights.indptr), shape=expected.shape)
    assert found.nnz == expected.nnz
    assert abs(found - expected).max() < 1e-12


@pytest.mark.parametrize("decay", [0.0, 0.1, 0.9])
def test_picks_are_those_of_the_plain_definition(texts, decay):
    complexity = np.random.default_rng(0).uniform(0.3, 0.998, len(texts))
    counts = count_ngrams(texts)
    picked = select(complexity, counts, 200, decay=decay)
    assert picked.rows.tolist() == plain_greedy_matrix(weigh(counts).matrix, complexity, 200, decay)


def test_modes_differ_in_length_as_they_say(texts):
    complexity = np.random.default_rng(0).uniform(0.3, 0.998, len(texts))
    counts = count_ngrams(texts)
    words = {
        mode: select(complexity, counts, 200, mode=mode).table["words"].mean()
        for mode in ("published", "length_neutral", "length_debiased", "longest")
    }
    every = counts.n_words.mean()
    assert words["longest"] > words["published"] > 2 * every
    assert 0.5 * every < words["length_neutral"] < 2 * every
    assert words["length_debiased"] < 0.5 * every


def test_copies_are_left_out_before_anything_is_picked(texts):
    found = near_duplicates(texts)
    assert len(found.table) > 10
    picked = select(np.full(len(texts), 0.5), count_ngrams(texts), 300, candidates=found.kept)
    assert set(picked.rows) <= set(found.kept)
