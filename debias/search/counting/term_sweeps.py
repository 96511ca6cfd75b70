"""Sweeps that return the terms of z, not z: the error rate, COBias, and minus the PMI sum.

z is ``error * term 0 + cobias * term 1 + pmi * term 2``, so one sweep serves every objective.
Objectives that smooth differently have a PMI term each.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from debias.search.counting import pairwise_wins as duels
from debias.search.counting import term_kernels
from debias.search.counting.objective_terms import tabulate
from debias.search.counting.sweeps import RankSweeper
from debias.search.objective import Objective
from debias.search.problem import FloatArray, IndexArray, Problem


class TermSweeper(Protocol):
    """Evaluates the terms of many neighbours of a choice in one pass over the samples."""

    def single(self, choice: IndexArray, j: int) -> FloatArray:
        """Return the terms for every correction of class `j`: shape (n_terms, n_corrections)."""
        ...

    def pair(self, choice: IndexArray, i: int, j: int) -> FloatArray:
        """Return the terms for every correction of class `i` with every one of class `j`, i < j."""
        ...


def unit_objectives(objectives: Sequence[Objective]) -> list[Objective]:
    """Return one objective per term: the terms are their z.

    Parameters
    ----------
    objectives : sequence of Objective
        What the terms will be weighed by.

    Returns
    -------
    list of Objective
        Error, COBias, and PMI once per smoothing that matters.

    Examples
    --------
    >>> unit_objectives([Objective(pmi=0.0), Objective(pmi=0.2)])[2]
    Objective(cobias=0.0, error=0.0, pmi=1.0)
    """
    smoothings = sorted({float(objective.smoothing) for objective in objectives if objective.pmi})
    information = [Objective(0.0, 0.0, 1.0, smoothing) for smoothing in smoothings]
    return [Objective(1.0, 0.0, 0.0), Objective(0.0, 1.0, 0.0), *information]


def factors_of(objectives: Sequence[Objective]) -> FloatArray:
    """Return what each objective makes of each term.

    Parameters
    ----------
    objectives : sequence of Objective
        The objectives.

    Returns
    -------
    ndarray of shape (n_terms, n_objectives)
        In the order of :func:`unit_objectives`.

    Examples
    --------
    >>> factors_of([Objective(1.0, 2.7, 0.0), Objective(0.5, 1.0, 0.2)])
    array([[1. , 0.5],
           [2.7, 1. ],
           [0. , 0.2]])
    """
    smoothings = [unit.smoothing for unit in unit_objectives(objectives)[2:]]
    rows = [[objective.error for objective in objectives], [objective.cobias for objective in objectives]]
    rows += [
        [one.pmi if one.smoothing == smoothing else 0.0 for one in objectives] for smoothing in smoothings
    ]
    return np.array(rows, dtype=np.float64)


def term_sweeper(problem: Problem, objectives: Sequence[Objective]) -> TermSweeper:
    """Return a sweeper for one thread, on duels where these fit, else on ranks.

    Parameters
    ----------
    problem : Problem
        What is searched; its own objective does not matter.
    objectives : sequence of Objective
        What the terms will be weighed by.

    Returns
    -------
    TermSweeper
        Of the terms of :func:`unit_objectives`.
    """
    units = unit_objectives(objectives)
    if duels.n_bytes(problem) > duels.LARGEST:
        return RankTerms(problem, units)
    return DuelTerms(problem, units)


class RankTerms:
    """Terms from the ranks, one sweep per term: for many classes.

    Parameters
    ----------
    problem : Problem
        What is searched.
    units : sequence of Objective
        One per term.
    """

    def __init__(self, problem: Problem, units: Sequence[Objective]):
        self._sweepers = [RankSweeper(replace(problem, objective=unit)) for unit in units]

    def single(self, choice: IndexArray, j: int) -> FloatArray:
        """Return the terms for every correction of class `j`."""
        return np.stack([sweeper.single(choice, j) for sweeper in self._sweepers])

    def pair(self, choice: IndexArray, i: int, j: int) -> FloatArray:
        """Return the terms for every correction of class `i` with every one of class `j`."""
        return np.stack([sweeper.pair(choice, i, j) for sweeper in self._sweepers])


class DuelTerms:
    """Terms from the duels: counted once for all.

    Parameters
    ----------
    problem : Problem
        What is searched.
    units : sequence of Objective
        One per term.
    """

    def __init__(self, problem: Problem, units: Sequence[Objective]):
        shared = duels.build_duels(problem)
        n_classes, n_corrections, n_words = problem.n_classes, problem.n_corrections, len(shared.valid)
        self._shape = (len(units), n_corrections)
        self._fixed = (shared.bits, shared.pair, shared.valid, shared.words, problem.support)
        self._scratch: tuple[npt.NDArray[Any], ...] = (
            np.zeros((n_corrections, n_words), dtype=np.uint64),
            np.zeros((n_corrections, n_words), dtype=np.uint64),
            np.zeros((n_classes, n_words), dtype=np.uint64),
            np.zeros(n_words, dtype=np.uint64),
            np.zeros((4, n_classes), dtype=np.int64),
            np.zeros(n_classes),
        )
        tables = [tabulate(unit, problem.support) for unit in units]
        nothing = np.zeros(problem.n_samples + 1)  # a term without logarithms looks none up
        self._terms = tuple(
            np.stack([table[part] if table[part].size else nothing for table in tables]) for part in range(3)
        )

    def single(self, choice: IndexArray, j: int) -> FloatArray:
        """Return the terms for every correction of class `j`."""
        values = np.empty(self._shape)
        term_kernels.sweep(*self._fixed, choice, j, *self._terms, *self._scratch, values)
        return values

    def pair(self, choice: IndexArray, i: int, j: int) -> FloatArray:
        """Return the terms for every correction of class `i` with every one of class `j`."""
        values = np.empty((*self._shape, self._shape[1]))
        term_kernels.sweep_pair(*self._fixed, choice, i, j, *self._terms, *self._scratch, values)
        return values
