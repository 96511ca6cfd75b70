"""Explanations: what the corrections do to each class, in a sentence with numbers that can be recomputed.

Only ratios between classes decide, so a class is called raised in a row where its share of the
corrected values is larger than its probability: a weight of 0.9 raises it where the others get 0.5.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.corrections.correction import Correction, FloatArray

_SAME = 1e-9
"""Shares closer than this count as equal: they differ by rounding."""


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
    raised, cut, unmoved : int
        Rows where the share of the class among the corrected values is larger or smaller than its
        probability, or equal; all 0 where they were not counted, as in files of older releases and
        for rows picked from the frontier.
    """

    support: int
    correct_before: int
    correct_after: int
    predicted_before: int
    predicted_after: int
    quartiles: tuple[float, float, float]
    raised: int = 0
    cut: int = 0
    unmoved: int = 0

    @property
    def n_rows(self) -> int:
        """All opt rows; 0 where they were not counted."""
        return self.raised + self.cut + self.unmoved

    @property
    def accuracy_before(self) -> float:
        """Class accuracy without correction; NaN without rows."""
        return self.correct_before / self.support if self.support else float("nan")

    @property
    def accuracy_after(self) -> float:
        """Class accuracy with the correction; NaN without rows."""
        return self.correct_after / self.support if self.support else float("nan")


class Moves(NamedTuple):
    """Rows where each class is raised, cut, or neither; arrays of shape (n_classes,)."""

    raised: npt.NDArray[np.int64]
    cut: npt.NDArray[np.int64]
    unmoved: npt.NDArray[np.int64]


def count_moves(probabilities: FloatArray, values: FloatArray, posteriors: FloatArray) -> Moves:
    """Count the rows where corrections raise a class against the others, and where they cut it.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    values : ndarray of shape (n_samples, n_classes)
        Corrected values.
    posteriors : ndarray of shape (n_samples, n_classes)
        What was corrected: the probabilities, or what a base made of them. Rows where all corrected
        values are 0 keep these.

    Returns
    -------
    Moves

    Examples
    --------
    >>> P = np.array([[0.6, 0.4], [1.0, 0.0]])
    >>> count_moves(P, P * [0.9, 0.5], P).raised
    array([1, 0])
    """
    corrected = np.where(values.any(axis=1, keepdims=True), values, posteriors)
    shares = (values / values.sum(axis=1, keepdims=True) for values in (corrected, probabilities))
    change = next(shares) - next(shares)
    raised, cut = (change > _SAME).sum(axis=0), (change < -_SAME).sum(axis=0)
    return Moves(raised, cut, len(probabilities) - raised - cut)


def explain_class(name: str, correction: Correction, facts: ClassFacts) -> str:
    """Say what the corrections of all classes do to one class, why, and with which result.

    A reason is given only where it holds: a class that was predicted too rarely is raised in more
    rows than it is cut, and is predicted more often (or the reverse). Else the counts are said
    without a reason.

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
    >>> from debias.corrections.correction import Weight
    >>> facts = ClassFacts(1000, 310, 600, 400, 950, (0.1, 0.2, 0.3), raised=3000, cut=1000)
    >>> print(explain_class("World", Weight(8, 30), facts))
    World is raised in 75 % of 4,000 rows and cut in 25 % (weight 8/30), because it was predicted too
    rarely: for 400 rows, while 1,000 belong to it, the middle half of them with probabilities of 10 to
    30 %; now it is predicted for 950, and 60 % of its rows are classified correctly (31 % before).
    >>> gone = ClassFacts(90, 60, 0, 400, 0, (0.1, 0.2, 0.3), raised=0, cut=4000)
    >>> print(explain_class("World", Weight(1, 30), gone))
    World is cut in all 4,000 rows (weight 1/30), because it was predicted too often: for 400 rows,
    while 90 belong to it, the middle half of them with probabilities of 10 to 30 %; now it is never
    predicted, and none of its rows is classified correctly (67 % before).
    """
    reason = _reason(facts)
    said = f"{name} {_effect(correction, facts)}{reason}"
    if not facts.support:
        return f"{said}; no labelled row belongs to it, so nothing is known about it, and {_now(facts)}."
    return f"{said}; {_now(facts, bool(reason))}, and {_result(facts)}."


def _effect(correction: Correction, facts: ClassFacts) -> str:
    """Say in which share of the rows a class is raised and cut, as the predicate of its name."""
    n_rows = facts.n_rows
    made = "itself unchanged" if correction.is_identity else correction.name
    if not n_rows:
        return f"has the correction {made}" if not correction.is_identity else f"is {made}"
    rows = f"{n_rows:,} row{'' if n_rows == 1 else 's'}"
    if facts.unmoved == n_rows:
        same = f"stays as it is in {'the only row' if n_rows == 1 else f'all {rows}'}"
        return same if correction.is_identity else f"{same} ({made})"
    moves = [(verb, count) for verb, count in (("raised", facts.raised), ("cut", facts.cut)) if count]
    (verb, count), rest = moves[0], moves[1:]
    if count == n_rows:
        return f"is {verb} in {'the only row' if n_rows == 1 else f'all {rows}'} ({made})"
    said = f"is {verb} in {_nearly(count / n_rows)} of {rows}"
    for other, number in rest:
        said += f" and {other} in {_nearly(number / n_rows)}"
    return f"{said} ({made})"


def _reason(facts: ClassFacts) -> str:
    """Say what was wrong before, where that is what the corrections answer."""
    before, after, belong = facts.predicted_before, facts.predicted_after, facts.support
    if before < belong and after > before and facts.raised > facts.cut:
        wrong = "rarely"
    elif before > belong > 0 and after < before and facts.cut > facts.raised:
        wrong = "often"
    else:
        return ""
    where = ""
    if belong >= 4:
        span = _span(facts.quartiles[0], facts.quartiles[2])
        where = f", the middle half of them with probabilities of {span}"
    rows = f"for {before:,} row{'' if before == 1 else 's'}" if before else "for no row"
    belongs = f"{belong:,} belong{'s' if belong == 1 else ''} to it"
    return f", because it was predicted too {wrong}: {rows}, while {belongs}{where}"


def _now(facts: ClassFacts, explained: bool = False) -> str:
    """Say for how many rows the class is predicted; and for how many before, unless that was said."""
    before, after, belong = facts.predicted_before, facts.predicted_after, facts.support
    if after == facts.n_rows > 0:
        now = "it is predicted for every row"
    elif not after:
        now = "it is never predicted"
    else:
        now = f"it is predicted for {after:,}{'' if explained else ' row' if after == 1 else ' rows'}"
    if explained:
        return f"now {now}"
    belongs = f"; {belong:,} belong{'s' if belong == 1 else ''} to it" if belong else ""
    return f"{now} ({'as' if before == after else f'{before:,}'} before{belongs})"


def _result(facts: ClassFacts) -> str:
    """Say how many rows are now classified correctly."""
    before, after = _nearly(facts.accuracy_before), _nearly(facts.accuracy_after)
    before, after = ("none" if share == "0 %" else share for share in (before, after))
    verb = "is" if after == "none" else "are"
    if facts.correct_before == facts.correct_after:
        return f"{after} of its rows {verb} classified correctly, as before"
    if before == after:  # a few of very many
        after, before = f"{facts.correct_after:,} of its {facts.support:,}", f"{facts.correct_before:,}"
        return f"{after} rows are classified correctly ({before} before)"
    return f"{after} of its rows {verb} classified correctly ({before} before)"


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
