"""Probability tables as CSV: one column per class, and columns for id, label, text, label mass.

A spreadsheet may write semicolons, decimal commas and a first line ``sep=;``: all are told from the
file. Metadata does not fit into CSV and is lost; use Parquet to keep it.
"""

import csv
import re
from collections.abc import Sequence
from csv import QUOTE_MINIMAL, QUOTE_NONNUMERIC
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from debias.errors import ParameterError, TableError, param, shortened
from debias.tables.class_columns import FloatArray
from debias.tables.formats.class_headers import find_role, refuse_extra_columns, without_prefix
from debias.tables.formats.numbers_in_cells import parse_columns
from debias.tables.formats.plain_text import decode, refuse_cut_end
from debias.tables.label_reading import read_labels
from debias.tables.table_parts import TableParts

RECOGNISED = ("id", "label", "text", "label_mass")
MOST_CELLS_PER_CHARACTER = 16
"""More than these would be filled in by the reader: a long header above short rows fills the memory."""

DELIMITERS = (",", ";", "\t", "|")

_NAMED = re.compile(r"\Asep=(.)(?:\r\n|\n|\r)")


def read_csv(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    id_column: str | None = None,
    label_column: str | None = None,
    text_column: str | None = None,
    label_mass_column: str | None = None,
    labels: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str = "utf-8",
) -> TableParts:
    """Read a CSV file with a header and one column per class.

    Parameters
    ----------
    path : Path
        The file.
    classes : sequence of str, optional
        Columns that hold class probabilities, in the order wanted; default: all that are left.
    id_column, label_column, text_column, label_mass_column : str, optional
        Columns that hold these; default: "id", "label", "text", "label_mass", in capitals or not, where
        they are there and `classes` does not name them.
    labels : {"name", "position"}, optional
        What labels are: class names, or positions of columns from 0; default: whatever fits.
    delimiter : str, optional
        Default: that of a first line such as ``sep=;``, a tab for .tsv, else the one of ``,``, ``;``,
        tab and ``|`` that cuts the first rows into most columns.
    decimal : {".", ","}, optional
        Decimal point or decimal comma; default: whichever makes numbers of all cells.
    encoding : str, default="utf-8"
        Encoding of the file.

    Returns
    -------
    TableParts
        The contents. A label column without a single label counts as none.

    Raises
    ------
    TableError
        The file is damaged, a column is missing or named twice, or seems to be no class; a cell
        is no number; or labels could be names as well as positions.
    """
    text = decode(path, encoding)
    named = _NAMED.match(text)
    if named:
        text, delimiter = text[named.end() :], delimiter or named[1]
    frame = _cells(path, text, _delimiter(path, text, delimiter))
    parts = parts_of_columns(
        path,
        frame,
        classes=classes,
        id_column=id_column,
        label_column=label_column,
        text_column=text_column,
        label_mass_column=label_mass_column,
        labels=labels,
        decimal=decimal,
    )
    refuse_cut_end(path, text, parts.probabilities)
    return parts


