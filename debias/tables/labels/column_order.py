"""Warns where another order of the columns fits the labels far better than the one that was read.

Tools that strip the names of columns, and number the labels anew, can shift one against the other.
"""

import math
import warnings

import numpy as np

from debias.errors import ColumnOrderWarning, shortened
from debias.tables.class_columns import ClassColumns, FloatArray, IndexArray

FEWEST_ROWS = 5
"""Rows of a class below which it says nothing about the order."""

LEAST_GAIN = 0.25
"""By how many standard deviations of a column the moved classes must gain, on average."""

DEVIATIONS = 3.5
"""How many standard errors the gain must exceed, beyond the best of all orders by chance."""


def warn_of_order(probabilities: FloatArray, match: ClassColumns, stacklevel: int = 2) -> None:
    """Warn where :func:`better_order` finds another order of the columns, and name it.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    match : ClassColumns
        Which column stands for which class.
    stacklevel : int, default=2
        As in :func:`warnings.warn`.

    Warns
    -----
    ColumnOrderWarning
        Another order fits far better.
    """
    order = better_order(probabilities, match.y)
    if order is None:
        return
    names = match.by_column
    better = np.empty_like(names)
    better[order] = names
    moved = int(np.argmax(order != np.arange(len(order))))
    warnings.warn(
        f"another order of the columns fits the labels far better: {shortened(better.tolist())} in place of "
        f"{shortened(names.tolist())}, since column {order[moved]} is high where the label is "
        f"{names.tolist()[moved]!r}; if so, pass classes= in that order, or columns that have names.",
        ColumnOrderWarning,
        stacklevel=stacklevel + 1,
    )


def better_order(probabilities: FloatArray, y: IndexArray) -> IndexArray | None:
    """Return the column that fits the rows of each class best, where the present order is far worse.

    Columns are put on one scale, so that a class which the model names too often has no advantage;
    the order with the largest sum of class means solves an assignment problem. It counts where
    its gain over the present order is large and cannot be chance: by chance, the best of all
    K! orders gains about ``sqrt(2 log K!)`` standard errors.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    y : ndarray of int64 of shape (n_samples,)
        Labels as column indices.

    Returns
    -------
    ndarray of int64 of shape (n_classes,), or None
        The better column of the class that each column stands for now.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(3, size=90)
    >>> probabilities = 0.5 * np.eye(3)[y] + 0.5 * rng.dirichlet(np.ones(3), size=90)
    >>> better_order(probabilities, y) is None
    True
    >>> better_order(probabilities[:, [1, 2, 0]], y)
    array([2, 0, 1])
    """
    from scipy.optimize import linear_sum_assignment

    n_classes = probabilities.shape[1]
    support = np.bincount(y, minlength=n_classes)
    spread = probabilities.std(axis=0)
    scaled = (probabilities - probabilities.mean(axis=0)) / np.where(spread > 0, spread, 1)
    means = np.zeros((n_classes, n_classes))
    for k in np.flatnonzero(support):
        means[k] = scaled[y == k].mean(axis=0)
    order = linear_sum_assignment(-means)[1].astype(np.int64)
    moved = np.flatnonzero((order != np.arange(n_classes)) & (support >= FEWEST_ROWS))
    if not len(moved):
        return None
    gain, variance = 0.0, 0.0
    for k in moved:
        differences = scaled[y == k][:, order[k]] - scaled[y == k][:, k]
        gain += float(differences.mean())
        variance += max(float(differences.var()), 1.0) / int(support[k])
    by_chance = math.sqrt(2 * math.lgamma(n_classes + 1))
    is_far = gain > LEAST_GAIN * len(moved) and gain > (by_chance + DEVIATIONS) * math.sqrt(variance)
    return order if is_far else None
