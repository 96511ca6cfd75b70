"""The file of a shard: its rows with the answers as the engine gave them, and what one run would note.

Parquet, with digests of its answers and of what it says. It is no probability table: only all shards
together are one.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from debias.errors import TableError
from debias.inference.collection.collected_rows import TextRow
from debias.inference.collection.prompts import Prompted
from debias.inference.collection.questions import Answered
from debias.inference.collection.shards.shard import Shard
from debias.rows.bounded_json import parse_json
from debias.tables.formats.arrow_files import DAMAGE, damaged
from debias.tables.formats.parquet_table import COMPRESSION, SHARD_KEY

VERSION = 1
ROWS_AT_ONCE = 1024
_KINDS: dict[str, type] = {
    "version": int,
    "shard": list,
    "classes": list,
    "plan": dict,
    "decides": dict,
    "known": dict,
    "low_mass": float,
    "data": dict,
    "engine": dict,
    "rows": int,
    "answers": str,
}


class NumberedRow(NamedTuple):
    """A row of a shard with its number in the whole run, and its answer."""

    number: int
    prompted: Prompted
    logprobs: Any
    is_bound: Any


def _schema() -> Any:
    """Return the columns of a shard, as Parquet has them."""
    return pa.schema(
        {
            "row": pa.int64(),
            "id": pa.string(),
            "label": pa.string(),
            "text": pa.string(),
            "shortened": pa.bool_(),
            "logprobs": pa.list_(pa.field("element", pa.float64())),
            "is_bound": pa.list_(pa.field("element", pa.bool_())),
        }
    )


class _AnswersDigest:
    """A digest of answers, with the numbers of their rows: the texts have one in the header."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, rows: Iterable[NumberedRow]) -> None:
        for one in rows:
            self._digest.update(struct.pack("<q?", one.number, one.prompted.shortened))
            self._digest.update(np.ascontiguousarray(one.logprobs, "<f8").tobytes())
            self._digest.update(np.ascontiguousarray(one.is_bound, "?").tobytes())

    @property
    def text(self) -> str:
        return self._digest.hexdigest()


