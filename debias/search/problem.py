"""The problem that every search solves: which correction for every class makes z smallest.

Within one sample only the order of the corrected values matters, so each value is kept as
its rank among all values that this sample can take. Ties between classes and the all-zero
rule are settled in the rank itself: comparing two ranks of different classes is exact.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.corrections.families import Family
from debias.errors import ParameterError, TableError
from debias.search.constraints import Constrained, Goal
from debias.search.objective import Counts, Objective

Ranks = npt.NDArray[np.unsignedinteger]
FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]

TOLERANCE = 1e-12
"""Objective values closer than this are equal: they differ by rounding only."""

_VECTOR = 32
"""Corrections are padded to a multiple of this, so that a sample is a whole number of vectors."""

_BLOCK = 1 << 21
"""Values ranked at once: bounds the memory of the sort."""


class Candidate(NamedTuple):
    """A choice and what it is worth; the smaller of two is the better one.

    Among equal objectives the fewest changed classes win, then the smallest change: the
    answer that a person would choose.
    """

    objective: float
    n_changed: int
    change: float
    choice: tuple[int, ...]

    def beats(self, other: "Candidate") -> bool:
        """Whether this one is better, differences by rounding ignored.

        Examples
        --------
        >>> Candidate(0.5, 1, 0.2, (0, 1)).beats(Candidate(0.5 + 1e-15, 2, 0.1, (1, 1)))
        True
        """
        if abs(self.objective - other.objective) > TOLERANCE:
            return self.objective < other.objective
        if self.n_changed != other.n_changed:
            return self.n_changed < other.n_changed
        return self.change < other.change - TOLERANCE


@dataclass(frozen=True)
class Problem:
    """Samples, corrections and objective in the form that the searches work on.

    Build it with :func:`build_problem`.

    Attributes
    ----------
    ranks : ndarray of shape (n_classes, n_samples, n_padded), uint8, uint16 or uint32
        Rank of every corrected value within its sample, from 1. Samples are sorted by
        label. Of the columns of the padding the first holds more than any rank, the others 0.
    y : ndarray of shape (n_samples,)
        Sorted labels, as column indices.
    support : ndarray of shape (n_classes,)
        Samples per class.
    change : ndarray of shape (n_classes, n_corrections)
        Mean absolute change that a correction makes to the probabilities of a class.
    identity : int
        Index of the correction that changes nothing.
    n_corrections : int
        Corrections in the family.
    objective : Objective or Constrained
        What is minimised.
    groups : tuple of ndarray
        Corrections of one kind, for searches that begin within a smaller family.
    """

    ranks: Ranks
    y: IndexArray
    support: IndexArray
    change: FloatArray
    identity: int
    n_corrections: int
    objective: Goal
    groups: tuple[IndexArray, ...]

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.ranks.shape[0])

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.ranks.shape[1])

    @property
    def work_per_choice(self) -> int:
        """Cost of evaluating a choice, in rows: the gap of a pair of classes costs as much as 64 of them."""
        return self.n_samples + 32 * self.n_classes * (self.n_classes - 1) + 1_000

    @cached_property
    def columns(self) -> Ranks:
        """The ranks by correction, shape (n_classes, n_corrections, n_samples)."""
        return np.ascontiguousarray(self.ranks[:, :, : self.n_corrections].transpose(0, 2, 1))

    @cached_property
    def offsets(self) -> IndexArray:
        """Where the samples of each class begin, shape (n_classes + 1,)."""
        return np.concatenate([[0], np.cumsum(self.support)])

    @cached_property
    def identity_choice(self) -> IndexArray:
        """The choice that changes nothing."""
        return np.full(self.n_classes, self.identity, dtype=np.int64)

    def with_objective(self, objective: Goal) -> "Problem":
        """Return the same problem with another objective; what was made of the ranks is shared."""
        other = replace(self, objective=objective)
        kept = {name: value for name, value in self.__dict__.items() if name in ("columns", "wins")}
        other.__dict__.update(kept)
        return other

    def counts(self, choice: npt.ArrayLike) -> Counts:
        """Return the confusion counts of a choice.

        Parameters
        ----------
        choice : array-like of shape (n_classes,)
            Index into the family for every class.
        """
        rows = self.columns[np.arange(self.n_classes), np.asarray(choice)]
        return self.objective.counts(self.y, np.argmax(rows, axis=0), self.n_classes)

    def evaluate(self, choice: npt.ArrayLike) -> float:
        """Return z per sample of a choice."""
        return float(self.objective(*self.counts(choice)))

    def candidate(self, choice: npt.ArrayLike, objective: float | None = None) -> Candidate:
        """Return a choice with its objective and how much it changes."""
        indices = np.asarray(choice, dtype=np.int64)
        return Candidate(
            objective=self.evaluate(indices) if objective is None else objective,
            n_changed=int((indices != self.identity).sum()),
            change=float(self.change[np.arange(self.n_classes), indices].sum()),
            choice=tuple(indices.tolist()),
        )


def goal_of(objective: object) -> Goal:
    """Return an objective that was given, or the default where None was.

    Raises
    ------
    ParameterError
        It is neither an Objective nor Constrained.

    Examples
    --------
    >>> goal_of(None)
    Objective()
    """
    goal = Objective() if objective is None else objective
    if not isinstance(goal, (Objective, Constrained)):
        raise ParameterError(parameter="objective", allowed="an Objective or Constrained", received=goal)
    return goal


def build_problem(probabilities: FloatArray, y: IndexArray, family: Family, objective: Goal) -> Problem:
    """Apply every correction to every probability and rank the results within each sample.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities in [0, 1].
    y : ndarray of shape (n_samples,)
        Labels, as column indices.
    family : Family
        The corrections to choose from.
    objective : Objective or Constrained
        What is minimised; a model that it names becomes its accuracies on these samples. Costs
        and accuracies per class are in the order of the columns.

    Returns
    -------
    Problem
        Takes about ``2 * n_classes * n_corrections * n_samples`` ranks of 1, 2 or 4 bytes.

    Raises
    ------
    TableError
        No samples, or samples of one class only: there is nothing to even out.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> P = np.array([[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = build_problem(P, np.array([1, 0, 0]), weights(2), Objective(pmi=0))
    >>> problem.evaluate([1, 1])  # the identity: one of three wrong, recalls 1 and 0
    1.3333333333333335
    >>> problem.evaluate([0, 1])  # half of the first column: .3 < .4 and .35 > .3, all right
    0.0
    """
    order = np.argsort(y, kind="stable")
    support = np.bincount(y, minlength=probabilities.shape[1])
    if (support > 0).sum() < 2:
        raise TableError(parameter="y", allowed="of at least two classes", received=np.unique(y).tolist())
    probabilities, y = probabilities[order], y[order]
    n_samples, n_classes = probabilities.shape
    n_corrections = len(family)
    n_padded = (n_corrections // _VECTOR + 1) * _VECTOR
    dtype = np.min_scalar_type(n_classes * n_corrections + 1)
    ranks = np.zeros((n_classes, n_samples, n_padded), dtype=dtype)
    ranks[:, :, n_corrections] = np.iinfo(dtype).max
    change = np.zeros((n_classes, n_corrections))
    step = max(1, _BLOCK // (n_classes * n_corrections))
    for start in range(0, n_samples, step):
        block = probabilities[start : start + step]
        values = np.stack([family.values(column) for column in block.T])
        change += np.abs(values - block.T[:, None, :]).sum(axis=2) / n_samples
        ranks[:, start : start + step, :n_corrections] = _rank(values, block)
    objective = objective.validate()
    if isinstance(objective, Constrained):
        uncorrected = np.argmax(ranks[:, :, family.identity], axis=0)
        objective = objective.resolve_on(y, uncorrected, probabilities)
    else:
        objective.cost_matrix(n_classes)
    return Problem(ranks, y, support, change, family.identity, n_corrections, objective, family.groups)


def _rank(values: FloatArray, probabilities: FloatArray) -> npt.NDArray[np.int64]:
    """Rank corrected values within each sample, from 1.

    Parameters
    ----------
    values : ndarray of shape (n_classes, n_corrections, n_samples)
        Corrected values.
    probabilities : ndarray of shape (n_samples, n_classes)
        Original probabilities.

    Returns
    -------
    ndarray of shape (n_classes, n_samples, n_corrections)
        Equal values of one class share a rank; between classes the lower index ranks
        higher; zeros rank below all else, in the order of the original probabilities.
    """
    n_classes, n_corrections, n_samples = values.shape
    # Columns from the last class to the first, so that a stable sort leaves the first class on top.
    reverse = probabilities[:, ::-1]
    fallback = np.empty((n_samples, n_classes))
    np.put_along_axis(
        fallback, np.argsort(reverse, axis=1, kind="stable"), np.arange(n_classes) - float(n_classes), axis=1
    )
    flat = values[::-1].transpose(2, 0, 1)
    flat = np.where(flat > 0, flat, fallback[:, :, None]).reshape(n_samples, -1)
    order = np.argsort(flat, axis=1, kind="stable")
    ordered = np.take_along_axis(flat, order, axis=1)
    owner = order // n_corrections
    new = (ordered[:, 1:] != ordered[:, :-1]) | (owner[:, 1:] != owner[:, :-1])
    dense = np.concatenate([np.ones((n_samples, 1), dtype=np.int64), 1 + np.cumsum(new, axis=1)], axis=1)
    ranks = np.empty_like(dense)
    np.put_along_axis(ranks, order, dense, axis=1)
    return ranks.reshape(n_samples, n_classes, n_corrections).transpose(1, 0, 2)[::-1]
