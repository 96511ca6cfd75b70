"""The checks that the parts of a probability table have to pass.

Each refusal has the row (counted from 0), the column, what was received and the fix as its fields.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import TableError, other_row, param, shortened
from debias.rows.probability_rows import SUM_TOLERANCE
from debias.rows.probability_rows import check_probabilities as check_probabilities
from debias.rows.probability_rows import two_orders as two_orders
from debias.tables.class_columns import FloatArray, TextArray, check_names, has_names, with_names
from debias.tables.labels.class_headers import refuse_extra_columns
from debias.tables.labels.class_names import ONLY_FORM, listed, look_alike
from debias.tables.labels.label_reading import did_you_mean, read_labels
from debias.tables.table_parts import TableParts


def check_parts(
    parts: TableParts, normalise: bool = False, as_found: Sequence[str] | None = None
) -> TableParts:
    """Return the parts as a table keeps them: checked, complete, sharing nothing with the argument.

    Parameters
    ----------
    parts : TableParts
        Fresh parts; labels may be integers that stand for columns.
    normalise : bool, default=False
        Whether to divide each row by its sum. Sums below 1 become the label mass, if none is given.
    as_found : sequence of str, optional
        The classes in the order in which their columns stood, if that is another.

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
    >>> checked = check_parts(TableParts(np.array([[0.1, 0.3]]), ["no", "yes"], labels=[0]), normalise=True)
    >>> checked.labels.tolist(), checked.ids.tolist(), checked.label_mass.tolist()
    (['no'], ['0'], [0.4])
    """
    values = _numbers(lambda: np.asarray(parts.probabilities))
    classes = check_classes(parts.classes, values.shape[1] if values.ndim == 2 else 0)
    probabilities = check_probabilities(values, classes, normalise=normalise).copy()
    n_samples = len(probabilities)
    counted = [str(row) for row in range(n_samples)]
    ids = check_ids(counted if parts.ids is None else parts.ids, n_samples)
    mass = _mass_before_normalisation(values) if normalise and parts.label_mass is None else parts.label_mass
    metadata = {"normalised": False} | check_metadata(parts.metadata)
    metadata["normalised"] = bool(normalise or metadata["normalised"])
    labels = parts.labels
    if labels is not None:
        columns = read_labels(one_per_row(labels, "label", n_samples), classes, as_found=as_found)
        labels = np.array(classes, dtype=object)[columns]
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


def names_and_values(
    probabilities: pd.DataFrame | npt.ArrayLike, classes: Sequence[str] | None = None, labels: Any = None
) -> tuple[Any, FloatArray, list[str] | None]:
    """Return class names in column order, the values of these columns, and the order in which they stood.

    Parameters
    ----------
    probabilities : DataFrame or array-like of shape (n_samples, n_classes)
        Class probabilities; a frame of polars or a table of pyarrow will do.
    classes : sequence of str, optional
        Names of the columns of an array; columns of a DataFrame to take, in this order.
    labels : sequence, optional
        Label of every row, which may tell classes from other columns.

    Returns
    -------
    names : iterable of length n_classes
        Class names.
    values : ndarray of float64
        The probabilities; missing ones are NaN.
    as_found : list of str or None
        The classes in the order of the frame, where `classes` takes columns of one.

    Raises
    ------
    TableError
        A class has no column, a column seems to be no class, or a value is not a number.

    Examples
    --------
    >>> names_and_values(pd.DataFrame({"no": [0.4], "yes": [0.6]}), ["yes", "no"])
    (['yes', 'no'], array([[0.6, 0.4]]), ['no', 'yes'])
    """
    frame = with_names(probabilities)
    classes = None if classes is None else listed(classes)
    if not isinstance(frame, pd.DataFrame):
        values = _numbers(lambda: np.asarray(frame))
        if values.ndim != 2:
            raise TableError(
                f"one row per sample and one column per class are needed, got the shape {values.shape}",
                parameter="classes",
                received=values.shape,
            )
        return range(values.shape[1]) if classes is None else classes, values, None
    as_found = None
    if classes is not None and has_names(frame):
        for name in classes:
            if name not in frame.columns:
                raise TableError(
                    f"class {shortened(name)} has no column; the columns are "
                    f"{shortened(list(frame.columns))}",
                    parameter="classes",
                    received=name,
                    fix=did_you_mean(name, frame.columns),
                )
        as_found = [str(name) for name in frame.columns if name in classes]
        frame = frame[list(dict.fromkeys(classes))]
    check_names(frame)
    names = frame.columns if classes is None else classes
    values = _numbers(lambda: frame.to_numpy(dtype=np.float64, na_value=np.nan))
    if classes is None and has_names(frame):
        found = None if np.shape(labels) != (len(frame),) else list(labels)
        fix = f"name the class columns in {param('classes')}, or drop the others"
        refuse_extra_columns(None, [str(name) for name in names], values, found, fix)
    return names, values, as_found


def _numbers(convert: Callable[[], npt.NDArray[Any]]) -> FloatArray:
    """Return an array of numbers, or say that it holds something else."""
    try:
        values = convert()
        if values.dtype.kind == "c":
            raise TypeError("these are complex")
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TableError(
            f"class probabilities must be numbers in rows of equal length; {str(error)[:200]}"
        ) from error


def check_classes(names: Iterable[object], n_columns: int) -> tuple[str, ...]:
    """Return the class names as strings: two or more, one per column, all different.

    Parameters
    ----------
    names : iterable
        One name per column; integers and booleans become strings.
    n_columns : int
        Number of probability columns.

    Returns
    -------
    tuple of str

    Raises
    ------
    TableError
        The error has the parameter "classes", and the column.

    Examples
    --------
    >>> check_classes([0, 1], 2)
    ('0', '1')
    """
    names = listed(names)
    classes = tuple(str(name) for name in names)
    if len(classes) != n_columns:
        raise TableError(
            f"there are {len(classes)} class names {shortened(list(classes))} for {n_columns} probability "
            "columns",
            parameter="classes",
            received=list(classes),
        )
    if len(classes) < 2:
        raise TableError(parameter="classes", allowed="two or more names", received=list(classes))
    for column, (name, text) in enumerate(zip(names, classes, strict=True)):
        if isinstance(name, bytes):
            raise TableError(parameter="classes", allowed="text, not bytes", received=name)
        if name is None or name != name or not text.strip():
            raise TableError(
                "the class has no name", parameter="classes", received=list(classes), column=column
            )
        if text in classes[:column]:
            raise TableError(
                f"class {shortened(text)} names more than one column; the classes are "
                f"{shortened(list(classes))}",
                parameter="classes",
                received=text,
            )
    if alike := look_alike(classes):
        raise TableError(
            f"the classes {shortened(alike[0])} and {shortened(alike[1])} look the same",
            parameter="classes",
            received=list(alike),
            fix=f"rename one. {ONLY_FORM}",
        )
    return classes


def one_per_row(values: npt.ArrayLike, column: str, n_samples: int, missing: bool = False) -> TextArray:
    """Return a column as a one-dimensional object array; TableError for another length or a missing value.

    Examples
    --------
    >>> one_per_row(["a", None], "label", 2)
    Traceback (most recent call last):
    debias.errors.TableError: row 1, column 'label': the value is missing; omit the row, or add its label.
    """
    shape = np.shape(values)
    if isinstance(values, str) or shape != (n_samples,):
        received = values if isinstance(values, str) else shape
        raise TableError(
            f"{n_samples} values are needed, one per row, got "
            + (shortened(values) if isinstance(values, str) else f"the shape {shape}"),
            received=received,
            column=column,
        )
    array = np.empty(n_samples, dtype=object)
    array[:] = list(values)  # type: ignore[arg-type]
    if not missing and pd.isna(array).any():
        raise TableError(
            "the value is missing",
            row=int(np.argmax(pd.isna(array))),
            column=column,
            fix=f"omit the row, or add its {column}",
        )
    return array


def check_ids(ids: npt.ArrayLike, n_samples: int) -> TextArray:
    """Return the ids of the rows as strings; TableError where one is missing or used twice.

    Examples
    --------
    >>> check_ids([7, 7], 2)
    Traceback (most recent call last):
    debias.errors.TableError: row 1, column 'id': '7' is also the id of row 0; ids must be unique;
    remove repeated rows, or rename the column if it does not identify rows.
    """
    values = np.array([str(v) for v in one_per_row(ids, "id", n_samples)], dtype=object)
    repeated = pd.Series(values).duplicated().to_numpy()
    if repeated.any():
        row = int(np.argmax(repeated))
        first = int(np.argmax(values == values[row]))
        raise TableError(
            f"{shortened(values[row])} is also the id of {other_row(first)}; ids must be unique",
            received=values[row],
            row=row,
            column="id",
            fix="remove repeated rows, or rename the column if it does not identify rows",
        )
    return values


def check_texts(texts: npt.ArrayLike, n_samples: int) -> TextArray:
    """Return the texts of the rows; TableError for one that is missing or not a string.

    Examples
    --------
    >>> check_texts(["a text", 3], 2)
    Traceback (most recent call last):
    debias.errors.TableError: row 1, column 'text': 3 is not a string.
    """
    values = one_per_row(texts, "text", n_samples)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise TableError(f"{shortened(value)} is not a string", received=value, row=row, column="text")
    return values


def check_label_mass(label_mass: npt.ArrayLike, n_samples: int) -> FloatArray:
    """Return a copy of the label mass; TableError for a value that is negative or not finite.

    A mass above 1 is possible: where one label begins another, its probability counts twice.

    Examples
    --------
    >>> check_label_mass([0.9, float("nan")], 2)
    Traceback (most recent call last):
    debias.errors.TableError: row 1, column 'label_mass': a mass must be finite and not negative, got nan.
    """
    try:
        values = one_per_row(label_mass, "label_mass", n_samples, missing=True).astype(np.float64)
    except (TypeError, ValueError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError(f"the values must be numbers; {str(error)[:200]}", column="label_mass") from error
    wrong = ~np.isfinite(values) | (values < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        value = float(values[row])
        raise TableError(
            f"a mass must be finite and not negative, got {value}",
            received=value,
            row=row,
            column="label_mass",
        )
    return values


def check_metadata(metadata: object) -> dict[str, Any]:
    """Return a deep copy of the metadata as JSON keeps it; TableError where JSON cannot.

    Examples
    --------
    >>> check_metadata({"shots": np.int64(1), "seeds": (0, 1)})
    {'shots': 1, 'seeds': [0, 1]}
    """
    if not isinstance(metadata, dict):
        raise TableError(parameter="metadata", allowed="a dict", received=metadata)
    copy: dict[str, Any] = {}
    for key, value in metadata.items():
        if not isinstance(key, str):
            raise TableError("the keys of metadata must be strings", parameter="metadata", received=key)
        try:
            copy[key] = json.loads(json.dumps(value, allow_nan=False, default=_numpy_scalar))
        except (TypeError, ValueError) as error:
            raise TableError(
                f"metadata[{shortened(key)}] is not JSON: {str(error)[:200]}",
                parameter="metadata",
                received=value,
            ) from error
    return copy


def _numpy_scalar(value: object) -> object:
    """Return a NumPy scalar as a Python number, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r} cannot be written")
