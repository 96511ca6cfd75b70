"""Probability tables as CSV: one column per class, and columns for id, label, text, label mass.

A spreadsheet may write semicolons, decimal commas and a first line ``sep=;``: all are told from the
file. Metadata does not fit into CSV and is lost; use Parquet to keep it.
"""

import csv
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pandas as pd

from debias.console.frame_files import csv_quoting
from debias.errors import ParameterError, TableError, param, shortened
from debias.rows.delimiters import likely_delimiter, named_delimiter
from debias.rows.row_files import ending_of
from debias.tables.formats.cells.plain_text import decode, refuse_cut_end
from debias.tables.formats.named_columns import ColumnChoice, parts_of_columns
from debias.tables.labels.class_headers import TOLERANCE
from debias.tables.table_parts import TableParts

MOST_CELLS_PER_CHARACTER = 16
"""More than these would be filled in by the reader: a long header above short rows fills the memory."""


def read_csv(
    path: Path,
    choice: ColumnChoice = ColumnChoice(),  # noqa: B008 (it does not change)
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str = "utf-8",
) -> TableParts:
    """Read a CSV file with a header and one column per class.

    Parameters
    ----------
    path : Path
        The file.
    choice : ColumnChoice
        Which columns hold what.
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
    named, n_before = named_delimiter(text)
    text, delimiter = text[n_before:], named if delimiter is None else delimiter
    delimiter, first_line = _delimiter(path, text, delimiter), 1 + (n_before > 0)
    frame = _cells(path, text, delimiter, first_line)
    if choice.classes is None:
        _refuse_row_as_header(path, list(frame.columns))
    parts = parts_of_columns(path, frame, choice, decimal)
    refuse_cut_end(path, text, parts.probabilities)
    if frame.iloc[:, -1].isin(["", None]).any():  # an empty cell, or none at all
        short = _odd_row(path, text, delimiter, first_line)
        if short is not None:
            raise short
    return parts


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
    if clash or len(values) < 4:
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
    frame.to_csv(
        path,
        index=False,
        sep=delimiter,
        quoting=csv_quoting(frame),
        lineterminator="\n",
        encoding="utf-8",
    )


def _delimiter(path: Path, text: str, given: str | None) -> str:
    """Return the delimiter that was asked for, or the one that makes most of the first two rows."""
    if given is not None:
        chosen = {"\\t": "\t", "tab": "\t"}.get(given, given)
        if len(chosen) != 1 or chosen in '"\r\n\0':
            raise ParameterError(
                parameter="delimiter", allowed="one character, or 'tab'", received=given, file=path
            )
        return chosen
    if ending_of(path) == ".tsv":
        return "\t"
    return likely_delimiter(text)


def _cells(path: Path, text: str, delimiter: str, first_line: int) -> pd.DataFrame:
    """Return the cells as strings under the header, refusing rows that have more."""
    try:
        width = len(next(csv.reader(StringIO(text.lstrip(), newline=""), delimiter=delimiter)))
        if width * (text.count("\n") + text.count("\r")) > MOST_CELLS_PER_CHARACTER * len(text) + 2**20:
            raise TableError(f"rows are shorter than the header, which has {width:,} columns", file=path)
        rows = pd.read_csv(
            StringIO(text), sep=delimiter, header=None, dtype=str, na_filter=False, encoding_errors="strict"
        )
    except TableError:
        raise
    except (ValueError, OverflowError, csv.Error) as error:
        found = _odd_row(path, text, delimiter, first_line)
        problem = f"not a whole CSV file: {str(error).strip()[:200]}"
        raise found or TableError(problem, file=path) from error
    header = [str(name) for name in rows.iloc[0]]
    if len(header) == 1:
        raise _odd_row(path, text, delimiter, first_line) or TableError(
            f"one column only, {shortened(header[0])}",
            file=path,
            fix=f"pass {param('delimiter')} if it is not {delimiter!r}",
        )
    return rows.iloc[1:].reset_index(drop=True).set_axis(header, axis=1)


def _refuse_row_as_header(path: Path, header: list[str]) -> None:
    """Refuse a first line that is a row of probabilities: it would be lost, and name the classes."""
    numbers = []
    for name in header:
        with suppress(ValueError):
            numbers.append(float(name.replace(",", ".")))
    parts = [number for number in numbers if 0 < number < 1]
    if len(parts) > 1 and abs(sum(parts) - 1) <= TOLERANCE:
        raise TableError(
            f"the first line is a row, not a header: {shortened(header)}",
            received=header,
            file=path,
            line=1,
            fix="write a first line that names the columns; if these are classes, list them in "
            f"{param('classes')}",
        )


def _odd_row(path: Path, text: str, delimiter: str, first_line: int) -> TableError | None:
    """Return the error of the first row with more or fewer cells, or whose quotation never ends."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    begun, row = first_line, 0
    try:
        for cells in reader:
            blank = len(cells) < 2 and not "".join(cells).strip()
            if header and not blank and len(cells) != len(header):
                fix = f"quote cells that hold {delimiter!r}, or remove the extra cells"
                if len(cells) < len(header):
                    fix = f"complete the row: an empty cell needs its {delimiter!r}, too"
                elif len(header) == 1 or header[0].startswith("#"):
                    fix = "remove the lines above the header"
                return TableError(
                    f"the row has {len(cells)} cells, the header {shortened(header)} has {len(header)}",
                    received=cells,
                    file=path,
                    row=row,
                    line=begun,
                    fix=fix,
                )
            row += bool(header and not blank)
            header = header or cells
            begun = first_line + reader.line_num
    except csv.Error as error:
        if "end of data" not in str(error):
            return None
        problem, fix = "a quotation mark is not closed", "close it, or double it if it belongs to the text"
        return TableError(problem, file=path, line=begun, fix=fix)
    return None
