"""Writes records to files as they were read: JSON Lines, JSON lists, Parquet with the types of its source."""

import gzip
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from debias.errors import RecordsError
from debias.files.atomic_file import atomic_path
from debias.rows.column_rows import read_batches
from debias.rows.json_rows import row_of_value, to_json
from debias.rows.row_files import COLUMNS, LINES, ending_of

if TYPE_CHECKING:
    import pyarrow as pa

_WRITTEN = (*LINES, ".json", ".parquet")


class Place(NamedTuple):
    """Where a record was read.

    Attributes
    ----------
    file : str
    line : int
        Its line, or its row in a table; the first is 1.
    text : str
        Its row as JSON.
    """

    file: str
    line: int
    text: str


def write_rows(path: str | os.PathLike[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows to a file, completely or not at all.

    Parameters
    ----------
    path : str or path-like
        Ends in .jsonl, .ndjson or .json, with or without .gz, or in .parquet.
    rows : iterable of mappings

    Raises
    ------
    RecordsError
        The ending is unknown, or the rows do not fit into one table (Parquet).
    """
    file = Path(path)
    ending = ending_of(file)
    if ending not in _WRITTEN or file.suffix.lower() == ".zst":
        allowed = f"one of {', '.join(_WRITTEN)} (all but the last also .gz)"
        raise RecordsError(
            parameter="the file name's ending", received=file.suffix, allowed=allowed, file=file
        )
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
    if ending in LINES:
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
    try:
        columns = {name: _column([row.get(name) for row in rows]) for name in names}
        write_table(pyarrow.table(columns), temporary)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise _no_table(file, error) from error


def _column(values: list[object]) -> "pa.Array":
    """Return values as a column; integers from 2**63 on need one without a sign."""
    import pyarrow

    try:
        return pyarrow.array(values)
    except OverflowError:
        return pyarrow.array(values, pyarrow.uint64())


def keeps_types(path: str | os.PathLike[str], places: Iterable[Place]) -> bool:
    """Tell whether records keep the types of their columns: from tables into a table."""
    files = {Path(place.file) for place in places}
    return ending_of(Path(path)) == ".parquet" and bool(files) and all(ending_of(f) in COLUMNS for f in files)


def write_typed(path: str | os.PathLike[str], places: Sequence[Place]) -> None:
    """Write records that come from tables with the types that their columns have there.

    Parameters
    ----------
    path : str or path-like
        Ends in .parquet.
    places : sequence of Place

    Raises
    ------
    RecordsError
        A file cannot be read again, or has changed; or the files have no types in common.
    """
    import pyarrow
    from pyarrow.parquet import write_table

    file, numbers = Path(path), dict[tuple[str, int], int]()
    parts = []
    for source in dict.fromkeys(place.file for place in places):
        expected = {place.line: place.text for place in places if place.file == source}
        parts.append(_rows_again(Path(source), expected))
        numbers |= {(source, line): len(numbers) + n for n, line in enumerate(sorted(expected))}
    order = [numbers[place.file, place.line] for place in places]
    try:
        whole = pyarrow.concat_tables(parts, promote_options="permissive").take(order)
        with atomic_path(file) as temporary:
            write_table(whole, temporary)
    except (pyarrow.ArrowException, TypeError) as error:
        raise _no_table(file, error) from error


def _rows_again(file: Path, expected: Mapping[int, str]) -> "pa.Table":
    """Read some rows of a table again, with their types, in the order of their lines."""
    import pyarrow

    found, first, n_found = [], 1, 0
    try:
        for batch in read_batches(file):
            lines = [line for line in range(first, first + len(batch)) if line in expected]
            own = batch.take(pyarrow.array([line - first for line in lines], pyarrow.int64()))
            texts = [row_of_value(0, row).text for row in own.to_pylist()]
            n_found += sum(text == expected[line] for text, line in zip(texts, lines, strict=True))
            found.append(own)
            first += len(batch)
    except (OSError, ValueError, OverflowError) as error:
        raise _changed(file) from error
    if n_found != len(expected):
        raise _changed(file)
    return pyarrow.Table.from_batches(found)


def _changed(file: Path) -> RecordsError:
    problem = "the file is not the one that was read, so its types are not known"
    return RecordsError(problem, file=file, fix="read it again, or write .jsonl")


def _no_table(file: Path, error: Exception) -> RecordsError:
    problem = f"the rows do not fit into one table ({str(error).splitlines()[0][:200]})"
    return RecordsError(problem, file=file, fix="write .jsonl instead")
