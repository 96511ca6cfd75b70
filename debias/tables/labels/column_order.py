"""Warns of columns in another order than the labels, and refuses them where no one stated an order.

Tools that strip the names of columns, and number the labels anew, can shift one against the other.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from debias.errors import ColumnOrderWarning, TableError, param, shortened
from debias.tables.class_columns import ClassColumns, FloatArray, IndexArray

FEWEST_ROWS = 5
"""Rows of a class below which it says nothing about the order."""

LEAST_GAIN = 0.25
"""By how many standard deviations of a column the moved classes must gain, on average."""

DEVIATIONS = 3.5
"""How many standard errors the gain must exceed, beyond the best of all orders by chance."""

SURE_GAIN = 0.5
"""By how many standard deviations columns without a stated order must gain to be refused."""

SURE_DEVIATIONS = 5.0
"""How many standard errors that gain must exceed."""


class BetterOrder(NamedTuple):
    """An order of the columns that fits the labels far better.

    Attributes
    ----------
    columns : ndarray of int64 of shape (n_classes,)
        The better column of the class that each column stands for now.
    sure : bool
        Whether the gain is so large that no model is likely to be that wrong.
    """

    columns: IndexArray
    sure: bool

    def describe(self, names: list[Any]) -> str:
        """Say which order it is, and what shows it.

        Examples
        --------
        >>> BetterOrder(np.array([1, 0]), True).describe(["no", "yes"])
        "a different order of the columns fits the labels far better: ['yes', 'no'] instead of ['no', 'yes'],
        since column 1 is high where the label is 'no'"
        """
        better = [names[place] for place in np.argsort(self.columns).tolist()]
        moved = int(np.argmax(self.columns != np.arange(len(names))))
        return (
            f"a different order of the columns fits the labels far better: {shortened(better)} instead of "
            f"{shortened(names)}, since column {self.columns[moved]} is high where the label is "
            f"{names[moved]!r}"
        )


def check_order(
    probabilities: FloatArray,
    match: ClassColumns,
    stated: bool,
    by_header: bool = False,
    stacklevel: int = 2,
) -> None:
    """Refuse columns, or warn of them, where :func:`better_order` finds another order, and name it.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    match : ClassColumns
        Which column stands for which class.
    stated : bool
        Whether names of the columns, or `classes`, say the order: it is then never refused.
    by_header : bool, default=False
        Whether columns are named after the classes, so that only other names change the order.
    stacklevel : int, default=2
        As in :func:`warnings.warn`.

    Raises
    ------
    TableError
        No one stated the order, and it is sure to be another.

    Warns
    -----
    ColumnOrderWarning
        Another order fits far better.
    """
    found = better_order(probabilities, match.y)
    if found is None:
        return
    names = match.by_column
    better = names[np.argsort(found.columns)]
    problem = found.describe(names.tolist())
    if found.sure and not stated:
        raise TableError(
            problem,
            parameter="classes",
            received=names.tolist(),
            fix="sort the columns by label (tools such as BaggingClassifier drop their names), or pass the "
            f"correct order: {param('classes', shortened(better.tolist()))}, or "
            f"{param('classes', shortened(names.tolist()))} if the model is that wrong",
        )
    advice = f"pass {param('classes')} in that order"
    if by_header:
        pairs = zip(names.tolist(), better.tolist(), strict=True)
        renamed = [f"{shortened(old)} to {shortened(new)}" for old, new in pairs if old != new]
        advice = (
            "labels that are numbers count in another order (write class names instead), or the columns have "
            f"each other's names: rename {', '.join(renamed[:30])}"
            f"{', ...' if len(renamed) > 30 else ''}, in the DataFrame or file, or in {param('classes')} if "
            "the file has no names"
        )
    warnings.warn(
        f"{problem}; if so, {advice}.",
        ColumnOrderWarning,
        stacklevel=stacklevel + 1,
    )


def warn_of_order(
    probabilities: FloatArray, names: Sequence[str], y: IndexArray, by_header: bool, stacklevel: int = 2
) -> None:
    """Warn of labelled rows whose columns are in a stated order, as :func:`check_order` does.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities; where one is no number, nothing is said.
    names : sequence of str, length n_classes
        Classes in the order of the columns.
    y : ndarray of int64 of shape (n_samples,)
        Labels as column indices.
    by_header : bool
        Whether columns are named after the classes.
    stacklevel : int, default=2
        As in :func:`warnings.warn`.

    Warns
    -----
    ColumnOrderWarning
        Another order fits far better.
    """
    if np.isfinite(probabilities).all():
        match = ClassColumns(np.array(names), np.arange(len(names), dtype=np.int64), y)
        check_order(probabilities, match, True, by_header, stacklevel + 1)


def better_order(probabilities: FloatArray, y: IndexArray) -> BetterOrder | None:
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
    BetterOrder or None

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(3, size=90)
    >>> probabilities = 0.5 * np.eye(3)[y] + 0.5 * rng.dirichlet(np.ones(3), size=90)
    >>> better_order(probabilities, y) is None
    True
    >>> better_order(probabilities[:, [1, 2, 0]], y)
    BetterOrder(columns=array([2, 0, 1]), sure=True)
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
    by_chance, error = math.sqrt(2 * math.lgamma(n_classes + 1)), math.sqrt(variance)

    def exceeds(least: float, deviations: float) -> bool:
        return gain > least * len(moved) and gain > (by_chance + deviations) * error

    if not exceeds(LEAST_GAIN, DEVIATIONS):
        return None
    return BetterOrder(order, exceeds(SURE_GAIN, SURE_DEVIATIONS))
