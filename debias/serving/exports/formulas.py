"""Corrections as formulas that any language can compute: straight lines, powers, bells and logistic curves.

Every correction of a file is one of four formulas of a probability, times a factor. All exports start from
these, so none of them has to know the classes of :mod:`debias.corrections`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log, nextafter
from typing import Any

from debias.corrections.bases.base import SMALLEST
from debias.corrections.correction import Correction, Triangle, Weight
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid
from debias.corrections.sloped_weights import SlopedWeight
from debias.errors import ParameterError

POINTS, POWER, BELL, LOGISTIC = "points", "power", "bell", "logistic"


@dataclass(frozen=True)
class Formula:
    """A correction as a formula of the probability p, at most 1.

    Attributes
    ----------
    kind : str
        ``points``: straight lines between corners (left, 0), (left_top, 1), (right_top, 1), (right, 0), and 0
        outside. ``power``: weight * p ** slope. ``bell``: exp(-(p - mean) ** 2 / (2 * deviation ** 2)).
        ``logistic``: 1 / (1 + exp(-slope * (p - center))).
    numbers : tuple of float
        Those of the formula, in this order.
    factor : float
        What the value is multiplied by.
    """

    kind: str
    numbers: tuple[float, ...]
    factor: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers."""
        return NAMES[self.kind]


NAMES = {
    POINTS: ("left", "left_top", "right_top", "right"),
    POWER: ("weight", "slope"),
    BELL: ("mean", "deviation"),
    LOGISTIC: ("center", "slope"),
}
"""Names of the numbers of each kind, in their order."""

_READERS: Mapping[type, Callable[[Any], Formula]] = {
    Weight: lambda one: Formula(POWER, (one.weight, 1.0)),
    SlopedWeight: lambda one: Formula(POWER, (one.weight, one.slope)),
    Triangle: lambda one: Formula(POINTS, (one.left, one.peak, one.peak, one.right)),
    Trapezoid: lambda one: Formula(POINTS, (one.left, one.left_top, one.right_top, one.right)),
    Gaussian: lambda one: Formula(BELL, (one.mean, one.deviation)),
    Sigmoid: lambda one: Formula(LOGISTIC, (one.center, one.slope)),
}


def formula_of(correction: Correction) -> Formula:
    """Return a correction as a formula.

    Parameters
    ----------
    correction : Correction
        Of a file.

    Returns
    -------
    Formula
        The identity, whatever its class, is a power of weight 1 and slope 1.

    Raises
    ------
    ParameterError
        It is of a class of one's own, or a number is not finite.

    Examples
    --------
    >>> formula_of(Scaled(Triangle(0, 0.5, 1), 0.9))
    Formula(kind='points', numbers=(0, 0.5, 0.5, 1), factor=0.9)
    >>> formula_of(Triangle(0, 1, 1))
    Formula(kind='power', numbers=(1.0, 1.0), factor=1.0)
    """
    factor = 1.0
    if isinstance(correction, Scaled):
        factor, correction = correction.factor, correction.correction
    if type(correction) not in _READERS:
        raise ParameterError(
            f"the correction {correction.name!r} is of a custom class, which no export can describe",
            parameter="correction",
            received=type(correction).__name__,
            fix="apply it in Python",
        )
    if correction.is_identity:
        return Formula(POWER, (1.0, 1.0), factor)
    formula = _READERS[type(correction)](correction)
    if not all(map(isfinite, formula.numbers)):
        raise ParameterError(parameter="correction", allowed="finite numbers", received=formula.numbers)
    return Formula(formula.kind, formula.numbers, factor)


def formulas_of(corrections: Sequence[Correction]) -> list[Formula]:
    """Return corrections as formulas, in their order; see :func:`formula_of`."""
    return [formula_of(correction) for correction in corrections]


def largest_on_the_left(threshold: float) -> float:
    """Return the largest probability whose logarithm is not above the threshold of a tree.

    Logarithms of two libraries differ in their last digit, so what goes left in one could go right in
    another, where the threshold is the logarithm of a row that was fitted on. Probabilities are compared
    alike everywhere.

    Parameters
    ----------
    threshold : float
        A log-probability.

    Returns
    -------
    float
        -1 where even the least probability, 1e-6, goes right.

    Examples
    --------
    >>> largest_on_the_left(log(0.25)), largest_on_the_left(-20.0)
    (0.25, -1.0)
    """
    if threshold < log(SMALLEST):
        return -1.0
    if threshold >= 1:
        return exp(1.0)
    cut = max(exp(threshold), SMALLEST)
    while log(cut) > threshold:
        cut = nextafter(cut, 0.0)
    while log(nextafter(cut, inf)) <= threshold:
        cut = nextafter(cut, inf)
    return cut
