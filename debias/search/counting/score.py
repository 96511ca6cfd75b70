"""z from confusion counts: its factors and logarithms tabulated once, and the compiled function on them.

A table has one row per objective, so that samples counted once are valued under any number of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from debias.compilation import compiled_in_place
from debias.search.constraints import BOUND_TOLERANCE, INFEASIBLE, Constrained, Goal
from debias.search.objective import FloatArray, IndexArray
from debias.search.problem import Problem

MANY_CLASSES = 16

# Columns of the factors.
RIGHT, GAPS, PMI, CONSTANT, MAX_COBIAS, LEAST_RIGHT, LEAST_ACCURACY, TO_COBIAS, TO_ACCURACY = range(9)


_PRICES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Prices, in bounds, of breaking a constraint by one."""


class ScoreTables(NamedTuple):
    """What turns counts into z, for compiled functions.

    Attributes
    ----------
    support : ndarray of shape (n_classes,)
        Samples per class.
    factors : ndarray of shape (n_objectives, 9)
        Factors of a right sample, of the summed gaps and of the PMI sum; the constant part of z;
        largest COBias, fewest right samples and least class accuracy (infinity, 0 and 0 without
        such a bound); the factors that turn summed gaps into COBias and right samples into accuracy.
    log_joint, log_predicted : ndarray of shape (n_objectives, n_samples + 1)
        Logarithms of the smoothed shares, by count; of length 1 if no objective has a PMI term.
    """

    support: IndexArray
    factors: FloatArray
    log_joint: FloatArray
    log_predicted: FloatArray


def tabulate(objectives: Sequence[Goal], support: IndexArray) -> ScoreTables:
    """Tabulate objectives.

    Parameters
    ----------
    objectives : sequence of Objective or Constrained
        What is minimised; a row each.
    support : ndarray of int64, shape (n_classes,)
        Samples per class; two classes or more have some.

    Returns
    -------
    ScoreTables
        For :func:`score`.

    Examples
    --------
    >>> from debias.search.objective import Objective
    >>> tables = tabulate([Objective(pmi=0.0)], np.array([2, 2]))
    >>> float(tables.factors[0, RIGHT]), tables.log_joint.shape
    (0.25, (1, 1))
    """
    n_samples, n_classes, n_present = int(support.sum()), len(support), int((support > 0).sum())
    counts = np.arange(n_samples + 1)
    inners = [goal.inner if isinstance(goal, Constrained) else goal for goal in objectives]
    log_joint = np.zeros((len(inners), n_samples + 1 if any(inner.pmi for inner in inners) else 1))
    log_predicted = np.zeros_like(log_joint)
    factors = np.zeros((len(inners), 9))
    for row, (goal, inner) in enumerate(zip(objectives, inners, strict=True)):
        pairs = n_present * (n_present - 1) / 2
        factors[row] = [
            inner.error / n_samples, inner.cobias / pairs, inner.pmi, inner.error,
            *_bounds(goal, n_samples), 1 / pairs, 1 / n_samples,
        ]  # fmt: skip
        if inner.pmi:
            k = inner.smoothing
            log_joint[row] = np.log((counts + k) / (n_samples + k * n_classes**2))
            log_predicted[row] = np.log((counts + k) / (n_samples + k * n_classes))
            factors[row, CONSTANT] += inner.pmi * log_predicted[row, support].sum()
    return ScoreTables(support, factors, log_joint, log_predicted)


def _bounds(goal: Goal, n_samples: int) -> tuple[float, float, float]:
    """Return largest COBias, fewest right samples and least class accuracy."""
    if not isinstance(goal, Constrained):
        return np.inf, 0.0, 0.0
    largest = np.inf if goal.max_cobias is None else goal.max_cobias
    return largest, float(goal.least_correct(n_samples)), goal.min_class_accuracy or 0.0


