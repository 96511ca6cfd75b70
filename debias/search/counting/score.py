"""z from confusion counts: its factors and logarithms tabulated once, and the compiled function on them.

A table has one row per objective, so that samples counted once are valued under any number of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.compilation import compiled_in_place
from debias.search.constraints import BOUND_TOLERANCE, INFEASIBLE, Constrained, Goal
from debias.search.objective import FloatArray, IndexArray
from debias.search.problem import Problem

MANY_CLASSES = 16

# Columns of the factors.
RIGHT, GAPS, PMI, CONSTANT, MAX_COBIAS, LEAST_RIGHT, TO_COBIAS, TO_ACCURACY = range(8)
OF_CLASSES, WORST, BALANCED, MACRO_F1, FLOORS = range(8, 13)


_PRICES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Prices, in bounds, of breaking a constraint by one."""


class ScoreTables(NamedTuple):
    """What turns counts into z, for compiled functions.

    Attributes
    ----------
    support : ndarray of shape (n_classes,)
        Samples per class.
    factors : ndarray of shape (n_objectives, 12 + n_classes)
        Factors of a right sample, of the summed gaps and of the PMI sum; the constant part of z;
        largest COBias and fewest right samples (infinity and 0 without such a bound); the factors
        that turn summed gaps into COBias and right samples into accuracy; 1 if there are floors or
        any of the factors that follow, else 0: of the least class accuracy, of the summed ones, and of
        the summed F1; the floor of each class, which is the least accuracy that it may have. (As an
        array of their own they would slow down every call.)
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
    factors = np.zeros((len(inners), FLOORS + n_classes))
    for row, (goal, inner) in enumerate(zip(objectives, inners, strict=True)):
        pairs = n_present * (n_present - 1) / 2
        factors[row, :FLOORS] = [
            inner.error / n_samples, inner.cobias / pairs, inner.pmi, inner.error,
            *_bounds(goal, n_samples), 1 / pairs, 1 / n_samples,
            0.0, inner.worst_class, inner.balanced_error / n_present, inner.macro_f1 / n_present,
        ]  # fmt: skip
        factors[row, CONSTANT] += inner.worst_class + inner.balanced_error + inner.macro_f1
        if isinstance(goal, Constrained):
            factors[row, FLOORS:] = goal.least_class_accuracies(n_classes)
        factors[row, OF_CLASSES] = factors[row, WORST:].any()
        if inner.pmi:
            k = inner.smoothing
            log_joint[row] = np.log((counts + k) / (n_samples + k * n_classes**2))
            log_predicted[row] = np.log((counts + k) / (n_samples + k * n_classes))
            factors[row, CONSTANT] += inner.pmi * log_predicted[row, support].sum()
    return ScoreTables(support, factors, log_joint, log_predicted)


def _bounds(goal: Goal, n_samples: int) -> tuple[float, float]:
    """Return largest COBias and fewest right samples."""
    if not isinstance(goal, Constrained):
        return np.inf, 0.0
    largest = np.inf if goal.max_cobias is None else goal.max_cobias
    return largest, float(goal.least_correct(n_samples))


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
    costs : ndarray of shape (n_classes, n_classes)
        What a sample adds to z, by label and prediction; of shape (0, 0) where there are no costs.
    cost_gains, least_cost : ndarray of shape (n_classes,), float
        What a right sample of each class takes off z, at least; what all samples add that are wrong.
    """

    support: IndexArray
    by_support: IndexArray
    n_samples: int
    tables: ScoreTables
    multipliers: FloatArray
    smoothing: float
    constant: float
    costs: FloatArray
    cost_gains: FloatArray
    least_cost: float


def terms_of(problem: Problem) -> BoundTerms:
    """Return the terms of the objective of a problem."""
    objective = problem.objective.inner if isinstance(problem.objective, Constrained) else problem.objective
    tables = tabulate([problem.objective], problem.support)
    logarithms = tables.log_joint[0, 0] - tables.log_predicted[0, 0]  # 0 without PMI
    costs, wrong = costs_per_sample(problem.objective, problem.support), np.zeros(problem.n_classes)
    if len(costs):
        wrong = np.where(np.eye(len(costs), dtype=bool), np.inf, costs).min(axis=1)
    return BoundTerms(
        support=problem.support,
        by_support=np.argsort(-problem.support, kind="stable"),
        n_samples=problem.n_samples,
        tables=tables,
        multipliers=_multipliers(tables.factors[0], problem.n_samples),
        smoothing=float(objective.smoothing),
        constant=float(problem.n_classes * logarithms),
        costs=costs,
        cost_gains=np.maximum(0.0, wrong - np.diag(costs)) if len(costs) else wrong,
        least_cost=float(problem.support @ wrong),
    )


