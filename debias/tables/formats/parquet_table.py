"""The project's own file format for probability tables: Parquet, with its metadata inside.

Columns id, label, text and label_mass where the table has them, and one column ``p_<class>`` per
class, so that no class name can collide. The rest is JSON in the schema, with a version.
"""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from debias.errors import TableError
from debias.tables.table_parts import TableParts

SCHEMA_VERSION = 1
SCHEMA_KEY = b"debias_probability_table"
CLASS_PREFIX = "p_"
COMPRESSION = "zstd"


def write_parquet(path: Path, parts: TableParts) -> None:
    """Write the project's own format; every float comes back bit by bit.

    Parameters
    ----------
    path : Path
        The file to write.
    parts : TableParts
        The contents.
    """
    table = as_columns(parts).replace_schema_metadata({SCHEMA_KEY: header_of(parts)})
    pq.write_table(table, path, compression=COMPRESSION)


def as_columns(parts: TableParts) -> pa.Table:
    """Return the rows of a table as Arrow columns, named as in the file.

    Parameters
    ----------
    parts : TableParts
        The contents.

    Returns
    -------
    pyarrow.Table
        Without metadata.
    """
    columns: dict[str, Any] = {"id": pa.array(list(parts.ids), pa.string())}
    if parts.labels is not None:
        columns["label"] = pa.array(list(parts.labels), pa.string())
    if parts.texts is not None:
        columns["text"] = pa.array(list(parts.texts), pa.large_string())
    if parts.label_mass is not None:
        columns["label_mass"] = pa.array(parts.label_mass, pa.float64())
    for column, name in enumerate(parts.classes):
        columns[CLASS_PREFIX + name] = pa.array(parts.probabilities[:, column], pa.float64())
    return pa.table(columns)


def header_of(parts: TableParts) -> bytes:
    """Return what the file keeps beside its rows, as JSON.

    Parameters
    ----------
    parts : TableParts
        The contents; rows are not looked at.

    Returns
    -------
    bytes
    """
    header = {
        "schema_version": SCHEMA_VERSION,
        "classes": list(parts.classes),
        "metadata": parts.metadata,
        "source": parts.source,
        "ids_given": parts.ids_given,
    }
    return json.dumps(header).encode()


def read_header(path: Path) -> dict[str, Any]:
    """Read what a file keeps beside its rows, and no row.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        With ``"classes"`` and ``"metadata"``.

    Raises
    ------
    TableError
        The file is damaged, of a later version, or no probability table.
    """
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"not a whole Parquet file ({error})", file=path, fix="write it again") from error
    return _parquet_header(path, schema)


def read_parquet(path: Path) -> TableParts:
    """Read the project's own format.

    Parameters
    ----------
    path : Path
        The file to read.

    Returns
    -------
    TableParts
        The contents.

    Raises
    ------
    TableError
        The file is damaged, cut short, of a later version, or no probability table.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"not a whole Parquet file ({error})", file=path, fix="write it again") from error
    header = _parquet_header(path, table.schema)
    names = [CLASS_PREFIX + str(name) for name in header["classes"]]
    missing = [name for name in ["id", *names] if name not in table.column_names]
    if missing:
        raise TableError(f"column {missing[0]!r} is missing; it has {table.column_names}", file=path)
    unexpected = [name for name in names if not pa.types.is_floating(table.schema.field(name).type)]
    if unexpected:
        raise TableError(f"column {unexpected[0]!r} holds no floating-point numbers", file=path)
    optional = {name: _values(table, name) for name in ("label", "text", "label_mass")}
    return TableParts(
        probabilities=np.column_stack([_values(table, name) for name in names]),
        classes=header["classes"],
        labels=optional["label"],
        ids=_values(table, "id"),
        texts=optional["text"],
        label_mass=optional["label_mass"],
        metadata=header["metadata"],
        source=header["source"],
        ids_given=header["ids_given"],
    )


def _values(table: pa.Table, name: str) -> Any:
    """Return a column as an array, or None where the table has no such column."""
    return table[name].to_numpy() if name in table.column_names else None


def _parquet_header(path: Path, schema: pa.Schema) -> dict[str, Any]:
    """Return the JSON kept in the schema, checked."""
    raw = (schema.metadata or {}).get(SCHEMA_KEY)
    if raw is None:
        raise TableError(
            "a Parquet file, but no probability table of this project",
            file=path,
            fix="load it with pandas and pass the class columns to ProbabilityTable(...)",
        )
    expected: dict[str, Any] = {
        "classes": list,
        "metadata": dict,
        "source": (str, type(None)),
        "ids_given": bool,
    }
    try:
        header = json.loads(raw)
        version = header["schema_version"]
    except (ValueError, TypeError, KeyError) as error:
        raise TableError(
            f"the description in the Parquet schema is damaged ({error!r})", file=path
        ) from error
    if version != SCHEMA_VERSION:
        raise TableError(
            f"written in version {version!r} of the format, this package reads version {SCHEMA_VERSION}",
            file=path,
            fix="upgrade debias-iterit or write the table again",
        )
    for key, kind in expected.items():
        if not isinstance(header.get(key, ...), kind):
            raise TableError(f"the description in the Parquet schema has a wrong or no {key!r}", file=path)
    return dict(header)


class ParquetTableWriter:
    """Write blocks of rows, then what the file says about them.

    The same blocks give the same bytes.

    Parameters
    ----------
    path : Path
        The file; no table before :meth:`finish`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from debias.tables.table import ProbabilityTable
    >>> block = TableParts(np.array([[0.7, 0.3]]), ("no", "yes"), ids=np.array(["a"], dtype=object))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "table.parquet"
    ...     with ParquetTableWriter(path) as writer:
    ...         writer.write(block)
    ...         writer.finish(TableParts(block.probabilities, ("no", "yes"), ids_given=True))
    ...     ProbabilityTable.read(path)
    ProbabilityTable(1 rows, classes=['no', 'yes'], unlabelled)
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._writer: Any = None

    def write(self, block: TableParts) -> None:
        """Write a block of rows, which has the same columns as the blocks before.

        Parameters
        ----------
        block : TableParts

        Raises
        ------
        OSError
            It cannot be written.
        """
        columns = as_columns(block)
        if self._writer is None:
            # Without Arrow's own schema, readers take the metadata from the end of the file.
            self._writer = pq.ParquetWriter(
                self._file, columns.schema, compression=COMPRESSION, store_schema=False
            )
        self._writer.write_table(columns, row_group_size=columns.num_rows)

    def finish(self, about: TableParts) -> None:
        """Write what the file says about its rows, and wait until all is on the disk.

        Parameters
        ----------
        about : TableParts
            Classes, metadata, ``ids_given``; its rows are not looked at.

        Raises
        ------
        OSError
            It cannot be written.
        """
        self._writer.add_key_value_metadata({SCHEMA_KEY: header_of(about)})
        self._writer.close()
        self._writer = None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> "ParquetTableWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; one that is not finished is no table."""
        try:
            if self._writer is not None:
                self._writer.close()
            self._file.close()
        except (OSError, pa.ArrowException):
            if error is None:
                raise
