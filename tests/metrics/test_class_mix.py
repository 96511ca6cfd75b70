"""Another class mix is reported where there is one, and hardly ever where chance alone is at work."""

import numpy as np
import pytest

from debias.metrics.class_mix import (
    LEVEL,
    describe_never_predicted,
    describe_other_mix,
    is_other_mix,
)


@pytest.mark.parametrize(
    ("mix", "sizes"),
    [
        ([0.5, 0.3, 0.2], (40, 900)),
        ([0.83, 0.1, 0.05, 0.015, 0.005], (300, 200)),  # rare classes, taken together
        ([0.97, 0.01, 0.01, 0.01], (25, 30)),
        (np.full(14, 1 / 14), (150, 2000)),
    ],
)
def test_chance_is_reported_at_most_as_often_as_stated(mix, sizes):
    rng, n_draws = np.random.default_rng(0), 1000
    false = sum(is_other_mix(*(rng.multinomial(size, mix) for size in sizes)) for _ in range(n_draws))
    assert false <= n_draws * LEVEL + 4 * np.sqrt(n_draws * LEVEL)


def test_a_change_is_seen_and_said_with_the_classes_that_changed_most():
    rng = np.random.default_rng(1)
    ours, fitted = rng.multinomial(300, [0.1, 0.3, 0.3, 0.3]), rng.multinomial(500, [0.4, 0.2, 0.2, 0.2])
    said = describe_other_mix(["a", "b", "c", "d"], ours, fitted, "labels")
    assert (
        f"a {100 * ours[0] / 300:.1f} % ({100 * fitted[0] / 500:.1f} % there)" in said and "1 % level" in said
    )


def test_a_change_that_moves_few_rows_is_not_said():
    many = np.array([500_000, 500_000])
    assert not is_other_mix(many + [5_000, -5_000], many)  # certain, but half a point
    assert not is_other_mix([0, 0], many)


def test_classes_that_no_row_is_predicted_as():
    names = ["a", "b", "c"]
    assert describe_never_predicted(names, np.array([1, 1, 1]), np.array([2, 1, 0])) == (
        "No row is predicted as c any more."
    )
    assert describe_never_predicted(names, np.array([3, 0, 0]), np.array([3, 0, 0])) == (
        "Every row is predicted as a, as before."
    )
    assert describe_never_predicted(names, np.array([1, 1, 1]), np.array([1, 1, 1])) == ""
