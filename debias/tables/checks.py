"""The checks that class names, class probabilities and labels have to pass.

Each refusal names the row (counted from 0), the column, what was received and the way out.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from debias.errors import TableError
from debias.tables.row_checks import check_ids, check_label_mass, check_metadata, check_texts, one_per_row
from debias.tables.table_parts import FloatArray, IndexArray, TableParts, TextArray

VALUE_TOLERANCE = 1e-6
"""How far above 1 a single probability may lie: room for a softmax in float32."""

SUM_TOLERANCE = 1e-5
"""How far from 1 the sum of a row may be when its values were rounded to six decimals."""


def check_parts(parts: TableParts, normalise: bool = False) -> TableParts:
    """Return the parts as a table keeps them: checked, complete, sharing nothing with the argument.

    Parameters
    ----------
    parts : TableParts
        Fresh parts; labels may be integers that stand for columns.
    normalise : bool, default=False
        Whether to divide each row by its sum. Sums below 1 become the label mass, if none is given.

    Returns
    -------
    TableParts
        Labels are names, ids are there, and ``metadata["normalised"]`` is set.

    Raises
    ------
    TableError
        A part is not valid.

    Examples
    --------
    >>> checked = check_parts(TableParts(np.array([[0.1, 0.3]]), ["no", "yes"], labels=[1]), normalise=True)
    >>> checked.labels.tolist(), checked.ids.tolist(), checked.label_mass.tolist()
    (['yes'], ['0'], [0.4])
    """
    values = np.asarray(parts.probabilities)
    classes = check_classes(parts.classes, values.shape[1] if values.ndim == 2 else 0)
    probabilities = check_probabilities(values, classes, normalise)
    n_samples = len(probabilities)
    counted = [str(row) for row in range(n_samples)]
    ids = check_ids(counted if parts.ids is None else parts.ids, n_samples)
    mass = _mass_before_normalisation(values) if normalise and parts.label_mass is None else parts.label_mass
    metadata = {"normalised": False} | check_metadata(parts.metadata)
    metadata["normalised"] = bool(normalise or metadata["normalised"])
    labels = parts.labels
    if labels is not None:
        labels = np.array(classes, dtype=object)[check_labels(labels, classes, n_samples)]
    return replace(
        parts,
        probabilities=probabilities,
        classes=classes,
        labels=labels,
        ids=ids,
        texts=None if parts.texts is None else check_texts(parts.texts, n_samples),
        label_mass=None if mass is None else check_label_mass(mass, n_samples),
        metadata=metadata,
        ids_given=ids.tolist() != counted if parts.ids_given is None else parts.ids_given,
    )


def _mass_before_normalisation(values: FloatArray) -> FloatArray | None:
    """Return the row sums where they can be the probability that all labels got together."""
    if values.max() > 1:
        return None
    sums = np.asarray(values.sum(axis=1))
    is_mass = sums.max() <= 1 + SUM_TOLERANCE and sums.min() < 1 - SUM_TOLERANCE
    return sums if is_mass else None


def names_and_values(probabilities: Any, classes: Any = None) -> tuple[Any, FloatArray]:
    """Return class names in column order, and the values of these columns.

    Parameters
    ----------
    probabilities : DataFrame or array-like of shape (n_samples, n_classes)
        Class probabilities.
    classes : sequence of str, optional
        Names of the columns of an array; columns of a DataFrame to take, in this order.

    Returns
    -------
    names : iterable of length n_classes
        Class names, not yet checked.
    values : ndarray of float64
        The probabilities, not yet checked; missing ones are NaN.

    Raises
    ------
    TableError
        A class has no column, or a value is no number.

    Examples
    --------
    >>> names_and_values(pd.DataFrame({"no": [0.4], "yes": [0.6]}), ["yes", "no"])
    (['yes', 'no'], array([[0.6, 0.4]]))
    """
    frame = probabilities
    if not isinstance(frame, pd.DataFrame):
        values = _numbers(np.asarray, probabilities, dtype=np.float64)
        return range(values.shape[1] if values.ndim == 2 else 0) if classes is None else classes, values
    if classes is not None and not isinstance(frame.columns, pd.RangeIndex):
        missing = [name for name in classes if name not in frame.columns]
        if missing:
            raise TableError(f"class {missing[0]!r} has no column; the columns are {list(frame.columns)}.")
        frame = frame[list(classes)]
    names = frame.columns if classes is None else classes
    return names, _numbers(frame.to_numpy, dtype=np.float64, na_value=np.nan)


def _numbers(convert: Any, *arguments: Any, **options: Any) -> FloatArray:
    """Return an array of numbers, or say that it holds something else."""
    try:
        return np.asarray(convert(*arguments, **options))
    except (TypeError, ValueError) as error:
        raise TableError(f"class probabilities must be numbers in rows of equal length; {error}.") from error


def check_classes(names: Any, n_columns: int) -> tuple[str, ...]:
    """Return the class names as strings.

    Parameters
    ----------
    names : iterable
        One name per column; integers and booleans become strings.
    n_columns : int
        Number of probability columns.

    Returns
    -------
    tuple of str
        The names.

    Raises
    ------
    TableError
        Fewer than two classes, a count other than `n_columns`, an empty or repeated name.

    Examples
    --------
    >>> check_classes([0, 1], 2)
    ('0', '1')
    """
    if isinstance(names, str):
        raise TableError(f"classes must be a list of names; got the string {names!r}.")
    classes = tuple(str(name) for name in names)
    if len(classes) != n_columns:
        raise TableError(f"{len(classes)} class names {list(classes)} for {n_columns} probability columns.")
    if len(classes) < 2:
        raise TableError(f"a table needs two or more classes; got {list(classes)}.")
    missing = [column for column, name in enumerate(names) if pd.isna(name) or not str(name).strip()]
    if missing:
        raise TableError(f"the class of column {missing[0]} has no name; got {list(classes)}.")
    repeated = [name for column, name in enumerate(classes) if name in classes[:column]]
    if repeated:
        raise TableError(f"class {repeated[0]!r} names more than one column; got {list(classes)}.")
    return classes


def check_probabilities(values: Any, classes: tuple[str, ...], normalise: bool = False) -> FloatArray:
    """Return a copy of the class probabilities, rows divided by their sums if `normalise`.

    Parameters
    ----------
    values : array-like of shape (n_samples, n_classes)
        Class probabilities, or non-negative scores when `normalise`.
    classes : tuple of str
        Column names for the messages.
    normalise : bool, default=False
        Whether to divide each row by its sum.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        A copy.

    Raises
    ------
    TableError
        No rows, or a value or row that cannot be a probability.

    Examples
    --------
    >>> check_probabilities([[0.1, 0.3]], ("no", "yes"), normalise=True)
    array([[0.25, 0.75]])
    >>> check_probabilities([[0.1, 0.9], [0.5, -0.5]], ("no", "yes"))
    Traceback (most recent call last):
        ...
    debias.errors.TableError: row 1, column 'yes': -0.5 is not a probability; allowed are values
    from 0 to 1.
    """
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TableError(f"class probabilities must be numbers; {error}.") from error
    if array.ndim != 2 or array.shape[0] == 0:
        raise TableError(
            f"a table needs one row or more, and one column per class; got the shape {array.shape}."
        )
    largest = np.inf if normalise else 1 + VALUE_TOLERANCE
    bad = ~np.isfinite(array) | (array < 0) | (array > largest)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise TableError(_bad_value(int(row), classes[column], float(array[row, column]), normalise))
    empty = ~array.any(axis=1)
    if empty.any():
        raise TableError(
            f"row {int(np.argmax(empty))} sums to 0: no class got any probability "
            f"({int(empty.sum())} such rows); drop it, or collect it again."
        )
    if not normalise:
        return array
    array /= array.max(axis=1, keepdims=True)  # first, so that no sum overflows
    return array / array.sum(axis=1, keepdims=True)


def _bad_value(row: int, name: str, value: float, normalise: bool) -> str:
    """Say why one cell is refused."""
    if normalise:
        return (
            f"row {row}, column {name!r}: {value} cannot be normalised; allowed are finite values from 0 up."
        )
    fix = "; pass normalise=True to divide each row by its sum" if np.isfinite(value) and value > 1 else ""
    return f"row {row}, column {name!r}: {value} is not a probability; allowed are values from 0 to 1{fix}."


def check_labels(labels: Any, classes: tuple[str, ...], n_samples: int) -> IndexArray:
    """Return the class of every row as a column index.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Class names, or integers 0 .. n_classes - 1 that stand for columns.
    classes : tuple of str
        Class names in column order.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of int64 of shape (n_samples,)
        Column indices.

    Raises
    ------
    TableError
        A label is missing or is none of the classes; or integers could mean both a name
        and a column.

    Examples
    --------
    >>> check_labels(["yes", "no"], ("no", "yes"), 2), check_labels([1, 0], ("no", "yes"), 2)
    (array([1, 0]), array([1, 0]))
    >>> check_labels(["yes", "maybe"], ("no", "yes"), 2)
    Traceback (most recent call last):
        ...
    debias.errors.TableError: row 1, column 'label': 'maybe' is none of the classes ['no', 'yes'].
    """
    values = one_per_row(labels, "label", n_samples)
    integers = [isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values]
    if all(integers):
        return _column_positions(values, classes)
    position = {name: column for column, name in enumerate(classes)}
    indices = [position.get(str(v), -1) if isinstance(v, (str, bool, np.bool_)) else -1 for v in values]
    if -1 in indices:
        row = indices.index(-1)
        raise TableError(
            f"row {row}, column 'label': {values[row]!r} is none of the classes {list(classes)}."
        )
    return np.array(indices, dtype=np.int64)


def _column_positions(values: TextArray, classes: tuple[str, ...]) -> IndexArray:
    """Return integer labels as column indices, unless they could as well be names."""
    names = [str(column) for column in range(len(classes))]
    if set(classes) & {str(v) for v in values} and list(classes) != names:
        raise TableError(
            f"integer labels stand for columns 0 .. {len(classes) - 1}, but the classes {list(classes)} are "
            "numbers too: pass the labels as strings to mean the names."
        )
    for row, value in enumerate(values):
        if not 0 <= value < len(classes):
            raise TableError(
                f"row {row}, column 'label': {value!r} is no column; integer labels stand for columns "
                f"0 .. {len(classes) - 1} ({list(classes)})."
            )
    return values.astype(np.int64)
