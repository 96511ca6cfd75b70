"""The project's own file format for probability tables: Parquet, with its metadata inside.

Columns id, label, text and label_mass where the table has them, and one column ``p_<class>`` per
class, so that no class name can collide. The rest is JSON in the schema, with a version and a
checksum per group of columns. Parquet files of others are read too: a column per class, by its name.
"""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from debias.errors import ParameterError, TableError, param, shortened
from debias.rows.bounded_json import parse_json
from debias.tables.checks import check_parts
from debias.tables.formats.arrow_files import DAMAGE, damaged, parts_of_others, read_arrow
from debias.tables.formats.checksums import ABOUT, Checksums
from debias.tables.formats.named_columns import ColumnChoice
from debias.tables.table_parts import TableParts

SCHEMA_VERSION = 1
SCHEMA_KEY = b"debias_probability_table"
SHARD_KEY = b"debias_shard"
"""What a part of a table has in place of :data:`SCHEMA_KEY`."""
CLASS_PREFIX = "p_"
COMPRESSION = "zstd"
_EXACT_SUM = 1e-9
_KEPT = {
    "schema_version": int,
    "classes": list,
    "metadata": dict,
    "source": (str, type(None)),
    "ids_given": bool,
}
_PER_ROW = {"id": "ids", "label": "labels", "text": "texts", "label_mass": "label_mass"}


def write_parquet(path: Path, parts: TableParts) -> None:
    """Write the project's own format; every float comes back bit by bit.

    Parameters
    ----------
    path : Path
        The file to write.
    parts : TableParts
        The contents.
    """
    checksums = Checksums()
    checksums.add(parts)
    table = as_columns(parts).replace_schema_metadata({SCHEMA_KEY: header_of(parts, checksums)})
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


def header_of(parts: TableParts, checksums: Checksums) -> bytes:
    """Return what the file keeps beside its rows, as JSON.

    Parameters
    ----------
    parts : TableParts
        The contents; rows are not looked at.
    checksums : Checksums
        Of all rows.

    Returns
    -------
    bytes
    """
    header: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "classes": list(parts.classes),
        "metadata": parts.metadata,
        "source": parts.source,
        "ids_given": parts.ids_given,
    }
    header["checksums"] = checksums.digests(header)
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
    except DAMAGE as error:
        raise damaged(path, error) from error
    header = header_in(path, schema)
    if header is None:
        raise TableError("a Parquet file, but no probability table of this project", file=path)
    return header


def read_parquet(
    path: Path,
    choice: ColumnChoice = ColumnChoice(),  # noqa: B008 (it does not change)
) -> TableParts:
    """Read the project's own format, or a Parquet file of others that has a column per class.

    Parameters
    ----------
    path : Path
        The file to read.
    choice : ColumnChoice
        Which columns hold what; the project's own files say so themselves.

    Returns
    -------
    TableParts
        The contents.

    Raises
    ------
    TableError
        The file is damaged, cut short, of a later version, or no probability table.
    ParameterError
        A column is named for a file of the project.
    """
    table = read_arrow(path)
    header = header_in(path, table.schema)
    if header is None:
        return parts_of_others(path, table, CLASS_PREFIX, choice)
    given = [name for name, value in vars(choice).items() if value is not None]
    if given:
        raise ParameterError(
            "the file itself states what its columns are",
            file=path,
            parameter=given[0],
            received=getattr(choice, given[0]),
            fix=f"omit {param(given[0])} for this file",
        )
    parts = own_parts(path, table, header)
    if "checksums" in header:  # files of earlier releases have none
        checksums = Checksums()
        checksums.add(parts)
        try:
            check_digests(path, header, checksums)
        except TableError:
            check_parts(parts)  # which names the row, where a value cannot be right
            raise
    elif header["metadata"].get("normalised") is True:
        _check_sums(path, parts)
    return parts


