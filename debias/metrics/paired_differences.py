"""Intervals of paired differences, which neither few changed rows nor chance in gaps make clear.

A row that did not change says nothing about a difference, and few that did say little.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from debias.metrics.confusion import FloatArray, IndexArray
from debias.metrics.resampling import corrected_interval

MEANS = ("accuracy", "balanced_accuracy")
"""Metrics that are means over the rows of each class: their resamples have no bias."""
_OF_RIGHT_ROWS = (*MEANS, "cobias")
_SAME = 1e-12


class ChangedRows:
    """Counts the rows whose two predictions differ.

    Rows count as many as their weights are worth, ``sum(w) ** 2 / sum(w ** 2)`` (Kish). In a metric to
    which each class contributes alike, a row weighs one over the rows of its class: one row of a class of
    five is worth more there than all that changed among hundreds of another class. The worst class
    accuracy sees only the class that is worst where that is lower: the one that has to become better if
    it rises, and that became worse if it falls; of several, the most changed one.

    Parameters
    ----------
    truth : ndarray of shape (n_samples,)
        Class of each row, as a position.
    predictions : sequence of two ndarray of shape (n_samples,)
    weights : ndarray of shape (n_samples,)

    Examples
    --------
    >>> changed = ChangedRows(np.array([0, 0, 1]), [np.array([1, 1, 1]), np.array([0, 2, 1])], np.ones(3))
    >>> changed.seen_by("accuracy"), changed.seen_by("macro_f1"), changed.of_class(1)
    (1.0, 2.0, 0.0)
    >>> sides = [np.full(100, 0), np.full(100, 1)]
    >>> changed = ChangedRows(np.repeat([0, 1], [99, 1]), sides, np.ones(100))
    >>> changed.seen_by("accuracy"), round(changed.seen_by("cobias"), 2)
    (100.0, 3.96)
    """

    def __init__(self, truth: IndexArray, predictions: Sequence[IndexArray], weights: FloatArray) -> None:
        first, second = predictions
        self._truth, self._weights = truth, weights
        right = [one == truth for one in predictions]
        self._differ = (first != second) & (weights > 0)
        self._became = (right[0] != right[1]) & (weights > 0)
        self._of_class = np.bincount(truth, weights)
        with np.errstate(invalid="ignore"):
            self._accuracies = [np.bincount(truth, weights * one) / self._of_class for one in right]

    def seen_by(self, metric: str) -> float:
        """Return the rows whose change a metric sees: many see only whether a row is right."""
        if metric == "worst_class_accuracy":
            lowest = min(self._accuracies, key=lambda side: float(np.nanmin(side)))
            return max(self.of_class(k) for k in np.flatnonzero(lowest <= np.nanmin(lowest) + _SAME).tolist())
        rows = self._became if metric in _OF_RIGHT_ROWS else self._differ
        if metric == "accuracy":
            return _worth(self._weights[rows])
        return _worth(self._weights[rows] / self._of_class[self._truth[rows]])

    def of_class(self, position: int) -> float:
        """Return the rows of a class that became right or wrong."""
        return _worth(self._weights[self._became & (self._truth == position)])


def _worth(weights: FloatArray) -> float:
    """Return how many rows of equal weight some rows are worth."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 0.0


def difference_interval(
    value: FloatArray,
    drawn: FloatArray,
    level: float,
    limits: tuple[FloatArray | float, FloatArray | float],
    is_mean: npt.NDArray[np.bool_],
    n_changed: FloatArray,
    chance: FloatArray | float = 0.0,
) -> tuple[FloatArray, FloatArray]:
    """Return intervals of differences, which a few changed rows do not make clear.

    The resamples of a mean over rows have no bias: to move its interval back by one adds the chance of the
    resampling, which alone decides whether an interval that ends at 0 holds it. With fewer changed rows
    than Wilson's interval takes to exclude one half (four at a level of 0.95), the interval holds 0. What
    chance in gaps adds to one side more than to the other widens the interval of a gap. Where
    all resamples are the same, because all rows of a class changed in the same way, it reaches as far as
    Wilson's interval of the share of changed rows that became better.

    Parameters
    ----------
    value, drawn, level
        As in :func:`corrected_interval`.
    limits : tuple
        What the difference can be, at least and at most.
    is_mean : ndarray of bool of shape (n_metrics,)
        Whether a metric is a mean over the rows of each class, as accuracies are.
    n_changed : ndarray of shape (n_metrics,)
        Rows that changed as far as a metric sees it.
    chance : ndarray of shape (n_metrics,), optional
        How much more chance adds to the metric after than before, see
        :func:`~debias.metrics.resampling.chance_in_gaps`.

    Returns
    -------
    low, high : ndarray of shape (n_metrics,)

    Examples
    --------
    >>> drawn, kinds = np.array([[0.1], [0.2], [0.3]]), (np.array([True]), np.array([3.0]))
    >>> low, high = difference_interval(np.array([0.2]), drawn, 0.95, (-1.0, 1.0), *kinds)
    >>> low.tolist(), high.round(1).tolist()
    ([0.0], [0.3])
    """
    low, high = corrected_interval(value, drawn, level, *limits)
    low, high = np.minimum(low, low - chance), np.maximum(high, high - chance)
    low, high = np.clip(low, *limits), np.clip(high, *limits)
    plain_low, plain_high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    low = np.where(is_mean, np.minimum(plain_low, value), low)
    high = np.where(is_mean, np.maximum(plain_high, value), high)
    enough = float(stats.norm.ppf((1 + level) / 2)) ** 2
    is_point, are_few = high - low < _SAME, n_changed < enough
    wilson = value * (n_changed - enough) / (n_changed + enough)
    for reached, to in ((are_few, 0.0), (is_point, wilson)):
        low, high = np.where(reached, np.minimum(low, to), low), np.where(reached, np.maximum(high, to), high)
    # resamples that are equal but for rounding are no difference
    low, high = (np.where(np.abs(end) < _SAME, 0.0, end) for end in (low, high))
    return low, high


def class_interval(
    before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_], weights: FloatArray, level: float
) -> tuple[float, float]:
    """Return an interval of the difference of a class accuracy.

    It is that of Agresti and Min (Statistics in Medicine 2005): half a row is added to each of the four
    cells (right or wrong, before and after), so that it is not too narrow where few rows changed. On a side
    of 0 to which no row changed, it ends at 0.

    Parameters
    ----------
    before, after : ndarray of bool of shape (n_samples,)
        Whether each row of the class is right.
    weights : ndarray of shape (n_samples,)
    level : float

    Examples
    --------
    >>> before, after = np.zeros(20, dtype=bool), np.arange(20) < 5
    >>> low, high = class_interval(before, after, np.ones(20), 0.95)
    >>> round(low, 3), round(high, 3)
    (0.031, 0.424)
    """
    z, size = float(stats.norm.ppf((1 + level) / 2)), _worth(weights)
    shares = weights / weights.sum()
    won, lost = (float(shares @ one) * size + 0.5 for one in (after & ~before, before & ~after))
    difference = (won - lost) / (size + 2)
    reach = z * np.sqrt(((won + lost) / (size + 2) - difference**2) / (size + 2))
    low, high = float(difference - reach), float(difference + reach)
    return max(low, -1.0 if lost > 0.5 else 0.0), min(high, 1.0 if won > 0.5 else 0.0)
