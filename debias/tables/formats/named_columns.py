"""Makes a probability table of named columns: one per class, and columns for id, label, text, label mass."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from debias.errors import ExcludedRowsWarning, TableError, param, shortened
from debias.tables.class_columns import FloatArray, IndexArray
from debias.tables.formats.cells.numbers_in_cells import parse_columns
from debias.tables.labels.class_headers import ROLES, find_role, refuse_extra_columns
from debias.tables.labels.column_affixes import affix_of, cut, with_affix, without_affix
from debias.tables.labels.column_order import warn_of_order
from debias.tables.labels.label_reading import did_you_mean, read_labels
from debias.tables.table_parts import TableParts

ROW_NUMBERS = ("", "Unnamed: 0", "index")
"""What a column of row numbers is called that pandas writes, or reads and writes again, or resets."""

_SCREENED = 2000


@dataclass(frozen=True)
class ColumnChoice:
    """Which columns of a file hold what, as far as the user says so.

    Parameters
    ----------
    classes : sequence of str, optional
        Columns that hold class probabilities, in the order wanted; default: all that are left. Where none
        is called so, columns will do that have the same text around each class, such as ``p_<class>``.
    id_column, label_column, text_column, label_mass_column : str, optional
        Columns that hold these; default: "id", "label", "text", "label_mass", in capitals or not, where
        they are there and `classes` does not name them.
    labels : {"name", "position"}, optional
        What labels are: class names, or positions from 0 of the class columns; default: whatever fits.
        Where `classes` states another order than the file has, positions are refused.
    """

    classes: Sequence[str] | None = None
    id_column: str | None = None
    label_column: str | None = None
    text_column: str | None = None
    label_mass_column: str | None = None
    labels: str | None = None


def parts_of_columns(
    path: Path, frame: pd.DataFrame, choice: ColumnChoice, decimal: str | None = None
) -> TableParts:
    """Return the contents of a table from named columns, whose cells are text or values.

    Parameters
    ----------
    path : Path
        The file, for the errors.
    frame : DataFrame
        One row per sample.
    choice : ColumnChoice
    decimal : {".", ","}, optional
        Decimal point or decimal comma of cells that are text; default: whichever makes numbers of all.

    Returns
    -------
    TableParts

    Raises
    ------
    TableError
        A column is missing or named twice, or seems to be no class; a cell is no number; or labels
        could be names as well as positions.

    Warns
    -----
    ColumnOrderWarning
        Another order of the columns fits the labels far better.
    ExcludedRowsWarning
        A column holds row numbers, or texts that are not read.

    Examples
    --------
    >>> frame = pd.DataFrame({"label": [1.0, 0.0], "no": [0.2, 0.9], "yes": [0.8, 0.1]})
    >>> parts_of_columns(Path("a.json"), frame, ColumnChoice()).labels
    ['yes', 'no']
    """
    frame = _without_row_numbers(path, _without_nothing(frame), choice)
    header = [str(name) for name in frame.columns]
    repeated = [name for column, name in enumerate(header) if name in header[:column]]
    if repeated:
        raise TableError(
            f"two columns are called {shortened(repeated[0])}; the header is {shortened(header)}", file=path
        )
    classes = choice.classes
    columns = {role: _column(path, frame, role, choice) for role in ROLES}
    if classes is None:
        names = [name for name in frame.columns if name not in columns.values()]
    else:
        _check_choice(path, choice)
        names = with_affix(classes, header)
    _check_names(path, frame, names)
    values = {role: None if name is None else frame[name] for role, name in columns.items()}
    _say_unread_texts(path, frame, [*names, *columns.values()], columns["text"])
    mass = columns["label_mass"]
    numbers = [*names, *([] if mass is None else [mass])]
    parsed = _numbers(path, frame[numbers], decimal, classes)
    probabilities = np.column_stack(parsed[: len(names)])
    label = None if values["label"] is None else _as_text(values["label"])
    if label is not None and not label.str.strip().any():
        label = None
    found = None if label is None else label.tolist()
    if classes is None:
        refuse_extra_columns(path, names, probabilities, found)
    called = without_affix(names, found) if classes is None or names == list(classes) else list(classes)
    in_file = {name: called[place] for place, name in enumerate(names)}
    as_found = None if classes is None else [in_file[name] for name in frame.columns if name in in_file]
    codes = None if label is None else _labels(path, label, called, choice.labels, as_found)
    if codes is not None:
        warn_of_order(probabilities, called, codes, by_header=True)
    return TableParts(
        probabilities=probabilities,
        classes=called,
        labels=None if codes is None else [called[place] for place in codes.tolist()],
        ids=None if values["id"] is None else _as_text(values["id"], missing=None),
        texts=values["text"],
        label_mass=None if mass is None else parsed[-1],
    )


def _without_nothing(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out columns that have neither a name nor a cell, as spreadsheets write them after the last."""
    empty = [
        str(name) == "" and all(cell == "" or cell is None for cell in frame.iloc[:, place].tolist())
        for place, name in enumerate(frame.columns)
    ]
    return frame.loc[:, [not one for one in empty]] if any(empty) and len(frame) else frame


def _without_row_numbers(path: Path, frame: pd.DataFrame, choice: ColumnChoice) -> pd.DataFrame:
    """Leave out a first column without a name of its own that numbers the rows, as pandas and R write it."""
    first = str(frame.columns[0]) if len(frame.columns) else None
    if first not in ROW_NUMBERS or first in vars(choice).values() or first in (choice.classes or ()):
        return frame
    numbers = pd.to_numeric(frame.iloc[:, 0], errors="coerce")
    if numbers.isna().any() or numbers.duplicated().any() or (numbers % 1 != 0).any():
        return frame
    warnings.warn(
        f"{path}: the first column, {first!r}, contains row numbers and is not read.",
        ExcludedRowsWarning,
        stacklevel=3,
    )
    return _without_row_numbers(path, frame.iloc[:, 1:], choice)


