"""The objective that the search minimises: a number from confusion counts (DNIP, equation of z).

z = error * (errors / M) + cobias * COBias - pmi * sum over classes of PMI, with M samples. Further
terms, of weight 0 by default, are the error of the worst class, 1 - balanced accuracy, 1 - macro F1,
and the mean cost of a row.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from debias.errors import ParameterError, param

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
Costs = npt.ArrayLike | Mapping[object, Mapping[object, float]]
"""What a row of a class costs that is predicted as a class: a matrix, or a mapping by labels."""

WEIGHTS = ("error", "cobias", "pmi", "worst_class", "balanced_error", "macro_f1")
"""The weights of an objective."""


class Counts(NamedTuple):
    """Confusion counts per class: all that the objective sees.

    Attributes
    ----------
    correct, predicted, support : ndarray of shape (..., n_classes)
        Samples of a class predicted as it, samples predicted as it, samples of it.
    cost : float or ndarray of shape (...), optional
        Mean cost of a sample, for an objective with costs: counts by class do not tell it.
    """

    correct: IndexArray
    predicted: IndexArray
    support: IndexArray
    cost: float | FloatArray | None = None


def confusion_counts(y: IndexArray, predicted: IndexArray, n_classes: int) -> Counts:
    """Count correct, predicted and true samples of every class.

    Parameters
    ----------
    y, predicted : ndarray of shape (n_samples,)
        Class indices.
    n_classes : int
        Number of classes.

    Returns
    -------
    Counts
        Three arrays of shape (n_classes,).

    Examples
    --------
    >>> confusion_counts(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    Counts(correct=array([1, 1]), predicted=array([1, 2]), support=array([2, 1]), cost=None)
    """
    return Counts(
        np.bincount(y[y == predicted], minlength=n_classes),
        np.bincount(predicted, minlength=n_classes),
        np.bincount(y, minlength=n_classes),
    )


class Objective(BaseEstimator):
    """A weighted sum of errors, unevenness and further terms; lower is better.

    Classes without samples count in no term but the PMI.

    Parameters
    ----------
    error : float, default=1.0
        Weight of the error rate (alpha in the papers).
    cobias : float, default=1.0
        Weight of COBias, the mean pairwise gap of class accuracies (beta).
    pmi : float, default=0.2
        Weight of the pointwise mutual information of prediction and label (tau).
    smoothing : float, default=4000.0
        Additive smoothing of the counts in that term (k).
    worst_class : float, default=0.0
        Weight of the error of the worst class: 1 less the least class accuracy.
    balanced_error : float, default=0.0
        Weight of the mean error of the classes: 1 less the balanced accuracy.
    macro_f1 : float, default=0.0
        Weight of what the macro F1 lacks of 1.
    costs : array-like of shape (n_classes, n_classes) or dict of dict, optional
        What a sample of a class (row) costs that is predicted as a class (column). The mean over all
        samples is added. The classes of a matrix are in sorted order; a dict has them by label,
        ``costs[true][predicted]``, and what it omits costs nothing.

    Examples
    --------
    >>> objective = Objective(error=1.0, cobias=1.0, pmi=0.0)
    >>> objective(correct=[3, 1], predicted=[6, 2], support=[4, 4])
    1.0

    Half of the samples are wrong, and the class accuracies .75 and .25 are .5 apart. The worst class
    alone:

    >>> Objective.worst_class_first()(correct=[3, 1], predicted=[6, 2], support=[4, 4])
    0.7500005
    """

    def __init__(
        self,
        error: float = 1.0,
        cobias: float = 1.0,
        pmi: float = 0.2,
        smoothing: float = 4000.0,
        worst_class: float = 0.0,
        balanced_error: float = 0.0,
        macro_f1: float = 0.0,
        costs: Costs | None = None,
    ):
        self.error = error
        self.cobias = cobias
        self.pmi = pmi
        self.smoothing = smoothing
        self.worst_class = worst_class
        self.balanced_error = balanced_error
        self.macro_f1 = macro_f1
        self.costs = costs

    @classmethod
    def worst_class_first(cls) -> Self:
        """Return the objective that lifts the least class accuracy, and the accuracy among equal ones.

        The error counts a millionth of it. So accuracy decides where least class accuracies differ by
        less than a ten-thousandth of a point, and one right sample of a hundred thousand still counts.

        Examples
        --------
        >>> Objective.worst_class_first()
        Objective(cobias=0.0, error=1e-06, pmi=0.0, worst_class=1.0)
        """
        return cls(error=1e-6, cobias=0.0, pmi=0.0, worst_class=1.0)

    @classmethod
    def balanced(cls) -> Self:
        """Return the objective that maximises the balanced accuracy.

        Examples
        --------
        >>> Objective.balanced()([3, 1], [4, 4], [4, 4])
        0.5
        """
        return cls(error=0.0, cobias=0.0, pmi=0.0, balanced_error=1.0)

    @classmethod
    def least_cost(cls, costs: Costs) -> Self:
        """Return the objective that minimises the mean cost of a sample.

        Parameters
        ----------
        costs : array-like of shape (n_classes, n_classes) or dict of dict
            See :class:`Objective`.

        Examples
        --------
        >>> objective = Objective.least_cost([[0, 1], [10, 0]])
        >>> objective(*objective.counts(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0]), 2))
        2.75
        """
        return cls(error=0.0, cobias=0.0, pmi=0.0, costs=costs)

    def used_params(self) -> dict[str, object]:
        """Return the parameters, those of further terms only where they count.

        Examples
        --------
        >>> Objective(macro_f1=1).used_params()
        {'error': 1.0, 'cobias': 1.0, 'pmi': 0.2, 'smoothing': 4000.0, 'macro_f1': 1}
        """
        further = [name for name in WEIGHTS[3:] if getattr(self, name)]
        names = [*WEIGHTS[:3], "smoothing", *further, *([] if self.costs is None else ["costs"])]
        return {name: getattr(self, name) for name in names}

    def validate(self) -> "Objective":
        """Return self, or say which weight is not allowed.

        Raises
        ------
        ParameterError
            A weight is negative or not finite, all are zero and there are no costs, costs are not a
            matrix of numbers or have names in a frame, or there is no smoothing while the PMI term counts.
        """
        for name in (*WEIGHTS, "smoothing"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float, np.number)) and np.isfinite(value) and value >= 0):
                raise ParameterError(parameter=name, allowed="a finite number of at least 0", received=value)
        self._check_costs()
        if self.costs is None and not any(getattr(self, name) for name in WEIGHTS):
            names = f"{', '.join(map(param, WEIGHTS[:-1]))} and {param(WEIGHTS[-1])}"
            raise ParameterError(f"{names} are all 0, so nothing is optimised", parameter="error", received=0)
        if self.pmi > 0 and self.smoothing == 0:
            raise ParameterError(
                parameter="smoothing",
                allowed=f"above 0 if {param('pmi')} is: a count may be 0",
                received=0,
            )
        return self

    def _check_costs(self) -> None:
        """Refuse costs that are not numbers of at least 0, in a square."""
        if self.costs is None:
            return
        rows = self.costs
        axes = (getattr(rows, "index", ()), rows.columns) if hasattr(rows, "columns") else ()
        if any(list(axis) != list(range(len(axis))) for axis in axes):
            raise ParameterError(
                parameter="costs",
                allowed="a matrix without names, classes in sorted order, or a dict of dicts by label",
                received=[list(axis) for axis in axes],
                fix="pass costs.to_dict('index') of a DataFrame whose index and columns are labels",
            )
        if isinstance(rows, Mapping):
            allowed = "a matrix, or a dict of dicts of numbers by label, costs[true][predicted]"
            if not rows or not all(isinstance(row, Mapping) for row in rows.values()):
                raise ParameterError(parameter="costs", allowed=allowed, received=rows)
            values: object = [value for row in rows.values() for value in row.values()]
        else:
            values = rows
        try:
            numbers = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            numbers = np.array([np.nan])
        square = isinstance(rows, Mapping) or (numbers.ndim == 2 and numbers.shape[0] == numbers.shape[1])
        if not square or not numbers.size or not np.isfinite(numbers).all() or (numbers < 0).any():
            allowed = "finite numbers of at least 0, a row and a column for every class"
            raise ParameterError(parameter="costs", allowed=allowed, received=rows)

    def cost_matrix(self, n_classes: int) -> FloatArray | None:
        """Return the costs by true and by predicted class, or None where there are none.

        Parameters
        ----------
        n_classes : int
            Number of classes.

        Raises
        ------
        ParameterError
            There are more or fewer classes, or the costs are by label, see
            :func:`~debias.search.goals.class_order.goal_by_column`.
        """
        if self.costs is None:
            return None
        if isinstance(self.costs, Mapping):
            allowed = "a matrix here, where classes have no labels"
            raise ParameterError(parameter="costs", allowed=allowed, received=self.costs)
        matrix = np.asarray(self.costs, dtype=np.float64)
        if matrix.shape != (n_classes, n_classes):
            allowed = f"of the shape ({n_classes}, {n_classes}), a row and a column for every class"
            raise ParameterError(parameter="costs", allowed=allowed, received=matrix.shape)
        return matrix

    def counts(self, y: IndexArray, predicted: IndexArray, n_classes: int) -> Counts:
        """Return all of predictions that the objective sees.

        Parameters
        ----------
        y, predicted : ndarray of shape (n_samples,)
            Class indices.
        n_classes : int
            Number of classes.

        Returns
        -------
        Counts
            With the mean cost of a sample, where there are costs.
        """
        counts = confusion_counts(y, predicted, n_classes)
        costs = self.cost_matrix(n_classes)
        return counts if costs is None else counts._replace(cost=float(costs[y, predicted].mean()))

    def __call__(
        self,
        correct: npt.ArrayLike,
        predicted: npt.ArrayLike,
        support: npt.ArrayLike,
        cost: float | FloatArray | None = None,
    ) -> float | FloatArray:
        """Return z per sample.

        Parameters
        ----------
        correct, predicted, support : array-like of shape (..., n_classes)
            Confusion counts, see :class:`Counts`. A class without samples has no accuracy
            and is omitted from COBias.
        cost : float or ndarray of shape (...), optional
            Mean cost of a sample, for an objective with costs.

        Returns
        -------
        float or ndarray of shape (...)
            The objective.

        Raises
        ------
        ParameterError
            The objective has costs, and no cost is given.
        """
        c, q, b = (np.asarray(a, dtype=np.float64) for a in (correct, predicted, support))
        z = self.error * (1 - c.sum(axis=-1) / b.sum(axis=-1)) + self.cobias * self.cobias_of(c, b)
        if self.pmi:
            z = z - self.pmi * self.pointwise_mutual_information(c, q, b).sum(axis=-1)
        if self.worst_class or self.balanced_error or self.macro_f1:
            z = z + self._of_classes(c, q, b)
        if self.costs is not None:
            if cost is None:
                raise ParameterError(
                    parameter="cost",
                    allowed="given, because counts by class do not determine costs",
                    received=None,
                )
            z = z + cost
        return float(z) if np.ndim(z) == 0 else z

    def _of_classes(self, c: FloatArray, q: FloatArray, b: FloatArray) -> FloatArray:
        """Return the terms of the worst class, of balanced accuracy and of macro F1."""
        present = np.flatnonzero(b.reshape(-1, b.shape[-1])[0])
        c, q, b = (a[..., present] for a in (c, q, b))
        accuracy = c / b
        z = self.worst_class * (1 - accuracy.min(axis=-1))
        z = z + self.balanced_error * (1 - accuracy.mean(axis=-1))
        return np.asarray(z + self.macro_f1 * (1 - (2 * c / (b + q)).mean(axis=-1)))

    def is_feasible(self, value: float) -> bool:
        """Tell whether a choice keeps all bounds, from its value: there are none here."""
        return True

    @staticmethod
    def cobias_of(correct: npt.ArrayLike, support: npt.ArrayLike) -> FloatArray:
        """Return the mean absolute difference of the accuracies of all pairs of classes with samples.

        Examples
        --------
        >>> float(Objective.cobias_of([1, 3], [4, 4]))
        0.5
        """
        correct, support = np.asarray(correct, dtype=np.float64), np.asarray(support, dtype=np.float64)
        present = np.flatnonzero(support.reshape(-1, support.shape[-1])[0])
        accuracy = correct[..., present] / support[..., present]
        first, second = np.triu_indices(len(present), 1)
        if not len(first):
            return np.zeros(correct.shape[:-1])
        return np.asarray(np.abs(accuracy[..., first] - accuracy[..., second]).mean(axis=-1))

    def pointwise_mutual_information(
        self, correct: npt.ArrayLike, predicted: npt.ArrayLike, support: npt.ArrayLike
    ) -> FloatArray:
        """Return the smoothed PMI of prediction and label, for every class.

        Parameters
        ----------
        correct, predicted, support : array-like of shape (..., n_classes)
            Confusion counts.

        Returns
        -------
        ndarray of shape (..., n_classes)
            In nats.

        Examples
        --------
        >>> Objective(smoothing=1e-12).pointwise_mutual_information([5, 5], [5, 5], [5, 5]).round(4)
        array([0.6931, 0.6931])
        """
        c, q, b = (np.asarray(a, dtype=np.float64) for a in (correct, predicted, support))
        n_classes, k = c.shape[-1], self.smoothing
        m = b.sum(axis=-1, keepdims=True)
        joint = (c + k) / (m + k * n_classes**2)
        marginals = (q + k) / (m + k * n_classes) * ((b + k) / (m + k * n_classes))
        return np.asarray(np.log(joint / marginals))
