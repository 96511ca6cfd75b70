"""Rows out of files, one after another: JSON Lines, JSON lists and Parquet, gzipped or not; and back.

Rows travel as JSON texts: a line of JSON Lines stays as it is.
"""

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from debias.atomic_file import atomic_path
from debias.errors import MissingDependencyError, RecordsError

_LINES = (".jsonl", ".ndjson")
_ENDINGS = (*_LINES, ".json", ".parquet")
_ROWS_AT_ONCE = 1024


class RawRow(NamedTuple):
    """A row as it was found.

    Attributes
    ----------
    line : int
        Number of the line, or of the row in a list or table, from 1 on.
    text : str
        The row as JSON, or what stands there instead.
    value : object
        What the text says; None where it is refused.
    refused : str
        Why it cannot be read; empty where it can.
    """

    line: int
    text: str
    value: Any
    refused: str = ""


def read_rows(path: str | os.PathLike[str]) -> Iterator[RawRow]:
    """Read the rows of a file, without holding the file in memory.

    Parameters
    ----------
    path : str or path-like
        Ends in .jsonl, .ndjson or .json, each with .gz after it if it is gzipped, or in .parquet.
        A .json file holds a list of objects, or one object per line.

    Yields
    ------
    RawRow

    Raises
    ------
    RecordsError
        There is no such file, its ending is unknown, or it breaks off.
    """
    file = Path(path)
    ending = _ending(file)
    if not file.is_file():
        raise RecordsError(f"{str(path)!r} does not exist; check the path")
    try:
        if ending == ".parquet":
            yield from _read_parquet(file)
        else:
            with _open(file) as stream:
                is_list = ending == ".json" and _begins_a_list(stream)
                yield from (_read_list if is_list else _read_lines)(stream)
    except (OSError, EOFError, zlib.error) as error:
        raise RecordsError(f"{str(path)!r} cannot be read to its end: {error}; get the file again") from error


def _ending(file: Path) -> str:
    """Return the ending of a file, without .gz."""
    endings = [ending.lower() for ending in file.suffixes]
    ending = (endings[-2:-1] or [""])[0] if endings[-1:] == [".gz"] else (endings or [""])[-1]
    if ending not in _ENDINGS or (ending == ".parquet" and endings[-1] == ".gz"):
        allowed = ", ".join(_ENDINGS)
        raise RecordsError(
            f"{str(file)!r} ends in {file.suffix!r}; allowed are {allowed} (all but the last also .gz)"
        )
    return ending


def _open(file: Path) -> BinaryIO:
    """Open a file, unpacking it if it is gzipped."""
    return cast(BinaryIO, gzip.open(file, "rb")) if file.suffix.lower() == ".gz" else file.open("rb")


def _begins_a_list(stream: BinaryIO) -> bool:
    """Whether the first sign in a file opens a list; the stream is where it was afterwards."""
    sign = b" "
    while sign and (sign.isspace() or sign in b"\xef\xbb\xbf"):
        sign = stream.read(1)
    stream.seek(0)
    return sign == b"["


def _read_lines(stream: BinaryIO) -> Iterator[RawRow]:
    """One object per line; empty lines are no rows."""
    for number, line in enumerate(stream, 1):
        encoding = "utf-8-sig" if number == 1 else "utf-8"
        try:
            text = line.decode(encoding).strip()
        except UnicodeDecodeError:
            yield RawRow(number, line.decode(errors="replace").strip(), None, "not Unicode")
            continue
        if text:
            yield _parsed(number, text)


def _parsed(number: int, text: str) -> RawRow:
    """Read one JSON text."""
    try:
        return RawRow(number, text, json.loads(text))
    except (ValueError, RecursionError):
        return RawRow(number, text, None, "not JSON")


def _read_list(stream: BinaryIO) -> Iterator[RawRow]:
    """Read the objects of a JSON list."""
    try:
        import ijson
    except ImportError as error:
        raise MissingDependencyError("reading a JSON list needs ijson; run: pip install ijson") from error

    if stream.read(3) != b"\xef\xbb\xbf":
        stream.seek(0)
    number = 0
    try:
        for number, value in enumerate(ijson.items(stream, "item", use_float=True), 1):
            yield RawRow(number, to_json(value), value)
    except (ijson.JSONError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise RecordsError(
            f"{getattr(stream, 'name', 'the file')!r} is no whole JSON list: after {number} rows, {reason};"
            " mend it there, or write one object per line (.jsonl), where a bad line loses nothing else"
        ) from error


def _read_parquet(file: Path) -> Iterator[RawRow]:
    """Read the rows of a Parquet file, a batch at a time."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE):
                for value in batch.to_pylist():
                    number += 1
                    yield RawRow(number, to_json(value), value)
    except pyarrow.ArrowException as error:
        raise RecordsError(f"{str(file)!r} cannot be read as Parquet: {error}; get the file again") from error


def to_json(value: Any) -> str:
    """Return a row as a JSON text; what JSON has no form for (dates, bytes) becomes a string.

    Examples
    --------
    >>> to_json({"output": "Größe", "n": 1})
    '{"output": "Größe", "n": 1}'
    """
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: only escaped can it be kept
        text = json.dumps(value, default=_plain)
    return text


def _plain(value: Any) -> Any:
    """Return a value of numpy or pandas as an ordinary one, anything else as a string."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def write_rows(path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows to a file, whole or not at all.

    Parameters
    ----------
    path : str or path-like
        With an ending that :func:`read_rows` knows.
    rows : iterable of mappings

    Raises
    ------
    RecordsError
        The ending is unknown, or the rows do not fit into one table (Parquet).
    """
    file = Path(path)
    ending = _ending(file)
    with atomic_path(file) as temporary:
        if ending == ".parquet":
            _write_parquet(temporary, file, [dict(row) for row in rows])
            return
        with temporary.open("wb") as plain, _packing(plain, file.suffix.lower() == ".gz") as stream:
            for piece in _pieces(rows, ending):
                stream.write(piece.encode())


def _packing(plain: BinaryIO, is_packed: bool) -> AbstractContextManager[Any]:
    """Gzip what is written, without name or time, so that equal rows make equal files."""
    return gzip.GzipFile("", "wb", fileobj=plain, mtime=0) if is_packed else nullcontext(plain)


def _pieces(rows: Iterable[Mapping[str, Any]], ending: str) -> Iterator[str]:
    """Texts that make the file."""
    if ending in _LINES:
        yield from (to_json(row) + "\n" for row in rows)
        return
    before = "[\n"
    for row in rows:
        yield before + to_json(row)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _write_parquet(temporary: Path, file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as a table; a field that a row has not is null there."""
    import pyarrow
    from pyarrow.parquet import write_table

    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    try:
        write_table(pyarrow.table(columns), temporary)
    except (pyarrow.ArrowException, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise RecordsError(
            f"{str(file)!r}: the rows do not fit into one table ({reason}); write .jsonl instead"
        ) from error
