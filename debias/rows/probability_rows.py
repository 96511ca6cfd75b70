"""Checks rows of class probabilities: one tolerance and one wording, wherever rows come in."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from debias.errors import TableError, param, shortened

FloatArray = npt.NDArray[np.float64]

VALUE_TOLERANCE = 1e-6
"""How far above 1 a single probability may be: room for a softmax in float32."""

SUM_TOLERANCE = 0.02 + 1e-9
"""How far from 1 the sum of a row may be: room for probabilities rounded to a few decimals. The last part is
for the last digits of sums such as 0.98, which depend on the order of adding."""


_FEW = 64
_SURELY = SUM_TOLERANCE - 1e-9


def check_probabilities(
    values: FloatArray,
    names: npt.ArrayLike | None = None,
    *,
    normalise: bool = False,
    sum_to_one: bool = False,
) -> FloatArray:
    """Return class probabilities if they are valid; the same array unless they are normalised.

    Parameters
    ----------
    values : ndarray of float64, shape (n_samples, n_classes)
        Class probabilities, or non-negative scores when `normalise`.
    names : sequence of length n_classes, optional
        Column names for the errors; column numbers if omitted.
    normalise : bool, default=False
        Whether to divide each row by its sum.
    sum_to_one : bool, default=False
        Whether every row must sum to 1, within :data:`SUM_TOLERANCE`.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_classes)

    Raises
    ------
    TableError
        No rows, fewer than two columns, or a value or row that cannot be a probability: the error has
        the row and the column.

    Examples
    --------
    >>> check_probabilities(np.array([[0.1, 0.3]]), normalise=True)
    array([[0.25, 0.75]])
    >>> check_probabilities(np.array([[-2.3, -0.1], [-0.7, -0.7]]), ("no", "yes"))
    Traceback (most recent call last):
    debias.errors.TableError: row 0, column 'no': a probability must be from 0 to 1, got -2.3; if these are
    log-probabilities, pass their exponentials (numpy.exp); otherwise omit the columns that are not classes.
    """
    if values.ndim != 2 or values.shape[0] == 0 or values.shape[1] < 2:
        n_columns = values.shape[1] if values.ndim == 2 else 0
        raise TableError(
            "class probabilities need one or more rows, and two or more columns, one per class; got"
            f" n_features = {n_columns} (shape {values.shape})",
            received=values.shape,
        )
    if sum_to_one and not normalise and _fine(values):
        return values
    largest = np.inf if normalise else 1 + VALUE_TOLERANCE
    wrong = ~np.isfinite(values) | (values < 0) | (values > largest)
    if wrong.any():
        row, column = (int(place) for place in np.argwhere(wrong)[0])
        value = float(values[row, column])
        allowed = "finite and not negative to be normalised" if normalise else "from 0 to 1"
        kind = "" if np.isfinite(value) else " (NaN or inf)"
        raise TableError(
            f"a probability must be {allowed}, got {value}{kind}",
            received=value,
            row=row,
            column=column if names is None else np.asarray(names).tolist()[column],
            fix=_how_to_mend_a_value(values, value),
        )
    off = np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE if sum_to_one else ~values.any(axis=1)
    if off.any():
        row = int(np.argmax(off))
        total = float(values[row].sum())
        many = f" ({int(off.sum()):,} such rows)" if off.sum() > 1 else ""
        raise TableError(
            f"the class probabilities of a row must sum to 1, got {total:.6g}{many}",
            received=total,
            row=row,
            fix=_how_to_mend(values, True) if total > 0 else "omit the row, or collect it again",
        )
    if not normalise:
        return values
    scaled = values / values.max(axis=1, keepdims=True)  # first, so that no sum overflows
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def two_orders(columns: Sequence[object], classes: Sequence[object]) -> TableError:
    """Return the error of columns that are merely numbered, where classes are these numbers in another order.

    Parameters
    ----------
    columns, classes : sequence of length n_classes
        As they stand in the rows, and in the correction.

    Examples
    --------
    >>> print(two_orders([0, 1], [1, 0]))
    the columns [0, 1] could be the classes of these names, or have no names and be in the order [1, 0]; pass
    an array whose columns are in the order [1, 0].
    """
    order = shortened(list(classes))
    return TableError(
        f"the columns {shortened(list(columns))} could be the classes of these names, or have no names and "
        f"be in the order {order}",
        parameter="the columns",
        received=list(columns),
        fix=f"pass an array whose columns are in the order {order}",
    )


def _how_to_mend_a_value(values: FloatArray, value: float) -> str:
    """Return the fix for a value that is no probability: below 0, it may be a logarithm or a logit."""
    if not np.isfinite(value):
        return "omit the row, or collect it again"
    if value > 1 or _mostly_sum_to_one(values):
        return _how_to_mend(values)
    kind, instead = "logits", "softmax (scipy.special.softmax(..., axis=1))"
    if values[np.isfinite(values)].max() <= 0:
        kind, instead = "log-probabilities", "exponentials (numpy.exp)"
    return f"if these are {kind}, pass their {instead}; otherwise omit the columns that are not classes"


def _mostly_sum_to_one(values: FloatArray) -> bool:
    """Tell whether more than half of the rows sum to 1."""
    finite = values[np.isfinite(values).all(axis=1)]
    return bool(len(finite)) and bool((np.abs(finite.sum(axis=1) - 1) <= SUM_TOLERANCE).mean() > 0.5)


def _how_to_mend(values: FloatArray, by_sum: bool = False) -> str:
    """Return the fix for rows that sum to another number: few of them are odd rows, many are scores."""
    if _mostly_sum_to_one(values):
        divide = f", or divide each row by its sum ({param('normalise', True)} where a table is read)"
        return f"correct the row or omit it, since most rows sum to 1{divide if by_sum else ''}"
    normalised = f"divide each row by its sum ({param('normalise', True)} where a table is read)"
    return f"if every column is a class, {normalised}; otherwise omit the columns that are not classes"


def _fine(values: FloatArray) -> bool:
    """Tell quickly whether all rows are distributions; NaN is in no range."""
    if values.size <= _FEW:  # NumPy takes longer to begin than Python to end
        return all(
            min(row) >= 0 and max(row) <= 1 + VALUE_TOLERANCE and abs(sum(row) - 1) <= _SURELY
            for row in values.tolist()
        )
    sums = values.sum(axis=1)
    return bool(
        values.min() >= 0
        and values.max() <= 1 + VALUE_TOLERANCE
        and sums.min() >= 1 - SUM_TOLERANCE
        and sums.max() <= 1 + SUM_TOLERANCE
    )
