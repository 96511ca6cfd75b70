"""Probability tables as JSON: records in a list or one a line, or columns, with the columns of a CSV file."""

from pathlib import Path
from typing import Any

import pandas as pd

from debias.errors import RecordsError, TableError, shortened
from debias.rows.bounded_json import parse_json
from debias.rows.json_containers import rows_of_object
from debias.tables.formats.cells.plain_text import decode
from debias.tables.formats.named_columns import ColumnChoice, parts_of_columns
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
        The file is damaged, a field is missing, or a cell is no number.
    """
    rows = read_rows(path, encoding)
    n_cells = sum(map(len, rows))
    names = _names(rows)
    if len(rows) * len(names) > MOST_SPARSE * n_cells + 10_000:
        raise _sparse(path, names)
    cells = {name: [row.get(name) for row in rows] for name in names}
    frame = pd.DataFrame(cells, index=range(len(rows)), dtype=object)
    return parts_of_columns(path, frame, choice)


def read_rows(path: Path, encoding: str = "utf-8") -> list[dict[str, Any]]:
    """Read the objects of a JSON or JSON Lines file.

    Parameters
    ----------
    path : Path
    encoding : str, default="utf-8"

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
            rows = _rows_of(_parsed(path, text, 0 if len(lines) == 1 else None))
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
        raise TableError(f"not whole JSON ({error})", file=path, row=row) from error


def _rows_of(content: Any) -> list[Any]:
    """Return the rows of a list, or those that an object holds; it may be a row itself."""
    if isinstance(content, list):
        return content
    rows = rows_of_object(content) if isinstance(content, dict) else None
    return [content] if rows is None else list(rows)


def _names(rows: list[dict[str, Any]]) -> list[str]:
    """Return the fields in the order in which they first appear."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _sparse(path: Path, names: list[str]) -> TableError:
    """Return the error of rows that hardly share a field."""
    return TableError(
        f"the rows have different fields, {len(names):,} in all: {shortened(names[:20])}", file=path
    )
