"""What the commands print: tables and sentences on stdout, plain text wherever that goes."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

FILE_WIDTH = 110
"""Columns where the output is no terminal."""


def stdout() -> Console:
    """Return a console that prints texts as they are, markup in them meaning nothing."""
    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if wide else FILE_WIDTH, markup=False, emoji=False, highlight=False)


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[Any]], n_names: int = 1) -> None:
    """Print a table.

    Parameters
    ----------
    title : str
    header : sequence of str
    rows : iterable of sequence
    n_names : int, default=1
        Columns that hold names, left aligned; the others hold numbers.
    """
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column, name in enumerate(header):
        left = column < n_names
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    stdout().print(table)


def print_lines(lines: Iterable[str]) -> None:
    """Print some sentences, wrapped."""
    console = stdout()
    for line in lines:
        console.print(line)
