"""Reads Parquet files within bounds, and makes tables of those that others wrote: a column per class."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from debias.errors import TableError, param, shortened
from debias.tables.formats.csv_columns import parts_of_columns
from debias.tables.table_parts import TableParts

MOST_ROWS_PER_BYTE = 8
"""More rows than this for each byte of a file are no table: they would fill the memory."""

DAMAGE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError)
"""Kinds of exceptions that Arrow and pandas raise for damaged files."""


def read_arrow(path: Path) -> pa.Table:
    """Read a Parquet file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    TableError
        The file is damaged, or has more rows than a table of its size can have.
    """
    try:
        with pq.ParquetFile(path) as file:
            n_rows, size = file.metadata.num_rows, path.stat().st_size
            if n_rows <= MOST_ROWS_PER_BYTE * size:
                return file.read()
    except DAMAGE as error:
        raise damaged(path, error) from error
    raise TableError(f"states {n_rows:,} rows in {size:,} bytes", file=path)


def parts_of_others(path: Path, table: pa.Table, prefix: str, **options: Any) -> TableParts:
    """Return the contents of a file that is not the project's own, by the names of its columns.

    Parameters
    ----------
    path : Path
        The file, for the errors.
    table : pyarrow.Table
        Its rows; the index that pandas wrote is left out.
    prefix : str
        Begins the name of a class column in a file of the project.
    **options
        Of :func:`~debias.tables.formats.csv_columns.parts_of_columns`.

    Returns
    -------
    TableParts

    Raises
    ------
    TableError
        A column is missing or of an odd kind, or the file was once one of the project.
    """
    ours = [name for name in table.column_names if name.startswith(prefix)]
    if ours and options.get("classes") is None:
        raise TableError(
            f"the columns {shortened(ours)} are called as in a table of this project, but what it said about "
            "its rows is lost",
            file=path,
            fix=f"name the columns after the classes, without {prefix}, or pass {param('classes')}",
        )
    kept = [place for place, name in enumerate(table.column_names) if not name.startswith("__index_level_")]
    try:
        frame = table.select(kept).to_pandas(ignore_metadata=True)
    except DAMAGE as error:
        raise damaged(path, error) from error
    return parts_of_columns(path, frame, **options)


def damaged(path: Path, error: BaseException) -> TableError:
    """Return the error of a file that cannot be read."""
    return TableError(f"not a whole Parquet file ({str(error)[:200]})", file=path, fix="write it again")
