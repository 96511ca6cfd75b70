"""Near-ties of log-biases: what is nearly as good as the best that was met, and may yet be very different.

The objective is one of several numbers, and flat near its best. So from there one class at a time
moves to where a measure is best and the objective is still near, until no class improves it.
"""

from collections.abc import Sequence

import numpy as np

from debias.search.constraints import Goal
from debias.search.log_bias.log_bias_problem import LogBiasProblem
from debias.search.objective import FloatArray, IndexArray, Objective
from debias.search.problem import TOLERANCE

GOALS: Sequence[Objective] = (
    Objective.balanced(),
    Objective(error=1, cobias=0, pmi=0),
    Objective(error=0, cobias=1, pmi=0),
    Objective.worst_class_first(),
)
"""What is climbed towards: the measures of near-ties, in the order of these."""


def near_biases(
    values: FloatArray,
    fallback_probabilities: FloatArray,
    y: IndexArray,
    objective: Goal,
    best: FloatArray,
    highest: float,
) -> tuple[list[FloatArray], int]:
    """Return log-biases whose objective is at most `highest`, each as good as can be met in a measure.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_classes)
        Corrected values, none negative.
    fallback_probabilities : ndarray of shape (n_samples, n_classes)
        Original probabilities, which decide rows of zeros.
    y : ndarray of int, shape (n_samples,)
        Labels, as column indices.
    objective : Objective or Constrained
        What was minimised.
    best : ndarray of shape (n_classes,)
        The best log-biases that are known.
    highest : float
        Objective that they may have, at most.

    Returns
    -------
    biases : list of ndarray of shape (n_classes,)
        The best first, then the ends of the climbs, as far as they differ from it.
    n_evaluations : int
        Values of z computed.

    Examples
    --------
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])
    >>> y, goal = np.array([1, 0, 0, 1]), Objective(pmi=0)  # no bias is worth 1.5, and 0.75 is allowed
    >>> found, _ = near_biases(P, P, y, goal, np.zeros(2), 0.75)
    >>> [(P * np.exp(biases)).argmax(axis=1).tolist() for biases in found]
    [[0, 0, 0, 0], [1, 1, 0, 1], [1, 1, 0, 0]]
    """
    problem = LogBiasProblem(values, fallback_probabilities, y, objective)
    found, n_evaluations = [np.asarray(best, dtype=np.float64)], 0
    for goal in GOALS:
        measure = LogBiasProblem(values, fallback_probabilities, y, goal)
        end = _climb(problem, measure, found[0], highest)
        if not any(np.array_equal(end, one) for one in found):
            found.append(end)
        n_evaluations += measure.n_evaluations
    return found, n_evaluations + problem.n_evaluations


def _climb(
    problem: LogBiasProblem, measure: LogBiasProblem, biases: FloatArray, highest: float
) -> FloatArray:
    """Move one class after another while a measure improves and the objective stays low enough."""
    value, improved = measure.evaluate(biases), True
    # invariant: the objective of biases is at most highest, and value is the measure there
    while improved:
        improved = False
        for j in range(problem.n_classes):
            bounds, z = problem.profile(biases, j)
            _, reached = measure.profile(biases, j)  # of the same intervals
            reached = np.where(z <= highest, reached, np.inf)
            if not len(z) or not reached.min() < value - TOLERANCE:
                continue
            best = np.flatnonzero(reached <= reached.min() + TOLERANCE)
            at = best[np.argmax(bounds[best + 1] - bounds[best])]
            moved = biases.copy()
            moved[j] = (bounds[at] + bounds[at + 1]) / 2
            moved -= moved.max()
            if problem.evaluate(moved) <= highest and (now := measure.evaluate(moved)) < value - TOLERANCE:
                biases, value, improved = moved, now, True
    return biases
