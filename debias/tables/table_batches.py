"""Reads a table a batch of rows at a time, so that memory does not grow with the rows."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from debias.errors import TableError
from debias.tables.checks import check_parts
from debias.tables.formats.arrow_files import DAMAGE, damaged, refuse_oversized
from debias.tables.formats.checksums import Checksums
from debias.tables.formats.file_formats import infer_format
from debias.tables.formats.parquet_table import check_digests, header_in, own_parts
from debias.tables.table import ProbabilityTable

BATCH_ROWS = 1 << 16


def read_batches(
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    normalise: bool = False,
    sum_to_one: bool = False,
    n_rows: int = BATCH_ROWS,
    **options: Any,
) -> Iterator[ProbabilityTable]:
    """Read a table, a batch of rows at a time where its format allows that.

    Tables of the project's own format come in batches; their checksums are compared when all rows were
    read, so that what was made of the batches must be thrown away where the last step fails. Tables of other
    formats come whole: what their labels and numbers mean is decided from all rows.

    Parameters
    ----------
    path, format, normalise, sum_to_one, **options
        As in :meth:`ProbabilityTable.read`.
    n_rows : int
        Rows of a batch, at most.

    Yields
    ------
    ProbabilityTable
        With the metadata of the whole table.

    Raises
    ------
    TableError, ParameterError
        As in :meth:`ProbabilityTable.read`.

    Examples
    --------
    >>> import tempfile
    >>> table = ProbabilityTable([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]], classes=["no", "yes"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table.write(os.path.join(folder, "table.parquet"))
    ...     [len(batch) for batch in read_batches(os.path.join(folder, "table.parquet"), n_rows=2)]
    [2, 1]
    """
    header = None if options else _own_header(Path(path), format)
    if header is None:
        yield ProbabilityTable.read(path, format, normalise=normalise, sum_to_one=sum_to_one, **options)
        return
    checksums, n_read = Checksums(), 0
    for batch in _arrow_batches(Path(path), n_rows):
        parts = own_parts(Path(path), batch, header)
        checksums.add(parts)
        try:
            checked = check_parts(parts, normalise)
            # ids are unique in the file; each batch need only know that they were given
            table = ProbabilityTable.of_checked(replace(checked, ids_given=header["ids_given"]))
            if sum_to_one:
                table.check_sums()
        except TableError as error:
            row = None if error.row is None else error.row + n_read
            raise error.in_row(row).at(file=os.fspath(path)) from error
        yield table
        n_read += batch.num_rows
    check_digests(Path(path), header, checksums)


def _own_header(path: Path, format: str | None) -> dict[str, Any] | None:
    """Return what a table of the project says of itself; None for other files, or without checksums."""
    try:
        if not path.is_file() or (format or infer_format(path)) != "parquet":
            return None
        with pq.ParquetFile(path) as file:
            header = header_in(path, file.schema_arrow)
            refuse_oversized(path, file.metadata)
            return header if header is not None and "checksums" in header and file.metadata.num_rows else None
    except DAMAGE:
        return None  # reading it whole says what is wrong


def _arrow_batches(path: Path, n_rows: int) -> Iterator[pa.Table]:
    """Yield the rows of a Parquet file as valid tables."""
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:  # else what was read stays in memory
            for batch in file.iter_batches(n_rows):
                table = pa.Table.from_batches([batch])
                table.validate(full=True)
                yield table
    except DAMAGE as error:
        raise damaged(path, error) from error
