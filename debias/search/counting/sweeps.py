"""Sweeps: z of every correction of one class, or of every pair of corrections of two.

The Python face of the compiled kernels. Costs depend on what a wrong sample is predicted as, so they
are added up sample by sample. A sweeper owns the arrays that its kernels write to: one per thread.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from debias.search.constraints import Goal
from debias.search.counting import bit_tables, cost_kernels, rank_kernels, win_kernels
from debias.search.counting.bit_tables import PairwiseWins, n_bytes_of_wins, n_words_of, wins_of
from debias.search.counting.rank_kernels import RankScratch, RankTables, Rivals
from debias.search.counting.score import are_within, costs_per_sample, tabulate
from debias.search.counting.win_kernels import WinScratch
from debias.search.problem import FloatArray, IndexArray, Problem


class Sweeper(ABC):
    """Evaluates many neighbours of a choice in one pass over the samples.

    Parameters
    ----------
    problem : Problem
        What is searched.
    objectives : sequence of Objective or Constrained, optional
        What each neighbour is valued by; that of the problem if not given.

    Attributes
    ----------
    n_evaluations : int
        Choices evaluated so far.
    """

    def __init__(self, problem: Problem, objectives: Sequence[Goal] | None = None):
        self.problem = problem
        self.n_evaluations = 0
        self.objectives = [problem.objective] if objectives is None else list(objectives)
        self._tables = tabulate(self.objectives, problem.support)
        costs = [costs_per_sample(goal, problem.support) for goal in self.objectives]
        self._costs = {t: matrix for t, matrix in enumerate(costs) if len(matrix)}

    def values(self, choice: IndexArray, *classes: int) -> FloatArray:
        """Return z of all corrections of one class or two, the others as in `choice`: an axis per class."""
        return self.all_values(choice, *classes)[0]

    def all_values(self, choice: IndexArray, *classes: int) -> FloatArray:
        """Return the same under every objective: shape (n_objectives, n_corrections[, n_corrections])."""
        if len(classes) == 2 and classes[0] > classes[1]:
            return self.all_values(choice, *classes[::-1]).swapaxes(1, 2)
        values = np.empty((len(self.objectives), *[self.problem.n_corrections] * len(classes)))
        self._fill(choice, classes, values)
        for t, costs in self._costs.items():
            added = self._cost_values(choice, classes, costs)
            values[t] += np.where(are_within(values[t], self.objectives[t]), added, 0.0)
        self.n_evaluations += values[0].size
        return values

    def _cost_values(self, choice: IndexArray, classes: tuple[int, ...], costs: FloatArray) -> FloatArray:
        """Return what all samples cost with each correction of one class, or of two in ascending order."""
        problem, i, j = self.problem, classes[0], classes[-1]
        n_samples = problem.n_samples
        base, rival = (
            Rivals(np.zeros(n_samples, problem.ranks.dtype), np.zeros(n_samples, np.int32)) for _ in range(2)
        )
        rank_kernels.best_rivals(problem.columns, choice, i, j, base)
        columns, more = problem.columns[j], np.zeros(n_samples)
        if i == j:
            values = np.zeros(problem.n_corrections)
            cost_kernels.cost_class(columns, base, problem.y, j, costs, more, values)
            return values
        values = np.zeros((problem.n_corrections, problem.n_corrections))
        for s, row in enumerate(problem.columns[i]):
            rank_kernels.raise_rivals(base, row, i, rival)
            cost_kernels.cost_class(columns, rival, problem.y, j, costs, more, values[s])
        return values

    @abstractmethod
    def _fill(self, choice: IndexArray, classes: tuple[int, ...], values: FloatArray) -> None:
        """Fill the values of one class, or of two in ascending order."""


def sweepers(
    problem: Problem, objectives: Sequence[Goal] | None = None, largest: int | None = None
) -> Callable[[], Sweeper]:
    """Return what makes sweepers for a problem, one per thread: on wins or on ranks, whichever is faster.

    Parameters
    ----------
    problem : Problem
        What is searched.
    objectives : sequence of Objective or Constrained, optional
        What choices are valued by; that of the problem if not given.
    largest : int, optional
        Bytes that the pairwise wins may take; with more, the sweepers work on the ranks.

    Returns
    -------
    callable
        Makes a sweeper.
    """
    # A sweep of wins compares every class with every other in each word, one of ranks reads every sample
    # once per class: with many classes and few samples of each, ranks are faster (results/sweep_rates.md).
    few = problem.n_classes * n_words_of(problem) > problem.n_samples
    if few or n_bytes_of_wins(problem) > (bit_tables.LARGEST_WINS if largest is None else largest):
        problem.columns.setflags(write=False)  # made here once, for all threads
        return lambda: RankSweeper(problem, objectives)
    wins = wins_of(problem)
    return lambda: WinSweeper(problem, wins, objectives)


class RankSweeper(Sweeper):
    """Sweeps over the ranks: a few bytes per sample, class and correction."""

    def __init__(self, problem: Problem, objectives: Sequence[Goal] | None = None):
        super().__init__(problem, objectives)
        n_classes, n_samples = problem.n_classes, problem.n_samples
        n_padded, dtype = problem.ranks.shape[2], problem.ranks.dtype
        self._limit = int(min(np.iinfo(dtype).max, n_samples))
        self._best_two_of: IndexArray | None = None
        self._data = RankTables(problem.ranks, problem.columns, problem.offsets)

        def no_rivals() -> Rivals:
            return Rivals(np.zeros(n_samples, dtype), np.zeros(n_samples, np.int32))

        self._scratch = RankScratch(
            base=no_rivals(),
            rival=no_rivals(),
            best=no_rivals(),
            second=no_rivals(),
            tally=np.zeros((n_classes, n_padded), dtype=dtype),
            met=np.zeros(n_classes, dtype=np.int64),
            seen=np.zeros(n_classes, dtype=np.int64),
            won=np.zeros(n_padded, dtype=np.int64),
            taken=np.zeros((n_classes, n_padded), dtype=np.int64),
            lost=np.zeros((n_classes, n_padded), dtype=np.int64),
            counts=np.zeros((2, n_classes), dtype=np.int64),
            accuracy=np.zeros(n_classes),
        )

    def _fill(self, choice: IndexArray, classes: tuple[int, ...], values: FloatArray) -> None:
        data, scratch = self._data, self._scratch
        j = classes[-1]
        if len(classes) == 2:
            rank_kernels.best_rivals(data.columns, choice, *classes, scratch.base)
            rank_kernels.value_pair(data, self._tables, scratch, *classes, self._limit, values)
            return
        if self._best_two_of is None or not np.array_equal(self._best_two_of, choice):
            rank_kernels.best_two(data.columns, choice, scratch.best, scratch.second)
            self._best_two_of = np.array(choice)
        rank_kernels.omit_class(scratch.best, scratch.second, j, scratch.rival)
        rank_kernels.value_class(
            data.ranks[j], scratch.rival, data.offsets, self._tables, scratch, j, self._limit, 0,
            values[:, None],
        )  # fmt: skip


class WinSweeper(Sweeper):
    """Sweeps over the pairwise wins: several times faster, if their memory allows."""

    def __init__(self, problem: Problem, wins: PairwiseWins, objectives: Sequence[Goal] | None = None):
        super().__init__(problem, objectives)
        n_classes, n_corrections, n_words = problem.n_classes, problem.n_corrections, len(wins.valid)
        self._wins = wins
        self._scratch = WinScratch(
            against_i=np.zeros((n_corrections, n_words), dtype=np.uint64),
            against_j=np.zeros((n_corrections, n_words), dtype=np.uint64),
            fixed=np.zeros((n_classes, n_words), dtype=np.uint64),
            kept=np.zeros((n_classes, n_words), dtype=np.uint64),
            won=np.zeros(n_words, dtype=np.uint64),
            counts=np.zeros((4, n_classes), dtype=np.int64),
            accuracy=np.zeros(n_classes),
        )

    def _fill(self, choice: IndexArray, classes: tuple[int, ...], values: FloatArray) -> None:
        fill = win_kernels.value_class if len(classes) == 1 else win_kernels.value_pair
        fill(self._wins, self._tables, self._scratch, choice, *classes, values)
