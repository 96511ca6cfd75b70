"""The numbers that z is made of, tabulated once: its factors, and the logarithms of all counts.

:func:`debias.search.counting.rank_kernels.score` turns them and confusion counts into z.
"""

import numpy as np

from debias.search.constraints import Constrained, Goal
from debias.search.objective import FloatArray, IndexArray


def tabulate(objective: Goal, support: IndexArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the factors of z and the logarithms of all counts that it can meet.

    Parameters
    ----------
    objective : Objective or Constrained
        What is minimised.
    support : ndarray of int64, shape (n_classes,)
        Samples per class; two classes or more have some.

    Returns
    -------
    weights : ndarray of shape (9,)
        Factors of a right sample, of the summed gaps and of the PMI sum; the constant part of z;
        largest COBias, fewest right samples and least class accuracy (infinity, 0 and 0 where
        there is no such bound); the factors that make the summed gaps COBias and right samples
        accuracy.
    log_joint, log_predicted : ndarray of shape (n_samples + 1,)
        Logarithms of the smoothed shares, by count; empty where z has no PMI term.

    Examples
    --------
    >>> from debias.search.objective import Objective
    >>> weights, log_joint, _ = tabulate(Objective(pmi=0.0), np.array([2, 2]))
    >>> float(weights[0]), log_joint.size
    (0.25, 0)
    """
    n_samples, n_classes = int(support.sum()), len(support)
    n_present = int((support > 0).sum())
    inner = objective.inner if isinstance(objective, Constrained) else objective
    ordered_pairs = n_present * (n_present - 1)
    weights = np.array(
        [
            inner.error / n_samples, 2 * inner.cobias / ordered_pairs, inner.pmi, inner.error,
            *_bounds(objective, n_samples), 2 / ordered_pairs, 1 / n_samples,
        ]
    )  # fmt: skip
    if not inner.pmi:
        return weights, np.zeros(0), np.zeros(0)
    k = inner.smoothing
    counts = np.arange(n_samples + 1)
    log_joint = np.log((counts + k) / (n_samples + k * n_classes**2))
    log_marginal = np.log((counts + k) / (n_samples + k * n_classes))
    weights[3] += inner.pmi * log_marginal[support].sum()
    return weights, log_joint, log_marginal


def _bounds(goal: Goal, n_samples: int) -> tuple[float, float, float]:
    """Return largest COBias, fewest right samples and least class accuracy."""
    if not isinstance(goal, Constrained):
        return np.inf, 0.0, 0.0
    largest = np.inf if goal.max_cobias is None else goal.max_cobias
    return largest, float(goal.least_correct(n_samples)), goal.min_class_accuracy or 0.0
