"""Tables and sentences on stdout, as wide as the terminal, without markup."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from debias.errors import visible

FILE_WIDTH = 110
"""Width in columns where the output is not a terminal."""


def stdout() -> Console:
    """Return a console that prints names as they are.

    Returns
    -------
    rich.console.Console
        As wide as the terminal; markup in class names means nothing.
    """
    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if wide else FILE_WIDTH, markup=False, emoji=False, highlight=False)


def print_table(
    title: str, header: Sequence[str], rows: Iterable[Sequence[object]], n_names: int = 1
) -> None:
    """Print a table, or, where it is too wide, each of its rows as a list.

    Parameters
    ----------
    title : str
    header : sequence of str
        Column names.
    rows : iterable of sequence
        Cells.
    n_names : int, default=1
        Columns that hold names, left aligned; the others hold numbers.
    """
    title, header = visible(title), [visible(name) for name in header]
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column, name in enumerate(header):
        table.add_column(name, justify="left" if column < n_names else "right")
    cells = [[visible(str(cell)) for cell in row] for row in rows]
    for row in cells:
        table.add_row(*row)
    if _is_whole(table, [header, *cells]):
        stdout().print(table)
    else:  # a number without its last digits is a wrong number
        print_lines([title, *_stacked(header, cells)])


def _is_whole(table: Table, cells: Iterable[Sequence[str]]) -> bool:
    """Tell whether all words of a table are shown at the width of the output."""
    page = StringIO()
    Console(file=page, width=stdout().width, markup=False, emoji=False, highlight=False).print(table)
    return {word for row in cells for cell in row for word in cell.split()} <= set(page.getvalue().split())


def _stacked(header: Sequence[str], rows: list[list[str]]) -> Iterator[str]:
    """Yield each row as its name and a line per cell."""
    for row in rows:
        yield ""
        yield row[0]
        for name, cell in zip(header[1:], row[1:], strict=True):
            yield f"  {name}: {cell}" if name else f"  {cell}"


def print_lines(lines: Iterable[str], bullet: str = "") -> None:
    """Print some sentences, wrapped.

    Parameters
    ----------
    lines : iterable of str
        The sentences.
    bullet : str, default=""
        Printed before each.
    """
    console = stdout()
    for line in lines:
        console.print(visible(f"{bullet}{line}"))
