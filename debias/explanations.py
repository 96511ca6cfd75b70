"""Why a correction was chosen, in a sentence per class, with the numbers that show it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from debias.corrections import Correction, Triangle, Weight


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
    if isinstance(correction, Weight):
        return f"counts for {_percent(correction.weight)} of its probability ({correction.name})"
    grid = np.linspace(0, 1, 1001)
    values = correction(grid)
    lifted = _region(grid, values > grid + 1e-9)
    words = f"is lifted when the model gives it {lifted}" if lifted else "is lowered at every probability"
    if isinstance(correction, Triangle):
        words += f", counts fully at {_corner(correction.peak)}{_ignored(correction)}"
    return f"{words} ({correction.name})"


def _ignored(triangle: Triangle) -> str:
    """Say where a triangle is zero."""
    low, high = _corner(triangle.left), _corner(triangle.right)
    below, above = triangle.left > 0, triangle.right < 1
    if below and above:
        return f" and not at all outside {low.removesuffix(' %')} to {high}"
    return f" and not at all below {low}" if below else f" and not at all above {high}" if above else ""


def _corner(share: float) -> str:
    """Write a corner of a triangle in per cent, exactly."""
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
    """Write a share in per cent, with a decimal where it is small."""
    number = 100 * share
    return f"{number:.1f} %" if 0 < number < 0.95 else f"{number:.0f} %"