def parts_of_columns(
    path: Path,
    frame: pd.DataFrame,
    *,
    classes: Sequence[str] | None = None,
    id_column: str | None = None,
    label_column: str | None = None,
    text_column: str | None = None,
    label_mass_column: str | None = None,
    labels: str | None = None,
    decimal: str | None = None,
) -> TableParts:
    """Return the contents of a table from named columns, whose cells are text or values.

    Parameters
    ----------
    path : Path
        The file, for the errors.
    frame : DataFrame
        One row per sample.
    classes, id_column, label_column, text_column, label_mass_column, labels, decimal : optional
        As for :func:`read_csv`.

    Returns
    -------
    TableParts

    Raises
    ------
    TableError
        A column is missing or named twice, or seems to be no class; a cell is no number; or labels
        could be names as well as positions.

    Examples
    --------
    >>> frame = pd.DataFrame({"label": [1.0, 0.0], "no": [0.2, 0.9], "yes": [0.8, 0.1]})
    >>> parts_of_columns(Path("a.json"), frame).labels
    ['yes', 'no']
    """
    header = [str(name) for name in frame.columns]
    repeated = [name for column, name in enumerate(header) if name in header[:column]]
    if repeated:
        raise TableError(
            f"two columns are called {shortened(repeated[0])}; the header is {shortened(header)}", file=path
        )
    given = dict(zip(RECOGNISED, (id_column, label_column, text_column, label_mass_column), strict=True))
    columns = {role: _column(path, frame, role, name, classes) for role, name in given.items()}
    names = (
        [name for name in frame.columns if name not in columns.values()] if classes is None else list(classes)
    )
    _check_names(path, frame, names)
    values = {role: None if name is None else frame[name] for role, name in columns.items()}
    mass = columns["label_mass"]
    numbers = [*names, *([] if mass is None else [mass])]
    parsed = _numbers(path, frame[numbers], decimal, classes)
    probabilities = np.column_stack(parsed[: len(names)])
    label = None if values["label"] is None else _as_text(values["label"])
    if label is not None and not label.str.strip().any():
        label = None
    if classes is None:
        refuse_extra_columns(path, names, probabilities, label)
        names = without_prefix(names, label)
    return TableParts(
        probabilities=probabilities,
        classes=names,
        labels=None if label is None else _labels(path, label, names, labels),
        ids=None if values["id"] is None else _as_text(values["id"], missing=None),
        texts=values["text"],
        label_mass=None if mass is None else parsed[-1],
    )


def write_csv(
    path: Path,
    parts: TableParts,
    *,
    id_column: str = "id",
    label_column: str = "label",
    text_column: str = "text",
    label_mass_column: str = "label_mass",
    delimiter: str = ",",
) -> None:
    """Write a CSV file; numbers are written so that they are read back bit by bit.

    Parameters
    ----------
    path : Path
        The file.
    parts : TableParts
        The contents; metadata is not written.
    id_column, label_column, text_column, label_mass_column : str
        Names of these columns.
    delimiter : str, default=","
        What stands between two columns.

    Raises
    ------
    TableError
        A class has the name of one of these columns, or a text holds a zero byte.
    """
    values = {
        id_column: parts.ids,
        label_column: parts.labels,
        text_column: parts.texts,
        label_mass_column: parts.label_mass,
    }
    clash = [name for name in parts.classes if name in values]
    if clash or len(values) < len(RECOGNISED):
        name = clash[0] if clash else sorted(values)
        raise TableError(
            f"two columns of the CSV file would be called {name!r}",
            fix=(
                "pass id_column=, label_column=, text_column= or label_mass_column= to name them apart, "
                "or write Parquet"
            ),
        )
    frame = pd.DataFrame({name: column for name, column in values.items() if column is not None})
    frame = frame.assign(**dict(zip(parts.classes, parts.probabilities.T, strict=True)))
    strings = [*frame.columns, *parts.ids, *(() if parts.texts is None else parts.texts)]
    # the csv writer leaves a lone carriage return bare, which every reader takes for a line break
    quoting: Literal[0, 2] = QUOTE_NONNUMERIC if any("\r" in text for text in strings) else QUOTE_MINIMAL
    frame.to_csv(path, index=False, sep=delimiter, quoting=quoting, lineterminator="\n", encoding="utf-8")


def _delimiter(path: Path, text: str, given: str | None) -> str:
    """Return the delimiter that was asked for, or the one that makes most of the first two rows."""
    if given is not None:
        chosen = {"\\t": "\t", "tab": "\t"}.get(given, given)
        if len(chosen) != 1 or chosen in '"\r\n\0':
            raise ParameterError(
                parameter="delimiter", allowed="one character, or 'tab'", received=given, file=path
            )
        return chosen
    if path.suffix.lower() == ".tsv":
        return "\t"
    widths = {}
    for delimiter in DELIMITERS:
        try:
            rows = list(islice(filter(None, csv.reader(StringIO(text), delimiter=delimiter)), 2))
        except csv.Error:
            continue
        if len({len(row) for row in rows}) == 1:
            widths[delimiter] = len(rows[0])
    return max(widths, key=lambda delimiter: widths[delimiter], default=",")


