"""Facility location: the lazy search against one that computes everything anew for every pick."""

import numpy as np
import pytest

from iterit.selection.facility_location import cover_greedily, unit_rows
from iterit.selection.selection import select
from tests.support.plain_selection import plain_cover


@pytest.mark.parametrize("seed", range(150))
def test_picks_are_the_plain_ones_where_similarities_are_exact(seed):
    """Vectors of +-1/2 in four dimensions have exact products, and very many ties."""
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 40))
    vectors = random.choice([-0.5, 0.5], size=(n, 4))
    complexity = random.choice([0.0, 0.25, 0.5, 1.0], size=n)
    k = int(random.integers(0, n + 1))
    found = cover_greedily(vectors, complexity, k)
    rows, gains = plain_cover(vectors, complexity, k)
    assert found.rows.tolist() == rows
    assert found.diversity.tolist() == gains


@pytest.mark.parametrize("n_dimensions", [1, 3, 17, 64, 100])
def test_each_pick_is_the_best_there_is(n_dimensions):
    random = np.random.default_rng(n_dimensions)
    vectors = random.normal(size=(300, n_dimensions)) + random.normal(size=n_dimensions)
    complexity = random.uniform(0.3, 1.0, size=300)
    found = cover_greedily(vectors, complexity, 30)
    exact = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = np.maximum(exact @ exact.T, 0)
    nearest = np.zeros(300)
    for row, score in zip(found.rows, found.score, strict=True):
        scores = complexity * np.maximum(similarity - nearest, 0).sum(axis=1)
        assert score == pytest.approx(scores[row], rel=1e-4, abs=1e-4)
        assert scores[row] >= scores.max() * (1 - 1e-4) - 1e-4
        nearest = np.maximum(nearest, similarity[row])
    assert len(set(found.rows)) == len(found.rows)


@pytest.mark.parametrize("n_dimensions", [1, 5, 17, 64, 100, 384])
def test_a_copy_of_a_pick_adds_exactly_nothing(n_dimensions):
    """A similarity is the same number in a gain and in what a pick leaves behind."""
    vectors = np.random.default_rng(0).normal(size=(150, n_dimensions))
    found = cover_greedily(np.concatenate([vectors, vectors, vectors]), np.ones(450), 450)
    assert len(found.rows) <= 150
    assert (found.rows < 150).all()


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_threads_change_nothing(n_jobs):
    vectors = np.random.default_rng(1).normal(size=(700, 20))
    found = cover_greedily(vectors, np.ones(700), 60, n_jobs=n_jobs)
    expected = cover_greedily(vectors, np.ones(700), 60, n_jobs=2)
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.score.tolist() == expected.score.tolist()


def test_rows_without_a_vector_and_when_nothing_is_left_to_cover():
    vectors = np.array([[1.0, 0], [1.0, 0], [0, 0], [0, 1.0]])
    picked = select([0.5, 0.6, 0.9, 0.7], None, 4, mode="facility_location", embeddings=vectors)
    assert picked.rows.tolist() == [1, 3, 2, 0]  # what covers, then by complexity
    assert picked.table["diversity"].tolist() == [2, 1, 0, 0]
    assert unit_rows(vectors).dtype == np.float32


def test_rows_that_may_not_be_picked_are_still_to_be_near():
    vectors = np.array([[1.0, 0], [0, 1.0], [0, 1.0], [0, 1.0]])
    ifd = [0.9, 0.8, 1.5, 1.5]
    picked = select(ifd, None, 1, mode="facility_location", embeddings=vectors)
    assert picked.rows.tolist() == [1]
    assert picked.table["diversity"].tolist() == [3]
