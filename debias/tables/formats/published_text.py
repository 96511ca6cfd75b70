"""The text format of the published DNIP, FuRud and DCS experiments.

A row: index, label, argmax, p_1 .. p_N, separated by white space; labels are class positions, and
probabilities have six decimals, so that rows sum to one within 1e-5. They are kept as they are.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from debias.errors import TableError, shortened
from debias.tables.formats.cells.numbers_in_cells import parse_column
from debias.tables.formats.cells.plain_text import decode, refuse_cut_end
from debias.tables.table_parts import TableParts

N_LEADING = 3
ROUNDING = 1e-6
"""How much less than the largest the value at argmax may be: both were rounded to six decimals."""


def is_published_text(line: str) -> bool:
    """Tell whether a line looks like a row of this format.

    Parameters
    ----------
    line : str
        First line of a file.

    Returns
    -------
    bool
        Whether it is three whole numbers and two or more numbers.

    Examples
    --------
    >>> is_published_text("0 1 1 0.25 0.75"), is_published_text("id,label,no,yes")
    (True, False)
    """
    cells = line.split()
    try:
        [float(cell) for cell in cells]
    except ValueError:
        return False
    return len(cells) >= N_LEADING + 2 and all(cell.isdecimal() for cell in cells[:N_LEADING])


def read_published_text(
    path: Path, *, classes: Sequence[str] | None = None, encoding: str = "utf-8"
) -> TableParts:
    """Read a file of the published text format.

    Parameters
    ----------
    path : Path
        The file.
    classes : sequence of str, optional
        Class names in column order; default "0", "1", ...
    encoding : str, default="utf-8"
        Encoding of the file.

    Returns
    -------
    TableParts
        The contents; the index becomes the id, which merely numbers the rows of this file.

    Raises
    ------
    TableError
        A row has too few or too many columns, a cell is no number, a label is no class, or the
        argmax does not point at the largest probability.
    """
    text = decode(path, encoding)
    rows = [line.split() for line in text.splitlines() if line.strip()]
    width = len(rows[0])
    for row, cells in enumerate(rows):
        if len(cells) != width or width < N_LEADING + 2:
            raise TableError(
                f"{len(cells)} columns instead of {max(width, N_LEADING + 2)} (index, label, argmax, and "
                "one per class, two or more); the file is cut short or has a different format",
                file=path,
                row=row,
            )
    columns = list(zip(*rows, strict=True))
    n_classes = width - N_LEADING
    names = [str(position) for position in range(n_classes)] if classes is None else [str(c) for c in classes]
    if len(names) != n_classes:
        raise TableError(
            f"{n_classes} probability columns, but classes names {len(names)}: {shortened(names)}",
            parameter="classes",
            received=names,
            file=path,
        )
    probabilities = np.column_stack(
        [parse_column(path, name, cells) for name, cells in zip(names, columns[N_LEADING:], strict=True)]
    )
    refuse_cut_end(path, text, probabilities)
    _check_argmax(path, _positions(path, "argmax", columns[2], n_classes), probabilities)
    labels = [names[position] for position in _positions(path, "label", columns[1], n_classes)]
    return TableParts(probabilities, names, labels=labels, ids=list(columns[0]), ids_given=False)


def write_published_text(path: Path, parts: TableParts) -> None:
    """Write a file of the published text format: six decimals, no names, no texts, no metadata.

    Parameters
    ----------
    path : Path
        The file.
    parts : TableParts
        The contents, with labels.

    Raises
    ------
    TableError
        The table has no labels.
    """
    if parts.labels is None:
        raise TableError(
            "the published text format needs labels, and this table has none", fix="write Parquet or CSV"
        )
    position = {name: column for column, name in enumerate(parts.classes)}
    largest = parts.probabilities.argmax(axis=1)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row, (values, label, best) in enumerate(
            zip(parts.probabilities, parts.labels, largest, strict=True)
        ):
            file.write(f"{row} {position[label]} {best} {' '.join(f'{value:.6f}' for value in values)}\n")


def _positions(path: Path, name: str, cells: Sequence[str], n_classes: int) -> list[int]:
    """Return class positions, each of which must have a column."""
    for row, cell in enumerate(cells):
        if not (cell.isdecimal() and len(cell) < 10 and int(cell) < n_classes):
            raise TableError(
                f"{shortened(cell)} is not a class; allowed are 0 .. {n_classes - 1}",
                received=cell,
                file=path,
                row=row,
                column=name,
            )
    return [int(cell) for cell in cells]


def _check_argmax(path: Path, argmax: list[int], probabilities: np.ndarray) -> None:
    """Refuse a row whose argmax is not where the largest probability stands."""
    found = probabilities[np.arange(len(argmax)), argmax]
    wrong = found < probabilities.max(axis=1) - ROUNDING
    if wrong.any():
        row = int(np.argmax(wrong))
        raise TableError(
            f"{argmax[row]}, but the largest probability is at {int(probabilities[row].argmax())}; the "
            "columns may be in another order",
            file=path,
            row=row,
            column="argmax",
        )
