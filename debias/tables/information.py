"""Refuses class probabilities that say nothing of the classes, and warns of rows or columns that do not."""

import warnings
from collections.abc import Iterable

import numpy as np

from debias.errors import TableError
from debias.tables.class_columns import FloatArray

_SAME = 1e-9
_MANY = 0.1
_LONGEST = 200
_FIX = (
    "collect it with another model or server, or with other labels: a server lists few tokens, and none of "
    "them may have been a label"
)


def rows_without_information(probabilities: FloatArray) -> int:
    """Return the number of rows that give all classes the same probability.

    Examples
    --------
    >>> rows_without_information(np.array([[0.5, 0.5], [0.9, 0.1]]))
    1
    """
    return int((np.ptp(probabilities, axis=1) <= _SAME).sum())


def check_information(probabilities: FloatArray, names: Iterable[object]) -> None:
    """Refuse a table whose rows are all the same: whatever is learned of it, every row gets one class.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        A single row is not refused.
    names : iterable of length n_classes
        Class labels in the order of the columns.

    Raises
    ------
    TableError
        All rows are the same, or each gives all classes the same probability.

    Warns
    -----
    UserWarning
        A tenth of the rows gives all classes the same probability, or a column never changes.

    Examples
    --------
    >>> check_information(np.array([[0.2, 0.8], [0.2, 0.8]]), ["no", "yes"])
    Traceback (most recent call last):
    debias.errors.TableError: the table has no information: all 2 rows are no 0.2, yes 0.8; collect it ...
    """
    n_rows, classes = len(probabilities), list(map(str, names))
    n_even = rows_without_information(probabilities)
    constant = np.ptp(probabilities, axis=0) <= _SAME
    if n_rows < 2:
        return
    if constant.all() or n_even == n_rows:
        first = ", ".join(
            f"{name} {value:.3g}" for name, value in zip(classes, probabilities[0], strict=True)
        )
        raise TableError(
            f"the table has no information: all {n_rows:,} rows are {first[:_LONGEST]}",
            received=probabilities[0].tolist(),
            fix=_FIX,
        )
    if n_even >= _MANY * n_rows:
        warnings.warn(
            f"{n_even:,} of {n_rows:,} rows give all classes the same probability: they say nothing of the "
            "class.",
            UserWarning,
            stacklevel=4,
        )
    if constant.any():
        same = ", ".join(name for name, is_constant in zip(classes, constant, strict=True) if is_constant)
        warnings.warn(
            f"the probability of {same[:_LONGEST]} is the same in all {n_rows:,} rows: it says nothing of the"
            " class.",
            UserWarning,
            stacklevel=4,
        )
