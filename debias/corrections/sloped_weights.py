"""Weights with slopes, w * p ** s: an affine map of the log-probability, s * log(p) + log(w).

A weight alone moves a class up or down against the others; a slope above 1 also spreads its
log-probabilities, and one below 1 draws them together.
"""

from dataclasses import dataclass
from math import isfinite

from debias.corrections.correction import Correction, FloatArray
from debias.errors import ParameterError


@dataclass(frozen=True)
class SlopedWeight(Correction):
    """Raise the probability to a power, the slope of its logarithm, and multiply it by a weight.

    Parameters
    ----------
    weight : float
        In (0, 1].
    slope : float
        Positive and finite; 1 leaves a plain weight.

    Examples
    --------
    >>> SlopedWeight(0.5, 2.0)([0.0, 0.5, 1.0])
    array([0.   , 0.125, 0.5  ])
    >>> SlopedWeight(0.5, 2.0).name
    'weight 0.5, slope 2'
    """

    weight: float
    slope: float

    kind = "sloped weight"
    number_names = ("weight", "slope")
    shared_numbers = ("slope",)  # so that a square is a square and a root a root, in any batch

    def __post_init__(self) -> None:
        if not 0 < self.weight <= 1:
            raise ParameterError(parameter="weight", allowed="in (0, 1]", received=self.weight)
        if not (self.slope > 0 and isfinite(self.slope)):
            raise ParameterError(parameter="slope", allowed="positive and finite", received=self.slope)

    @property
    def name(self) -> str:
        """The weight, and the slope where it is not 1."""
        if self.is_identity:
            return "identity"
        parts = [f"weight {self.weight:g}"] if self.weight != 1 else []
        parts += [f"slope {self.slope:g}"] if self.slope != 1 else []
        return ", ".join(parts)

    @property
    def is_identity(self) -> bool:
        """Whether weight and slope are one."""
        return self.weight == 1 and self.slope == 1

    @property
    def is_monotone(self) -> bool:
        """It never falls."""
        return True

    @staticmethod
    def formula(p: FloatArray, weight: float, slope: float) -> FloatArray:
        """Return the weighted power."""
        return weight * p**slope
