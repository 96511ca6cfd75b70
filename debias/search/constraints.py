"""Constraints on COBias or accuracies: the best choice among those that keep their bounds.

A choice out of bounds is worth :data:`INFEASIBLE` and how far out it is, so that every search
which minimises a number finds the best choice that exists, or else the closest to the bounds.
"""

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from debias.errors import ParameterError, param
from debias.search.goals.bound_values import UNCORRECTED, apart, check_bound, in_points
from debias.search.goals.class_guard import (
    BATCH,
    References,
    batch_counts,
    check_references,
    describe_guard,
    known_references,
    references_of,
)
from debias.search.objective import Counts, FloatArray, IndexArray, Objective, confusion_counts

INFEASIBLE = 1000.0
"""Above every value of a feasible choice; what comes on top is the sum of what is out of bounds."""

BOUND_TOLERANCE = 1e-12
"""Out of bounds by no more than this, all bounds together, is within: that is rounding only."""

_COBIAS = Objective(error=0.0, cobias=1.0, pmi=0.0)
_EVEN_AMONG_RIGHT = Objective(error=1.0, cobias=1e-6, pmi=0.0)
_RIGHT_AMONG_EVEN = Objective(error=1e-6, cobias=1.0, pmi=0.0)


class Constrained(BaseEstimator):
    """An objective to be minimised within bounds; give at least one bound.

    Goes wherever an :class:`~debias.search.objective.Objective` does. Bounds hold on the rows that the
    search sees; on other rows they may be missed.

    Parameters
    ----------
    max_cobias : float, optional
        COBias may be at most this, a fraction: 0.10 is 10 points.
    min_accuracy : float or "uncorrected", optional
        Accuracy must be at least this, a fraction, or at least that of the uncorrected model.
    min_class_accuracy : float, optional
        The accuracy of every class with rows must be at least this, a fraction.
    objective : Objective, optional
        What is minimised within the bounds. If not given, what the bounds leave open: they
        bound unevenness (`max_cobias`, `min_class_accuracy`), so the error is minimised, and
        COBias among equal errors; or they bound the error alone (`min_accuracy`), so COBias is
        minimised, and the error among equal COBias. The second counts a millionth of the first.
        Where they are a guard alone (`no_class_worse_than`), ``Objective()`` is.
    no_class_worse_than : {"uncorrected", "batch"}, sequence or dict, optional
        The accuracy of every class with rows must be at least that of the uncorrected model, of batch
        calibration (probabilities divided by their means over the same rows), or a number per class:
        a sequence in the order of the sorted labels, or a dict by label. Less the `margin`.
    margin : float, default=0.0
        By how much a class may be worse, a fraction: 0.02 is 2 points.
    references : sequence of float, optional
        The accuracies that `no_class_worse_than` stands for on given rows: :meth:`resolve` sets them.

    Examples
    --------
    >>> within = Constrained(max_cobias=0.25)
    >>> round(within(correct=[3, 2], predicted=[5, 3], support=[4, 4]), 6)
    0.375
    >>> within(correct=[4, 2], predicted=[6, 2], support=[4, 4])
    1000.25

    The second is right more often, but its class accuracies 1 and .5 are .25 too far apart.
    """

    def __init__(
        self,
        max_cobias: float | None = None,
        min_accuracy: float | str | None = None,
        min_class_accuracy: float | None = None,
        objective: Objective | None = None,
        no_class_worse_than: References | None = None,
        margin: float = 0.0,
        references: Sequence[float] | None = None,
    ):
        self.max_cobias = max_cobias
        self.min_accuracy = min_accuracy
        self.min_class_accuracy = min_class_accuracy
        self.objective = objective
        self.no_class_worse_than = no_class_worse_than
        self.margin = margin
        self.references = references

    @property
    def inner(self) -> Objective:
        """What is minimised within the bounds."""
        if self.objective is not None:
            return self.objective
        if self.max_cobias is not None or self.min_class_accuracy is not None:
            return _EVEN_AMONG_RIGHT
        return Objective() if self.min_accuracy is None else _RIGHT_AMONG_EVEN

    def validate(self) -> Self:
        """Return self, or say which parameter is not allowed.

        Raises
        ------
        ParameterError
            No bound is given, a bound is not a fraction, a margin has no guard that it belongs to, or
            the objective is not one.

        Examples
        --------
        >>> Constrained(max_cobias=10).validate()
        Traceback (most recent call last):
        debias.errors.ParameterError: max_cobias must be a fraction from 0 to 1 (0.1 for 10 points), got 10.
        """
        if self.margin and self.no_class_worse_than is None:
            raise ParameterError(
                f"{param('margin')} needs {param('no_class_worse_than')}",
                parameter="margin",
                received=self.margin,
                fix=f"add {param('no_class_worse_than')}, or omit {param('margin')}",
            )
        if all(getattr(self, name) is None for name in BOUNDS):
            bounds = f"{', '.join(map(param, BOUNDS[:-1]))} or {param(BOUNDS[-1])}"
            raise ParameterError("there is no bound", fix=f"set {bounds}, or use Objective(...)")
        for name in (*BOUNDS[:-1], "margin"):
            check_bound(name, getattr(self, name))
        check_references(self.no_class_worse_than)
        if not isinstance(self.inner, Objective):
            raise ParameterError(
                parameter="objective", allowed="an Objective(...) or None", received=self.objective
            )
        self.inner.validate()
        return self

    def resolve(self, uncorrected: Counts, batch: Counts | None = None) -> "Constrained":
        """Return the same with ``min_accuracy="uncorrected"`` as a number, and with `references`.

        Parameters
        ----------
        uncorrected : Counts
            Confusion counts of the uncorrected model, each of shape (n_classes,).
        batch : Counts, optional
            Those of batch calibration, for ``no_class_worse_than="batch"``.

        Returns
        -------
        Constrained
            Ready to be called.

        Raises
        ------
        ParameterError
            Weights so large that a choice within bounds could be worth more than one outside, or
            references that are not one per class.

        Examples
        --------
        >>> Constrained(min_accuracy="uncorrected").resolve(Counts([3, 2], [5, 3], [4, 4])).min_accuracy
        0.625
        """
        self.validate()
        support = np.asarray(uncorrected.support)
        n_samples = int(support.sum())
        # The largest z there could be: nothing right, every class named for all, accuracies 1 apart.
        nothing, all_named = np.zeros_like(support), np.full_like(support, n_samples)
        costs = self.inner.cost_matrix(len(support))
        costliest = None if costs is None else float(costs.max())
        largest = float(self.inner(nothing, all_named, support, costliest)) + self.inner.cobias
        if largest >= INFEASIBLE:
            raise ParameterError(
                f"the weights are too large: z could be {largest:.0f} and must stay below {INFEASIBLE:.0f}",
                parameter="objective",
                received=self.inner,
                fix=f"divide all weights by {1 + math.ceil(largest / INFEASIBLE)}",
            )
        resolved = self.with_objective(self.objective)
        if self.min_accuracy == UNCORRECTED:
            resolved.min_accuracy = float(np.sum(uncorrected.correct) / n_samples)
        if self.no_class_worse_than is not None:
            named = {UNCORRECTED: uncorrected, BATCH: batch}
            resolved.references = references_of(self.no_class_worse_than, support, named)
        return resolved

    def resolve_on(self, y: IndexArray, uncorrected: IndexArray, probabilities: FloatArray) -> "Constrained":
        """Return the same, resolved on rows.

        Parameters
        ----------
        y, uncorrected : ndarray of shape (n_samples,)
            Labels, and the predictions of the uncorrected model, as column indices.
        probabilities : ndarray of shape (n_samples, n_classes)
            Class probabilities of these rows.

        Returns
        -------
        Constrained
            See :meth:`resolve`.
        """
        n_classes = probabilities.shape[1]
        batch = batch_counts(y, probabilities) if self.no_class_worse_than == BATCH else None
        return self.resolve(confusion_counts(y, uncorrected, n_classes), batch)

    def with_objective(self, objective: Objective | None) -> "Constrained":
        """Return the same bounds around another objective."""
        return Constrained(**(self.get_params(deep=False) | {"objective": objective}))

    def counts(self, y: IndexArray, predicted: IndexArray, n_classes: int) -> Counts:
        """Return all of predictions that the objective sees, as :meth:`Objective.counts` does."""
        return self.inner.counts(y, predicted, n_classes)

    def least_class_accuracies(self, n_classes: int) -> FloatArray:
        """Return the least accuracy that each class may have, 0 where it has no bound.

        Parameters
        ----------
        n_classes : int
            Number of classes.

        Raises
        ------
        ParameterError
            The references are still a name: what they are depends on rows, see :meth:`resolve`.

        Examples
        --------
        >>> guard = Constrained(no_class_worse_than=[0.75, 0.5], margin=0.25)
        >>> guard.resolve(Counts([3, 2], [5, 3], [4, 4])).least_class_accuracies(2)
        array([0.5 , 0.25])
        """
        least = np.full(n_classes, self.min_class_accuracy or 0.0)
        if self.no_class_worse_than is None:
            return least
        return np.maximum(least, known_references(self.no_class_worse_than, self.references) - self.margin)

    def least_correct(self, n_samples: int) -> int:
        """Return how many samples must be right for `min_accuracy`.

        Parameters
        ----------
        n_samples : int
            Of how many.

        Raises
        ------
        ParameterError
            It is still ``"uncorrected"``: what that is depends on rows, see :meth:`resolve`.

        Examples
        --------
        >>> Constrained(min_accuracy=0.7).least_correct(10), Constrained(max_cobias=0.1).least_correct(10)
        (7, 0)
        """
        if isinstance(self.min_accuracy, str):
            raise ParameterError(
                f"{param('min_accuracy')} has a numeric value only for given rows",
                parameter="min_accuracy",
                received=self.min_accuracy,
                fix="call resolve(counts of the uncorrected model) first",
            )
        # An accuracy that was computed from counts is met by these counts, however it was rounded.
        return max(0, math.ceil(((self.min_accuracy or 0.0) - 1e-9) * n_samples))

    def __call__(
        self,
        correct: npt.ArrayLike,
        predicted: npt.ArrayLike,
        support: npt.ArrayLike,
        cost: float | FloatArray | None = None,
    ) -> float | FloatArray:
        """Return z per sample within the bounds, and outside INFEASIBLE plus what is out of bounds.

        Parameters
        ----------
        correct, predicted, support : array-like of shape (..., n_classes)
            Confusion counts, see :class:`~debias.search.objective.Counts`; `support` is the same for all.
        cost : float or ndarray of shape (...), optional
            Mean cost of a sample, for an objective with costs.

        Returns
        -------
        float or ndarray of shape (...)
            The smaller, the better.
        """
        out = self.violation(correct, support)
        value = np.where(out > 0, INFEASIBLE + out, self.inner(correct, predicted, support, cost))
        return float(value) if value.ndim == 0 else value

    def is_feasible(self, value: float) -> bool:
        """Tell whether a choice keeps all bounds, from its value.

        Examples
        --------
        >>> Constrained(max_cobias=0.1).is_feasible(1000.02)
        False
        """
        return value < INFEASIBLE

    def violation(self, correct: npt.ArrayLike, support: npt.ArrayLike) -> FloatArray:
        """Return how far out of bounds counts are.

        Parameters
        ----------
        correct, support : array-like of shape (..., n_classes)
            Confusion counts.

        Returns
        -------
        ndarray of shape (...)
            COBias above its bound, plus the share of samples that are missing to the bound of
            accuracy, plus what each class accuracy is below its bound; 0 within all bounds.

        Examples
        --------
        >>> round(float(Constrained(min_accuracy=0.8, min_class_accuracy=0.5).violation([4, 1], [4, 4])), 6)
        0.5
        """
        c, b = np.asarray(correct, dtype=np.float64), np.asarray(support, dtype=np.float64)
        n_samples = int(b.reshape(-1, b.shape[-1])[0].sum())
        missing = np.maximum(0.0, self.least_correct(n_samples) - c.sum(axis=-1)) / n_samples
        low = self.least_class_accuracies(b.shape[-1]) - c / np.where(b > 0, b, 1.0)
        out = missing + np.where(b > 0, np.maximum(0.0, low), 0.0).sum(axis=-1)
        if self.max_cobias is not None:
            out = out + np.maximum(0.0, np.asarray(_COBIAS(c, c, b)) - self.max_cobias)
        return np.where(out > BOUND_TOLERANCE, out, 0.0)

    def describe(self) -> str:
        """Return the bounds in words.

        Examples
        --------
        >>> Constrained(max_cobias=0.1, min_accuracy="uncorrected").describe()
        'COBias at most 10 points, accuracy at least that of the uncorrected model'
        """
        bounds = []
        if self.max_cobias is not None:
            points = in_points(self.max_cobias)
            bounds.append(f"COBias at most {points} point{'' if points == '1' else 's'}")
        if isinstance(self.min_accuracy, str):
            bounds.append("accuracy at least that of the uncorrected model")
        elif self.min_accuracy is not None:
            bounds.append(f"accuracy at least {in_points(self.min_accuracy)} %")
        if self.min_class_accuracy is not None:
            bounds.append(f"every class accuracy at least {in_points(self.min_class_accuracy)} %")
        if self.no_class_worse_than is not None:
            bounds.append(describe_guard(self.no_class_worse_than, self.margin))
        return ", ".join(bounds)

    def unmet(self, correct: npt.ArrayLike, support: npt.ArrayLike) -> list[str]:
        """Return in words each bound that counts do not keep, and what they reach instead.

        Parameters
        ----------
        correct, support : array-like of shape (n_classes,)
            Confusion counts.

        Returns
        -------
        list of str
            Empty within all bounds.

        Examples
        --------
        >>> Constrained(max_cobias=0.1, min_class_accuracy=0.5).unmet([4, 1], [4, 4])
        ['COBias at most 10 points (75 is reached)', 'every class accuracy at least 50 % (25 is reached)']
        """
        c, b = np.asarray(correct, dtype=np.float64), np.asarray(support, dtype=np.float64)
        present = b > 0
        accuracies = c[present] / b[present]
        reached = {
            "max_cobias": float(_COBIAS(c, c, b)),
            "min_accuracy": float(c.sum() / b.sum()),
            "min_class_accuracy": float(accuracies.min()),
        }
        found = []
        for name, value in reached.items():
            bound = getattr(self, name)
            alone = None if bound is None else Constrained(**{name: bound})
            if alone is not None and alone.violation(c, b) > 0:
                found.append(f"{alone.describe()} ({apart(value, bound)} is reached)")
        if self.no_class_worse_than is not None:
            guard = Constrained(
                no_class_worse_than=self.no_class_worse_than, margin=self.margin, references=self.references
            )
            if guard.violation(c, b) > 0:
                worse_by = float((np.asarray(self.references)[present] - accuracies).max())
                found.append(f"{guard.describe()} (one is by {apart(worse_by, self.margin)})")
        return found


BOUNDS = ("max_cobias", "min_accuracy", "min_class_accuracy", "no_class_worse_than")
"""Parameters that are bounds."""

Goal = Objective | Constrained
"""Kinds of goals that a search minimises."""
