"""The input of every corrector: class probabilities, one row per sample and one column per class.

Checks that the values are probabilities and matches the columns to the class labels by name,
so that a column can never silently stand for another class.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError, TableError

SUM_TOLERANCE = 0.02
"""How far a row may be from a sum of one: room for probabilities rounded to a few decimals."""

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassColumns:
    """Which column stands for which class.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Class labels, sorted, as scikit-learn keeps them.
    columns : ndarray of shape (n_classes,)
        Column of each of these classes.
    y : ndarray of shape (n_samples,)
        The label of every sample as a column index.
    """

    classes: npt.NDArray[Any]
    columns: IndexArray
    y: IndexArray

    @property
    def by_column(self) -> npt.NDArray[Any]:
        """Class labels in column order."""
        names = np.empty_like(self.classes)
        names[self.columns] = self.classes
        return names


def validate_probabilities(values: FloatArray, names: npt.ArrayLike | None = None) -> FloatArray:
    """Return `values` if each row is a distribution over the classes, else say which is not.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    names : sequence of length n_classes, optional
        Column names for the messages.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        The same array.

    Raises
    ------
    TableError
        Fewer than two columns, or a value or row that cannot be a probability.

    Examples
    --------
    >>> import numpy as np
    >>> validate_probabilities(np.array([[0.25, 0.75], [1.5, -0.5]]))
    Traceback (most recent call last):
        ...
    debias.errors.TableError: row 1, column 0: 1.5 is not a probability; class probabilities
    lie between 0 and 1.
    """
    if values.ndim != 2 or values.shape[1] < 2:
        raise TableError(
            f"class probabilities need two or more columns, one per class; got n_features = "
            f"{values.shape[1] if values.ndim == 2 else 0} (shape {values.shape})."
        )
    bad = ~np.isfinite(values) | (values < 0) | (values > 1 + 1e-6)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        name = column if names is None else repr(np.asarray(names)[column])
        value = float(values[row, column])
        what = f"{value} (NaN or inf)" if not np.isfinite(value) else f"{value}"
        raise TableError(
            f"row {row}, column {name}: {what} is not a probability; class probabilities lie between 0 and 1."
        )
    sums = values.sum(axis=1)
    off = np.abs(sums - 1) > SUM_TOLERANCE
    if off.any():
        row = int(np.argmax(off))
        fix = "drop it"
        if sums[row] > 0:
            fix = "read the table with normalise=True (an array in Python: X / X.sum(axis=1, keepdims=True))"
        raise TableError(
            f"row {row} sums to {sums[row]:.6g}, and class probabilities sum to 1 "
            f"({int(off.sum())} such rows): {fix}."
        )
    return values


def match_classes(X: Any, y: Any, classes: npt.ArrayLike | None = None) -> ClassColumns:
    """Find the class of every column and the column of every label.

    Columns are matched by name when `X` is a DataFrame, by `classes` when given, and by
    position when `y` holds the integers 0 .. n_classes - 1.

    Parameters
    ----------
    X : DataFrame or array of shape (n_samples, n_classes)
        Class probabilities.
    y : array-like of shape (n_samples,)
        Class labels.
    classes : array-like of shape (n_classes,), optional
        Class labels in the order of the columns.

    Returns
    -------
    ClassColumns
        The match.

    Raises
    ------
    TableError
        A label has no column, or the columns of an array cannot be named.

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"World": [0.7, 0.2], "Sports": [0.3, 0.8]})
    >>> match_classes(X, ["Sports", "Sports"]).y
    array([1, 1])
    >>> match_classes(X.to_numpy(), ["Sports", "World"])
    Traceback (most recent call last):
        ...
    debias.errors.TableError: the labels are names (such as 'Sports') but the columns of an array have
    none: pass a DataFrame with class columns, or classes=[...] in the order of the columns.
    """
    labels = plain_labels(y)
    present = np.unique(labels)
    n_columns = int(X.shape[1])
    columns = _column_labels(X, present, classes, n_columns)
    if len(set(columns.tolist())) != n_columns:
        raise TableError(f"each class needs one column of its own; got the columns {columns.tolist()}.")
    position = {label: index for index, label in enumerate(columns.tolist())}
    unknown = [label for label in present.tolist() if label not in position]
    if unknown:
        row = int(np.argmax(labels == unknown[0]))
        raise TableError(
            f"row {row}: the label {unknown[0]!r} has no column; the columns are {columns.tolist()}. "
            "Name the columns after the classes, or pass classes=[...] in the order of the columns. "
            "(Tools that turn labels into numbers before they fit, such as VotingClassifier, need "
            "arrays and integer labels.)"
        )
    order = np.argsort(columns, kind="stable")
    indices = np.array([position[label] for label in labels.tolist()], dtype=np.int64)
    return ClassColumns(classes=columns[order], columns=order.astype(np.int64), y=indices)


def _column_labels(
    X: Any,
    present: npt.NDArray[Any],
    classes: npt.ArrayLike | None,
    n_columns: int,
) -> npt.NDArray[Any]:
    """Return the class label of every column, in column order."""
    if classes is not None:
        given = np.asarray(classes)
        if given.shape != (n_columns,):
            raise ParameterError(f"classes must name the {n_columns} columns of X; got {given.tolist()}.")
        named = X.columns.tolist() if isinstance(X, pd.DataFrame) else given.tolist()
        if set(named) == set(given.tolist()) and named != given.tolist():
            raise ParameterError(
                f"classes={given.tolist()} is another order than the columns {named}: "
                "leave classes out, since the columns say it, or reorder them."
            )
        return given
    if isinstance(X, pd.DataFrame) and not isinstance(X.columns, pd.RangeIndex):
        return np.array(X.columns.tolist())
    if np.issubdtype(present.dtype, np.integer) or present.dtype == bool:
        if not len(present) or (present.min() >= 0 and present.max() < n_columns):
            positions = np.arange(n_columns)
            return positions.astype(bool) if present.dtype == bool and n_columns == 2 else positions
        if len(present) == n_columns:
            return present
        raise TableError(
            f"integer labels stand for columns 0 .. {n_columns - 1}; got {present.tolist()[:10]}. "
            "Pass classes=[...] in the order of the columns."
        )
    raise TableError(
        f"the labels are names (such as {present.tolist()[0]!r}) but the columns of an array have none: "
        "pass a DataFrame with class columns, or classes=[...] in the order of the columns."
    )


def plain_labels(y: Any) -> npt.NDArray[Any]:
    """Return labels as text, integers or truth values.

    Whole numbers may come as floats or objects, and truth values as objects, as they do from
    pandas columns that can hold missing values.

    Parameters
    ----------
    y : array-like
        Labels.

    Returns
    -------
    ndarray
        The same labels, in a plain dtype where they have one.

    Examples
    --------
    >>> plain_labels([2.0, 1.0]), plain_labels(np.array([True, False], dtype=object))
    (array([2, 1]), array([ True, False]))
    """
    labels = np.asarray(y)
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == np.round(labels)).all():
        return labels.astype(np.int64)
    if labels.dtype == object and labels.ndim == 1 and len(labels):
        if all(isinstance(label, (bool, np.bool_)) for label in labels):
            return labels.astype(bool)
        if all(isinstance(label, (int, np.integer)) and not isinstance(label, bool) for label in labels):
            return labels.astype(np.int64)
    return labels


def fingerprint_of(probabilities: FloatArray, y: IndexArray) -> str:
    """Identify labelled rows, in order, so that a file can say what it was fitted on.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    y : ndarray of int64, shape (n_samples,)
        Labels as column indices.

    Returns
    -------
    str
        A SHA-256 digest.

    Examples
    --------
    >>> fingerprint_of(np.eye(2), np.array([0, 1]))[:8]
    '7c43fc4a'
    """
    digest = hashlib.sha256(np.ascontiguousarray(probabilities).tobytes())
    digest.update(y.tobytes())
    return digest.hexdigest()
