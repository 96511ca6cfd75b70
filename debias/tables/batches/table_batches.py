"""Reads a table a batch of rows at a time, so that memory does not grow with the rows."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from debias.errors import TableError
from debias.rows.row_files import ending_of
from debias.tables.batches.parquet_rows import parquet_classes, parquet_parts
from debias.tables.batches.text_rows import FORMATS, text_classes, text_parts
from debias.tables.checks import check_parts
from debias.tables.formats.arrow_files import DAMAGE, arrow_batches, refuse_oversized
from debias.tables.formats.checksums import Checksums
from debias.tables.formats.file_formats import infer_format
from debias.tables.formats.parquet_table import check_digests, header_in, own_parts
from debias.tables.table import ProbabilityTable
from debias.tables.table_parts import TableParts

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

    Tables of the project come in batches, and Parquet, CSV and JSON Lines of others whose columns are what
    they are called; a file of text is gone through twice. Checksums and ids are compared when all rows were
    read, so that what was made of the batches must be thrown away where the last step fails; ids of others
    take eight bytes a row until then. Other tables come whole: what their labels and numbers mean is decided
    from all rows.

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
    own = None if options else _own_header(Path(path), format)
    if own is not None:
        yield from _own_batches(Path(path), own, n_rows, normalise, sum_to_one)
        return
    plain = None if options or normalise else _plain_parts(Path(path), format, n_rows)
    n_yielded = 0
    if plain is not None:
        try:
            for table in _plain_batches(Path(path), plain, sum_to_one):
                yield table
                n_yielded += 1
            return
        except TableError:  # reading it whole knows all rows, and their error
            if n_yielded:
                ProbabilityTable.read(path, format, sum_to_one=sum_to_one)
                raise
    yield ProbabilityTable.read(path, format, normalise=normalise, sum_to_one=sum_to_one, **options)


def _plain_parts(path: Path, format: str | None, n_rows: int) -> Iterator[TableParts] | None:
    """Return the rows of a file of others in batches, if each batch can stand alone."""
    try:
        if not path.is_file():
            return None
        found = format or infer_format(path)
    except (TableError, *DAMAGE):
        return None
    if found == "parquet":
        classes = parquet_classes(path, n_rows)
        return None if classes is None else parquet_parts(path, classes, n_rows)
    if found == FORMATS.get(ending_of(path)):
        classes = text_classes(path, n_rows)
        return None if classes is None else text_parts(path, classes, n_rows)
    return None


def _own_batches(
    path: Path, header: dict[str, Any], n_rows: int, normalise: bool, sum_to_one: bool
) -> Iterator[ProbabilityTable]:
    """Yield the rows of a table of the project."""
    checksums, n_read = Checksums(), 0
    for batch in arrow_batches(path, n_rows):
        parts = own_parts(path, batch, header)
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
    check_digests(path, header, checksums)


def _plain_batches(path: Path, parts: Iterator[TableParts], sum_to_one: bool) -> Iterator[ProbabilityTable]:
    """Yield tables of the rows of a file of others, whose ids are unique in all of them together."""
    n_read, digests = 0, []
    for one in parts:
        given, n_rows = one.ids is not None, len(one.probabilities)
        ids = one.ids if given else [str(row) for row in range(n_read, n_read + n_rows)]
        table = ProbabilityTable.of_checked(check_parts(replace(one, ids=ids, ids_given=given)))
        if sum_to_one:
            table.check_sums()
        if given:
            digests.append(pd.util.hash_array(table.ids.to_numpy(dtype=object)))
        yield table
        n_read += n_rows
    if digests:
        found = np.concatenate(digests)
        found.sort()
        if (found[1:] == found[:-1]).any():
            ProbabilityTable.read(path)  # refuses an id that is there twice; two ids may share a digest


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
