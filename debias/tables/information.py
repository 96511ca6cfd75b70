"""Refuses rows that say nothing of the classes, and warns of rows or columns of which that is so."""

import warnings
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from debias.errors import TableError, shortened
from debias.tables.class_columns import FloatArray, IndexArray

_SAME, _NOTHING = 1e-6, 1e-9
"""Share of a probability by which float32 rounds it at most, and a difference that is none at any size."""
_DECIMALS = 6
_MANY = 0.1
_MOST, _MORE_THAN_A_FEW = 0.5, 20
_LONGEST = 200
_FIX = (
    "collect it with another model or server, or with other labels: a server returns few tokens, and perhaps "
    "none of them was a label"
)


def rows_without_information(probabilities: FloatArray) -> int:
    """Return the number of rows that give all classes the same probability.

    Examples
    --------
    >>> rows_without_information(np.array([[0.5, 0.5], [0.9, 0.1]]))
    1
    """
    return int(_are_same(probabilities, axis=1).sum())


def common_rows(probabilities: FloatArray) -> list[IndexArray]:
    """Return the positions of rows that are the same, for each row that a tenth of all are like.

    Examples
    --------
    >>> P = np.array([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5 + 1e-8]])
    >>> [rows.tolist() for rows in common_rows(P)]
    [[0, 2]]
    """
    rounded, least = np.round(probabilities, _DECIMALS), max(2, _MANY * len(probabilities))
    rows = np.arange(len(rounded))
    for axis in (None, 0):  # by the first column, which leaves few rows, if any; then by all
        columns = rounded[rows, 0] if axis is None else rounded[rows]
        _, kind, times = np.unique(columns, axis=axis, return_inverse=True, return_counts=True)
        kind = kind.ravel()
        rows, kind = rows[times[kind] >= least], kind[times[kind] >= least]
    return [rows[kind == one] for one in np.unique(kind)]


def check_information(
    probabilities: FloatArray, names: Iterable[object], support: IndexArray | None = None
) -> None:
    """Refuse a table whose rows are all the same: whatever is learned of it, every row gets one class.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        A single row is not refused.
    names : iterable of length n_classes
        Class labels in the order of the columns.
    support : ndarray of shape (n_classes,), optional
        Labelled rows of each; a column of a class without any may be constant.

    Raises
    ------
    TableError
        All rows are the same, or each gives all classes the same probability.

    Warns
    -----
    UserWarning
        A tenth of the rows gives all classes the same probability, more than half of the rows are the
        same, or a column never changes.

    Examples
    --------
    >>> check_information(np.array([[0.2, 0.8], [0.2, 0.8]]), ["no", "yes"])
    Traceback (most recent call last):
    debias.errors.TableError: the table has no information: all 2 rows are no 0.2, yes 0.8; collect it ...
    """
    n_rows, classes = len(probabilities), list(map(str, names))
    n_even = rows_without_information(probabilities)
    constant = _are_same(probabilities, axis=0)
    if n_rows < 2:
        return
    if constant.all() or n_even == n_rows:
        raise TableError(
            f"the table has no information: all {n_rows:,} rows are {_described(probabilities[0], classes)}",
            received=probabilities[0].tolist(),
            fix=_FIX,
        )
    if n_even >= _MANY * n_rows:
        warnings.warn(
            f"{n_even:,} of {n_rows:,} rows give all classes the same probability: they say nothing about "
            "the class.",
            UserWarning,
            stacklevel=4,
        )
    same = max(common_rows(probabilities), key=len, default=np.array([], dtype=np.int64))
    if len(same) > max(_MOST * n_rows, _MORE_THAN_A_FEW) and not _are_same(probabilities[same[0]], axis=0):
        warnings.warn(
            f"{len(same):,} of {n_rows:,} rows are the same, and so get the same class: "
            f"{_described(probabilities[same[0]], classes)}.",
            UserWarning,
            stacklevel=4,
        )
    if support is not None:
        constant = constant & (support > 0)
    if constant.any():
        names = ", ".join(name for name, is_constant in zip(classes, constant, strict=True) if is_constant)
        warnings.warn(
            f"the probability of {names[:_LONGEST]} is the same in all {n_rows:,} rows: it says nothing "
            "about the class.",
            UserWarning,
            stacklevel=4,
        )


def check_labels(support: IndexArray, names: npt.NDArray[np.generic]) -> None:
    """Refuse labels that are all of one class.

    Parameters
    ----------
    support : ndarray of shape (n_classes,)
        Labelled rows of each class.
    names : ndarray of shape (n_classes,)
        Class labels in the same order.

    Raises
    ------
    TableError

    Examples
    --------
    >>> check_labels(np.array([0, 5]), np.array(["no", "yes"]))
    Traceback (most recent call last):
    debias.errors.TableError: all 5 labelled rows are of one class, 'yes'; add labelled rows of other classes.
    """
    if np.count_nonzero(support) == 1:
        only, n_rows = names.tolist()[int(np.argmax(support))], int(support.sum())
        counted = f"all {n_rows:,} labelled rows are" if n_rows > 1 else "the only labelled row is"
        raise TableError(
            f"{counted} of one class, {shortened(only)}",
            parameter="y",
            received=[only],
            fix="add labelled rows of other classes",
        )


def _are_same(probabilities: FloatArray, axis: int) -> npt.NDArray[np.bool_]:
    """Tell where the probabilities along an axis are the same but for rounding."""
    largest = probabilities.max(axis=axis)
    return np.asarray(np.ptp(probabilities, axis=axis) <= np.maximum(_SAME * largest, _NOTHING))


def _described(row: FloatArray, classes: list[str]) -> str:
    """Return the probabilities of a row in words, not too many."""
    words = ", ".join(f"{name} {value:.3g}" for name, value in zip(classes, row, strict=True))
    return words[:_LONGEST]
