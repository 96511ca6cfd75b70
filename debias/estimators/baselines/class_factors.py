"""The base of baselines that multiply each class by a factor: what they share, and how a factor is kept."""

import numpy as np

from debias.estimators.baselines.baseline import Baseline
from debias.tables.class_columns import FloatArray


class FactorBaseline(Baseline):
    """Base of the baselines that multiply the probabilities of each class by a factor.

    Attributes
    ----------
    factors_ : ndarray of shape (n_classes,)
        Factor of each column; the largest is 1, since only ratios matter.
    """

    factors_: FloatArray

    def _keep(self, logarithms: FloatArray) -> None:
        """Set the factors from their logarithms, of which only the differences matter."""
        self.factors_ = np.exp(logarithms - logarithms.max())

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        corrected = probabilities * self.factors_
        empty = ~corrected.any(axis=1, keepdims=True)  # all of the row went to classes with the factor 0
        return np.where(empty, probabilities, corrected)
