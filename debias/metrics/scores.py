"""Scores of a classifier, how accurate and how even it is: class accuracies, COBias, intervals.

COBias is the mean gap between the accuracies of two classes (DNIP, arXiv 2405.07623). Alone it
means nothing, since a classifier that is always wrong has 0: report it together with the accuracy.
"""

import warnings
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from sklearn.metrics import make_scorer

from debias.errors import ParameterError
from debias.metrics.confusion import (
    Classes,
    FloatArray,
    IndexArray,
    Labels,
    accuracies_of,
    accuracy_of,
    cobias_of_accuracies,
    codes_of,
    confusion,
    overall_metrics,
)
from debias.metrics.resampling import (
    check_resampling,
    corrected_interval,
    ends_of_near_ties,
    resampled_counts,
)
from debias.metrics.sample_weights import check_weights
from debias.metrics.share_intervals import ends_at_limits, wilson

LabelArray: TypeAlias = npt.NDArray[np.generic]


def class_accuracy(
    y_true: Labels, y_pred: Labels, labels: Classes | None = None, sample_weight: npt.ArrayLike | None = None
) -> pd.Series:
    """Return the share of each class's samples that is predicted correctly, its recall.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        Labels and predictions.
    labels : sequence, optional
        Classes in the order of the result; default: those of `y_true`, sorted.
    sample_weight : array-like of shape (n_samples,), optional
        How much each row counts; 1 by default.

    Returns
    -------
    Series of float64 of shape (n_classes,)
        In [0, 1], indexed by class; NaN for a class without samples.

    Examples
    --------
    >>> class_accuracy(["yes", "yes", "no"], ["yes", "no", "no"], labels=["yes", "no", "maybe"])
    class
    yes      0.5
    no       1.0
    maybe    NaN
    Name: accuracy, dtype: float64
    """
    counts = confusion(y_true, y_pred, labels, sample_weight)
    return pd.Series(accuracies_of(counts.to_numpy()), index=counts.index, name="accuracy")


def cobias_from_accuracies(accuracies: npt.ArrayLike) -> float:
    """Return COBias, the mean absolute difference between the accuracies of two classes.

    With the N accuracies sorted ascending it is ``2 / (N (N-1)) * sum_k (2k - N - 1) A_(k)``,
    the same number as the mean over all pairs (methods of DNIP, arXiv 2405.07623).

    Parameters
    ----------
    accuracies : array-like of shape (n_classes,)
        Class accuracies in [0, 1]; NaN for a class without samples.

    Returns
    -------
    float
        In [0, 1]; 0 where fewer than two classes have samples, since no two can differ.

    Warns
    -----
    UserWarning
        A class has no samples and is omitted, or fewer than two classes have any.

    Examples
    --------
    >>> cobias_from_accuracies([0.5, 1.0, 0.75])  # gaps .5, .25, .25
    0.3333333333333333
    """
    values = np.asarray(accuracies, dtype=np.float64)
    if values.ndim != 1:
        raise ParameterError(parameter="accuracies", allowed="one value per class", received=values.shape)
    return float(cobias_of_accuracies(_without_empty(values)))


