"""One standard error: of several methods, the simplest that held-out rows do not tell from the best.

Readability is given up only for a gain that is larger than chance.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.console.number_formats import fixed
from debias.metrics.confusion import cobias_of_accuracies
from debias.search.constraints import Constrained, Goal
from debias.search.goals.goal_scaling import scaled_goal
from debias.search.objective import Counts, FloatArray, IndexArray

UNCORRECTED = "uncorrected"

_TO_LEAVE_ALONE = 0.5
"""Standard errors by which the uncorrected model may be worse than the best and still be chosen."""

_PULL = 4.0
"""Rows of the overall accuracy that each class gets: with two rows of a class, 0 or 100 % is chance."""

_OUT_OF_BOUNDS = 10.0
"""What a bound that is missed on held-out rows costs, per unit."""


@dataclass(frozen=True)
class JudgedMethod:
    """What a method is worth on held-out rows.

    Attributes
    ----------
    method : str
        Its name.
    objective : float
        The objective of held-out predictions, class accuracies being pulled towards the overall one by
        four rows; with bounds, what is missed of them counts tenfold.
    standard_error : float
        Of the difference to the best; 0 for the best itself.
    accuracy, balanced_accuracy, cobias, worst_class_accuracy : float
        Of held-out predictions.
    """

    method: str
    objective: float
    standard_error: float
    accuracy: float
    balanced_accuracy: float
    cobias: float
    worst_class_accuracy: float


@dataclass(frozen=True)
class MethodSelection:
    """Methods, from the simplest to the most complex, and which of them was chosen.

    Attributes
    ----------
    judged : tuple of JudgedMethod
        One per method.
    chosen, best : str
        The simplest within one standard error of the best, and the best.
    n_folds, n_repeats : int
        Of the cross-validation.
    for_bounds : bool
        Whether another one would have been chosen that does not keep the bounds on the fitted rows.
    """

    judged: tuple[JudgedMethod, ...]
    chosen: str
    best: str
    n_folds: int
    n_repeats: int
    for_bounds: bool = False

    def of(self, method: str) -> JudgedMethod:
        """Return what one method is worth."""
        return next(one for one in self.judged if one.method == method)

    def to_frame(self) -> pd.DataFrame:
        """Return a row per method, with ``chosen`` and ``best``."""
        frame = pd.DataFrame([asdict(one) for one in self.judged]).set_index("method")
        return frame.assign(chosen=frame.index == self.chosen, best=frame.index == self.best)

    def describe(self, in_bounds: bool = True) -> str:
        """Say which method was chosen, and what was given up for its simplicity.

        Parameters
        ----------
        in_bounds : bool, default=True
            Whether what it found keeps the bounds; else it was taken as the closest.

        Examples
        --------
        >>> judged = [JudgedMethod(name, z, se, 0.5, 0.4, c, 0.3)
        ...           for name, z, se, c in [("batch", 0.62, 0.03, 0.2), ("ensemble", 0.6, 0.0, 0.15)]]
        >>> print(MethodSelection(tuple(judged), "batch", "ensemble", 5, 1).describe())
        Of 2 methods compared by cross-validation, 'batch' is the simplest within one standard error of the
        best: objective 0.620 on held-out rows. Given up for that: 'ensemble' with objective 0.600, accuracy
        +0.0 points, COBias -5.0.
        """
        chosen, best = self.of(self.chosen), self.of(self.best)
        value = fixed(chosen.objective, 3)
        compared = f"Of {len(self.judged)} methods compared by cross-validation,"
        if self.for_bounds and not in_bounds:
            return (
                f"{compared} {chosen.method!r} was taken as the closest to the bounds, which none of those "
                f"fitted satisfies on these rows. Objective {value} on held-out rows."
            )
        if self.for_bounds:
            return (
                f"{compared} {chosen.method!r} was taken for the bounds: simpler or better ones do not "
                f"satisfy them on these rows. Objective {value} on held-out rows."
            )
        if chosen == best:
            simpler = self.judged[: self.judged.index(best)]
            why = ""
            if simpler:
                nearest = min(simpler, key=lambda one: one.objective)
                why = f"; the best simpler one, {nearest.method!r}, has {fixed(nearest.objective, 3)}"
            return f"{compared} {best.method!r} is the best: objective {value} on held-out rows{why}."
        accuracy, cobias = best.accuracy - chosen.accuracy, best.cobias - chosen.cobias
        return (
            f"{compared} {chosen.method!r} is the simplest within one standard error of the best: objective "
            f"{value} on held-out rows. Given up for that: {best.method!r} with objective "
            f"{fixed(best.objective, 3)}, accuracy {100 * accuracy:+.1f} points, COBias {100 * cobias:+.1f}."
        )


def select_method(
    predicted: Mapping[str, IndexArray],
    y: IndexArray,
    objective: Goal,
    n_classes: int,
    n_folds: int,
    times: npt.NDArray[np.int64] | None = None,
    parts: int = 1,
) -> MethodSelection:
    """Choose the simplest method within one standard error of the best.

    Parameters
    ----------
    predicted : dict of str to ndarray of shape (n_repeats, n_samples)
        Columns predicted for rows that were held out, by method, from the simplest on.
    y : ndarray of shape (n_samples,)
        Labels, as column indices.
    objective : Objective or Constrained
        What is minimised, by column; bounds as numbers.
    n_classes : int
        Columns.
    n_folds : int
        For the record.
    times : ndarray of int, shape (n_samples,), optional
        How often each row counts; once by default.
    parts : int, default=1
        How many of these times make a row, where weights are fractions.

    Returns
    -------
    MethodSelection

    Notes
    -----
    Differences between the accuracies of classes of a few rows are chance, and would make COBias of any
    classifier look large, least that of one that is never right. So each class accuracy is that of its rows
    and of four more with the overall accuracy.

    The standard error of a difference of objectives is by the delta method: a row that is right moves
    the accuracy of its class, and so the objective, by a slope that is found by finite differences. Each
    class gets two more rows, of half a weight, on which one of the two methods is right and the
    other is wrong: so a class of a row or two is not taken for certain. Leaving the model alone needs half
    a standard error where others need one: batch calibration, the next simple answer, uses no labels
    either, so it cannot be better by overfitting.

    Examples
    --------
    >>> from debias.search.objective import Objective
    >>> y = np.repeat([0, 1], 50)
    >>> predicted = {"uncorrected": np.zeros((1, 100), dtype=int), "batch": y[None]}
    >>> select_method(predicted, y, Objective(), 2, 5).chosen
    'batch'
    """
    times = np.ones(len(y), dtype=np.int64) if times is None else times
    support = np.bincount(y, times, minlength=n_classes)
    rows = _Rows(y, times, support, parts)
    goal = scaled_goal(objective, parts)
    worth = {name: _worth(columns, rows, goal) for name, columns in predicted.items()}
    best = min(worth, key=lambda name: worth[name].objective)
    judged, chosen = [], None
    for name, one in worth.items():
        error = 0.0 if name == best else _standard_error(one, worth[best], rows)
        allowed = (_TO_LEAVE_ALONE if name == UNCORRECTED else 1.0) * error
        if chosen is None and one.objective - worth[best].objective <= allowed:
            chosen = name
        present = support > 0
        accuracies = one.correct[:, present] / support[present]
        judged.append(
            JudgedMethod(
                method=name,
                objective=one.objective,
                standard_error=error,
                accuracy=float(one.correct.sum(axis=1).mean() / support.sum()),
                balanced_accuracy=float(accuracies.mean()),
                cobias=float(cobias_of_accuracies(accuracies).mean()),
                worst_class_accuracy=float(accuracies.min(axis=1).mean()),
            )
        )
    n_repeats = len(next(iter(predicted.values())))
    return MethodSelection(tuple(judged), str(chosen), best, n_folds, n_repeats)


class _Rows(NamedTuple):
    """Labels, how often each row counts, the counts of each class, and how many of them make a row."""

    y: IndexArray
    times: IndexArray
    support: IndexArray
    parts: int


@dataclass(frozen=True, eq=False)
class _Worth:
    """Counts of each repeat, the mean objective, and its slopes.

    ``right`` is how often each row is right, of all repeats, times the slope of its class; ``slopes`` are
    per unit of the accuracy of a class.
    """

    objective: float
    correct: FloatArray
    right: FloatArray
    slopes: FloatArray


def _worth(predicted: IndexArray, rows: _Rows, goal: Goal) -> _Worth:
    y, times, support, parts = rows
    n_classes, total = len(support), times.sum()
    costs = (goal.inner if isinstance(goal, Constrained) else goal).cost_matrix(n_classes)
    values, slopes, counts, right = [], [], [], np.zeros(len(y))
    for columns in predicted:
        is_right = columns == y
        correct = np.bincount(y[is_right], times[is_right], minlength=n_classes)
        named = np.bincount(columns, times, minlength=n_classes)
        paid = None if costs is None else costs[y, columns]
        of_counts = Counts(correct, named, support, None if paid is None else float(paid @ times / total))
        values.append(_value(goal, of_counts, parts))
        slopes.append(_slopes(goal, of_counts, parts))
        counts.append(correct)
        moved = slopes[-1][y] * is_right + (0 if paid is None else paid * support[y] / total)
        right += moved / len(predicted)
    return _Worth(float(np.mean(values)), np.array(counts), right, np.mean(slopes, axis=0))


def _value(goal: Goal, counts: Counts, parts: int) -> float:
    """Return the objective, and what is missed of bounds tenfold."""
    pull = _PULL * parts
    overall = counts.correct.sum() / counts.support.sum()
    pulled = counts.support * (counts.correct + pull * overall) / (counts.support + pull)
    smoothed = counts._replace(correct=pulled)
    if not isinstance(goal, Constrained):
        return float(goal(*smoothed))
    return float(goal.inner(*smoothed)) + _OUT_OF_BOUNDS * float(
        goal.violation(counts.correct, counts.support)
    )


def _slopes(goal: Goal, counts: Counts, parts: int) -> FloatArray:
    """Return how fast the objective changes with the accuracy of each class; 0 without rows."""
    correct, predicted, support = counts[:3]
    slopes = np.zeros(len(support))
    for k in np.flatnonzero(support):
        step = np.zeros(len(support))
        step[k] = min(0.5 * parts, support[k] / 2)
        above, below = np.minimum(correct + step, support), np.maximum(correct - step, 0)
        moved = (
            counts._replace(correct=right, predicted=np.maximum(predicted + right - correct, 0))
            for right in (above, below)
        )
        up, down = (_value(goal, one, parts) for one in moved)
        slopes[k] = (up - down) / (above[k] - below[k]) * support[k]
    return slopes


def _standard_error(one: _Worth, other: _Worth, rows: _Rows) -> float:
    """Return the standard error of the difference of two objectives."""
    y, times, support, parts = rows
    difference, variance = one.right - other.right, 0.0
    for k in np.flatnonzero(support):
        values = np.concatenate([difference[y == k], [one.slopes[k], -other.slopes[k]]])
        weights = np.concatenate([times[y == k] / parts, [0.5, 0.5]])
        variance += np.cov(values, aweights=weights, ddof=0) / weights.sum()
    return float(np.sqrt(variance))
