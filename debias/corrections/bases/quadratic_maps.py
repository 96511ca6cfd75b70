"""Quadratic maps of log-probabilities: a linear map, and products of log-probabilities beside it.

A linear map gives a class's evidence one slope everywhere; with products the slope depends on what else is
likely. The products are of standardised log-probabilities, cut off where they say no more.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from debias.corrections.bases.base import Base, log_probabilities, softmax
from debias.corrections.bases.linear_maps import LinearMap, row_sums
from debias.corrections.correction import FloatArray

FLAT = 1e-4
"""Standard deviation of a log-probability below which it is noise, such as rounding: it has no products."""
REACH = 3.0
"""Standard deviations from the mean beyond which a log-probability bends a map no further."""


def products_of(logs: FloatArray, mean: FloatArray, spread: FloatArray) -> FloatArray:
    """Return the products of two standardised log-probabilities, squares included.

    Parameters
    ----------
    logs : ndarray of shape (n_samples, n_classes)
        Log-probabilities.
    mean, spread : ndarray of shape (n_classes,)
        Of the log-probabilities over the rows of the fit; what does not vary has products of 0.

    Returns
    -------
    ndarray of shape (n_samples, n_classes * (n_classes + 1) / 2)
        First those of the first class with itself and with each later one, then those of the second.

    Examples
    --------
    >>> products_of(np.array([[1.0, 2.0], [9.0, 0.0]]), np.zeros(2), np.ones(2))
    array([[1., 2., 4.],
           [9., 0., 0.]])
    """
    steps = np.clip((logs - mean) / np.where(spread > 0, spread, np.inf), -REACH, REACH)
    first, second = np.triu_indices(logs.shape[1])
    # one after the other in memory, of one row and of many alike: else NumPy adds them in another order
    return np.ascontiguousarray(steps[:, first] * steps[:, second])


@dataclass(frozen=True, eq=False)
class QuadraticMap(Base):
    """A linear map of log-probabilities and their products, then a softmax.

    Parameters
    ----------
    linear : LinearMap
        What it is about the mean row, where all products are 0: its slopes are those of the map there. A
        log-probability whose spread is less than :data:`FLAT` has none, and so no products.
    mean : ndarray of shape (n_classes,)
        Mean of each log-probability over the rows of the fit.
    curvature : ndarray of shape (n_classes, n_products)
        Row k says how each product adds to the logit of class k, see :func:`products_of`.
    strength : float
        Weight of the pull of the curvature towards 0.

    Examples
    --------
    >>> linear = LinearMap(np.eye(2), np.zeros(2), np.ones(2), "affine")
    >>> flat = QuadraticMap(linear, np.zeros(2), np.zeros((2, 3)), 1.0)
    >>> flat.posteriors(np.array([[0.8, 0.2]]))
    array([[0.8, 0.2]])
    """

    linear: LinearMap
    mean: FloatArray
    curvature: FloatArray
    strength: float

    kind: ClassVar[str] = "quadratic"

    def posteriors(self, probabilities: FloatArray) -> FloatArray:  # noqa: D102
        logs = log_probabilities(probabilities)
        products = products_of(logs, self.mean, self.linear.spread)
        bent = row_sums(products, self.curvature)
        return softmax(row_sums(logs, self.linear.matrix) + self.linear.bias + bent)

    @property
    def matrix(self) -> FloatArray:
        """Slopes about the mean row."""
        return self.linear.matrix

    @property
    def bias(self) -> FloatArray:
        """What is added to each logit."""
        return self.linear.bias

    def moved_evidence(self, up: bool = True) -> FloatArray:
        """Return what the map adds to the effect of a usual step from the mean row, up or down.

        See :meth:`~debias.corrections.bases.linear_maps.LinearMap.moved_evidence`. Of the products, only
        the square of the class that is a standard deviation higher, or lower, is not 0. From other rows
        the effect is another.
        """
        first, second = np.triu_indices(len(self.mean))
        squares = self.curvature[:, first == second] * (self.linear.spread > 0)
        straight = self.linear.moved_evidence()
        return np.asarray((straight if up else -straight) + squares - squares.mean(axis=0))

    def to_dict(self) -> dict[str, object]:
        """Describe the map as plain data: rows and columns in the order of the classes of the file."""
        return {
            "kind": self.kind,
            "strength": self.strength,
            "mean": self.mean.tolist(),
            "curvature": self.curvature.tolist(),
            "linear": self.linear.to_dict(),
        }
