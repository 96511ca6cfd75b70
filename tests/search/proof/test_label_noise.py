"""Label noise, against every way to get some labels wrong and every choice."""

from itertools import combinations, product

import numpy as np
import pytest

from debias.corrections.decision_rule import correct, decide
from debias.corrections.families import weights
from debias.errors import ParameterError
from debias.search.objective import Objective, confusion_counts
from debias.search.proof.label_noise import most_change, tolerated_labels
from tests.support.refusals import refused
from tests.support.small_tables import skewed_rows

OBJECTIVES = [Objective(pmi=0.0), Objective(2.0, 0.5, 0.3, smoothing=2.0), Objective(0.0, 1.0, 0.0)]
FURTHER = [
    Objective.worst_class_first(),
    Objective.balanced(),
    Objective(0.0, 0.0, 0.0, macro_f1=1.0),
    Objective(1.0, 1.0, 0.2, worst_class=1.0, balanced_error=0.5, macro_f1=2.0),
]


def all_values(P, family):
    """Return the predictions of every choice."""
    choices = product(family, repeat=P.shape[1])
    return np.array([decide(correct(P, list(choice)), P) for choice in choices])


def relabelled(y, n_classes, n_wrong):
    """Yield every way in which so many labels may be wrong."""
    for rows in combinations(range(len(y)), n_wrong):
        others = [[k for k in range(n_classes) if k != y[row]] for row in rows]
        for labels in product(*others):
            true = y.copy()
            true[list(rows)] = labels
            yield true


@pytest.mark.parametrize("objective", OBJECTIVES + FURTHER)
@pytest.mark.parametrize(("n_classes", "n_samples", "n_wrong"), [(2, 12, 1), (2, 12, 2), (3, 9, 2)])
def test_no_wrong_labels_put_the_choice_further_from_the_best(objective, n_classes, n_samples, n_wrong):
    P, y = skewed_rows(n_samples=n_samples, n_classes=n_classes)
    predicted = np.unique(all_values(P, weights(3)), axis=0)

    def values(labels):
        return np.array([objective(*confusion_counts(labels, one, n_classes)) for one in predicted])

    seen = values(y)
    best = int(seen.argmin())
    most = most_change(objective, np.bincount(y), n_wrong)
    assert np.isfinite(most)
    distances = []
    for true in relabelled(y, n_classes, n_wrong):
        now = values(true)
        distances.append(now[best] - now.min())
        pairwise = (now[:, None] - now) - (seen[:, None] - seen)
        assert np.abs(pairwise).max() <= 2 * most + 1e-12
    assert max(distances) <= 2 * most


def test_costs_of_wrong_labels_are_counted():
    P, y = skewed_rows(n_samples=9, n_classes=3)
    objective = Objective.least_cost([[0, 1, 5], [2, 0, 1], [9, 4, 0]])
    predicted = np.unique(all_values(P, weights(3)), axis=0)
    most = most_change(objective, np.bincount(y), 1)

    def values(labels):
        return np.array([objective(*objective.counts(labels, one, 3)) for one in predicted])

    changes = [np.abs(values(true) - values(y)).max() for true in relabelled(y, 3, 1)]
    assert 0 < max(changes) <= most


def test_a_clear_choice_stays_the_best():
    """One prediction is right everywhere and the other nowhere, so the margin is large."""
    y = np.repeat([0, 1], 20)
    objective, support = Objective(pmi=0.0), np.bincount(y)
    right, wrong = y.copy(), 1 - y
    margin = objective(*confusion_counts(y, wrong, 2)) - objective(*confusion_counts(y, right, 2))
    tolerated = tolerated_labels(objective, support, margin)
    assert tolerated >= 2
    for true in relabelled(y, 2, 2):
        worth = [objective(*confusion_counts(true, one, 2)) for one in (right, wrong)]
        assert worth[0] <= worth[1]
    assert tolerated_labels(objective, support, 0.0) == 0


def test_a_class_that_might_vanish_has_no_bound():
    assert most_change(Objective(), np.array([0, 10]), 1) == np.inf
    assert most_change(Objective(), np.array([2, 10]), 2) == np.inf
    with refused(ParameterError, parameter="n_wrong", received=-1):
        most_change(Objective(), np.array([5, 5]), -1)
