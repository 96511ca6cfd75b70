"""Sweeps: z of every correction of one class, or of every pair of corrections of two.

The Python face of the compiled kernels: one :class:`Sweeper` per thread owns the arrays
they write to.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from debias.search import kernels
from debias.search.problem import FloatArray, IndexArray, Problem


class Sweeper:
    """Evaluates many neighbours of a choice in one pass over the samples.

    Parameters
    ----------
    problem : Problem
        What is searched.

    Attributes
    ----------
    n_evaluations : int
        Choices evaluated so far.
    """

    def __init__(self, problem: Problem):
        self.problem = problem
        self.n_evaluations = 0
        n_classes, n_samples = problem.n_classes, problem.n_samples
        n_padded, dtype = problem.ranks.shape[2], problem.ranks.dtype
        self._limit = int(min(np.iinfo(dtype).max, n_samples))
        self._base = np.zeros(n_samples, dtype=dtype)
        self._base_class = np.zeros(n_samples, dtype=np.int32)
        self._rival = np.zeros_like(self._base)
        self._rival_class = np.zeros_like(self._base_class)
        self._scratch: tuple[npt.NDArray[Any], ...] = (
            np.zeros((n_classes, n_padded), dtype=dtype),
            np.zeros(n_padded, dtype=np.int64),
            np.zeros((n_classes, n_padded), dtype=np.int64),
            np.zeros((n_classes, n_padded), dtype=np.int64),
            np.zeros((2, n_classes), dtype=np.int64),
            np.zeros(n_classes),
        )
        self._weights, self._log_joint, self._log_predicted = _tabulate(problem)

    def single(self, choice: IndexArray, j: int) -> FloatArray:
        """Return z of every correction of class `j`, the other classes as in `choice`.

        Returns
        -------
        ndarray of shape (n_corrections,)
            z per sample.
        """
        problem = self.problem
        values = np.empty(problem.n_corrections)
        kernels.best_rivals(problem.columns, choice, j, j, self._base, self._base_class)
        kernels.sweep(
            problem.ranks[j], self._base, self._base_class, problem.offsets, problem.support, j,
            problem.n_corrections, self._limit, self._weights, self._log_joint, self._log_predicted,
            *self._scratch, values,
        )  # fmt: skip
        self.n_evaluations += values.size
        return values

    def pair(self, choice: IndexArray, i: int, j: int) -> FloatArray:
        """Return z of every correction of class `i` with every one of class `j`.

        Returns
        -------
        ndarray of shape (n_corrections, n_corrections)
            z per sample, rows for class `i`.
        """
        problem = self.problem
        values = np.empty((problem.n_corrections, problem.n_corrections))
        kernels.best_rivals(problem.columns, choice, i, j, self._base, self._base_class)
        kernels.sweep_pair(
            problem.ranks, problem.columns, self._base, self._base_class, problem.offsets, problem.support,
            i, j, problem.n_corrections, self._limit, self._weights, self._log_joint, self._log_predicted,
            self._rival, self._rival_class, *self._scratch, values,
        )  # fmt: skip
        self.n_evaluations += values.size
        return values


def _tabulate(problem: Problem) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the factors of z and the logarithms of all counts that it can meet."""
    objective, n_samples, n_classes = problem.objective, problem.n_samples, problem.n_classes
    n_present = int((problem.support > 0).sum())
    gap_weight = 2 * objective.cobias / (n_present * (n_present - 1))
    if not objective.pmi:
        weights = np.array([objective.error / n_samples, gap_weight, 0.0, objective.error])
        return weights, np.zeros(0), np.zeros(0)
    k = objective.smoothing
    counts = np.arange(n_samples + 1)
    log_joint = np.log((counts + k) / (n_samples + k * n_classes**2))
    log_marginal = np.log((counts + k) / (n_samples + k * n_classes))
    constant = objective.error + objective.pmi * log_marginal[problem.support].sum()
    weights = np.array([objective.error / n_samples, gap_weight, objective.pmi, constant])
    return weights, log_joint, log_marginal
