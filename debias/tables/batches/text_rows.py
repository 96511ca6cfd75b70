"""Reads CSV and JSON Lines in batches, after a first look at all rows has told that each stands alone.

Each look goes through the file from the beginning, and holds the rows of one batch.
"""

import csv
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from debias.errors import TableError
from debias.rows.bounded_json import parse_json
from debias.rows.delimiters import likely_delimiter, named_delimiter
from debias.rows.row_files import ending_of
from debias.tables.batches.plain_columns import classes_of
from debias.tables.formats.cells.numbers_in_cells import parse_columns
from debias.tables.formats.named_columns import ColumnChoice, parts_of_columns
from debias.tables.labels.class_headers import ROLES
from debias.tables.table_parts import TableParts

FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "json"}
"""Formats of files that are read in batches, by their ending."""

_HEAD = 1 << 16


def text_classes(path: Path, n_rows: int) -> list[str] | None:
    """Return the classes of a file of text that can be read in batches; None for other files.

    Every row has all cells; cells of classes are numbers with a decimal point, and labels names of classes.

    Parameters
    ----------
    path : Path
    n_rows : int
        A file with no more rows comes whole.

    Returns
    -------
    list of str or None
        None, too, where the file is damaged: reading it whole says what is wrong.
    """
    classes: list[str] | None = None
    n_read = 0
    try:
        if not _ends_with_a_line(path):
            return None
        for frame in _frames(path, n_rows):
            if not n_read:
                classes = None if len(frame) < n_rows else classes_of(list(frame.columns))
            if classes is None or not _holds(path, frame, classes):
                return None
            n_read += len(frame)
    except (TableError, ValueError, OSError, csv.Error, OverflowError, RecursionError):
        return None
    return classes if n_read > n_rows else None


def text_parts(path: Path, classes: list[str], n_rows: int) -> Iterator[TableParts]:
    """Yield the rows of such a file; the first batch tells which columns are no classes."""
    choice = ColumnChoice()
    for frame in _frames(path, n_rows):
        yield parts_of_columns(path, frame, choice, ".")
        choice = ColumnChoice(classes=classes)


def _ends_with_a_line(path: Path) -> bool:
    """Whether the last line is whole: one that is cut short may be a number that is too small."""
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _frames(path: Path, n_rows: int) -> Iterator[pd.DataFrame]:
    """Yield the cells of some rows under the header, as they stand in the file.

    Raises
    ------
    ValueError
        A row has other cells than the first.
    """
    rows: Iterator[list[Any]] = _csv_rows(path) if FORMATS[ending_of(path)] == "csv" else _json_rows(path)
    header = next(rows)
    while cells := list(islice(rows, n_rows)):
        yield pd.DataFrame(cells, columns=header, dtype=object)


def _csv_rows(path: Path) -> Iterator[list[str]]:
    """Yield the header and the rows of a CSV file."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        head = file.read(_HEAD)
        _, n_before = named_delimiter(head)
        if n_before or "\0" in head:
            raise ValueError("a first line names the delimiter")
        delimiter = "\t" if ending_of(path) == ".tsv" else likely_delimiter(head)
        file.seek(0)
        width = 0
        for cells in csv.reader(file, delimiter=delimiter, strict=True):
            if len(cells) < 2 and not "".join(cells).strip():
                continue  # a blank line
            width = width or len(cells)
            if len(cells) != width:
                raise ValueError("a row has other cells than the header")
            yield cells


def _json_rows(path: Path) -> Iterator[list[Any]]:
    """Yield the names of the fields and the values of each object of a file with one a line."""
    names: list[str] = []
    with open(path, encoding="utf-8-sig", newline="\n") as file:
        for line in file:
            if not line.strip():
                continue
            row = parse_json(line)
            if not isinstance(row, dict) or (names and row.keys() != set(names)):
                raise ValueError("a row has other fields than the first")
            if not names:
                names = list(row)
                yield names
            yield [row[name] for name in names]


def _holds(path: Path, frame: pd.DataFrame, classes: list[str]) -> bool:
    """Whether the cells of every column are of the kind that its name says."""
    numbers = [name for name in frame if name in classes or name == "label_mass"]
    cells = {str(name): frame[name].tolist() for name in numbers}
    if not all(type(cell) in (str, float, int) for column in cells.values() for cell in column):
        return False
    parse_columns(path, cells, ".")
    texts = [name for name in frame if name in ROLES and name != "label_mass"]
    kinds = {name: set(map(type, frame[name])) for name in texts}
    if not all(found <= {str, int} if name == "id" else found == {str} for name, found in kinds.items()):
        return False
    return "label" not in frame or set(frame["label"]) <= set(classes)
