"""Probability tables as files: which format a file has, and the project's own Parquet format.

A Parquet file carries the columns id, label, text and label_mass where the table has them, one
column ``p_<class>`` per class, and its metadata as JSON in the schema.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from debias.errors import ParameterError, TableError
from debias.table_parts import TableParts

SCHEMA_VERSION = 1
SCHEMA_KEY = b"debias_probability_table"
CLASS_PREFIX = "p_"


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], None]) -> None:
    """Write a file so that its name never stands for half of it.

    Parameters
    ----------
    path : path-like
        Where the file shall be; an older file there is replaced.
    write : callable
        Gets the path of a temporary file in the same folder, and writes it.

    Raises
    ------
    TableError
        The folder does not exist or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> write_atomically(f"{folder}/a.txt", lambda path: path.write_text("whole") and None)
    >>> os.listdir(folder)
    ['a.txt']
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise TableError(f"{target}: the folder {str(target.parent)!r} does not exist; create it first.")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise TableError(f"{target}: cannot be written: {error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_parquet(path: Path, parts: TableParts) -> None:
    """Write the project's own format; every float comes back bit by bit.

    Parameters
    ----------
    path : Path
        The file to write.
    parts : TableParts
        The contents.
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
    header = {
        "schema_version": SCHEMA_VERSION,
        "classes": list(parts.classes),
        "metadata": parts.metadata,
        "source": parts.source,
        "ids_given": parts.ids_given,
    }
    table = pa.table(columns).replace_schema_metadata({SCHEMA_KEY: json.dumps(header).encode()})
    pq.write_table(table, path, compression="zstd")


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
        raise TableError(f"{path}: not a whole Parquet file ({error}); write it again.") from error
    header = _parquet_header(path, table)
    names = [CLASS_PREFIX + str(name) for name in header["classes"]]
    missing = [name for name in ["id", *names] if name not in table.column_names]
    if missing:
        raise TableError(f"{path}: column {missing[0]!r} is missing; it has {table.column_names}.")
    unexpected = [name for name in names if not pa.types.is_floating(table.schema.field(name).type)]
    if unexpected:
        raise TableError(f"{path}: column {unexpected[0]!r} holds no floating-point numbers.")
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


def _parquet_header(path: Path, table: pa.Table) -> dict[str, Any]:
    """Return the JSON kept in the schema, checked."""
    raw = (table.schema.metadata or {}).get(SCHEMA_KEY)
    if raw is None:
        raise TableError(
            f"{path}: a Parquet file, but no probability table of this project; "
            "load it with pandas and pass the class columns to ProbabilityTable(...)."
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
        raise TableError(f"{path}: the description in the Parquet schema is damaged ({error!r}).") from error
    if version != SCHEMA_VERSION:
        raise TableError(
            f"{path}: written in version {version!r} of the format, this package reads version "
            f"{SCHEMA_VERSION}; upgrade debias-iterit or write the table again."
        )
    for key, kind in expected.items():
        if not isinstance(header.get(key, ...), kind):
            raise TableError(f"{path}: the description in the Parquet schema has a wrong or no {key!r}.")
    return dict(header)


SUFFIXES = {".parquet": "parquet"}
READERS: dict[str, Callable[..., TableParts]] = {"parquet": read_parquet}
WRITERS: dict[str, Callable[..., None]] = {"parquet": write_parquet}


def read_parts(path: str | os.PathLike[str], format: str | None = None, **options: Any) -> TableParts:
    """Read the contents of a table from a file.

    Parameters
    ----------
    path : path-like
        The file.
    format : str, optional
        One of the formats of :data:`READERS`; inferred when None.
    **options
        Passed to the reader of the format.

    Returns
    -------
    TableParts
        The contents, not yet checked.

    Raises
    ------
    TableError
        The file is missing, empty, unreadable or of no known format.
    ParameterError
        The format is not known.
    """
    file = Path(path)
    if not file.is_file():
        raise TableError(f"{file}: there is no such file.")
    if file.stat().st_size == 0:
        raise TableError(f"{file}: the file is empty.")
    return READERS[_format(file, format, READERS)](file, **options)


def write_parts(
    path: str | os.PathLike[str], parts: TableParts, format: str | None = None, **options: Any
) -> None:
    """Write the contents of a table to a file, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file.
    parts : TableParts
        The contents.
    format : str, optional
        One of the formats of :data:`WRITERS`; inferred from the suffix when None.
    **options
        Passed to the writer of the format.

    Raises
    ------
    TableError
        The file cannot be written.
    ParameterError
        The format is not known.
    """
    writer = WRITERS[_format(Path(path), format, WRITERS)]
    write_atomically(path, lambda temporary: writer(temporary, parts, **options))


def _format(path: Path, format: str | None, known: dict[str, Any]) -> str:
    """Return the format asked for, or the one that the suffix names."""
    name = SUFFIXES.get(path.suffix.lower()) if format is None else format
    if name not in known:
        received = f"format={format!r}" if format is not None else f"the suffix {path.suffix!r}"
        raise ParameterError(f"{path}: {received} names no format; pass format= one of {sorted(known)}.")
    return str(name)
