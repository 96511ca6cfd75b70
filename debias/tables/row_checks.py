"""The checks of what stands beside the class probabilities: ids, texts, label mass, metadata.

Each refusal names the row (counted from 0), the column, what was received and the way out.
"""

import json
from typing import Any

import numpy as np
import pandas as pd

from debias.errors import TableError
from debias.tables.table_parts import FloatArray, TextArray


def one_per_row(values: Any, column: str, n_samples: int, missing: bool = False) -> TextArray:
    """Return a column as a one-dimensional object array.

    Parameters
    ----------
    values : array-like of shape (n_samples,)
        The column.
    column : str
        Its name, for the messages.
    n_samples : int
        Number of rows of the table.
    missing : bool, default=False
        Whether values may be missing.

    Returns
    -------
    ndarray of object of shape (n_samples,)
        The values.

    Raises
    ------
    TableError
        Another length, or a missing value.

    Examples
    --------
    >>> one_per_row(["a", None], "label", 2)
    Traceback (most recent call last):
        ...
    debias.errors.TableError: row 1, column 'label': the value is missing.
    """
    if isinstance(values, str) or np.ndim(values) != 1 or len(values) != n_samples:
        received = repr(values) if isinstance(values, str) else f"the shape {np.shape(values)}"
        raise TableError(f"column {column!r} needs {n_samples} values, one per row; got {received}.")
    array = np.empty(n_samples, dtype=object)
    array[:] = list(values)
    if not missing and pd.isna(array).any():
        row = int(np.argmax(pd.isna(array)))
        raise TableError(f"row {row}, column {column!r}: the value is missing.")
    return array


def check_ids(ids: Any, n_samples: int) -> TextArray:
    """Return the ids of the rows as strings.

    Parameters
    ----------
    ids : array-like of shape (n_samples,)
        Anything that `str` tells apart.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of str of shape (n_samples,)
        The ids.

    Raises
    ------
    TableError
        An id is missing or stands twice.

    Examples
    --------
    >>> check_ids([7, 7], 2)
    Traceback (most recent call last):
        ...
    debias.errors.TableError: rows 0 and 1, column 'id': both are '7'; ids must differ.
    """
    values = np.array([str(v) for v in one_per_row(ids, "id", n_samples)], dtype=object)
    repeated = pd.Series(values).duplicated().to_numpy()
    if repeated.any():
        second = int(np.argmax(repeated))
        first = int(np.argmax(values == values[second]))
        raise TableError(
            f"rows {first} and {second}, column 'id': both are {values[second]!r}; ids must differ."
        )
    return values


def check_texts(texts: Any, n_samples: int) -> TextArray:
    """Return the texts of the rows; raise TableError for one that is missing or no string.

    Parameters
    ----------
    texts : array-like of shape (n_samples,)
        One string per row.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of str of shape (n_samples,)
        The texts.

    Examples
    --------
    >>> check_texts(["a text", 3], 2)
    Traceback (most recent call last):
        ...
    debias.errors.TableError: row 1, column 'text': 3 is not a string.
    """
    values = one_per_row(texts, "text", n_samples)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise TableError(f"row {row}, column 'text': {value!r} is not a string.")
    return values


def check_label_mass(label_mass: Any, n_samples: int) -> FloatArray:
    """Return a copy of the label mass; raise TableError for a value that is negative or not finite.

    A mass above 1 is possible: where one label begins another, its probability counts twice.

    Parameters
    ----------
    label_mass : array-like of shape (n_samples,)
        Probability that all labels together got before normalisation.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of float64 of shape (n_samples,)
        A copy.

    Examples
    --------
    >>> check_label_mass([0.9, float("nan")], 2)
    Traceback (most recent call last):
        ...
    debias.errors.TableError: row 1, column 'label_mass': nan is not a probability mass; allowed are
    finite values from 0 up.
    """
    try:
        values = one_per_row(label_mass, "label_mass", n_samples, missing=True).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TableError(f"column 'label_mass' must hold numbers; {error}.") from error
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise TableError(
            f"row {row}, column 'label_mass': {float(values[row])} is not a probability mass; "
            "allowed are finite values from 0 up."
        )
    return values


def check_metadata(metadata: Any) -> dict[str, Any]:
    """Return a deep copy of the metadata as JSON keeps it; raise TableError where JSON cannot.

    Parameters
    ----------
    metadata : dict
        JSON-able values under string keys; NumPy scalars become Python ones, tuples lists.

    Returns
    -------
    dict
        A copy that shares nothing with the argument.

    Examples
    --------
    >>> check_metadata({"shots": np.int64(1), "seeds": (0, 1)})
    {'shots': 1, 'seeds': [0, 1]}
    """
    if not isinstance(metadata, dict):
        raise TableError(f"metadata must be a dict; got {metadata!r}.")
    copy: dict[str, Any] = {}
    for key, value in metadata.items():
        if not isinstance(key, str):
            raise TableError(f"metadata: keys are strings; got {key!r}.")
        try:
            copy[key] = json.loads(json.dumps(value, allow_nan=False, default=_numpy_scalar))
        except (TypeError, ValueError) as error:
            raise TableError(f"metadata[{key!r}] is not JSON: {error}.") from error
    return copy


def _numpy_scalar(value: Any) -> Any:
    """Return a NumPy scalar as a Python number, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r} cannot be written")
