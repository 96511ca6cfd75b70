"""Sweeps: z of every correction of one class, or of every pair of corrections of two.

The Python face of the compiled kernels. A sweeper owns the arrays that its kernels write to:
one per thread.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from debias.search.counting import bit_kernels
from debias.search.counting import pairwise_wins as duels
from debias.search.counting import rank_kernels as kernels
from debias.search.counting.objective_terms import tabulate
from debias.search.problem import FloatArray, IndexArray, Problem


class Sweeper(Protocol):
    """Evaluates many neighbours of a choice in one pass over the samples.

    Attributes
    ----------
    problem : Problem
        What is searched.
    n_evaluations : int
        Choices evaluated so far.
    """

    problem: Problem
    n_evaluations: int

    def single(self, choice: IndexArray, j: int) -> FloatArray:
        """Return z of every correction of class `j`, the others as in `choice`: shape (n_corrections,)."""
        ...

    def pair(self, choice: IndexArray, i: int, j: int) -> FloatArray:
        """Return z of every correction of class `i`, by row, with every one of class `j`."""
        ...


def sweepers(problem: Problem, largest: int = duels.LARGEST) -> Callable[[], Sweeper]:
    """Return what makes sweepers for a problem, one per thread.

    Parameters
    ----------
    problem : Problem
        What is searched.
    largest : int
        Bytes that the duels may take; with more, the sweepers work on the ranks.

    Returns
    -------
    callable
        Makes a sweeper.
    """
    if duels.n_bytes(problem) > largest:
        problem.columns.setflags(write=False)  # made here once, shared by all threads
        return lambda: RankSweeper(problem)
    shared = duels.duels_of(problem)
    return lambda: DuelSweeper(problem, shared)


class RankSweeper:
    """Sweeps over the ranks: a few bytes per sample, class and correction.

    Parameters
    ----------
    problem : Problem
        What is searched.
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
        self._two = tuple(array.copy() for _ in range(2) for array in (self._base, self._base_class))
        self._two_of: IndexArray | None = None
        self._scratch: tuple[npt.NDArray[Any], ...] = (
            np.zeros((n_classes, n_padded), dtype=dtype),
            np.zeros(n_classes, dtype=np.int64),
            np.zeros(n_classes, dtype=np.int64),
            np.zeros(n_padded, dtype=np.int64),
            np.zeros((n_classes, n_padded), dtype=np.int64),
            np.zeros((n_classes, n_padded), dtype=np.int64),
            np.zeros((2, n_classes), dtype=np.int64),
            np.zeros(n_classes),
        )
        self._terms = tabulate(problem.objective, problem.support)

    def single(self, choice: IndexArray, j: int) -> FloatArray:
        """Return z of every correction of class `j`."""
        problem = self.problem
        values = np.empty(problem.n_corrections)
        if self._two_of is None or not np.array_equal(self._two_of, choice):
            kernels.best_two(problem.columns, choice, *self._two)
            self._two_of = np.array(choice)
        kernels.leave_out(*self._two, j, self._base, self._base_class)
        kernels.sweep(
            problem.ranks[j], self._base, self._base_class, problem.offsets, problem.support, j,
            problem.n_corrections, self._limit, *self._terms, *self._scratch, values,
        )  # fmt: skip
        self.n_evaluations += values.size
        return values

    def pair(self, choice: IndexArray, i: int, j: int) -> FloatArray:
        """Return z of every correction of class `i` with every one of class `j`."""
        problem = self.problem
        values = np.empty((problem.n_corrections, problem.n_corrections))
        kernels.best_rivals(problem.columns, choice, i, j, self._base, self._base_class)
        kernels.sweep_pair(
            problem.ranks, problem.columns, self._base, self._base_class, problem.offsets, problem.support,
            i, j, problem.n_corrections, self._limit, *self._terms, self._rival, self._rival_class,
            *self._scratch, values,
        )  # fmt: skip
        self.n_evaluations += values.size
        return values


class DuelSweeper:
    """Sweeps over the duels: several times faster, where their memory allows.

    Parameters
    ----------
    problem : Problem
        What is searched.
    shared : Duels
        Its duels.
    """

    def __init__(self, problem: Problem, shared: duels.Duels):
        self.problem = problem
        self.n_evaluations = 0
        n_classes, n_corrections, n_words = problem.n_classes, problem.n_corrections, len(shared.valid)
        self._fixed = (shared.bits, shared.pair, shared.valid, shared.words, problem.support)
        self._scratch: tuple[npt.NDArray[Any], ...] = (
            np.zeros((n_corrections, n_words), dtype=np.uint64),
            np.zeros((n_corrections, n_words), dtype=np.uint64),
            np.zeros((n_classes, n_words), dtype=np.uint64),
            np.zeros(n_words, dtype=np.uint64),
            np.zeros((4, n_classes), dtype=np.int64),
            np.zeros(n_classes),
        )
        self._terms = tabulate(problem.objective, problem.support)

    def single(self, choice: IndexArray, j: int) -> FloatArray:
        """Return z of every correction of class `j`."""
        values = np.empty(self.problem.n_corrections)
        bit_kernels.sweep(*self._fixed, choice, j, *self._terms, *self._scratch, values)
        self.n_evaluations += values.size
        return values

    def pair(self, choice: IndexArray, i: int, j: int) -> FloatArray:
        """Return z of every correction of class `i` with every one of class `j`."""
        if i > j:
            return self.pair(choice, j, i).T
        values = np.empty((self.problem.n_corrections, self.problem.n_corrections))
        bit_kernels.sweep_pair(*self._fixed, choice, i, j, *self._terms, *self._scratch, values)
        self.n_evaluations += values.size
        return values
