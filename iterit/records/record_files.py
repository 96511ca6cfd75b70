"""Reads rows from files one by one: JSON Lines, JSON lists and Parquet, gzipped or not; and writes them.

Rows are passed on as JSON texts: a line of JSON Lines does not change.
"""

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from debias.atomic_file import atomic_path
from debias.errors import MissingDependencyError, RecordsError, shortened

_LINES = (".jsonl", ".ndjson")
_ENDINGS = (*_LINES, ".json", ".parquet")
_BATCH_ROWS = 1024


class RawRow(NamedTuple):
    """A row as it was found.

    Attributes
    ----------
    line : int
        Number of the line, or of the row in a list or table; the first is 1.
    text : str
        The row as JSON, or the unreadable text.
    value : object
        The parsed row; None where it is refused.
    refused : str
        Why it cannot be read; empty where it can.
    """

    line: int
    text: str
    value: object
    refused: str = ""


def read_rows(path: str | os.PathLike[str]) -> Iterator[RawRow]:
    """Read the rows of a file, without holding the file in memory.

    Parameters
    ----------
    path : str or path-like
        Ends in .jsonl, .ndjson or .json, followed by .gz if it is gzipped, or in .parquet. A .json file
        holds a list of objects, or one object per line.

    Raises
    ------
    RecordsError
        There is no such file, its ending is unknown, or it is incomplete.
    """
    file = Path(path)
    ending = _ending(file)
    if not file.is_file():
        raise RecordsError("the file does not exist", file=file)
    try:
        if ending == ".parquet":
            yield from _read_parquet(file)
        else:
            with _open(file) as stream:
                is_list = ending == ".json" and _begins_a_list(stream)
                yield from (_read_list if is_list else _read_lines)(stream)
    except (OSError, EOFError, zlib.error) as error:
        raise _incomplete(file, f"the file cannot be read to its end: {error}") from error


def _incomplete(file: Path, problem: str) -> RecordsError:
    return RecordsError(problem, file=file, fix="get the file again")


def _ending(file: Path) -> str:
    """Return the ending of a file, without .gz."""
    endings = [ending.lower() for ending in file.suffixes]
    ending = (endings[-2:-1] or [""])[0] if endings[-1:] == [".gz"] else (endings or [""])[-1]
    if ending not in _ENDINGS or (ending == ".parquet" and endings[-1] == ".gz"):
        allowed = f"one of {', '.join(_ENDINGS)} (all but the last also .gz)"
        raise RecordsError(
            parameter="the file name's ending", received=file.suffix, allowed=allowed, file=file
        )
    return ending


def _open(file: Path) -> BinaryIO:
    """Open a file, unpacking it if it is gzipped."""
    return cast(BinaryIO, gzip.open(file, "rb")) if file.suffix.lower() == ".gz" else file.open("rb")


def _begins_a_list(stream: BinaryIO) -> bool:
    """Tell whether the first character of a file opens a list, and rewind it."""
    first = b" "
    while first and (first.isspace() or first in b"\xef\xbb\xbf"):
        first = stream.read(1)
    stream.seek(0)
    return first == b"["


def _read_lines(stream: BinaryIO) -> Iterator[RawRow]:
    """Yield one object per line; empty lines are skipped."""
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
        problem = "reading a JSON list needs ijson, which is not installed"
        raise MissingDependencyError(problem, received="ijson", fix="run: pip install ijson") from error

    if stream.read(3) != b"\xef\xbb\xbf":
        stream.seek(0)
    number = 0
    try:
        for number, value in enumerate(ijson.items(stream, "item", use_float=True), 1):
            yield RawRow(number, to_json(value), value)
    except (ijson.JSONError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise RecordsError(
            f"the JSON list is not valid after {number} rows: {reason}",
            file=getattr(stream, "name", None),
            row=number,
            fix="repair it there, or write one object per line (.jsonl), where a bad line costs no other",
        ) from error


def _read_parquet(file: Path) -> Iterator[RawRow]:
    """Read the rows of a Parquet file, a batch at a time."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=_BATCH_ROWS):
                for value in batch.to_pylist():
                    number += 1
                    yield row_of(number, value)
    except pyarrow.ArrowException as error:
        raise _incomplete(file, f"the file cannot be read as Parquet: {error}") from error


def row_of(number: int, value: object) -> RawRow:
    """Return a row that is no text yet: as JSON has it."""
    try:
        text = to_json(value)
        return RawRow(number, text, json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        return RawRow(number, shortened(value), None, f"not JSON ({type(error).__name__})")


def to_json(value: object) -> str:
    """Return a row as a JSON text; values that JSON does not have (dates, bytes) become strings.

    Examples
    --------
    >>> to_json({"output": "Größe", "n": 1})
    '{"output": "Größe", "n": 1}'
    """
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair can only be kept escaped
        text = json.dumps(value, default=_plain)
    return text


def _plain(value: object) -> object:
    """Return a value of numpy or pandas as one of Python, anything else as a string."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value.tolist() if hasattr(value, "tolist") else str(value)


def write_rows(path: str | os.PathLike[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows to a file, completely or not at all.

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
        with temporary.open("wb") as plain, _packed(plain, file.suffix.lower() == ".gz") as stream:
            stream.writelines(piece.encode() for piece in _pieces(rows, ending))


def _packed(plain: BinaryIO, is_packed: bool) -> AbstractContextManager[BinaryIO | gzip.GzipFile]:
    """Gzip what is written, without name or time, so that equal rows make equal files."""
    return gzip.GzipFile("", "wb", fileobj=plain, mtime=0) if is_packed else nullcontext(plain)


def _pieces(rows: Iterable[Mapping[str, object]], ending: str) -> Iterator[str]:
    """Yield the texts that make the file."""
    if ending in _LINES:
        yield from (to_json(row) + "\n" for row in rows)
        return
    before = "[\n"
    for row in rows:
        yield before + to_json(row)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _write_parquet(temporary: Path, file: Path, rows: Sequence[dict[str, object]]) -> None:
    """Write rows as a table; a field that a row does not have is null there."""
    import pyarrow
    from pyarrow.parquet import write_table

    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    try:
        write_table(pyarrow.table(columns), temporary)
    except (pyarrow.ArrowException, TypeError) as error:
        problem = f"the rows do not fit into one table ({str(error).splitlines()[0]})"
        raise RecordsError(problem, file=file, fix="write .jsonl instead") from error
