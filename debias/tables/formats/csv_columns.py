"""Probability tables as CSV: one column per class, and columns for id, label, text, label mass.

Metadata does not fit into CSV and is lost; use Parquet to keep it.
"""

from collections.abc import Sequence
from csv import QUOTE_MINIMAL, QUOTE_NONNUMERIC
from io import StringIO
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from debias.errors import TableError, param
from debias.tables.class_columns import FloatArray
from debias.tables.formats.class_headers import find_role, refuse_extra_columns, without_prefix
from debias.tables.formats.plain_text import decode, parse_column, refuse_cut_end
from debias.tables.label_reading import read_labels
from debias.tables.table_parts import TableParts

RECOGNISED = ("id", "label", "text", "label_mass")


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
        Default: a tab for .tsv, else a comma.
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
    frame = _cells(path, text, delimiter or ("\t" if path.suffix.lower() == ".tsv" else ","))
    given = dict(zip(RECOGNISED, (id_column, label_column, text_column, label_mass_column), strict=True))
    columns = {role: _column(path, frame, role, name, classes) for role, name in given.items()}
    names = (
        [name for name in frame.columns if name not in columns.values()] if classes is None else list(classes)
    )
    _check_names(path, frame, names)
    probabilities = np.column_stack([_numbers(path, frame, name, classes) for name in names])
    refuse_cut_end(path, text, probabilities)
    values = {role: None if name is None else frame[name] for role, name in columns.items()}
    label = values["label"] if values["label"] is not None and values["label"].str.strip().any() else None
    if classes is None:
        cells = None if label is None else label.tolist()
        refuse_extra_columns(path, names, probabilities, cells)
        names = without_prefix(names, cells)
    mass = values["label_mass"]
    return TableParts(
        probabilities=probabilities,
        classes=names,
        labels=None if label is None else _labels(path, label, names, labels),
        ids=values["id"],
        texts=values["text"],
        label_mass=None if mass is None else parse_column(path, str(columns["label_mass"]), mass.tolist()),
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


def _cells(path: Path, text: str, delimiter: str) -> pd.DataFrame:
    """Return the cells as strings under the header, refusing rows of another length."""
    try:
        rows = pd.read_csv(
            StringIO(text), sep=delimiter, header=None, dtype=str, na_filter=False, encoding_errors="strict"
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise TableError(f"not a whole CSV file: {str(error).strip()}", file=path) from error
    header = [str(name) for name in rows.iloc[0]]
    if len(header) == 1:
        raise TableError(
            f"one column only, {header[0][:60]!r}",
            file=path,
            fix=f"pass delimiter=... if it is not {delimiter!r}",
        )
    repeated = [name for column, name in enumerate(header) if name in header[:column]]
    if repeated:
        raise TableError(f"two columns are called {repeated[0]!r}; the header is {header}", file=path)
    return rows.iloc[1:].reset_index(drop=True).set_axis(header, axis=1)


def _column(
    path: Path, frame: pd.DataFrame, role: str, name: str | None, classes: Sequence[str] | None
) -> str | None:
    """Return the column of a role: the one asked for, or the one called like the role."""
    if name is not None:
        if name not in frame.columns:
            raise TableError(f"there is no column {name!r}; the columns are {list(frame.columns)}", file=path)
        return name
    return find_role(path, frame, role, classes)


def _numbers(path: Path, frame: pd.DataFrame, name: str, classes: Sequence[str] | None) -> FloatArray:
    """Return the numbers of a column, which the user may not have meant to be a class."""
    try:
        return parse_column(path, name, frame[name].tolist())
    except TableError as error:
        if classes is None and pd.to_numeric(frame[name], errors="coerce").isna().all():
            error.fix = f"if it is no class, name the class columns in {param('classes')}"
        raise error.at() from error


def _check_names(path: Path, frame: pd.DataFrame, names: list[str]) -> None:
    """Refuse class columns that are not there or have no name."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise TableError(
            f"class {missing[0]!r} has no column; the columns are {list(frame.columns)}", file=path
        )
    if len(names) < 2:
        raise TableError(
            "a column for each of two or more classes is needed beside ids, labels and texts; the "
            f"columns are {list(frame.columns)}",
            file=path,
        )
    if "" in names:
        position = list(frame.columns).index("")
        raise TableError(
            f"column {position} has no name; if it numbers the rows, leave it out (pandas: "
            "to_csv(..., index=False)), or pass classes=[...]",
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
