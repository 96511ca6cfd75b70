"""Reads what a file of picks lists: numbers, ids, or rows of a table, without looking at a pool."""

import re
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from debias.errors import RecordsError
from debias.rows.json_rows import RawRow
from debias.rows.row_files import ENDINGS, ending_of, open_utf8, read_rows, unpacked

_LISTS = (".txt", ".npy")
_MARKS = ("selected", "is_selected", "picked", "is_picked")


def read_values(file: Path) -> list[object]:
    r"""Return the values of a file: numbers, texts, or rows of a table as dictionaries.

    Parameters
    ----------
    file : Path
        A list of one value in each line (.txt) or an array (.npy), each also with .gz or .zst, or a file that
        :func:`debias.rows.row_files.read_rows` reads.

    Raises
    ------
    RecordsError
        The file cannot be read, or its ending is unknown.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "picks.csv"
    ...     _ = file.write_text("row,picked\n4,1\n5,0\n")
    ...     read_values(file)
    [{'row': '4', 'picked': '1'}]
    """
    listed = _plain_list(file)
    return _marked(_rows(file)) if listed is None else listed


def is_plain(values: Sequence[object]) -> bool:
    """Tell whether all values are numbers or texts: a list of row numbers or ids."""
    return all(isinstance(one, int | float | str) and not isinstance(one, bool) for one in values)


def values_of_only_column(rows: Sequence[dict[str, object]]) -> list[object] | None:
    """Return the numbers or texts of a table of one column, or of the only list in an object; else None.

    Values that repeat may be scores or kinds, and name no rows.

    Examples
    --------
    >>> values_of_only_column([{"picks": 3}, {"picks": 1}])
    [3, 1]
    >>> values_of_only_column([{"tool": "a", "indices": [3, 1]}])
    [3, 1]
    """
    lists = [value for value in rows[0].values() if isinstance(value, list)] if len(rows) == 1 else []
    if len(lists) == 1:
        values = lists[0]
    elif len(rows[0]) == 1 and len({tuple(row) for row in rows}) == 1:
        values = [value for row in rows for value in row.values()]
    else:
        return None
    return values if values and is_plain(values) and len(set(values)) == len(values) else None


def _marked(values: list[object]) -> list[object]:
    """Return the rows that a table of picked and other rows marks as picked, or all where it marks none.

    Examples
    --------
    >>> _marked([{"row": 0, "picked": 0}, {"row": 1, "picked": 1}])
    [{'row': 1, 'picked': 1}]
    """
    yes, no = ("1", "1.0", "true"), ("0", "0.0", "false")
    rows = [value for value in values if isinstance(value, dict)]
    if len(rows) == len(values):
        for name in _MARKS:
            marks = [str(row.get(name)).lower() for row in rows]
            if set(marks) <= {*yes, *no} and set(marks) & set(no):
                return [value for value, mark in zip(values, marks, strict=True) if mark in yes]
    return values


def _plain_list(file: Path) -> list[object] | None:
    """Return the values of a file that is no file of rows, or None where it is one."""
    ending = ending_of(file) or file.suffix.lower()
    if ending not in _LISTS:
        return None
    try:
        if ending == ".npy":
            with unpacked(file) as stream:
                return _listed(np.load(BytesIO(stream.read()), allow_pickle=False), file)
        with open_utf8(file) as stream:
            return _of_lines(stream.read().decode())
    except RecordsError as error:
        raise error.at(file=file) from error
    except FileNotFoundError as error:
        raise RecordsError("there is no such file", file=file) from error
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise RecordsError(f"it cannot be read: {str(error)[:200]}", file=file) from error


def _of_lines(text: str) -> list[object]:
    r"""Return the numbers of a text, however they are separated, or else its lines: an id may have spaces.

    Examples
    --------
    >>> _of_lines("[3, 1]\n"), _of_lines("task 3\n\ntask 1\n")
    ([3, 1], ['task 3', 'task 1'])
    """
    pieces = text.strip().removeprefix("[").removesuffix("]").replace(",", " ").split()
    if all(re.fullmatch(r"-?\d+", piece) for piece in pieces):
        return [int(piece) for piece in pieces]
    return [line.strip() for line in text.splitlines() if line.strip()]


def _listed(array: npt.NDArray[Any], file: Path) -> list[object]:
    """Return the values of an array of one column or row."""
    if array.size != max(array.shape, default=1):
        problem = f"an array of picks must have one column, got the shape {array.shape}"
        raise RecordsError(
            problem, received=array.shape, file=file, fix="save the column of row numbers alone"
        )
    if array.dtype == np.bool_:
        raise mask_error(array.size)
    return list(array.ravel().tolist())


def mask_error(n_values: int) -> RecordsError:
    """Return the error of a mask in place of row numbers."""
    return RecordsError(
        f"it has a 0 or 1 for each of the {n_values:,} records, which is a mask, not row numbers",
        received="a mask",
        fix="write the numbers of the rows that have a 1, such as numpy.flatnonzero(mask)",
    )


def _rows(file: Path) -> list[object]:
    """Return the values of all rows; what cannot be read is refused."""
    if ending_of(file) not in ENDINGS:
        allowed = f"one of {', '.join(dict.fromkeys([*ENDINGS, *_LISTS]))}"
        raise RecordsError(
            parameter="the file name's ending", received=file.suffix, allowed=allowed, file=file
        )
    rows: list[RawRow] = list(read_rows(file))
    for raw in rows:
        # a bare number or string is no record, and may be a row number or an id
        if raw.refused:
            raise RecordsError(f"it cannot be read: {raw.refused}", file=file, line=raw.line)
    return [raw.value for raw in rows]
