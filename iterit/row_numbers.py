"""Checks row numbers that a caller passes against the number of rows."""

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError

RowArray = npt.NDArray[np.int64]


def row_numbers(rows: npt.ArrayLike, n_rows: int, parameter: str = "rows") -> RowArray:
    """Return row numbers as an array.

    Raises
    ------
    ParameterError
        A row number is not an integer, or there is no such row.

    Examples
    --------
    >>> row_numbers([2, 0], 3)
    array([2, 0])
    >>> row_numbers([2, 3], 3)
    Traceback (most recent call last):
        ...
    debias.errors.ParameterError: rows must be a list of integers from 0 to 2, got 3.
    """
    array = np.asarray(rows)
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    allowed = f"a list of integers from 0 to {n_rows - 1}"
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ParameterError(parameter=parameter, received=rows, allowed=allowed)
    wrong = array[(array < 0) | (array >= n_rows)]
    if len(wrong):
        raise ParameterError(parameter=parameter, received=int(wrong[0]), allowed=allowed)
    return array.astype(np.int64)