def _cells(path: Path, text: str, delimiter: str) -> pd.DataFrame:
    """Return the cells as strings under the header, refusing rows of another length."""
    try:
        width = len(next(csv.reader(StringIO(text.lstrip()), delimiter=delimiter)))
        if width * (text.count("\n") + text.count("\r")) > MOST_CELLS_PER_CHARACTER * len(text) + 2**20:
            raise TableError(f"rows are shorter than the header, which has {width:,} columns", file=path)
        rows = pd.read_csv(
            StringIO(text), sep=delimiter, header=None, dtype=str, na_filter=False, encoding_errors="strict"
        )
    except TableError:
        raise
    except (ValueError, OverflowError, csv.Error) as error:
        raise TableError(f"not a whole CSV file: {str(error).strip()[:200]}", file=path) from error
    header = [str(name) for name in rows.iloc[0]]
    if len(header) == 1:
        raise TableError(
            f"one column only, {shortened(header[0])}",
            file=path,
            fix=f"pass {param('delimiter')} if it is not {delimiter!r}",
        )
    return rows.iloc[1:].reset_index(drop=True).set_axis(header, axis=1)


def _column(
    path: Path, frame: pd.DataFrame, role: str, name: str | None, classes: Sequence[str] | None
) -> str | None:
    """Return the column of a role: the one asked for, or the one called like the role."""
    if name is not None:
        if name not in frame.columns:
            raise TableError(
                f"there is no column {shortened(name)}; the columns are {shortened(list(frame.columns))}",
                parameter=f"{role}_column",
                received=name,
                file=path,
            )
        return name
    return find_role(path, frame, role, classes)


def _numbers(
    path: Path, frame: pd.DataFrame, decimal: str | None, classes: Sequence[str] | None
) -> list[FloatArray]:
    """Return the numbers of columns, of which the user may not have meant all to be classes."""
    try:
        return parse_columns(path, {str(name): frame[name].tolist() for name in frame}, decimal)
    except TableError as error:
        cells = frame[error.column].astype(str) if error.column in frame.columns else None
        none = cells is not None and pd.to_numeric(cells, errors="coerce").isna().all()
        if classes is None and none and error.fix is None:
            error.fix = f"if it is no class, name the class columns in {param('classes')}"
        raise error.at() from error


def _check_names(path: Path, frame: pd.DataFrame, names: list[str]) -> None:
    """Refuse class columns that are not there or have no name."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise TableError(
            f"class {shortened(missing[0])} has no column; the columns are {shortened(list(frame.columns))}",
            parameter="classes",
            received=missing[0],
            file=path,
        )
    if len(names) < 2:
        raise TableError(
            "a column for each of two or more classes is needed beside ids, labels and texts; the "
            f"columns are {shortened(list(frame.columns))}",
            file=path,
        )
    if "" in names:
        position = list(frame.columns).index("")
        raise TableError(
            f"column {position} has no name; if it numbers the rows, leave it out (pandas: "
            "to_csv(..., index=False))",
            fix=f"name it, or name the class columns ({param('classes')})",
            file=path,
        )
    if frame.empty:
        raise TableError("a header, but no rows", file=path)


def _labels(path: Path, column: pd.Series, names: list[str], reading: str | None) -> list[str]:
    """Return the class name of every row."""
    blank = column.str.strip() == ""
    if blank.any():
        fix = "omit the row, or label it; a table without labels has none at all"
        raise TableError(
            "the label is missing", file=path, row=int(np.argmax(blank)), column=column.name, fix=fix
        )
    try:
        places = read_labels(column.tolist(), names, reading, of_file=True, column=column.name)
    except TableError as error:
        raise error.at(file=path) from error
    return [names[place] for place in places]


def _as_text(column: pd.Series, missing: str | None = "") -> pd.Series:
    """Return cells as text, so that a label or id is the same whatever kind of file it stood in."""
    texts = [
        missing if cell is None or cell is pd.NA or cell != cell else _written(cell)
        for cell in column.tolist()
    ]
    return pd.Series(texts, dtype=object, name=column.name)


def _written(cell: object) -> str:
    """Return a cell as text; a whole float is written as an integer, as pandas makes one of a gap."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