def _check_choice(path: Path, choice: ColumnChoice) -> None:
    """Refuse a class that is listed twice, and a column that shall be a class and something else."""
    classes = list(choice.classes or ())
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise TableError(
            f"class {shortened(twice)} is listed twice", parameter="classes", received=twice, file=path
        )
    for role in ROLES:
        name = getattr(choice, f"{role}_column")
        if name in classes:
            raise TableError(
                f"column {shortened(name)} is a class, but should also hold each row's {role}",
                parameter=f"{role}_column",
                received=name,
                file=path,
                fix=f"name it in only one of {param('classes')} and {param(f'{role}_column')}",
            )


def _column(path: Path, frame: pd.DataFrame, role: str, choice: ColumnChoice) -> str | None:
    """Return the column of a role: the one asked for, or the one called like the role."""
    name: str | None = getattr(choice, f"{role}_column")
    if name is None:
        return find_role(path, frame, role, choice.classes)
    if name not in frame.columns:
        raise TableError(
            f"there is no column {shortened(name)}; the columns are {shortened(list(frame.columns))}",
            parameter=f"{role}_column",
            received=name,
            file=path,
            fix=did_you_mean(name, frame.columns),
        )
    return name


def _say_unread_texts(path: Path, frame: pd.DataFrame, read: list[str | None], text: str | None) -> None:
    """Warn of columns of texts that are not read: the same texts must be known to stay together."""
    unread = [name for name in frame.columns if name not in read and _holds_texts(frame[name])]
    if unread:
        one = "a column of texts is" if len(unread) == 1 else "columns of texts are"
        which = "it" if len(unread) == 1 else "one of them"
        fix = f"; if {which} holds the classified texts, name it in {param('text_column')}"
        fix = fix if text is None else ""
        warnings.warn(
            f"{path}: {one} not read: {', '.join(map(shortened, unread[:10]))}{fix}.",
            ExcludedRowsWarning,
            stacklevel=3,
        )


def _holds_texts(column: pd.Series) -> bool:
    """Tell whether a column has a cell with letters that is no number."""
    for cell in column.iloc[:_SCREENED].tolist():
        if isinstance(cell, str) and any(letter.isalpha() for letter in cell):
            try:
                float(cell)
            except ValueError:
                return True
    return False


def _numbers(
    path: Path, frame: pd.DataFrame, decimal: str | None, classes: Sequence[str] | None
) -> list[FloatArray]:
    """Return the numbers of columns, of which the user may not have meant all to be classes."""
    try:
        return parse_columns(path, {str(name): frame[name].tolist() for name in frame}, decimal)
    except TableError as error:
        cells = frame[error.column].astype(str) if error.column in frame.columns else None
        none = cells is not None and pd.to_numeric(cells, errors="coerce").isna().all()
        if classes is None and none and error.parameter is None:
            error.fix = (
                f"if it is not a class, name the class columns in {param('classes')}, and this one in "
            )
            error.fix += f"{param('text_column')} or {param('label_column')} if it holds these"
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
            fix=did_you_mean(missing[0], frame.columns),
        )
    if len(names) < 2:
        raise TableError(
            "a column for each of two or more classes is needed beside ids, labels and texts; the "
            f"columns are {shortened(list(frame.columns))}",
            file=path,
            fix=_how_to_add(frame[names[0]]) if names and len(frame) else None,
        )
    if "" in names:
        position = list(frame.columns).index("")
        raise TableError(
            f"column {position} has no name; if it contains row numbers, omit it (pandas: to_csv(..., "
            "index=False))",
            fix=f"name it, or name the class columns ({param('classes')})",
            file=path,
        )
    if frame.empty:
        raise TableError("a header, but no rows", file=path)


def _how_to_add(column: pd.Series) -> str:
    """Return the fix for a lone column: it holds one class of two, or the probabilities of all."""
    if pd.to_numeric(column, errors="coerce").notna().all():
        return "add one for the other class, which is 1 minus this one"
    return "write each probability of a row into a column called like its class"


def _labels(
    path: Path, column: pd.Series, names: list[str], reading: str | None, as_found: list[str] | None
) -> IndexArray:
    """Return the class of every row."""
    blank = column.str.strip() == ""
    if blank.any():
        fix = "omit the row, or label it; a table without labels has none at all"
        raise TableError(
            "the label is missing", file=path, row=int(np.argmax(blank)), column=column.name, fix=fix
        )
    try:
        return read_labels(
            column.tolist(),
            names,
            reading,
            other_names=cut(names, *affix_of(names)),
            of_file=True,
            column=column.name,
            as_found=as_found,
        )
    except TableError as error:
        raise error.at(file=path) from error


def _as_text(column: pd.Series, missing: str | None = "") -> pd.Series:
    """Return cells as text, so that a label or id is the same whatever kind of file it stood in."""
    texts = [
        missing if cell is None or cell is pd.NA or cell != cell else cell_text(cell)
        for cell in column.tolist()
    ]
    return pd.Series(texts, dtype=object, name=column.name)


def cell_text(cell: object) -> str:
    """Return a cell as text; a whole float is written as an integer, as pandas makes one of a gap.

    Examples
    --------
    >>> cell_text(2.0), cell_text("2.0")
    ('2', '2.0')
    """
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
