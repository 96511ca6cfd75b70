"""Noisy copies: what they keep, how far they stray, and that they average out."""

import numpy as np
import pytest

from debias.search.descent.smoothed_bootstrap import smooth


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(3), 40), rng.integers(3, size=40)


def logarithms(probabilities):
    values = np.log(probabilities)
    return values - values.mean(axis=1, keepdims=True)


def test_copies_are_distributions_with_the_labels_of_their_rows(rows):
    copies, labels = smooth(*rows, n_copies=6)
    assert copies.shape == (240, 3)
    np.testing.assert_allclose(copies.sum(axis=1), 1)
    np.testing.assert_array_equal(labels.reshape(40, 6), np.repeat(rows[1][:, None], 6, axis=1))


def test_on_average_no_row_moves(rows):
    copies, _ = smooth(*rows, n_copies=6)
    np.testing.assert_allclose(
        logarithms(copies).reshape(40, 6, 3).mean(axis=1), logarithms(rows[0]), atol=1e-9
    )


def test_noise_is_that_of_scotts_rule(rows):
    copies, _ = smooth(*rows, n_copies=4000)
    noise = logarithms(copies).reshape(40, 4000, 3) - logarithms(rows[0])[:, None, :]
    given = logarithms(rows[0]).std(axis=0) * 40**-0.2
    # Centring a row takes a third of the noise of all three classes from each.
    expected = np.sqrt((given * 2 / 3) ** 2 + ((given**2).sum() - given**2) / 9)
    np.testing.assert_allclose(noise.std(axis=(0, 1)), expected, rtol=0.02)


def test_one_copy_is_the_rows_themselves_and_seeds_repeat(rows):
    for given, copy in zip(rows, smooth(*rows, n_copies=1), strict=True):
        np.testing.assert_array_equal(given, copy)
    first, again, other = (smooth(*rows, random_state=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_certain_rows_stay_finite():
    copies, _ = smooth(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), np.array([0, 1, 1]))
    assert np.isfinite(copies).all()
    assert (copies[:16, 0] > 0.9).all()


def test_a_column_without_spread_gets_no_noise():
    copies, _ = smooth(np.full((4, 2), 0.5), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(copies, 0.5)
