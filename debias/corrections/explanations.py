"""Explanations: why a correction was chosen, in a sentence per class, with the numbers that show it."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from debias.corrections.correction import Correction, Triangle, Weight
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid
from debias.corrections.sloped_weights import SlopedWeight


@dataclass(frozen=True)
class ClassFacts:
    """Counts and probabilities of one class on the opt rows.

    Attributes
    ----------
    support : int
        Rows of the class.
    correct_before, correct_after : int
        Those of them that were predicted correctly, without and with the correction of all classes.
    predicted_before, predicted_after : int
        Rows predicted as the class.
    quartiles : tuple of three floats
        Of the probability that the model gives the class on its own rows.
    """

    support: int
    correct_before: int
    correct_after: int
    predicted_before: int
    predicted_after: int
    quartiles: tuple[float, float, float]

    @property
    def accuracy_before(self) -> float:
        """Class accuracy without correction; NaN without rows."""
        return self.correct_before / self.support if self.support else float("nan")

    @property
    def accuracy_after(self) -> float:
        """Class accuracy with the correction; NaN without rows."""
        return self.correct_after / self.support if self.support else float("nan")


def explain_class(name: str, correction: Correction, facts: ClassFacts) -> str:
    """Say what was done to one class, why, and with which result.

    Parameters
    ----------
    name : str
        The class.
    correction : Correction
        Its correction.
    facts : ClassFacts
        Counts on the opt rows.

    Returns
    -------
    str
        One sentence.

    Examples
    --------
    >>> facts = ClassFacts(1000, 310, 600, 400, 950, (0.1, 0.2, 0.3))
    >>> print(explain_class("World", Weight(8, 30), facts))
    The probability of World is multiplied by 0.27 (weight 8/30), because 400 rows were predicted as World
    and 1,000 belong to it, mostly with probabilities of 10 to 30 %; 60 % of its rows are now classified
    correctly (31 % before).
    """
    effect = _effect(correction)
    if not facts.support:
        return f"{name} has no labelled row, so nothing is known about it: its probability {effect}."
    return f"The probability of {name} {effect}, {_reason(name, correction, facts)}; {_result(facts)}."


def _effect(correction: Correction) -> str:
    """Say what the correction does, as the predicate of "the probability"."""
    if correction.is_identity:
        return "is unchanged"
    factor = correction.factor if isinstance(correction, Scaled) else 1.0
    shape = correction.correction if isinstance(correction, Scaled) else correction
    weight = shape.weight if isinstance(shape, (Weight, SlopedWeight)) else 1.0
    plain = isinstance(shape, Weight) or (isinstance(shape, SlopedWeight) and shape.slope == 1)
    if plain or shape.is_identity:
        return f"is multiplied by {_factor(factor * weight)} ({correction.name})"
    if isinstance(shape, SlopedWeight):
        words, factor = f"is raised to the power of {shape.slope:g}", factor * weight
    elif isinstance(shape, Gaussian):
        words = _gaussian(shape)
    elif isinstance(shape, Sigmoid):
        words = _sigmoid(shape)
    else:
        words = _raised(shape) + _corners(shape)
    return f"{words}{f', then multiplied by {_factor(factor)}' if factor < 1 else ''} ({correction.name})"


def _raised(shape: Correction) -> str:
    """Say where a shape raises a probability."""
    grid = np.linspace(0, 1, 1001)
    region = _region(grid, shape(grid) > grid + 1e-9)
    return f"is raised {region}" if region else "is lowered everywhere"


def _corners(shape: Correction) -> str:
    """Say where a triangle or a trapezoid is one, and where zero."""
    if isinstance(shape, Triangle):
        top = (shape.peak, shape.peak)
    elif isinstance(shape, Trapezoid):
        top = (shape.left_top, shape.right_top)
    else:
        return ""
    low, high = _corner(max(top[0], 0.0)), _corner(min(top[1], 1.0))
    if low == high:
        one = f"at {low}"
    elif top[0] <= 0:
        one = f"up to {high}"
    else:
        one = f"from {low} upward" if top[1] >= 1 else f"from {low.removesuffix(' %')} to {high}"
    left, right = _corner(shape.left), _corner(shape.right)
    zero = f" and 0 below {left}" if shape.left > 0 else f" and 0 above {right}" if shape.right < 1 else ""
    if shape.left > 0 and shape.right < 1:
        zero = f" and 0 outside {left.removesuffix(' %')} to {right}"
    return f", becomes 1 {one}{zero}"


def _gaussian(shape: Gaussian) -> str:
    """Say where a Gaussian is one and where one half."""
    reach = shape.deviation * math.sqrt(2 * math.log(2))
    halves = [_percent(p) for p in (shape.mean - reach, shape.mean + reach) if 0 <= p <= 1]
    half = f", one half at {' and '.join(halves)}" if halves else ""
    return f"becomes 1 at {_corner(shape.mean)}{half} and less farther away"


def _sigmoid(shape: Sigmoid) -> str:
    """Say where a sigmoid is one half, nearly one and nearly zero (90 and 10 %)."""
    reach = math.log(9) / abs(shape.slope)
    low, high = shape.center - reach, shape.center + reach
    below = f"below {_percent(low)}" if low > 0 else ""
    above = f"above {_percent(high)}" if high < 1 else ""
    one, zero = (above, below) if shape.slope > 0 else (below, above)
    ends = [f", nearly {value} {where}" for value, where in ((1, one), (0, zero)) if where]
    return f"becomes one half at {_corner(shape.center)}{''.join(ends)}"


def _corner(share: float) -> str:
    """Write a corner of a shape in per cent, exactly."""
    return f"{100 * share:g} %"


def _region(grid: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_]) -> str:
    """Name the range of probabilities that a mask of the grid covers; empty if it covers none."""
    if not inside.any():
        return ""
    points = grid[inside]
    if inside[:2].any():
        return f"up to {_percent(points[-1])}"
    return (
        f"from {_percent(points[0])} upward" if inside[-2:].any() else f"from {_span(points[0], points[-1])}"
    )


def _reason(name: str, correction: Correction, facts: ClassFacts) -> str:
    """Say what was wrong before."""
    predicted = f"{facts.predicted_before:,} row{' was' if facts.predicted_before == 1 else 's were'}"
    belong = f"{facts.support:,} belong{'s' if facts.support == 1 else ''} to it"
    reason = f"{predicted} predicted as {name} and {belong}"
    if correction.is_identity:
        return f"since {reason}"
    return f"because {reason}, mostly with probabilities of {_span(facts.quartiles[0], facts.quartiles[2])}"


def _result(facts: ClassFacts) -> str:
    """Say how many rows are now classified correctly."""
    before, after = _nearly(facts.accuracy_before), _nearly(facts.accuracy_after)
    if facts.correct_before == facts.correct_after:
        return f"{after} of its rows are classified correctly, as before"
    if before == after:  # a few of very many
        after, before = f"{facts.correct_after:,} of {facts.support:,}", f"{facts.correct_before:,}"
        return f"{after} rows are now classified correctly ({before} before)"
    return f"{after} of its rows are now classified correctly ({before} before)"


def _span(low: float, high: float) -> str:
    """Name an interval of probabilities."""
    first, last = _percent(low), _percent(high)
    return first if first == last else f"{first.removesuffix(' %')} to {last}"


def _percent(share: float) -> str:
    """Write a share in per cent, with decimals where it is small."""
    number = 100 * share
    if 0 < number < 0.001:
        return "less than 0.001 %"
    if 0 < number < 0.05:
        return f"{number:.1g} %"
    return f"{number:.1f} %" if 0 < number < 0.95 else f"{number:.0f} %"


def _nearly(share: float) -> str:
    """Write a share in per cent, as 100 only if it is all."""
    return f"{min(100 * share, 99.9):.1f} %" if 0.9905 < share < 1 else _percent(share)


def _factor(factor: float) -> str:
    """Write a factor with two decimals, or one digit where it is small."""
    return f"{factor:.2f}" if factor >= 0.0095 else f"{factor:.1g}"