def cobias(
    y_true: Labels, y_pred: Labels, labels: Classes | None = None, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Return COBias, the mean gap between two classes' accuracies; lower is more even.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        Labels and predictions.
    labels : sequence, optional
        Classes; default: those of `y_true`.
    sample_weight : array-like of shape (n_samples,), optional
        How much each row counts; 1 by default.

    Returns
    -------
    float
        In [0, 1], see :func:`cobias_from_accuracies`, also for its warnings.

    Examples
    --------
    >>> cobias(["yes", "yes", "no", "no"], ["yes", "no", "no", "no"])
    0.5
    """
    return cobias_from_accuracies(class_accuracy(y_true, y_pred, labels, sample_weight))


def worst_class_accuracy(
    y_true: Labels, y_pred: Labels, labels: Classes | None = None, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Return the lowest class accuracy.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        Labels and predictions.
    labels : sequence, optional
        Classes; default: those of `y_true`.
    sample_weight : array-like of shape (n_samples,), optional
        How much each row counts; 1 by default.

    Returns
    -------
    float
        In [0, 1].

    Warns
    -----
    UserWarning
        A class has no samples and is omitted.

    Examples
    --------
    >>> worst_class_accuracy(["yes", "yes", "no", "no"], ["yes", "no", "no", "no"])
    0.5
    """
    return float(_without_empty(class_accuracy(y_true, y_pred, labels, sample_weight).to_numpy()).min())


def accuracy_minus_cobias(
    y_true: Labels, y_pred: Labels, labels: Classes | None = None, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Return accuracy minus COBias: one number to choose settings by that rewards both.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        Labels and predictions.
    labels : sequence, optional
        Classes; default: those of `y_true`.
    sample_weight : array-like of shape (n_samples,), optional
        How much each row counts; 1 by default.

    Returns
    -------
    float
        In [-1, 1], higher is better.

    Examples
    --------
    >>> accuracy_minus_cobias(["yes", "yes", "no", "no"], ["yes", "no", "no", "no"])
    0.25
    """
    counts = confusion(y_true, y_pred, labels, sample_weight).to_numpy()
    return float(accuracy_of(counts) - cobias_from_accuracies(accuracies_of(counts)))


cobias_scorer = make_scorer(cobias, greater_is_better=False)
"""Scorer for cross-validation: minus COBias, so that higher is better."""

worst_class_accuracy_scorer = make_scorer(worst_class_accuracy)
"""Scorer for cross-validation: the lowest class accuracy."""

accuracy_minus_cobias_scorer = make_scorer(accuracy_minus_cobias)
"""Scorer for cross-validation: accuracy less COBias."""


def bootstrap_interval(
    metric: Callable[[LabelArray, LabelArray], float],
    y_true: Labels,
    y_pred: Labels,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a bias-corrected bootstrap interval of any metric, resampled within each class.

    Resampling within classes keeps the number of samples of each, as class accuracies take it for
    given: no class can vanish, and the interval ignores the chance in how often a class occurs.
    The percentile interval is moved by the bias of the resamples, within their range, so that it
    contains the metric of the rows themselves. For COBias and the worst of many classes that are about
    equal it is too narrow: :func:`intervals` allows for that.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_pred)`` returns a number.
    y_true, y_pred : array-like of shape (n_samples,)
        Labels and predictions.
    level : float, default=0.95
        Share of resamples inside the interval.
    n_resamples : int, default=1000
        Number of resamples.
    seed : int, default=0
        Seed of the resampling.

    Returns
    -------
    low, high : float
        The interval, in the units of the metric.

    See Also
    --------
    intervals : the usual metrics at once, from counts, many times faster.

    Examples
    --------
    >>> y_true, y_pred = ["yes"] * 50 + ["no"] * 50, ["yes"] * 40 + ["no"] * 60
    >>> low, high = bootstrap_interval(cobias, y_true, y_pred, n_resamples=200)
    >>> 0.05 < low < 0.2 < high < 0.35
    True
    """
    check_resampling(level, n_resamples, seed)
    confusion(y_true, y_pred)  # refuses labels and predictions that do not match
    truth, predicted = np.asarray(y_true), np.asarray(y_pred)
    rows_of_class = tuple(np.flatnonzero(truth == name) for name in np.unique(truth))
    # scipy wants two or more values per sample; a class of one row is the same when doubled
    samples = tuple(np.repeat(rows, 2) if len(rows) == 1 else rows for rows in rows_of_class)

    def statistic(*resampled: IndexArray) -> float:
        """Return the metric of one resample."""
        pairs = zip(resampled, rows_of_class, strict=True)
        rows = np.concatenate([drawn[: len(own)] for drawn, own in pairs])
        return metric(truth[rows], predicted[rows])

    result = stats.bootstrap(
        samples,
        statistic,
        n_resamples=n_resamples,
        confidence_level=level,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(seed),
    )
    value, drawn = np.array([metric(truth, predicted)]), result.bootstrap_distribution[:, None]
    reach = np.append(drawn, value)
    low, high = corrected_interval(value, drawn, level, reach.min(), reach.max())
    return float(low[0]), float(high[0])


def intervals(
    y_true: Labels,
    y_pred: Labels,
    labels: Classes | None = None,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
    sample_weight: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """Return accuracy, COBias, worst class, macro F1 and class accuracies with their intervals.

    Accuracy, COBias, worst class accuracy and macro F1 have bias-corrected bootstrap intervals,
    resampled within classes as in :func:`bootstrap_interval`: the predictions of one class are
    then multinomial counts, drawn as such. Class accuracies have Wilson's interval, which, unlike
    the bootstrap, is not a single point where all samples of a class are correct, or none; weighted
    rows count as many as their weights are worth, ``sum(w) ** 2 / sum(w ** 2)`` (Kish). So do the accuracy
    and the worst class accuracy where they are 0 or 1.

    Where classes are about equal, chance alone makes gaps, and a bootstrap takes them for real. The low
    end of COBias and the high end of the worst class accuracy allow for that: in simulations of 2 to 50
    classes, equal or not, with 20 to 200 rows each, 92 to 100 % of the intervals of COBias at level
    0.95 held the true one; they are up to twice as wide as without that. A class of which all rows are
    right has errors that no resample shows: with fewer than about 50 rows of it, hold
    the interval of COBias for too narrow.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        Labels and predictions.
    labels : sequence, optional
        Classes in the order of the rows; default: those of `y_true`, sorted.
    level : float, default=0.95
        Confidence level.
    n_resamples : int, default=1000
        Number of resamples.
    seed : int, default=0
        Seed of the resampling.
    sample_weight : array-like of shape (n_samples,), optional
        How much each row counts; 1 by default.

    Returns
    -------
    DataFrame
        Columns value, low, high (all in [0, 1]) and n_samples. The index has the levels metric
        (accuracy, cobias, worst_class_accuracy, macro_f1, class_accuracy) and class (``""`` for the
        overall metrics). A class without samples has NaN and is omitted from the overall metrics.

    Warns
    -----
    UserWarning
        A class has no samples, or fewer than two classes have any.

    Examples
    --------
    >>> frame = intervals(["yes"] * 50 + ["no"] * 50, ["yes"] * 40 + ["no"] * 60)
    >>> frame.loc["class_accuracy"].round(3)
           value    low   high  n_samples
    class
    no       1.0  0.929  1.000         50
    yes      0.8  0.670  0.888         50
    >>> frame.loc["cobias"].round(2)
           value   low  high  n_samples
    class
             0.2  0.1  0.32        100
    """
    check_resampling(level, n_resamples, seed)
    table = confusion(y_true, y_pred, labels, sample_weight)
    counts = table.to_numpy()
    _without_empty(accuracies_of(counts))  # warns once for all
    classes, n_samples = table.index, len(np.asarray(y_true))
    truth, predicted = (codes_of(classes, y) for y in (y_true, y_pred))
    weights = np.ones(n_samples) if sample_weight is None else check_weights(sample_weight, n_samples)
    drawn = resampled_counts(truth, [predicted], weights, len(classes), n_resamples, seed)[0]
    overall, resampled = overall_metrics(counts), overall_metrics(drawn)
    values, columns = np.array(list(overall.values())), np.column_stack(list(resampled.values()))
    both = corrected_interval(values, columns, level, 0.0, 1.0)
    lows, highs = (dict(zip(overall, ends.tolist(), strict=True)) for ends in both)
    accuracies = accuracies_of(counts)
    present = ~np.isnan(accuracies)
    ties = ends_of_near_ties(accuracies[present], accuracies_of(drawn)[:, present], level)
    lows["cobias"] = min(lows["cobias"], ties[0])
    highs["worst_class_accuracy"] = max(highs["worst_class_accuracy"], ties[1])
    alone, n_rows = [], []
    for position in range(len(classes)):
        own = weights[truth == position]
        worth = own.sum() ** 2 / (own**2).sum() if own.any() else 0.0
        correct = counts[position, position] / own.sum() if own.any() else np.nan
        alone.append(wilson(float(correct), float(worth), level))
        n_rows.append(len(own))
    pooled = float(weights.sum() ** 2 / (weights**2).sum())
    for name, (low, high) in ends_at_limits(float(overall["accuracy"]), pooled, alone, level).items():
        lows[name], highs[name] = min(lows[name], low), max(highs[name], high)
    rows = {(name, ""): (float(overall[name]), lows[name], highs[name], n_samples) for name in overall}
    rows |= {("class_accuracy", name): (*one, n) for name, one, n in zip(classes, alone, n_rows, strict=True)}
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high", "n_samples"])
    frame.index = pd.MultiIndex.from_tuples(rows, names=["metric", "class"])
    return frame.astype({"n_samples": np.int64})


def _without_empty(accuracies: FloatArray) -> FloatArray:
    """Return the accuracies of classes with samples, with a warning where there are others."""
    present = accuracies[~np.isnan(accuracies)]
    if len(present) < 2:
        warnings.warn(
            "fewer than two classes have samples, so no two class accuracies can differ: COBias is 0.",
            UserWarning,
            stacklevel=3,
        )
    elif len(present) < len(accuracies):
        warnings.warn(
            f"{len(accuracies) - len(present)} of {len(accuracies)} classes have no samples and no accuracy: "
            "they are omitted.",
            UserWarning,
            stacklevel=3,
        )
    return present