class BoundTerms(NamedTuple):
    """What z is made of, for compiled bounds.

    Attributes
    ----------
    support, by_support : ndarray of shape (n_classes,)
        Samples per class, and the classes with samples first, by falling support.
    n_samples : int
        Samples in all.
    tables : ScoreTables
        Of this objective alone.
    multipliers : ndarray of shape (n_multipliers, 3)
        For each bound, what is added to the factors of a right sample and of the summed gaps and
        to the constant: a choice that keeps the constraints gains nothing from it (Lagrange).
    smoothing, constant : float
        Smoothing of the PMI; what its sum would be if every class were predicted as often as
        it is right.
    """

    support: IndexArray
    by_support: IndexArray
    n_samples: int
    tables: ScoreTables
    multipliers: FloatArray
    smoothing: float
    constant: float


def terms_of(problem: Problem) -> BoundTerms:
    """Return the terms of the objective of a problem."""
    objective = problem.objective.inner if isinstance(problem.objective, Constrained) else problem.objective
    tables = tabulate([problem.objective], problem.support)
    logarithms = tables.log_joint[0, 0] - tables.log_predicted[0, 0]  # 0 without PMI
    return BoundTerms(
        support=problem.support,
        by_support=np.argsort(-problem.support, kind="stable"),
        n_samples=problem.n_samples,
        tables=tables,
        multipliers=_multipliers(tables.factors[0], problem.n_samples),
        smoothing=float(objective.smoothing),
        constant=float(problem.n_classes * logarithms),
    )


def _multipliers(factors: FloatArray, n_samples: int) -> FloatArray:
    """Return multipliers for the constraints; a row of zeros, the objective alone, comes first."""
    rows = [[0.0, 0.0, 0.0]]
    for size in _PRICES:
        if np.isfinite(factors[MAX_COBIAS]):
            rows.append([0.0, size * factors[TO_COBIAS], -size * factors[MAX_COBIAS]])
        if factors[LEAST_RIGHT]:
            rows.append([size / n_samples, 0.0, size * factors[LEAST_RIGHT] / n_samples])
    return np.array(rows)


@compiled_in_place
def sort_first(values: FloatArray, n: int) -> None:
    """Sort the first n values in place (Shell's method: no memory of its own)."""
    for gap in (301, 132, 57, 23, 10, 4, 1):
        # invariant: values[:a] is sorted at every distance of gap
        for a in range(gap, n):
            value = values[a]
            b = a
            while b >= gap and values[b - gap] > value:
                values[b] = values[b - gap]
                b -= gap
            values[b] = value


@compiled_in_place
def score(counts: IndexArray, tables: ScoreTables, row: int, accuracy: FloatArray) -> float:
    """Return z under one objective: the same number as Objective or Constrained gives.

    ``counts`` holds correct and predicted samples by class, ``accuracy`` is scratch by class.
    """
    factors = tables.factors
    n_present = right = 0
    information = 0.0
    # invariant: accuracy[:n_present] holds the accuracies of the classes before k that have samples
    for k in range(counts.shape[1]):
        right += counts[0, k]
        if factors[row, PMI] > 0:
            information += tables.log_joint[row, counts[0, k]] - tables.log_predicted[row, counts[1, k]]
        if tables.support[k] > 0:
            accuracy[n_present] = counts[0, k] / tables.support[k]
            n_present += 1
    gaps = out = 0.0
    if n_present > MANY_CLASSES:  # sorted, the sum of gaps is a sum over ranks
        sort_first(accuracy, n_present)
        # invariant: gaps is, with its factors by rank, the share of the accuracies before a
        for a in range(n_present):
            out += max(0.0, factors[row, LEAST_ACCURACY] - accuracy[a])
            gaps += (2 * a + 1 - n_present) * accuracy[a]
    else:
        # invariant: gaps is the sum over all pairs of classes before a
        for a in range(n_present):
            out += max(0.0, factors[row, LEAST_ACCURACY] - accuracy[a])
            for b in range(a):
                gaps += abs(accuracy[a] - accuracy[b])
    # Without bounds nothing is ever out. In line and without branches: these slow all down by a fifth.
    out += max(0.0, factors[row, TO_COBIAS] * gaps - factors[row, MAX_COBIAS])
    out += max(0.0, factors[row, LEAST_RIGHT] - right) * factors[row, TO_ACCURACY]
    z = factors[row, CONSTANT] - factors[row, RIGHT] * right + factors[row, GAPS] * gaps
    z -= factors[row, PMI] * information
    return INFEASIBLE + out if out > BOUND_TOLERANCE else z
