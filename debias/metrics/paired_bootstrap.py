"""The paired bootstrap: differences of metrics between two predictions for the same rows.

Both sets of predictions are resampled together (a paired bootstrap), so that rows which did not
change add nothing to the width of the interval of a difference.
"""

import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError
from debias.metrics.confusion import Classes, Labels, accuracies_of, codes_of, overall_metrics
from debias.metrics.paired_differences import MEANS, ChangedRows, class_interval, difference_interval
from debias.metrics.resampling import chance_in_gaps, resampled_counts
from debias.metrics.sample_weights import check_weights
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
    sample_weight: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """Return the usual metrics before and after, and the difference, all with intervals.

    The intervals of a single side are those of :func:`debias.metrics.scores.intervals`. Differences have
    intervals of a paired bootstrap within classes: the pairs (before, after) of one class's rows are
    multinomial counts, drawn as such. Those of COBias, worst class accuracy and macro F1 are
    bias-corrected, and wider where chance makes the gaps between classes larger on one side than on the
    other. Those of class accuracies are no narrower than Agresti and Min's. Where no row of a class changes,
    the interval of its difference is the point 0, though other rows might change; where fewer than four
    change, at a level of 0.95, it holds 0.

    In simulations of 2 to 14 classes, with and without true differences, intervals at level 0.95 held the
    true difference of accuracy and of macro F1 in 91 to 97 % of the runs. Those of COBias and of the worst
    class accuracy did so in 87 to 97 % with 12 to 40 rows of the smallest class, and in as few as 78 % with
    five. Where there was none, they excluded 0 in 0 to 13 % of the runs.

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
    sample_weight : array-like of shape (n_samples,), optional
        How much each row counts; 1 by default.

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
    both = (y_before, y_after)
    sizes = len(np.asarray(y_before)), len(np.asarray(y_after))
    if sizes[0] != sizes[1]:
        raise ParameterError(
            parameter="y_before and y_after", allowed="predictions for the same rows", received=sizes
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(fewer than two|.*) classes have", UserWarning)
        sides = [intervals(y_true, y, labels, level, n_resamples, seed, sample_weight) for y in both]
    frame = pd.concat([side[["value", "low", "high"]] for side in sides], axis=1).set_axis(COLUMNS, axis=1)
    classes = frame.loc["class_accuracy"].index
    truth, *sides_of = (codes_of(classes, y) for y in (y_true, *both))
    weights = np.ones(sizes[0]) if sample_weight is None else check_weights(sample_weight, sizes[0])
    counts = resampled_counts(truth, sides_of, weights, len(classes), n_resamples, seed)
    metrics = [np.column_stack([*overall_metrics(c).values(), accuracies_of(c)]) for c in counts]
    frame["difference"] = frame["after"] - frame["before"]
    overall = [str(name) for name, _ in frame.index if name != "class_accuracy"]
    changed = ChangedRows(truth, sides_of, weights)
    values = frame.loc["class_accuracy", ["before", "after"]].to_numpy(dtype=np.float64).T
    n_overall = len(overall)
    gaps = [chance_in_gaps(a, m[:, n_overall:], level) for a, m in zip(values, metrics, strict=True)]
    more = dict(zip(("cobias", "worst_class_accuracy"), np.subtract(gaps[1], gaps[0]), strict=True))
    low, high = difference_interval(
        frame["difference"].to_numpy(),
        metrics[1] - metrics[0],
        level,
        (-1.0, 1.0),
        np.array([name in MEANS for name in overall] + [True] * len(classes)),
        np.array([*map(changed.seen_by, overall), *(changed.of_class(k) for k in range(len(classes)))]),
        np.array([more.get(name, 0.0) for name in overall] + [0.0] * len(classes)),
    )
    for k in range(len(classes)):
        if changed.of_class(k):
            own = truth == k
            was, is_now = (side[own] == k for side in sides_of)
            ends = class_interval(was, is_now, weights[own], level)
            at = n_overall + k
            low[at], high[at] = min(low[at], ends[0]), max(high[at], ends[1])
    frame["difference_low"], frame["difference_high"] = low, high
    frame["n_samples"] = sides[0]["n_samples"]
    return frame
