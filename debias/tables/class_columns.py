"""Matches columns to classes: decided once, from all labels and the names of the columns.

So a column can never silently stand for another class. How labels are read where columns have names
is decided in :mod:`debias.tables.labels.label_reading`.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError, TableError, param, shortened
from debias.tables.labels.class_names import look_alike
from debias.tables.labels.column_affixes import without_affix
from debias.tables.labels.label_reading import did_you_mean, label_text, plain_labels, read_labels

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
TextArray = npt.NDArray[np.object_]

_IN_ORDER = f"{param('classes', '[...]')} in the order of the columns"


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

    The columns of a DataFrame have names, and `classes` names those of an array. Columns without names
    stand for the sorted labels where there are as many of them as columns (as the columns of
    ``predict_proba`` do), and for 0 .. n_classes - 1 where `y` holds 0 and no integer beyond them.

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
        A label is missing or has no column, or the columns of an array could stand for several classes.

    Examples
    --------
    >>> import pandas as pd
    >>> X = pd.DataFrame({"World": [0.7, 0.2], "Sports": [0.3, 0.8]})
    >>> match_classes(X, ["Sports", "Sports"]).y
    array([1, 1])
    >>> match_classes(X.to_numpy(), ["World", "Sports"]).by_column
    array(['Sports', 'World'], dtype='<U6')
    >>> match_classes(X.to_numpy(), ["Sports", "Sports"])
    Traceback (most recent call last):
    debias.errors.TableError: 1 different label ['Sports'] for 2 columns without names; pass a DataFrame with
    class columns, or classes=[...] in the order of the columns.
    """
    X = with_names(X)
    check_names(X)
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
        names = list(map(str, columns.tolist()))
        after = (
            "" if without_affix(names, map(str, present.tolist())) == names else ", without what they share"
        )
        raise TableError(
            f"the label {shortened(unknown[0])} has no column; the columns are {shortened(columns.tolist())}",
            received=unknown[0],
            row=row,
            fix=(None if after else did_you_mean(unknown[0], columns.tolist()))
            or f"name the columns after the classes{after}, or pass {_IN_ORDER} (tools that turn labels"
            " into numbers before they fit, such as VotingClassifier, need arrays and integer labels)",
        )
    order = np.argsort(columns, kind="stable")
    indices = np.array([position[label] for label in labels.tolist()], dtype=np.int64)
    return ClassColumns(classes=columns[order], columns=order.astype(np.int64), y=indices)


def with_names(X: Any) -> Any:
    """Return rows so that nothing they say is lost: names of columns of any library, and what is masked.

    Parameters
    ----------
    X : object
        A frame of polars or a table of pyarrow becomes a DataFrame of pandas; masked cells become NaN.

    Returns
    -------
    object
        Anything else as it is.

    Examples
    --------
    >>> import pyarrow
    >>> with_names(pyarrow.table({"no": [0.4], "yes": [0.6]})).columns.tolist()
    ['no', 'yes']
    >>> with_names(np.ma.array([[0.4, 0.6]], mask=[[True, False]]))
    array([[nan, 0.6]])
    """
    if isinstance(X, np.ma.MaskedArray):
        return np.ma.filled(X.astype(np.float64), np.nan)
    if not isinstance(X, pd.DataFrame) and hasattr(X, "__arrow_c_stream__") and hasattr(X, "columns"):
        import pyarrow as pa

        return pa.table(X).to_pandas()
    return X


def check_names(X: Any) -> None:
    """Refuse a frame whose columns cannot be named one by one, or hold words.

    Parameters
    ----------
    X : object
        Of an array or a list nothing is checked.

    Raises
    ------
    TableError
        It is no table, the names have several levels, are of two kinds, one is missing, is there twice or
        looks like another, or a cell is no number.

    Examples
    --------
    >>> check_names(pd.DataFrame([[0.5, 0.5]], columns=["no", "no"]))
    Traceback (most recent call last):
    debias.errors.TableError: two columns are called 'no'; the columns are ['no', 'no']; name each column
    after its class.
    """
    if not isinstance(X, pd.DataFrame):
        row = X[0] if isinstance(X, (list, tuple)) and X else []
        known = isinstance(X, (list, tuple)) or hasattr(X, "shape") or hasattr(X, "__array__")
        if not known or isinstance(row, Mapping):
            kind = type(X).__name__ if not known else f"{type(X).__name__} of {type(row).__name__}"
            raise TableError(
                f"X must be a DataFrame with one column per class, or an array, got a {kind}",
                parameter="X",
                received=kind,
                allowed="a DataFrame with one column per class, or an array",
                fix="make a DataFrame of it, or pass the attribute probabilities of a ProbabilityTable",
            )
        return
    names, problem = X.columns.tolist(), None
    fix = "name each column after its class"
    texts = [isinstance(name, str) for name in names]
    if X.columns.nlevels > 1:
        problem, fix = f"the names of the columns have {X.columns.nlevels} levels", f"{fix} alone"
    elif X.columns.has_duplicates:
        twice = names[int(np.argmax(X.columns.duplicated()))]
        problem = f"two columns are called {shortened(twice)}; the columns are {shortened(names)}"
    elif pd.isna(X.columns).any():
        problem = f"a column has no name; the columns are {shortened(names)}"
    elif alike := look_alike(names):
        problem = f"the columns {shortened(alike[0])} and {shortened(alike[1])} look the same"
    elif any(texts) and not all(texts):
        problem = f"the columns {shortened(names)} have names of two kinds, text and others"
        fix = "make all of them text, such as X.columns = X.columns.astype(str)"
    if problem:
        raise TableError(problem, parameter="X", received=names, fix=fix)
    for name in X.columns[[kind.kind in "UO" for kind in X.dtypes]]:
        words = np.asarray(pd.to_numeric(X[name], errors="coerce").isna() & X[name].notna())
        if words.any():
            row = int(np.argmax(words))
            raise TableError(
                f"{shortened(X[name].iloc[row])} is not a number",
                parameter="X",
                received=X[name].iloc[row],
                row=row,
                column=name,
                fix=f"drop the columns that are not classes (X.drop(columns={shortened(name)}))",
            )