def _digest_of(header: Mapping[str, object]) -> str:
    """Return a digest of what a shard says about itself."""
    said = {name: value for name, value in header.items() if name != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


class ShardWriter:
    """Write the rows of a shard, then what it says about them; the same rows give the same bytes.

    Parameters
    ----------
    path : Path
        No shard before :meth:`finish`.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._schema = _schema()
        self._writer: Any = pq.ParquetWriter(
            self._file,
            self._schema,
            compression=COMPRESSION,
            store_schema=False,
        )
        self._answers = _AnswersDigest()
        self._waiting: list[NumberedRow] = []
        self.n_rows = 0

    def write(self, numbers: Sequence[int], answered: Answered) -> None:
        """Write rows with their answers.

        Parameters
        ----------
        numbers : sequence of int, length n
            Of the rows in the whole run, ascending.
        answered : Answered
            Of n rows.

        Raises
        ------
        OSError
            They cannot be written.
        """
        rows = [*map(NumberedRow, numbers, answered.rows, answered.logprobs, answered.is_bound)]
        self._answers.add(rows)
        self._waiting += rows
        self.n_rows += len(numbers)
        while len(self._waiting) >= ROWS_AT_ONCE:
            self._write_some(self._waiting[:ROWS_AT_ONCE])
            self._waiting = self._waiting[ROWS_AT_ONCE:]

    def _write_some(self, rows: list[NumberedRow]) -> None:
        texts = [one.prompted.row for one in rows]
        columns = [
            [one.number for one in rows],
            [one.id for one in texts],
            [one.label for one in texts],
            [one.text for one in texts],
            [one.prompted.shortened for one in rows],
            [one.logprobs for one in rows],
            [one.is_bound for one in rows],
        ]
        arrays = [pa.array(*pair) for pair in zip(columns, self._schema.types, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def finish(self, header: Mapping[str, object]) -> None:
        """Write what the shard says about itself, and wait until all is on the disk.

        Parameters
        ----------
        header : mapping
            JSON-able.

        Raises
        ------
        OSError
            It cannot be written.
        """
        if self._waiting:
            self._write_some(self._waiting)
        content = {**header, "version": VERSION, "rows": self.n_rows, "answers": self._answers.text}
        content["digest"] = _digest_of(content)
        self._writer.add_key_value_metadata({SHARD_KEY: json.dumps(content).encode()})
        self._writer.close()
        self._writer = None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; one that is not finished is no shard."""
        try:
            if self._writer is not None:
                self._writer.close()
            self._file.close()
        except (OSError, pa.ArrowException):
            if error is None:
                raise


def read_shard_header(path: Path) -> dict[str, Any]:
    """Read what a shard says about itself.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict

    Raises
    ------
    TableError
        The file is no shard, is damaged, or is of another version.
    """
    if not path.is_file():
        raise TableError("there is no such file", file=path)
    try:
        schema = pq.read_schema(path)
    except DAMAGE as error:
        raise damaged(path, error) from error
    raw = (schema.metadata or {}).get(SHARD_KEY)
    if raw is None:
        raise TableError(
            "the file is not a shard", file=path, fix="shards are written by debias collect --shard i/n"
        )
    try:
        header = dict(parse_json(raw))
        for name, kind in _KINDS.items():
            if not isinstance(header[name], kind):
                raise ValueError(f"{name} is {header[name]!r}")
        if header["version"] == VERSION and header["digest"] != _digest_of(header):
            raise ValueError("its digest is wrong")
        Shard.of(tuple(header["shard"]))
    except (ValueError, TypeError, KeyError) as error:
        raise TableError(f"the metadata of the shard are damaged ({error})", file=path) from error
    if header["version"] != VERSION:
        raise TableError(
            f"written in version {header['version']!r} of the format, but this package reads version "
            f"{VERSION}",
            file=path,
            fix="upgrade debias-iterit",
        )
    if not schema.equals(_schema()):
        raise TableError("the columns are not those of a shard", received=schema.names, file=path)
    return header


def read_shard_rows(path: Path, header: Mapping[str, Any]) -> Iterator[NumberedRow]:
    """Yield the rows of a shard in their order.

    Parameters
    ----------
    path : Path
    header : mapping
        Of :func:`read_shard_header`.

    Yields
    ------
    NumberedRow

    Raises
    ------
    TableError
        The file is damaged, which may be noticed after its last row.
    """
    n_classes, answers = len(header["classes"]), _AnswersDigest()
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                batch.validate(full=True)
                names = ("row", "id", "text", "label", "shortened")
                plain = [batch.column(name).to_pylist() for name in names]
                arrays = [_values(batch.column(name), n_classes) for name in ("logprobs", "is_bound")]
                for number, id_, text, label, shortened, *answer in zip(*plain, *arrays, strict=True):
                    row = Prompted(TextRow(id_, text, label), "", shortened)
                    numbered = NumberedRow(number, row, *answer)
                    answers.add([numbered])
                    yield numbered
        if answers.text != header["answers"]:
            raise ValueError("the digest of its answers is wrong")
    except (*DAMAGE, struct.error) as error:
        raise damaged(path, error) from error


def _values(column: Any, n_classes: int) -> Any:
    """Return a column of lists, all of one length, as an array with a row for each."""
    values = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
    if column.null_count or len(values) != len(column) * n_classes:
        raise ValueError(f"a row has no answer for each of {n_classes} classes")
    return values.reshape(len(column), n_classes)


def answered_rows(rows: Sequence[NumberedRow], facts: str) -> Answered:
    """Return rows of shards as a run has them.

    Parameters
    ----------
    rows : sequence of NumberedRow, length n
    facts : str
        How the first answer was computed, as JSON.

    Returns
    -------
    Answered
    """
    return Answered(
        [one.prompted for one in rows],
        np.stack([one.logprobs for one in rows]),
        np.stack([one.is_bound for one in rows]),
        facts,
        0,
    )
