"""Reads Parquet files within bounds, and makes tables of those that others wrote: a column per class."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from debias.errors import TableError, param, shortened
from debias.tables.formats.named_columns import ColumnChoice, parts_of_columns
from debias.tables.table_parts import TableParts

MOST_CELLS_PER_BYTE = 64
MOST_BYTES_PER_BYTE = 1000
SMALL = 2**20
"""More cells or bytes than these for each byte of a file, and this, are no table: they fill the memory."""

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
        The file is damaged, or has more in it than a table of its size can have.
    """
    try:
        strings = _strings(path)
        with pq.ParquetFile(path, read_dictionary=strings) as file:  # so that a repeated text is read once
            size = path.stat().st_size
            refuse_oversized(path, file.metadata)
            table = file.read()
        return _with_plain_texts(path, table, strings, size)
    except TableError:
        raise
    except DAMAGE as error:
        raise damaged(path, error) from error


def arrow_batches(path: Path, n_rows: int, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield the rows of a Parquet file as valid tables.

    Parameters
    ----------
    path : Path
    n_rows : int
        Of a table, at most.
    columns : list of str, optional
        All by default.

    Yields
    ------
    pyarrow.Table

    Raises
    ------
    TableError
        The file is damaged, or has more in it than a table of its size can have.
    """
    try:
        strings, size = _strings(path), path.stat().st_size
        # what was read would stay in memory with buffers that are filled before
        with pq.ParquetFile(path, pre_buffer=False, read_dictionary=strings) as file:
            for batch in file.iter_batches(n_rows, columns=columns):
                table = pa.Table.from_batches([batch])
                yield _with_plain_texts(path, table, strings, size)
    except TableError:
        raise
    except DAMAGE as error:
        raise damaged(path, error) from error


def _strings(path: Path) -> list[str]:
    """Return the columns of texts, of a file in which no two columns share a name."""
    schema = pq.read_schema(path)
    for place, name in enumerate(schema.names):
        if name in schema.names[:place]:
            problem = f"two columns are called {shortened(name)}; the columns are {shortened(schema.names)}"
            raise TableError(problem, file=path)
    return [
        field.name
        for field in schema
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]


def _with_plain_texts(path: Path, table: pa.Table, strings: list[str], size: int) -> pa.Table:
    """Return a valid table whose texts, each read once, are written out, if they do not fill the memory."""
    for name in dict.fromkeys(strings):
        if name not in table.column_names:
            continue
        n_bytes = sum(
            pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0
            for chunk in table[name].chunks
            if pa.types.is_dictionary(chunk.type)
        )
        if n_bytes > MOST_BYTES_PER_BYTE * size + SMALL:
            raise TableError(f"states {n_bytes:,} bytes in {size:,}", file=path, column=name)
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.large_string()))
    table.validate(full=True)  # that strings are UTF-8, above all
    return table


def refuse_oversized(path: Path, about: pq.FileMetaData) -> None:
    """Refuse a file that states more cells or bytes than a table of its size can have.

    Parameters
    ----------
    path : Path
        The file.
    about : pyarrow.parquet.FileMetaData
        What it states of itself.

    Raises
    ------
    TableError
        They would fill the memory.
    """
    size = path.stat().st_size
    groups = [about.row_group(n).total_byte_size for n in range(about.num_row_groups)]
    n_cells = about.num_rows * about.num_columns
    if n_cells > MOST_CELLS_PER_BYTE * size + SMALL:
        raise TableError(f"states {n_cells:,} cells in {size:,} bytes", file=path)
    if sum(groups) > MOST_BYTES_PER_BYTE * size + SMALL:
        raise TableError(f"states {sum(groups):,} bytes in {size:,}", file=path)


def parts_of_others(path: Path, table: pa.Table, prefix: str, choice: ColumnChoice) -> TableParts:
    """Return the contents of a file that is not the project's own, by the names of its columns.

    Parameters
    ----------
    path : Path
        The file, for the errors.
    table : pyarrow.Table
        Its rows; the index that pandas wrote is left out.
    prefix : str
        Begins the name of a class column in a file of the project.
    choice : ColumnChoice

    Returns
    -------
    TableParts

    Raises
    ------
    TableError
        A column is missing or of an odd kind, or the file was once one of the project.
    """
    ours = [name for name in table.column_names if name.startswith(prefix)]
    if ours and choice.classes is None:
        raise TableError(
            f"the columns {shortened(ours)} are named as in a table of this project, but its metadata are "
            "lost",
            file=path,
            fix=f"name the columns after the classes, without {prefix}, or pass {param('classes')}",
        )
    kept = [place for place, name in enumerate(table.column_names) if not name.startswith("__index_level_")]
    try:
        frame = table.select(kept).to_pandas(ignore_metadata=True)
    except DAMAGE as error:
        raise damaged(path, error) from error
    return parts_of_columns(path, frame, choice)


def damaged(path: Path, error: BaseException) -> TableError:
    """Return the error of a file that cannot be read."""
    return TableError(f"not a whole Parquet file ({str(error)[:200]})", file=path, fix="write it again")