def own_parts(path: Path, table: pa.Table, header: dict[str, Any]) -> TableParts:
    """Return rows of a file of the project, not checked yet.

    Parameters
    ----------
    path : Path
        The file, for the errors.
    table : pyarrow.Table
        All rows, or some.
    header : dict
        What the file keeps beside its rows.

    Raises
    ------
    TableError
        A column is not there once, or is of another kind.
    """
    names = table.column_names
    columns = [CLASS_PREFIX + str(name) for name in header["classes"]]
    if len(columns) < 2 or not all(isinstance(name, str) for name in header["classes"]):
        raise TableError(
            parameter="classes", allowed="two or more names", received=header["classes"], file=path
        )
    for name in ["id", *columns]:
        if names.count(name) != 1:
            raise TableError(
                f"the column is there {names.count(name)} times; the file has {shortened(names)}",
                file=path,
                column=name,
            )
    values = {name: _values(path, table, name) for name in [*_PER_ROW, *columns] if name in names}
    return TableParts(
        probabilities=np.column_stack([values[name] for name in columns]),
        classes=header["classes"],
        metadata=header["metadata"],
        source=header["source"],
        ids_given=header["ids_given"],
        **{part: values.get(name) for name, part in _PER_ROW.items()},
    )


def check_digests(path: Path, header: dict[str, Any], checksums: Checksums) -> None:
    """Refuse rows whose checksums are not those that the file states; the error names what was damaged."""
    stated, found = header["checksums"], checksums.digests({key: header[key] for key in _KEPT})
    wrong = sorted(name for name in {*stated, *found} if stated.get(name) != found.get(name))
    if wrong:
        what = "the metadata" if wrong[0] == ABOUT else wrong[0]
        raise TableError(
            f"damaged after it was written: the checksum of {what} is wrong",
            file=path,
            fix="write it again, or restore a backup",
        )


def _check_sums(path: Path, parts: TableParts) -> None:
    """Refuse rows of a normalised table that do not sum to 1: all that tells damage without a checksum."""
    off = np.abs(parts.probabilities.sum(axis=1) - 1) > _EXACT_SUM
    if off.any():
        check_parts(parts)  # which names the column, where a value cannot be right
        row = int(np.argmax(off))
        raise TableError(
            "damaged after it was written: the rows were divided by their sums, and this one sums to"
            f" {float(parts.probabilities[row].sum())!r}",
            file=path,
            row=row,
            fix="write it again, or restore a backup",
        )


def _values(path: Path, table: pa.Table, name: str) -> Any:
    """Return a column as an array, which must be of the kind that the format has."""
    kind = table.schema.field(name).type
    numbers = name == "label_mass" or name.startswith(CLASS_PREFIX)
    strings = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (pa.types.is_floating(kind) if numbers else strings):
        wanted = "floating-point numbers" if numbers else "strings"
        raise TableError(
            f"the column holds {str(kind)[:200]}, not {wanted}", file=path, column=name, received=str(kind)
        )
    try:
        return table[name].to_numpy()
    except DAMAGE as error:
        raise damaged(path, error).at(column=name) from error


def header_in(path: Path, schema: pa.Schema) -> dict[str, Any] | None:
    """Return the JSON kept in the schema of a file, checked; None for a file of others."""
    kept = schema.metadata or {}
    raw = kept.get(SCHEMA_KEY)
    if raw is None:
        if SHARD_KEY in kept:
            raise TableError(
                "the file is one shard of a table, not a table", file=path, fix="merge all shards first"
            )
        if any(b'"schema_version"' in value or b'"ids_given"' in value for value in kept.values()):
            raise TableError("the description in the Parquet schema is damaged", file=path)
        return None
    try:
        header = parse_json(raw)
        version = header["schema_version"]
    except (ValueError, TypeError, KeyError) as error:
        raise TableError(f"the description in the Parquet schema is damaged ({error})", file=path) from error
    if version != SCHEMA_VERSION:
        raise TableError(
            f"written in version {shortened(version)} of the format, but this package reads version "
            f"{SCHEMA_VERSION}",
            file=path,
            fix="upgrade debias-iterit or write the table again",
        )
    for key, kind in {**_KEPT, "checksums": dict}.items():
        if key == "checksums" and key not in header:
            continue
        if not isinstance(header.get(key, ...), kind):  # type: ignore[arg-type]
            raise TableError(f"the description in the Parquet schema has a wrong or no {key!r}", file=path)
    unknown = sorted(header.keys() - _KEPT.keys() - {"checksums"})
    if unknown:
        raise TableError(
            f"the description in the Parquet schema has the unknown key {shortened(unknown[0])}", file=path
        )
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
        self._checksums = Checksums()

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
        self._checksums.add(block)

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
        self._writer.add_key_value_metadata({SCHEMA_KEY: header_of(about, self._checksums)})
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
