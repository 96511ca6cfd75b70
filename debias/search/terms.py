"""The numbers that z is made of, tabulated once: its factors, and the logarithms of all counts.

:func:`debias.search.kernels.score` turns them and confusion counts into z.
"""

import numpy as np

from debias.objective import FloatArray, IndexArray, Objective


def tabulate(objective: Objective, support: IndexArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the factors of z and the logarithms of all counts that it can meet.

    Parameters
    ----------
    objective : Objective
        What is minimised.
    support : ndarray of int64, shape (n_classes,)
        Samples per class; two classes or more have some.

    Returns
    -------
    weights : ndarray
        Factors and constants, in the order that :func:`debias.search.kernels.score` reads them.
    log_joint, log_predicted : ndarray of shape (n_samples + 1,)
        Logarithms of the smoothed shares, by count; empty where z has no PMI term.

    Examples
    --------
    >>> weights, log_joint, _ = tabulate(Objective(pmi=0.0), np.array([2, 2]))
    >>> float(weights[0]), log_joint.size
    (0.25, 0)
    """
    n_samples, n_classes = int(support.sum()), len(support)
    n_present = int((support > 0).sum())
    gap_weight = 2 * objective.cobias / (n_present * (n_present - 1))
    if not objective.pmi:
        weights = np.array([objective.error / n_samples, gap_weight, 0.0, objective.error])
        return weights, np.zeros(0), np.zeros(0)
    k = objective.smoothing
    counts = np.arange(n_samples + 1)
    log_joint = np.log((counts + k) / (n_samples + k * n_classes**2))
    log_marginal = np.log((counts + k) / (n_samples + k * n_classes))
    constant = objective.error + objective.pmi * log_marginal[support].sum()
    weights = np.array([objective.error / n_samples, gap_weight, objective.pmi, constant])
    return weights, log_joint, log_marginal
