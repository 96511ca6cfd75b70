"""The Pareto front: for every number of right samples, the choice with the lowest COBias that was met.

The frontier of accuracy and COBias is what no other pair beats in both.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from debias.search.objective import Objective
from debias.search.problem import TOLERANCE, Candidate, FloatArray, IndexArray, Problem


@dataclass(frozen=True)
class ParetoFronts:
    """By number of right samples, the choice with the lowest COBias that was met.

    Attributes
    ----------
    cobias : ndarray of shape (n_samples + 1,)
        Infinite where none was met.
    n_changed, change : ndarray of shape (n_samples + 1,)
        Classes that the choice changes, and by how much.
    choice : ndarray of shape (n_samples + 1, n_classes)
        Indices into the family.
    """

    cobias: FloatArray
    n_changed: FloatArray
    change: FloatArray
    choice: npt.NDArray[np.int64]

    def not_dominated(self) -> IndexArray:
        """Return the numbers of right samples, ascending, whose COBias no higher number reaches.

        Examples
        --------
        >>> cobias = np.array([0.3, 0.1, 0.2, np.inf])
        >>> ParetoFronts(cobias, cobias, cobias, np.zeros((4, 2), dtype=np.int64)).not_dominated()
        array([1, 2])
        """
        above = np.append(np.minimum.accumulate(self.cobias[::-1])[::-1][1:], np.inf)
        return np.flatnonzero(self.cobias < above - TOLERANCE)

    def joined(self, other: "ParetoFronts") -> "ParetoFronts":
        """Return the better of two choices for every number of right samples; the first among equals."""
        equal = np.isclose(other.cobias, self.cobias, rtol=0, atol=TOLERANCE)
        simpler = (other.n_changed < self.n_changed) | (
            (other.n_changed == self.n_changed) & (other.change < self.change - TOLERANCE)
        )
        better = (other.cobias < self.cobias - TOLERANCE) | (equal & simpler)
        return ParetoFronts(
            np.where(better, other.cobias, self.cobias),
            np.where(better, other.n_changed, self.n_changed),
            np.where(better, other.change, self.change),
            np.where(better[:, None], other.choice, self.choice),
        )


def empty_fronts(problem: Problem) -> ParetoFronts:
    """Return the fronts of a search that has met nothing."""
    nothing = np.full(problem.n_samples + 1, np.inf)
    choice = np.zeros((problem.n_samples + 1, problem.n_classes), dtype=np.int64)
    return ParetoFronts(nothing, nothing.copy(), nothing.copy(), choice)


def fronts_of(problem: Problem, candidates: Iterable[Candidate]) -> ParetoFronts:
    """Return the fronts of some choices.

    Parameters
    ----------
    problem : Problem
        What they are choices of.
    candidates : iterable of Candidate
        The choices.

    Returns
    -------
    ParetoFronts
        One entry per number of right samples that they reach.
    """
    found = empty_fronts(problem)
    for candidate in dict.fromkeys(candidates):
        counts = problem.counts(candidate.choice)
        right = int(counts.correct.sum())
        one = empty_fronts(problem)
        one.cobias[right] = float(Objective.cobias_of(counts.correct, counts.support))
        one.n_changed[right], one.change[right] = candidate.n_changed, candidate.change
        one.choice[right] = candidate.choice
        found = found.joined(one)
    return found
