"""Probability tables as JSON: records in a list or one a line, or columns, with the columns of a CSV file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from debias.errors import RecordsError, TableError, param, shortened
from debias.rows.bounded_json import parse_json
from debias.rows.json_containers import rows_of_object
from debias.tables.formats.cells.plain_text import decode
from debias.tables.formats.named_columns import ColumnChoice, parts_of_columns
from debias.tables.labels.class_headers import ROLES, TOLERANCE, role_of_column
from debias.tables.table_parts import TableParts

MOST_SPARSE = 4
"""Rows times fields, for each cell that is there: a table has all of its cells."""


def read_json(
    path: Path,
    choice: ColumnChoice = ColumnChoice(),  # noqa: B008 (it does not change)
    *,
    encoding: str = "utf-8",
) -> TableParts:
    """Read records that have one field per class.

    Parameters
    ----------
    path : Path
        A list of objects, an object a line, ``{"data": [...]}``, or an object of columns as
        ``DataFrame.to_json`` and ``to_dict`` write it.
    choice : ColumnChoice
        Which fields hold what.
    encoding : str, default="utf-8"
        Encoding of the file.

    Returns
    -------
    TableParts

    Raises
    ------
    TableError
        The file is damaged, has a field twice in a row, a field is missing, or a cell is no number; or
        an object of numbers could have its rows in columns, or its columns in rows.
    """
    named = [*(choice.classes or ()), *(name for name in vars(choice).values() if isinstance(name, str))]
    rows = read_rows(path, encoding, named)
    n_cells = sum(map(len, rows))
    names = _names(rows)
    if len(rows) * len(names) > MOST_SPARSE * n_cells + 10_000:
        raise _sparse(path, names)
    cells = {name: [row.get(name) for row in rows] for name in names}
    frame = pd.DataFrame(cells, index=range(len(rows)), dtype=object)
    return parts_of_columns(path, frame, choice)


def read_rows(path: Path, encoding: str = "utf-8", named: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Read the objects of a JSON or JSON Lines file.

    Parameters
    ----------
    path : Path
    encoding : str, default="utf-8"
    named : iterable of str, optional
        Names of columns, which tell whether an object has columns or rows.

    Returns
    -------
    list of dict

    Raises
    ------
    TableError
        The file is damaged, or a row is no object: the error has its number.
    """
    text = decode(path, encoding)
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > 1 and lines[0].lstrip().startswith("{") and lines[0].rstrip().endswith("}"):
        rows = [_parsed(path, line, row) for row, line in enumerate(lines)]
    else:
        try:
            is_row = len(lines) == 1 and lines[0].lstrip().startswith("{")
            rows = _rows_of(_parsed(path, text, 0 if is_row else None), set(named))
        except RecordsError as error:
            problem, received = error.problem, error.received
            raise TableError(problem, received=received, file=path, fix=error.fix) from error
    for row, value in enumerate(rows):
        if not isinstance(value, dict):
            raise TableError(
                f"a row must be an object, got {shortened(value)}", received=value, file=path, row=row
            )
    if not rows:
        raise TableError("the file has no rows", file=path)
    return rows


def _parsed(path: Path, text: str, row: int | None = None) -> Any:
    """Return JSON, or an error with the place of what is none."""
    try:
        return parse_json(text)
    except ValueError as error:
        raise TableError(f"not complete JSON ({error})", file=path, row=row) from error


def _rows_of(content: Any, named: set[str]) -> list[Any]:
    """Return the rows of a list, or those that an object holds; it may be a row itself."""
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        return [content]
    if _has_rows_by_number(content, named):
        return [{"id": name, **row} for name, row in content.items()]
    rows = rows_of_object(content)
    return [content] if rows is None else list(rows)


def _has_rows_by_number(content: dict[str, Any], named: set[str]) -> bool:
    """Tell whether an object of objects has a row in each, whose classes are numbers, and not a column.

    Pandas writes both alike, with ``orient="index"`` and by default: rows of probabilities sum to 1.
    """
    inner = list(content.values())
    keys = list(inner[0]) if inner and isinstance(inner[0], dict) else []
    alike = len(keys) > 1 and all(isinstance(one, dict) and list(one) == keys for one in inner)
    if not alike or not all(key.isdecimal() for key in keys):
        return False
    if named & content.keys() or any(role_of_column(name, ROLES) for name in content):
        return False
    cells = [[one[key] for key in keys] for one in inner]
    if not all(type(cell) in (int, float) for row in cells for cell in row):
        return False
    try:
        values = np.array(cells, dtype=np.float64)
    except OverflowError:
        return False
    by_row, by_column = ((np.abs(values.sum(axis=axis) - 1) <= TOLERANCE).all() for axis in (1, 0))
    if named & set(keys) or (by_row and not by_column):
        return True
    if by_column and not by_row:
        return False
    raise TableError(
        f"the object may hold columns {shortened(list(content)[:10])} or rows of these names, whose classes "
        f"are {shortened(keys[:10])}",
        parameter="classes",
        received=keys[:10],
        fix=f"name the classes in {param('classes')}, or save the rows as a list (pandas: orient='records')",
    )


def _names(rows: list[dict[str, Any]]) -> list[str]:
    """Return the fields in the order in which they first appear."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _sparse(path: Path, names: list[str]) -> TableError:
    """Return the error of rows that hardly share a field."""
    return TableError(
        f"the rows have different fields, {len(names):,} in all: {shortened(names[:20])}", file=path
    )
