"""Search problems small enough to enumerate, with the literal definitions as referees."""

import itertools

import numpy as np
import pytest

from debias.corrections.correction import Triangle, Weight
from debias.corrections.decision_rule import correct, decide
from debias.corrections.families import Family
from debias.search.constraints import Constrained
from debias.search.objective import Objective, confusion_counts

# Coarse probabilities, so that ties between classes and rows of zeros are common.
SMALL_FAMILY = Family(
    [Triangle(0, 1, 1), Triangle(0.25, 0.5, 0.75), Weight(1, 2), Weight(1, 4), Triangle(0.5, 1, 1)]
)


def random_rows(seed: int, n_samples: int = 25, n_classes: int = 3, steps: int = 4):
    rng = np.random.default_rng(seed)
    parts = rng.multinomial(steps, np.full(n_classes, 1 / n_classes), n_samples)
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n_samples - n_classes)])
    return parts / steps, rng.permutation(y)


def literal_counts(probabilities, y, family, choice):
    corrected = correct(probabilities, [family[index] for index in choice])
    return confusion_counts(y, decide(corrected, probabilities), probabilities.shape[1])


def enumerate_best(problem):
    """The best of all choices, by the rules, one after another."""
    best = problem.candidate(problem.identity_choice)
    for choice in itertools.product(range(problem.n_corrections), repeat=problem.n_classes):
        candidate = problem.candidate(choice)
        best = candidate if candidate.beats(best) else best
    return best


GOALS = [
    Objective(),
    Objective(pmi=0.0),
    Objective(error=0.0, cobias=1.0, pmi=0.0),
    Objective(error=0.0, cobias=0.0, pmi=1.0, smoothing=3.0),
    Objective(error=0.3, cobias=2.7, pmi=5.0, smoothing=50.0),
    Constrained(max_cobias=0.1),
    Constrained(min_accuracy="uncorrected"),
    Constrained(min_class_accuracy=0.6, max_cobias=0.5),
    Constrained(min_class_accuracy=1.0),
]
"""Objectives with and without bounds, that every exact search is tested with."""


def assert_same(found, best):
    """Check that a candidate is as good as the best, as Candidate compares them."""
    assert found.objective == pytest.approx(best.objective, abs=1e-12)
    assert found.n_changed == best.n_changed
    assert found.change == pytest.approx(best.change, abs=1e-12)
