"""The objective that the search minimises: a number from confusion counts (DNIP, equation of z).

z = error * (errors / M) + cobias * COBias - pmi * sum over classes of PMI, with M samples.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from debias.errors import ParameterError, param

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]


class Counts(NamedTuple):
    """Confusion counts per class: all that the objective sees.

    Attributes
    ----------
    correct, predicted, support : ndarray of shape (..., n_classes)
        Samples of a class predicted as it, samples predicted as it, samples of it.
    """

    correct: IndexArray
    predicted: IndexArray
    support: IndexArray


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
    Counts(correct=array([1, 1]), predicted=array([1, 2]), support=array([2, 1]))
    """
    return Counts(
        np.bincount(y[y == predicted], minlength=n_classes),
        np.bincount(predicted, minlength=n_classes),
        np.bincount(y, minlength=n_classes),
    )


class Objective(BaseEstimator):
    """Weighted error, COBias and pointwise mutual information; lower is better.

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

    Examples
    --------
    >>> objective = Objective(error=1.0, cobias=1.0, pmi=0.0)
    >>> objective(correct=[3, 1], predicted=[6, 2], support=[4, 4])
    1.0

    Half of the samples are wrong, and the class accuracies .75 and .25 are .5 apart.
    """

    def __init__(self, error: float = 1.0, cobias: float = 1.0, pmi: float = 0.2, smoothing: float = 4000.0):
        self.error = error
        self.cobias = cobias
        self.pmi = pmi
        self.smoothing = smoothing

    def validate(self) -> "Objective":
        """Return self, or say which weight is not allowed.

        Raises
        ------
        ParameterError
            A weight is negative or not finite, all are zero, or there is no smoothing
            while the PMI term counts.
        """
        for name in ("error", "cobias", "pmi", "smoothing"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float, np.number)) and np.isfinite(value) and value >= 0):
                raise ParameterError(parameter=name, allowed="a finite number of at least 0", received=value)
        if self.error == self.cobias == self.pmi == 0:
            names = f"{param('error')}, {param('cobias')} and {param('pmi')}"
            raise ParameterError(f"{names} are all 0, so nothing is optimised", parameter="error", received=0)
        if self.pmi > 0 and self.smoothing == 0:
            raise ParameterError(
                parameter="smoothing",
                allowed=f"above 0 if {param('pmi')} is: a count may be 0",
                received=0,
            )
        return self

    def __call__(
        self, correct: npt.ArrayLike, predicted: npt.ArrayLike, support: npt.ArrayLike
    ) -> float | FloatArray:
        """Return z per sample.

        Parameters
        ----------
        correct, predicted, support : array-like of shape (..., n_classes)
            Confusion counts, see :class:`Counts`. A class without samples has no accuracy
            and is omitted from COBias.

        Returns
        -------
        float or ndarray of shape (...)
            The objective.
        """
        c, q, b = (np.asarray(a, dtype=np.float64) for a in (correct, predicted, support))
        z = self.error * (1 - c.sum(axis=-1) / b.sum(axis=-1)) + self.cobias * self.cobias_of(c, b)
        if self.pmi:
            z = z - self.pmi * self.pointwise_mutual_information(c, q, b).sum(axis=-1)
        return float(z) if np.ndim(z) == 0 else z

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