def costs_per_sample(goal: Goal, support: IndexArray) -> FloatArray:
    """Return what a sample adds to z, by label and prediction; of shape (0, 0) where there are no costs.

    Examples
    --------
    >>> from debias.search.objective import Objective
    >>> costs_per_sample(Objective(costs=[[0, 1], [4, 0]]), np.array([1, 1]))
    array([[0. , 0.5],
           [2. , 0. ]])
    """
    inner = goal.inner if isinstance(goal, Constrained) else goal
    costs = inner.cost_matrix(len(support))
    return np.zeros((0, 0)) if costs is None else costs / support.sum()


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
def of_classes(counts: IndexArray, tables: ScoreTables, row: int) -> float:
    """Return what least class accuracy, balanced accuracy and macro F1 take off z under one objective."""
    factors = tables.factors
    least, total, f1 = 1.0, 0.0, 0.0
    # invariant: least, total and f1 are those of the classes before k that have samples
    for k in range(counts.shape[1]):
        if tables.support[k] > 0:
            accuracy = counts[0, k] / tables.support[k]
            least = min(least, accuracy)
            total += accuracy
            f1 += 2.0 * counts[0, k] / (counts[1, k] + tables.support[k])
    return factors[row, WORST] * least + factors[row, BALANCED] * total + factors[row, MACRO_F1] * f1


@compiled_in_place
def below_floors(counts: IndexArray, tables: ScoreTables, row: int) -> float:
    """Return by how much class accuracies are below their floors, all classes together."""
    out = 0.0
    for k in range(counts.shape[1]):
        if tables.support[k] > 0:
            out += max(0.0, tables.factors[row, FLOORS + k] - counts[0, k] / tables.support[k])
    return out


@compiled_in_place
def score(counts: IndexArray, tables: ScoreTables, row: int, accuracy: FloatArray) -> float:
    """Return z under one objective, its costs omitted: the same number as Objective or Constrained gives.

    ``counts`` holds correct and predicted samples by class, ``accuracy`` is scratch by class.
    """
    factors = tables.factors
    n_present = right = 0
    information = gaps = further = out = 0.0
    # invariant: accuracy[:n_present] holds the accuracies of the classes before k that have samples
    for k in range(counts.shape[1]):
        right += counts[0, k]
        if factors[row, PMI] > 0:
            information += tables.log_joint[row, counts[0, k]] - tables.log_predicted[row, counts[1, k]]
        if tables.support[k] > 0:
            accuracy[n_present] = counts[0, k] / tables.support[k]
            n_present += 1
    if n_present > MANY_CLASSES:  # sorted, the sum of gaps is a sum over ranks
        sort_first(accuracy, n_present)
        # invariant: gaps is, with its factors by rank, the share of the accuracies before a
        for a in range(n_present):
            gaps += (2 * a + 1 - n_present) * accuracy[a]
    else:
        # invariant: gaps is the sum over all pairs of classes before a
        for a in range(n_present):
            for b in range(a):
                gaps += abs(accuracy[a] - accuracy[b])
    if factors[row, OF_CLASSES] > 0:  # one branch for all that most objectives do not have
        out = below_floors(counts, tables, row)
        further = of_classes(counts, tables, row)
    # Without bounds nothing is ever out. In line and without branches: these slow all down by a fifth.
    out += max(0.0, factors[row, TO_COBIAS] * gaps - factors[row, MAX_COBIAS])
    out += max(0.0, factors[row, LEAST_RIGHT] - right) * factors[row, TO_ACCURACY]
    z = factors[row, CONSTANT] - factors[row, RIGHT] * right + factors[row, GAPS] * gaps
    z -= factors[row, PMI] * information + further
    return INFEASIBLE + out if out > BOUND_TOLERANCE else z


@compiled_in_place
def is_within(value: float, tables: ScoreTables, row: int) -> bool:
    """Return whether z under one objective is that of a choice within bounds; without bounds all are."""
    if value < INFEASIBLE:
        return True
    factors = tables.factors
    is_bounded = factors[row, MAX_COBIAS] < np.inf or factors[row, LEAST_RIGHT] > 0
    for k in range(FLOORS, factors.shape[1]):
        is_bounded = is_bounded or factors[row, k] > 0
    return not is_bounded


def are_within(values: FloatArray, goal: Goal) -> npt.NDArray[np.bool_]:
    """Return the same of many values of a goal.

    Examples
    --------
    >>> from debias.search.objective import Objective
    >>> values = np.array([0.5, 1000.25])
    >>> are_within(values, Constrained(max_cobias=0.1)), are_within(values, Objective(error=5000.0))
    (array([ True, False]), array([ True,  True]))
    """
    return (values < INFEASIBLE) | (not isinstance(goal, Constrained))
