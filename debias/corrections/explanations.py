"""Why a correction was chosen, in a sentence per class, with the numbers that show it."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from debias.corrections.correction import Correction, Triangle, Weight
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid


@dataclass(frozen=True)
class ClassFacts:
    """What the opt rows say about one class.

    Attributes
    ----------
    support : int
        Rows of the class.
    correct_before, correct_after : int
        Those of them that were predicted right, without and with the correction of all classes.
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
    """Say what was done to one class, why, and what came of it.

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
    World counts for 27 % of its probability (weight 8/30), because the model named it for 400 rows
    and 1,000 belong to it, mostly giving its own rows 10 to 30 %; 60 % of its rows are now right,
    before it was 31 %.
    """
    if not facts.support:
        return f"{name} has no labelled row, so nothing is known of it: {_effect(correction)}."
    return f"{name} {_effect(correction)}, {_reason(correction, facts)}; {_outcome(facts)}."


def _effect(correction: Correction) -> str:
    """Say what the correction does to the probability."""
    if correction.is_identity:
        return "keeps its probability as it is"
    cut = correction.factor if isinstance(correction, Scaled) else 1.0
    shape = correction.correction if isinstance(correction, Scaled) else correction
    weight = shape.weight if isinstance(shape, Weight) else 1.0
    if isinstance(shape, Weight) or shape.is_identity:
        return f"counts for {_percent(cut * weight)} of its probability ({correction.name})"
    if isinstance(shape, Gaussian):
        words = _bell(shape)
    elif isinstance(shape, Sigmoid):
        words = _slope(shape)
    else:
        words = _shape(shape)
    return f"{words}{f', all cut to {_percent(cut)}' if cut < 1 else ''} ({correction.name})"


def _shape(shape: Correction) -> str:
    """Say where a shape lifts a probability, and the corners that it has."""
    grid = np.linspace(0, 1, 1001)
    lifted = _region(grid, shape(grid) > grid + 1e-9)
    words = f"is lifted when the model gives it {lifted}" if lifted else "is lowered at every probability"
    if isinstance(shape, Triangle):
        words += f", counts fully at {_corner(shape.peak)}{_ignored(shape)}"
    if isinstance(shape, Trapezoid):
        words += f", counts fully {_top(shape)}{_ignored(shape)}"
    return words


def _top(shape: Trapezoid) -> str:
    """Say where a trapezoid is one."""
    low, high = _corner(max(shape.left_top, 0.0)), _corner(min(shape.right_top, 1.0))
    if low == high:
        return f"at {low}"
    if shape.left_top <= 0:
        return f"up to {high}"
    return f"from {low} on" if shape.right_top >= 1 else f"at {low.removesuffix(' %')} to {high}"


def _bell(shape: Gaussian) -> str:
    """Say where a Gaussian is one and where one half."""
    reach = shape.deviation * math.sqrt(2 * math.log(2))
    halves = [_percent(p) for p in (shape.mean - reach, shape.mean + reach) if 0 <= p <= 1]
    half = f", half at {' and '.join(halves)}" if halves else ""
    return f"counts fully when the model gives it {_corner(shape.mean)}{half}, less and less farther away"


def _slope(shape: Sigmoid) -> str:
    """Say where a sigmoid is one half, nearly one and nearly zero (90 and 10 %)."""
    reach = math.log(9) / abs(shape.slope)
    low, high = shape.center - reach, shape.center + reach
    below = f"below {_percent(low)}" if low > 0 else ""
    above = f"above {_percent(high)}" if high < 1 else ""
    full, hardly = (above, below) if shape.slope > 0 else (below, above)
    ends = [f"{word} {where}" for word, where in (("nearly fully", full), ("hardly", hardly)) if where]
    direction = "more the more" if shape.slope > 0 else "less the more"
    return (
        f"counts {direction} the model gives it: by half at {_corner(shape.center)}"
        f"{''.join(f', {end}' for end in ends)}"
    )


def _ignored(shape: Triangle | Trapezoid) -> str:
    """Say where a triangle or a trapezoid is zero."""
    low, high = _corner(shape.left), _corner(shape.right)
    below, above = shape.left > 0, shape.right < 1
    if below and above:
        return f" and not at all outside {low.removesuffix(' %')} to {high}"
    return f" and not at all below {low}" if below else f" and not at all above {high}" if above else ""


def _corner(share: float) -> str:
    """Write a corner of a shape in per cent, exactly."""
    return f"{100 * share:g} %"


def _region(grid: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_]) -> str:
    """Name the range of probabilities that a mask of the grid covers; empty if it covers none."""
    if not inside.any():
        return ""
    points = grid[inside]
    if not inside[:2].any():
        return _span(points[0], points[-1]) if not inside[-2:].any() else f"{_percent(points[0])} or more"
    return f"up to {_percent(points[-1])}"


def _reason(correction: Correction, facts: ClassFacts) -> str:
    """Say what was wrong before."""
    named = f"{facts.predicted_before:,} row{'' if facts.predicted_before == 1 else 's'}"
    support = f"{facts.support:,} belong{'s' if facts.support == 1 else ''} to it"
    own = f"mostly giving its own rows {_span(facts.quartiles[0], facts.quartiles[2])}"
    if correction.is_identity:
        return f"since the model named it for {named} and {support}"
    return f"because the model named it for {named} and {support}, {own}"


def _outcome(facts: ClassFacts) -> str:
    """Say what came of it."""
    before, after = _percent(facts.accuracy_before), _percent(facts.accuracy_after)
    if facts.correct_before == facts.correct_after:
        return f"{after} of its rows are right, as before"
    return f"{after} of its rows are now right, before it was {before}"


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
