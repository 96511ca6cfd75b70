"""Matches columns to classes: decided once, by name, from the whole input.

So a column can never silently stand for another class.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError, TableError, param

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
TextArray = npt.NDArray[np.object_]


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
    debias.errors.TableError: the labels are names (such as 'Sports') but the columns of an array have
    none; pass a DataFrame with class columns, or classes=[...] in the order of the columns.
    """
    labels = plain_labels(y)
    present = np.unique(labels)
    n_columns = int(X.shape[1])
    columns = _column_labels(X, present, classes, n_columns)
    if len(set(columns.tolist())) != n_columns:
        raise TableError(
            f"each class needs a column of its own, got {columns.tolist()}",
            parameter="classes",
            received=columns.tolist(),
        )
    position = {label: index for index, label in enumerate(columns.tolist())}
    unknown = [label for label in present.tolist() if label not in position]
    if unknown:
        row = int(np.argmax(labels == unknown[0]))
        raise TableError(
            f"the label {unknown[0]!r} has no column; the columns are {columns.tolist()}",
            received=unknown[0],
            row=row,
            fix=f"name the columns after the classes, or pass {_classes_in_order()} (tools that turn labels"
            " into numbers before they fit, such as VotingClassifier, need arrays and integer labels)",
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
            raise ParameterError(
                parameter="classes",
                allowed=f"a list of {n_columns} names, one for each column of X",
                received=given.tolist(),
            )
        named = X.columns.tolist() if isinstance(X, pd.DataFrame) else given.tolist()
        if set(named) == set(given.tolist()) and named != given.tolist():
            raise ParameterError(
                f"the classes {given.tolist()} have another order than the columns {named}",
                parameter="classes",
                received=given.tolist(),
                fix=f"omit {param('classes')}, since the columns have names, or reorder them",
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
            f"integer labels stand for columns 0 .. {n_columns - 1}, got {present.tolist()[:10]}",
            parameter="classes",
            received=present.tolist(),
            fix=f"pass {_classes_in_order()}",
        )
    raise TableError(
        f"the labels are names (such as {present.tolist()[0]!r}) but the columns of an array have none",
        parameter="classes",
        received=present.tolist(),
        fix=f"pass a DataFrame with class columns, or {_classes_in_order()}",
    )


def _classes_in_order() -> str:
    """Return the fix for columns whose classes are not known."""
    return f"{param('classes', '[...]')} in the order of the columns"


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


def label_columns(labels: TextArray, classes: tuple[str, ...]) -> IndexArray:
    """Return the class of every row as a column index.

    Parameters
    ----------
    labels : ndarray of object of shape (n_samples,)
        Class names, or integers 0 .. n_classes - 1 that stand for columns.
    classes : tuple of str
        Class names in column order.

    Returns
    -------
    ndarray of int64 of shape (n_samples,)
        Column indices.

    Raises
    ------
    TableError
        A label is not a class; or integers could mean both a name and a column.

    Examples
    --------
    >>> label_columns(np.array(["yes", "no"], dtype=object), ("no", "yes"))
    array([1, 0])
    >>> label_columns(np.array([1, 0], dtype=object), ("no", "yes"))
    array([1, 0])
    >>> label_columns(np.array(["yes", "maybe"], dtype=object), ("no", "yes"))
    Traceback (most recent call last):
    debias.errors.TableError: row 1, column 'label': 'maybe' is not one of the classes ['no', 'yes'].
    """
    integers = [isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in labels]
    if all(integers):
        return _column_positions(labels, classes)
    position = {name: column for column, name in enumerate(classes)}
    indices = [position.get(str(v), -1) if isinstance(v, (str, bool, np.bool_)) else -1 for v in labels]
    if -1 in indices:
        row = indices.index(-1)
        raise TableError(
            f"{labels[row]!r} is not one of the classes {list(classes)}",
            received=labels[row],
            row=row,
            column="label",
        )
    return np.array(indices, dtype=np.int64)


def _column_positions(values: TextArray, classes: tuple[str, ...]) -> IndexArray:
    """Return integer labels as column indices, unless they could as well be names."""
    positions = f"integer labels stand for columns 0 .. {len(classes) - 1}"
    names = [str(column) for column in range(len(classes))]
    if set(classes) & {str(v) for v in values} and list(classes) != names:
        raise TableError(
            f"{positions}, but the classes {list(classes)} are numbers too",
            parameter="labels",
            column="label",
            fix="pass the labels as strings to mean the names",
        )
    for row, value in enumerate(values):
        if not 0 <= value < len(classes):
            raise TableError(
                f"{value!r} is not a column; {positions} ({list(classes)})",
                received=value,
                row=row,
                column="label",
            )
    return values.astype(np.int64)
