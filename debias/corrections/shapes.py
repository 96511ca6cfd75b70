"""More shapes of corrections: trapezoids, Gaussians and sigmoids; and factors.

A factor multiplies the values of another correction: a weight that is not tied to a scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
import numpy.typing as npt

from debias.corrections.correction import Correction, FloatArray, trapezoid_height, trapezoid_sides
from debias.errors import ParameterError

NARROWEST = 1e-6
"""Least deviation of a Gaussian: narrower, it is a single point."""

STEEPEST = 500.0
"""Greatest slope of a sigmoid: steeper, it is a step, and its exponential could overflow."""


def _check(parameter: str, is_allowed: bool, allowed: str, received: object) -> None:
    """Refuse a parameter of a shape."""
    if not is_allowed:
        raise ParameterError(parameter=parameter, allowed=allowed, received=received)


@dataclass(frozen=True)
class Trapezoid(Correction):
    """A trapezoidal membership function.

    It rises from `left` to `left_top`, is one up to `right_top` and falls to `right`; where two of
    them coincide that side is a shoulder.

    Parameters
    ----------
    left, left_top, right_top, right : float
        ``left <= left_top <= right_top <= right`` and ``left < right``.

    Examples
    --------
    >>> Trapezoid(0, 0.25, 0.5, 1)([0.125, 0.25, 0.5, 0.75])
    array([0.5, 1. , 1. , 0.5])
    """

    left: float
    left_top: float
    right_top: float
    right: float

    kind = "trapezoid"

    def __post_init__(self) -> None:
        corners = (self.left, self.left_top, self.right_top, self.right)
        if not (all(map(isfinite, corners)) and sorted(corners) == [*corners] and self.left < self.right):
            raise ParameterError(
                parameter="the corners of a trapezoid",
                allowed="finite, with left <= left_top <= right_top <= right and left < right",
                received=corners,
            )

    @property
    def name(self) -> str:
        """Its four corners."""
        if self.is_identity:
            return "identity"
        corners = (self.left, self.left_top, self.right_top, self.right)
        return f"trapezoid ({', '.join(f'{corner:g}' for corner in corners)})"

    @property
    def is_identity(self) -> bool:
        """Whether it rises from 0 to 1, which is p itself."""
        return (self.left, self.left_top) == (0, 1)

    @property
    def is_monotone(self) -> bool:
        """Whether it does not fall within [0, 1]."""
        return self.right_top >= 1 or self.right_top < self.right <= 0

    formula = staticmethod(trapezoid_height)
    number_names = ("start", "rise", "end", "fall")

    def numbers(self) -> tuple[float, ...]:
        """Return its sides."""
        return trapezoid_sides(self.left, self.left_top, self.right_top, self.right)


@dataclass(frozen=True)
class Gaussian(Correction):
    """A Gaussian membership function: one at its mean, nowhere zero.

    Parameters
    ----------
    mean : float
        In [0, 1].
    deviation : float
        Standard deviation, at least :data:`NARROWEST`.

    Examples
    --------
    >>> Gaussian(0.5, 0.25)([0.25, 0.5, 1.0]).round(3)
    array([0.607, 1.   , 0.135])
    """

    mean: float
    deviation: float

    kind = "gaussian"
    number_names = ("mean", "deviation")

    def __post_init__(self) -> None:
        _check("mean", 0 <= self.mean <= 1, "in [0, 1]", self.mean)
        wide = self.deviation >= NARROWEST and isfinite(self.deviation)
        _check("deviation", wide, f"finite and at least {NARROWEST:g}", self.deviation)

    @property
    def name(self) -> str:
        """Its mean and deviation."""
        return f"Gaussian (mean {self.mean:g}, deviation {self.deviation:g})"

    @property
    def is_monotone(self) -> bool:
        """Whether it does not fall before 1."""
        return self.mean == 1

    @staticmethod
    def formula(p: FloatArray, mean: float, deviation: float) -> FloatArray:
        """Return the height of the bell."""
        return np.asarray(np.exp(-((p - mean) ** 2.0) / (2 * deviation**2.0)))


@dataclass(frozen=True)
class Sigmoid(Correction):
    """A sigmoid: 1 / (1 + exp(-slope * (p - center))), nowhere zero.

    Parameters
    ----------
    center : float
        Where it is one half, in [0, 1].
    slope : float
        Rises where positive, falls where negative; not 0 and at most :data:`STEEPEST` in size.

    Examples
    --------
    >>> Sigmoid(0.25, 16)([0.0, 0.25, 0.5]).round(3)
    array([0.018, 0.5  , 0.982])
    """

    center: float
    slope: float

    kind = "sigmoid"
    number_names = ("center", "slope")

    def __post_init__(self) -> None:
        _check("center", 0 <= self.center <= 1, "in [0, 1]", self.center)
        allowed = f"from -{STEEPEST:g} to {STEEPEST:g} and not 0"
        _check("slope", 0 < abs(self.slope) <= STEEPEST, allowed, self.slope)

    @property
    def name(self) -> str:
        """Its center and slope."""
        return f"sigmoid (center {self.center:g}, slope {self.slope:g})"

    @property
    def is_monotone(self) -> bool:
        """Whether it rises."""
        return self.slope > 0

    @staticmethod
    def formula(p: FloatArray, center: float, slope: float) -> FloatArray:
        """Return the logistic function."""
        return np.asarray(1.0 / (1.0 + np.exp(-slope * (p - center))))


@dataclass(frozen=True)
class Scaled(Correction):
    """Another correction times a factor: a log-bias of log(factor), as a continuous search finds it.

    Parameters
    ----------
    correction : Correction
        What is scaled; not itself Scaled.
    factor : float
        In (0, 1].

    Examples
    --------
    >>> from debias.corrections.correction import Triangle
    >>> half = Scaled(Triangle(0, 1, 1), 0.5)
    >>> half.name, half([0.2, 1.0])
    ('factor 0.5', array([0.1, 0.5]))
    """

    correction: Correction
    factor: float

    kind = "scaled"

    def __post_init__(self) -> None:
        plain = isinstance(self.correction, Correction) and not isinstance(self.correction, Scaled)
        _check("correction", plain, "a correction that is not itself Scaled", self.correction)
        _check("factor", 0 < self.factor <= 1, "in (0, 1]", self.factor)

    @property
    def name(self) -> str:
        """The factor, after the name of what is scaled."""
        if self.factor == 1:
            return self.correction.name
        shown = f"{self.factor:.3g}" if f"{self.factor:.3g}" != "1" else repr(float(self.factor))
        return f"factor {shown}" if self.correction.is_identity else f"{self.correction.name} times {shown}"

    @property
    def is_identity(self) -> bool:
        """Whether the factor is one and what is scaled is the identity."""
        return self.factor == 1 and self.correction.is_identity

    @property
    def is_monotone(self) -> bool:
        """Whether what is scaled never falls."""
        return self.correction.is_monotone

    def _values(self, p: FloatArray) -> FloatArray:
        return self.correction(p) * self.factor

    def to_dict(self) -> dict[str, object]:
        """Describe the factor, and the correction in it, as plain data."""
        return {**super().to_dict(), "correction": self.correction.to_dict()}


def scale(corrections: Sequence[Correction], factors: npt.ArrayLike) -> list[Correction]:
    """Multiply corrections by factors; a factor of one changes nothing.

    Parameters
    ----------
    corrections : sequence of Correction
        One per class.
    factors : array-like of shape (n_classes,)
        In (0, 1].

    Returns
    -------
    list of Correction
        Each with the id of the correction that it scales.

    Examples
    --------
    >>> from debias.corrections.correction import Weight
    >>> [c.name for c in scale([Weight(1, 2, id=5), Weight(1, 4, id=6)], [1.0, 0.9])]
    ['weight 1/2', 'weight 1/4 times 0.9']
    """
    pairs = zip(corrections, np.asarray(factors, dtype=np.float64).tolist(), strict=True)
    return [correction if factor == 1 else _times(correction, factor) for correction, factor in pairs]


def _times(correction: Correction, factor: float) -> Scaled:
    """Multiply one correction by a factor."""
    if isinstance(correction, Scaled):
        return replace(correction, factor=correction.factor * factor)
    return Scaled(correction, factor, id=correction.id)
