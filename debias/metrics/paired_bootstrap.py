"""The paired bootstrap: differences of metrics between two predictions for the same rows.

Both sets of predictions are resampled together (a paired bootstrap), so that rows which did not
change add nothing to the width of the interval of a difference.
"""

import warnings

import numpy as np
import pandas as pd

from debias.errors import ParameterError
from debias.metrics.confusion import (
    Classes,
    FloatArray,
    IndexArray,
    Labels,
    accuracies_of,
    confusion,
    overall_metrics,
)
from debias.metrics.scores import intervals

COLUMNS = ("before", "before_low", "before_high", "after", "after_low", "after_high")


def paired_intervals(
    y_true: Labels,
    y_before: Labels,
    y_after: Labels,
    labels: Classes | None = None,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the usual metrics before and after, and the difference, all with intervals.

    The intervals of a single side are those of :func:`debias.metrics.scores.intervals`. Differences have
    percentile intervals of a paired bootstrap within classes: the pairs (before, after) of one
    class's rows are multinomial counts, drawn as such. Where no row of a class changes, the
    interval of its difference is the point 0.

    Parameters
    ----------
    y_true, y_before, y_after : array-like of shape (n_samples,)
        Labels, and two predictions for the same rows.
    labels : sequence, optional
        Classes in the order of the rows; default: those of `y_true`, sorted.
    level : float, default=0.95
        Confidence level.
    n_resamples : int, default=1000
        Number of resamples.
    seed : int, default=0
        Seed of the resampling.

    Returns
    -------
    DataFrame
        Index: metric (accuracy, cobias, worst_class_accuracy, macro_f1, class_accuracy) and class
        (``""`` for the overall metrics). Columns: before, after and difference (after less
        before), each with ``_low`` and ``_high``, all fractions, and n_samples. A class without
        samples has NaN and is omitted from the overall metrics.

    Raises
    ------
    ParameterError
        Different lengths, no samples, or a label that is not in `labels`.

    Examples
    --------
    >>> truth = ["yes"] * 50 + ["no"] * 50
    >>> frame = paired_intervals(truth, ["yes"] * 100, ["yes"] * 60 + ["no"] * 40)
    >>> frame.loc[("cobias", ""), ["before", "after", "difference"]].round(2).tolist()
    [1.0, 0.2, -0.8]
    >>> bool(frame.loc[("cobias", ""), "difference_high"] < 0)
    True
    """
    sizes = len(np.asarray(y_before)), len(np.asarray(y_after))
    if sizes[0] != sizes[1]:
        raise ParameterError(
            parameter="y_before and y_after", allowed="predictions for the same rows", received=sizes
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(fewer than two|.*) classes have", UserWarning)
        sides = [intervals(y_true, y, labels, level, n_resamples, seed) for y in (y_before, y_after)]
    frame = pd.concat([side[["value", "low", "high"]] for side in sides], axis=1).set_axis(COLUMNS, axis=1)
    drawn = _resampled_differences(y_true, y_before, y_after, labels, n_resamples, seed)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    frame["difference"] = frame["after"] - frame["before"]
    frame["difference_low"], frame["difference_high"] = low, high
    frame["n_samples"] = sides[0]["n_samples"]
    return frame


def _resampled_differences(
    y_true: Labels,
    y_before: Labels,
    y_after: Labels,
    labels: Classes | None,
    n_resamples: int,
    seed: int,
) -> FloatArray:
    """Return differences of all metrics, shape (n_resamples, 4 + n_classes), in the order of `intervals`."""
    classes = confusion(y_true, y_before, labels).index
    truth, before, after = (_codes(classes, y) for y in (y_true, y_before, y_after))
    rng = np.random.default_rng(seed)
    shape = (n_resamples, len(classes), len(classes) + 1)
    counts = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for row in range(len(classes)):
        own = truth == row
        if own.any():
            pairs, sizes = np.unique(np.stack([before[own], after[own]], axis=1), axis=0, return_counts=True)
            drawn = rng.multinomial(int(sizes.sum()), sizes / sizes.sum(), size=n_resamples)
            for side, count in enumerate(counts):
                count[:, row] = drawn @ np.eye(shape[2], dtype=np.int64)[pairs[:, side]]
    metrics = [np.column_stack([*overall_metrics(c).values(), accuracies_of(c)]) for c in counts]
    return np.asarray(metrics[1] - metrics[0])


def _codes(classes: pd.Index, values: Labels) -> IndexArray:
    """Return positions in `classes`; any other prediction gets the position after the last."""
    codes = classes.get_indexer(pd.Index(np.asarray(values)))
    return np.where(codes < 0, len(classes), codes).astype(np.int64)
