"""Reads a table a batch of rows at a time, so that memory does not grow with the rows."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from debias.errors import TableError
from debias.tables.checks import check_parts
from debias.tables.formats.arrow_files import DAMAGE, arrow_batches, parts_of_others, refuse_oversized
from debias.tables.formats.checksums import Checksums
from debias.tables.formats.file_formats import infer_format
from debias.tables.formats.named_columns import ROW_NUMBERS, ColumnChoice
from debias.tables.formats.parquet_table import CLASS_PREFIX, check_digests, header_in, own_parts
from debias.tables.labels.class_headers import ROLES, role_of_column
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

    Parquet comes in batches: tables of the project, and those of others whose columns are what they are
    called. Checksums and ids are compared when all rows were read, so that what was made of the batches must
    be thrown away where the last step fails; ids of others take eight bytes a row until then. Other tables
    come whole: what their labels and numbers mean is decided from all rows.

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
    classes = None
    if header is None and not options and not normalise:
        classes = _plain_classes(Path(path), format, n_rows)
    if header is not None:
        yield from _own_batches(Path(path), header, n_rows, normalise, sum_to_one)
    elif classes is not None:
        try:
            yield from _plain_batches(Path(path), classes, n_rows, sum_to_one)
        except TableError:
            ProbabilityTable.read(
                path, format, sum_to_one=sum_to_one
            )  # which knows all rows, and their error
            raise
    else:
        yield ProbabilityTable.read(path, format, normalise=normalise, sum_to_one=sum_to_one, **options)


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


def _plain_classes(path: Path, format: str | None, n_rows: int) -> list[str] | None:
    """Return the classes of a Parquet file of others that is read in batches; None for other files.

    The schema, and the different labels, decide all that is otherwise decided from all rows: other columns
    than the classes are called "id", "label", "text" or "label_mass" and hold what these hold, and each label
    is the name of a class.
    """
    try:
        if not path.is_file() or (format or infer_format(path)) != "parquet":
            return None
        with pq.ParquetFile(path) as file:
            refuse_oversized(path, file.metadata)
            schema, is_small = file.schema_arrow, file.metadata.num_rows <= n_rows
        if is_small or header_in(path, schema) is not None:
            return None
        classes = _classes_of(schema)
        return classes if classes and ("label" not in schema.names or _are_labels(path, classes)) else None
    except DAMAGE:
        return None  # reading it whole says what is wrong


def _classes_of(schema: pa.Schema) -> list[str] | None:
    """Return the columns that are classes, if names and kinds of all columns tell."""
    fields = [one for one in schema if not one.name.startswith("__index_level_")]
    names = [one.name for one in fields]
    roles = {one.name: one.type for one in fields if one.name in ROLES}
    classes = [name for name in names if name not in roles]
    unclear = (
        len(classes) < 2
        or len(set(names)) < len(names)
        or names[0] in ROW_NUMBERS
        or any(_may_be_else(name) for name in classes)
        or not all(pa.types.is_floating(one.type) for one in fields if one.name in classes)
        or not all(_holds(role, kind) for role, kind in roles.items())
        or {"label", "text"} <= set(roles)  # whether a text has two labels is told from all rows
    )
    return None if unclear else classes


def _may_be_else(name: str) -> bool:
    """Whether a column may be no class, or a label that is called so the position of one."""
    plain = name.strip().casefold()
    is_number = plain.lstrip("+-").replace(".", "", 1).isdecimal()
    role = role_of_column(name, ROLES)
    return not plain or is_number or plain in ("true", "false") or bool(role) or name.startswith(CLASS_PREFIX)


def _holds(role: str, kind: pa.DataType) -> bool:
    """Whether a column is of the kind that its role has."""
    is_text = bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
    if role == "label_mass":
        return bool(pa.types.is_floating(kind))
    return is_text or (role == "id" and bool(pa.types.is_integer(kind)))


def _are_labels(path: Path, classes: list[str]) -> bool:
    """Whether every row has a label, which is the name of a class."""
    found: set[object] = set()
    for batch in arrow_batches(path, BATCH_ROWS, ["label"]):
        found |= set(pc.unique(batch["label"]).to_pylist())
        if not found <= set(classes):
            return False
    return True


def _plain_batches(
    path: Path, classes: list[str], n_rows: int, sum_to_one: bool
) -> Iterator[ProbabilityTable]:
    """Yield the rows of a file of others; only the first batch tells which columns are no classes."""
    choice, n_read, digests = ColumnChoice(), 0, []
    for batch in arrow_batches(path, n_rows):
        parts = parts_of_others(path, batch, CLASS_PREFIX, choice)
        given = parts.ids is not None
        ids = parts.ids if given else [str(row) for row in range(n_read, n_read + batch.num_rows)]
        table = ProbabilityTable.of_checked(check_parts(replace(parts, ids=ids, ids_given=given)))
        if sum_to_one:
            table.check_sums()
        if given:
            digests.append(pd.util.hash_array(table.ids.to_numpy(dtype=object)))
        yield table
        n_read += batch.num_rows
        choice = ColumnChoice(classes=classes)
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