def _column_labels(
    X: Any,
    present: npt.NDArray[Any],
    classes: npt.ArrayLike | None,
    n_columns: int,
) -> npt.NDArray[Any]:
    """Return the class label of every column, in column order."""
    named = X.columns.tolist() if isinstance(X, pd.DataFrame) and has_names(X) else None
    if classes is None:
        return _of_unnamed(present, n_columns) if named is None else _of_named(named, present)
    given = np.asarray(classes)
    if given.shape != (n_columns,) or pd.isna(pd.Series(classes, dtype=object)).any():
        raise ParameterError(
            parameter="classes",
            allowed=f"a list of {n_columns} names, one for each column of X",
            received=given.tolist(),
        )
    if named is not None and any(a != b and a in named for a, b in zip(given.tolist(), named, strict=True)):
        raise ParameterError(
            f"the classes {given.tolist()} are in a different order from the columns {named}",
            parameter="classes",
            received=given.tolist(),
            fix=f"omit {param('classes')}, since the columns have names, or reorder them",
        )
    return _of_named(given.tolist(), present)


def has_names(frame: pd.DataFrame) -> bool:
    """Whether columns have names of their own, rather than the numbers 0 .. n - 1 that pandas gives."""
    columns = frame.columns
    return not (isinstance(columns, pd.RangeIndex) and columns.start == 0 and columns.step == 1)


def _of_named(named: Sequence[object], present: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the classes of columns that have names, as labels of the kind that occurs."""
    names = plain_labels(np.array(named))
    kind = present.dtype.kind
    if kind in "iu" and names.dtype.kind == "b":
        _check_readings(present, [str(name) for name in names])
    if kind == names.dtype.kind or not len(present) or set(present.tolist()) <= set(named):
        return names
    texts = [label_text(name) for name in names.tolist()]
    numbers = kind in "iu" and all(re.fullmatch("-?[0-9]{1,18}", text) for text in texts)
    if kind == "b" and set(texts) == {"False", "True"}:
        return np.array([text == "True" for text in texts])
    if numbers and set(map(str, present)) <= set(texts):
        _check_readings(present, texts)
        return np.array(texts).astype(np.int64)
    return np.array(texts) if kind in "OU" and set(map(str, present)) <= set(texts) else names


def _check_readings(present: npt.NDArray[Any], names: list[str]) -> None:
    """Refuse numbers that could be positions as well, or truth values; the labels have no column here."""
    try:
        read_labels(present.tolist(), names, column=None)
    except TableError as error:
        raise error.in_row(None) from error  # that of the different labels, not of all


def _of_unnamed(present: npt.NDArray[Any], n_columns: int) -> npt.NDArray[Any]:
    """Return the classes of columns without names: sorted labels, or 0 .. n_columns - 1."""
    received = present.tolist()[:10]
    integers = present.dtype.kind in "iu"
    inside = integers and len(present) > 0 and present[0] >= 0 and present[-1] < n_columns
    if not len(present) or (inside and present[0] == 0):
        return np.arange(n_columns)
    if present.dtype.kind == "b" and n_columns == 2:
        return np.array([False, True])
    if len(present) == n_columns:
        texts = present.tolist()
        if integers or texts == sorted(texts, key=_by_size):
            return present
        problem = f"the labels {received} have one order as text and another as numbers"
    elif inside or (integers and len(present) and present[0] > 0 and present[-1] == n_columns):
        problem = (
            f"the integer labels {received} could count {n_columns} columns without names from 0, or from 1"
        )
    else:
        plural = "" if len(present) == 1 else "s"
        problem = f"{len(present)} different label{plural} {received} for {n_columns} columns without names"
    raise TableError(
        problem,
        parameter="classes",
        received=received,
        fix=f"pass a DataFrame with class columns, or {_IN_ORDER}",
    )


def _by_size(text: object) -> tuple[float, str]:
    """Return what labels are sorted by where numbers are sorted by size."""
    with suppress(ValueError):
        return float(str(text)), ""
    return float("inf"), str(text)


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
