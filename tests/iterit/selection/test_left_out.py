"""Scores of what was left out, against the plain definition after all picks."""

import numpy as np
import pytest

from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import weigh
from iterit.selection.orders.left_out import scores_of_left_out
from iterit.selection.selection import select
from iterit.selection.selection_settings import SelectionSettings
from tests.support.plain_selection import as_lists

WORDS = ["a", "good", "day", "night", "cold", "sun", "rain", "to", "all"]


@pytest.fixture(scope="module")
def pool():
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 9))) for _ in range(40)]
    return count_ngrams(texts), np.clip(rng.beta(6, 3, 40), 0, 0.99), rng.normal(size=40)


def left_of(pool, how, candidates):
    counts, ifd, values = pool
    given = {"values": values} if how.mode in ("learnable", "influence") else {}
    settings = {"mode": how.mode, "decay": how.decay}
    picked = select(ifd, counts, 6, candidates=candidates, **given, **settings)
    rows = np.setdiff1d(np.arange(40), picked.rows)
    left = scores_of_left_out(
        rows, how=how, counts=counts, candidates=candidates, picked=picked.rows, ifd=ifd, **given
    )
    return picked, left


@pytest.mark.parametrize("mode", ["published", "length_neutral", "length_debiased", "diversity", "learnable"])
@pytest.mark.parametrize("decay", [0.0, 0.1, 0.7])
def test_a_score_is_that_of_the_plain_definition_after_the_picks(pool, mode, decay):
    counts, ifd, values = pool
    how, candidates = SelectionSettings(mode=mode, decay=decay), np.arange(2, 38)
    picked, left = left_of(pool, how, candidates)
    weights = weigh(counts, candidates)
    rows = as_lists(weights)
    for row in picked.rows:
        taken = {column for column, _ in rows[row - 2]}
        for other in rows:
            for entry in other:
                if entry[0] in taken:
                    entry[1] *= decay
    for row, (diversity, score) in left.iterrows():
        if row not in candidates:
            assert np.isnan(diversity) and np.isnan(score)
            continue
        n, tokens = max(len(rows[row - 2]), 1), counts.words_per_token[row]
        power = {"length_neutral": 0.5, "learnable": 0.5, "length_debiased": 1.0}.get(mode, 0.0)
        expected = sum(weight for _, weight in rows[row - 2]) / (n**power * tokens ** (power - 0.5))
        worth = {"diversity": 1.0, "learnable": max(values[row], 0.0)}.get(mode, ifd[row])
        assert diversity == pytest.approx(expected, abs=1e-12)
        assert score == pytest.approx(worth * expected, abs=1e-12)
    best = left["score"].max()  # as the last pick was taken, none that is left was worth more
    assert best <= picked.table["score"].iloc[-1] + 1e-12


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("complexity", "ifd"), ("longest", "words"), ("influence", "values"), ("random", None)],
)
def test_in_a_mode_of_one_order_the_score_is_what_orders(pool, mode, expected):
    counts, ifd, values = pool
    _, left = left_of(pool, SelectionSettings(mode=mode), np.arange(40))
    sides = {"ifd": ifd, "words": np.asarray(counts.n_words), "values": values}
    if expected is None:
        assert left["score"].isna().all()
    else:
        np.testing.assert_allclose(left["score"], sides[expected][left.index])


def test_diversity_by_vectors_is_not_computed_again(pool):
    counts, ifd, _ = pool
    left = scores_of_left_out(
        np.array([5]), how=SelectionSettings(mode="facility_location"), counts=counts,
        candidates=np.arange(40), picked=np.array([1]), ifd=ifd,
    )  # fmt: skip
    assert left.isna().all(axis=None)
