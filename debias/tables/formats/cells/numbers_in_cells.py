"""Makes numbers of cells: decimal point or comma is told from all cells of a file together.

Groups of three digits may be set apart by a comma or point, a space or an apostrophe.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from debias.errors import ParameterError, TableError, param, shortened
from debias.tables.class_columns import FloatArray

_GROUPED = {
    decimal: re.compile(
        rf"[+-]?(?:[1-9]\d{{0,2}}([{other}\u00a0\u202f '’])\d{{3}}(?:\1\d{{3}})*|\d*)"
        rf"(?:{point}\d*)?(?:[eE][+-]?\d+)?",
        re.ASCII,
    )
    for decimal, point, other in ((".", r"\.", ","), (",", ",", "."))
}


def parse_columns(
    path: Path, columns: Mapping[str, Sequence[object]], decimal: str | None = None
) -> list[FloatArray]:
    """Return the numbers of columns, exactly as they are written.

    Parameters
    ----------
    path : Path
        The file, for the error.
    columns : mapping of str to sequence of length n_samples
        Cells by the name of their column: text, or numbers.
    decimal : {".", ","}, optional
        Default: whichever makes numbers of all cells.

    Returns
    -------
    list of ndarray of float64, shape (n_samples,)

    Raises
    ------
    TableError
        A cell is no number: the error has its row and column; or the cells have two readings.
    ParameterError
        `decimal` is something else.

    Examples
    --------
    >>> parse_columns(Path("a.csv"), {"no": ["0,25", "1"], "yes": ["0,75", "1.234,5"]})
    [array([0.25, 1.  ]), array([7.5000e-01, 1.2345e+03])]
    >>> parse_columns(Path("a.csv"), {"no": ["0.5", "0,5"]})
    Traceback (most recent call last):
    debias.errors.TableError: a.csv: row 1, column 'no': '0,5' is not a number.
    >>> parse_columns(Path("a.csv"), {"no": ["1,234"]})
    Traceback (most recent call last):
    debias.errors.TableError: a.csv: row 0, column 'no': '1,234' could be 1234 or 1.234; pass decimal='.' or
    decimal=','.
    """
    if decimal not in (None, ".", ","):
        raise ParameterError(parameter="decimal", allowed="'.' or ','", received=decimal, file=path)
    readings: list[list[FloatArray]] = []
    refusals: list[TableError] = []
    for reading in (".", ",") if decimal is None else (decimal,):
        try:
            readings.append([parse_column(path, name, cells, reading) for name, cells in columns.items()])
        except TableError as error:
            refusals.append(error)
    if not readings:
        order = list(columns)  # the reading that makes numbers of more columns is the likelier one
        raise max(refusals, key=lambda error: order.index(str(error.column)))
    if len(readings) > 1:
        for name, one, another in zip(columns, *readings, strict=True):
            for row in np.flatnonzero(one != another).tolist():
                cell = columns[name][row]
                if "," in str(cell):
                    raise TableError(
                        f"{shortened(cell)} could be {one[row]:.15g} or {another[row]:.15g}",
                        parameter="decimal",
                        file=path,
                        row=row,
                        column=name,
                        received=cell,
                        fix=f"pass {param('decimal', repr('.'))} or {param('decimal', repr(','))}",
                    )
    return readings[0]


def parse_column(path: Path, name: str, cells: Sequence[object], decimal: str = ".") -> FloatArray:
    """Return the numbers of a column.

    Parameters
    ----------
    path : Path
        The file, for the error.
    name : str
        Name of the column, for the error.
    cells : sequence
        One per row.
    decimal : {".", ","}, default="."
        What stands before the fraction.

    Returns
    -------
    ndarray of float64 of shape (n_samples,)
        The numbers.

    Raises
    ------
    TableError
        A cell is no number.

    Examples
    --------
    >>> parse_column(Path("a.csv"), "yes", ["0.5", "0,5"])
    Traceback (most recent call last):
        ...
    debias.errors.TableError: a.csv: row 1, column 'yes': '0,5' is not a number.
    """
    numbers = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            numbers[row] = _number(cell, decimal)
        except (TypeError, ValueError, OverflowError) as error:
            missing = cell is None or not str(cell).strip()
            what = "the value is missing" if missing else f"{shortened(cell)} is not a number"
            percent = not missing and str(cell).strip().endswith("%")
            fix = "omit the row, or fill the cell" if missing else None
            if percent:
                fix = f"remove the percent signs, and pass {param('normalise', True)} if rows sum to 100"
            raise TableError(
                what,
                parameter="normalise" if percent else None,
                file=path,
                row=row,
                column=name,
                received=cell,
                fix=fix,
            ) from error
    return numbers


def _number(cell: object, decimal: str) -> float:
    """Return the number that a cell states."""
    if isinstance(cell, (bool, np.bool_, bytes)):
        raise TypeError(cell)
    if not isinstance(cell, str):
        return float(cell)  # type: ignore[arg-type]
    if "_" in cell:  # which Python reads as if it were not there
        raise ValueError(cell)
    if decimal == ".":
        try:
            return float(cell)
        except ValueError:
            pass  # it may have groups of digits
    text = cell.strip()
    grouped = _GROUPED[decimal].fullmatch(text)
    if grouped is None:
        if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            return float(text)
        raise ValueError(cell)
    if grouped[1]:
        text = text.replace(grouped[1], "")
    return float(text.replace(decimal, "."))
