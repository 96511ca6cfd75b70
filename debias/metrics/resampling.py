"""Resampling draws confusion counts again, within classes, and makes intervals of what is drawn."""

from collections.abc import Sequence
from numbers import Real

import numpy as np
from scipy import stats

from debias.errors import ParameterError
from debias.metrics.confusion import FloatArray, IndexArray, cobias_of_accuracies
from debias.settings import check_positive_integer, check_seed

_CELLS_AT_ONCE = 1 << 22
_CLEAR = 3.0
"""Standard errors between two class accuracies from which on it is clear which is higher."""


def check_resampling(level: object, n_resamples: object, seed: object) -> None:
    """Raise ParameterError for a level, a number of resamples or a seed that gives no interval.

    Examples
    --------
    >>> check_resampling(95, 1000, 0)
    Traceback (most recent call last):
    debias.errors.ParameterError: level must be between 0 and 1, got 95.
    """
    if not isinstance(level, Real) or not 0 < float(level) < 1:
        raise ParameterError(parameter="level", allowed="between 0 and 1", received=level)
    check_positive_integer("n_resamples", n_resamples)
    check_seed(seed)


def resampled_counts(
    truth: IndexArray,
    predictions: Sequence[IndexArray],
    weights: FloatArray,
    n_classes: int,
    n_resamples: int,
    seed: int,
) -> list[FloatArray]:
    """Draw the rows of each class again, and count every prediction for them.

    Of n rows of a class, n - 1 are drawn, and count as n: so the variance of a class accuracy is not too
    small by a factor of (n - 1) / n, as it is if n are drawn (Rao and Wu, JASA 1988). Rows that agree in
    all predictions and in weight are drawn as one multinomial count.

    Parameters
    ----------
    truth : ndarray of shape (n_samples,)
        Class of each row, as a position.
    predictions : sequence of ndarray of shape (n_samples,)
        Predictions for the same rows, resampled together; `n_classes` is one outside of the classes.
    weights : ndarray of shape (n_samples,)
        How much each row counts; rows of weight 0 are omitted.
    n_classes, n_resamples, seed : int
        Classes, resamples and seed.

    Returns
    -------
    list of ndarray of shape (n_resamples, n_classes, n_classes + 1)
        Counts, one array for each of `predictions`.

    Examples
    --------
    >>> truth, predicted = np.array([0, 0, 1]), np.array([0, 1, 1])
    >>> resampled_counts(truth, [predicted], np.ones(3), 2, 1, seed=0)[0].sum(axis=2)
    array([[2., 1.]])
    """
    rng = np.random.default_rng(seed)
    eye = np.eye(n_classes + 1)
    drawn = [np.zeros((n_resamples, n_classes, n_classes + 1)) for _ in predictions]
    for k in range(n_classes):
        own = (truth == k) & (weights > 0)
        if not own.any():
            continue
        table = np.column_stack([weights[own], *(one[own] for one in predictions)])
        kinds, sizes = np.unique(table, axis=0, return_counts=True)
        cells = [eye[kinds[:, side].astype(np.int64)] * kinds[:, :1] for side in range(1, kinds.shape[1])]
        n_rows, step = int(sizes.sum()), max(1, _CELLS_AT_ONCE // len(kinds))
        n_drawn = max(n_rows - 1, 1)
        for start in range(0, n_resamples, step):
            n = min(step, n_resamples - start)
            times = rng.multinomial(n_drawn, sizes / n_rows, size=n)
            for counts, cell in zip(drawn, cells, strict=True):
                counts[start : start + n, k] = times @ cell * (n_rows / n_drawn)
    return drawn


def corrected_interval(
    value: FloatArray, drawn: FloatArray, level: float, least: FloatArray | float, most: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """Return bias-corrected bootstrap intervals, which contain their estimates.

    Gaps that chance makes are counted twice in a resample: its COBias is too high on average, its worst
    class accuracy too low. The percentile interval is moved back by that bias. That is not enough where
    many classes are about equal: see :func:`ends_of_near_ties`.

    Parameters
    ----------
    value : ndarray of shape (n_metrics,)
        Estimates; NaN where there is none.
    drawn : ndarray of shape (n_resamples, n_metrics)
        The same metrics of each resample.
    level : float
        Share of resamples inside an interval.
    least, most : float or ndarray of shape (n_metrics,)
        What the metric can be.

    Returns
    -------
    low, high : ndarray of shape (n_metrics,)

    Examples
    --------
    >>> drawn = np.array([[0.1], [0.2], [0.3]])
    >>> corrected_interval(np.array([0.05]), drawn, 0.8, 0.0, 1.0)
    (array([0.]), array([0.13]))
    """
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    bias = drawn.mean(axis=0) - value
    low, high = (np.clip(end - bias, least, most) for end in (low, high))
    return np.asarray(np.minimum(low, value)), np.asarray(np.maximum(high, value))


def ends_of_near_ties(accuracies: FloatArray, drawn: FloatArray, level: float) -> tuple[float, float]:
    """Return how low COBias may truly be, and how high the worst class accuracy, even among equal classes.

    Chance alone makes equal classes differ, and no shift of an interval undoes that. But a true gap is at
    least the gap that is seen less the difference of two errors; where it is clear which class is
    higher, that difference has a sign and mostly cancels. And the worst class is at most as good as
    the one that looks worst, whose error is at most the largest of all that could be the worst. The
    errors are those of the resamples.

    Parameters
    ----------
    accuracies : ndarray of shape (n_classes,)
        Class accuracies, no NaN.
    drawn : ndarray of shape (n_resamples, n_classes)
        The same of each resample.
    level : float
        Confidence level of the intervals whose ends these are.

    Returns
    -------
    lowest_cobias, highest_worst_accuracy : float
        The values that are seen, where no two classes are about equal.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> seen = rng.binomial(50, 0.7, 14) / 50  # equal classes
    >>> drawn = rng.binomial(50, seen, (1000, 14)) / 50
    >>> lowest, highest = ends_of_near_ties(seen, drawn, 0.95)
    >>> round(lowest, 2), bool(seen.min() < 0.7 < highest)
    (0.0, True)
    """
    errors, n_classes = drawn - accuracies, len(accuracies)
    share, n_pairs = (1 + level) / 2, n_classes * (n_classes - 1) / 2
    cobias, may_be_lost, all_clear = 0.0, np.zeros(len(drawn)), True
    for k in range(n_classes - 1):
        gaps, differences = accuracies[k] - accuracies[k + 1 :], errors[:, [k]] - errors[:, k + 1 :]
        clear = np.abs(gaps) > _CLEAR * differences.std(axis=0)
        may_be_lost += np.where(clear, np.sign(gaps) * differences, np.abs(differences)).sum(axis=1) / n_pairs
        cobias += float(np.abs(gaps).sum()) / n_pairs
        all_clear = all_clear and bool(clear.all())
    worst = int(accuracies.argmin())
    spread = (errors - errors[:, [worst]]).std(axis=0)
    could_be_worst = accuracies - accuracies[worst] <= _CLEAR * spread
    lowest = cobias if all_clear else cobias - float(np.quantile(may_be_lost, share))
    highest = float(accuracies[worst])
    if could_be_worst.sum() > 1:
        highest += float(np.quantile(-errors[:, could_be_worst].min(axis=1), share))
    return max(lowest, 0.0), min(highest, 1.0)


def chance_in_gaps(accuracies: FloatArray, drawn: FloatArray, level: float) -> tuple[float, float]:
    """Return how much chance adds to COBias, and to the worst class accuracy, about.

    Two classifiers whose class accuracies have errors of different sizes differ in both, even if their
    classes are equally even. The true accuracies are taken to spread as much less than the measured ones as
    their errors explain, and to be equal where a test of homogeneity at `level` does not say otherwise;
    the errors of the resamples are added to that.

    Parameters
    ----------
    accuracies : ndarray of shape (n_classes,)
        Class accuracies; NaN without rows.
    drawn : ndarray of shape (n_resamples, n_classes)
        The same of each resample.
    level : float
        Confidence level.

    Returns
    -------
    cobias, worst_class_accuracy : float
        At least 0, and at most 0, but for the chance of the resampling.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> at_half, at_nine = rng.binomial(40, 0.5, 14) / 40, rng.binomial(40, 0.9, 14) / 40
    >>> for seen in (at_half, at_nine):  # equal classes, twice
    ...     print([round(x, 2) for x in chance_in_gaps(seen, rng.binomial(40, seen, (1000, 14)) / 40, 0.95)])
    [0.09, -0.13]
    [0.05, -0.09]
    """
    present = ~np.isnan(accuracies)
    seen, errors = accuracies[present], (drawn - accuracies)[:, present]
    if len(seen) < 2:
        return 0.0, 0.0
    spread, by_chance = float(seen.var(ddof=1)), float(errors.var(axis=0).mean())
    freedom = len(seen) - 1
    may_be_equal = spread * freedom <= by_chance * float(stats.chi2.ppf(level, freedom))
    share = 0.0 if may_be_equal else float(np.sqrt(max(1 - by_chance / spread, 0.0)))
    true = seen.mean() + share * (seen - seen.mean())
    with_errors = true + errors
    more_cobias = cobias_of_accuracies(with_errors).mean() - cobias_of_accuracies(true)
    return float(more_cobias), float(with_errors.min(axis=1).mean() - true.min())
