"""Reads rows from tables: CSV and TSV as texts, Parquet, Arrow and Feather a batch at a time."""

import csv
import io
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count, repeat
from pathlib import Path
from typing import TYPE_CHECKING, cast

from debias.errors import RecordsError
from debias.rows.delimiters import likely_delimiter, named_delimiter
from debias.rows.json_rows import LONGEST_ROW, Open, RawRow, as_unicode, row_of_value, to_json

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 1024
_AFTER_QUOTE = "text after a closing quotation mark"
_QUOTED = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')


def read_delimited(open_file: Open, delimiter: str | None, file: object) -> Iterator[RawRow]:
    r"""Read the rows of a CSV file, all values as texts.

    Parameters
    ----------
    open_file : callable
        Opens the file as UTF-8 bytes, from its beginning.
    delimiter : str or None
        None: the one of a line ``sep=;``, or the one that cuts the header into most columns.
    file : path-like
        For errors.

    Raises
    ------
    RecordsError
        It has no header, a name twice, or a quotation mark that is not closed: where the rows after it
        begin is not known then. The error has the line where it opens.

    Examples
    --------
    >>> rows = read_delimited(lambda: io.BytesIO(b'text;label\nfine day;"good; or so"\n'), None, "a.csv")
    >>> [row.value for row in rows]
    [{'text': 'fine day', 'label': 'good; or so'}]
    """
    with open_file() as stream, _long_fields():
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        header, n_before = text.readline(LONGEST_ROW), 0
        while header and not header.strip():
            header, n_before = text.readline(LONGEST_ROW), n_before + 1
        named, is_named = named_delimiter(header)
        if is_named and delimiter is None:
            delimiter, header, n_before = named, text.readline(LONGEST_ROW), n_before + 1
        delimiter = delimiter or likely_delimiter(header)
        taken: list[str] = []
        lines = csv.reader(_with_first(header, text, taken), delimiter=delimiter, strict=True)
        names = None
        while True:
            number = n_before + lines.line_num + 1
            taken.clear()
            try:
                cells = next(lines, None)
            except csv.Error as error:
                if names is None or len(taken) > 1 or taken[0].count('"') % 2:
                    raise _not_cut(number, taken, delimiter, error).at(file=file) from error
                yield RawRow(number, as_unicode(taken[0].strip()), None, _AFTER_QUOTE)
                continue
            if names is None:
                names = cells or []
                if not names or repeated_name(names) is not None:
                    raise RecordsError("the first line must name each column once", received=names, file=file)
            elif cells is None:
                return
            elif cells:
                yield _row_of_cells(number, names, cells)


def _with_first(first: str, rest: Iterator[str], taken: list[str]) -> Iterator[str]:
    """Yield lines, and add each to a list of those of the row."""
    taken.append(first)
    yield first
    while line := cast(io.TextIOWrapper, rest).readline(LONGEST_ROW):
        taken.append(line)
        yield line


def _not_cut(number: int, lines: list[str], delimiter: str, error: csv.Error) -> RecordsError:
    """Return the error of a row that cannot be cut into cells, with the line where its open quote is."""
    text, place = "".join(lines), 0
    while 0 <= place < len(text):
        if text[place] == '"':
            quoted = _QUOTED.match(text, place)
            if quoted is None or text[quoted.end() : quoted.end() + 1] not in ("", "\r", "\n", delimiter):
                line = number + len(text[: place + 1].splitlines()) - 1
                problem = f"the cell that opens here has {_AFTER_QUOTE}"
                if quoted is None:
                    problem = "the quotation mark that opens here is not closed"
                return RecordsError(problem, line=line, fix='close it, and write a mark inside a cell as ""')
            place = quoted.end()
        place = text.find(delimiter, place) + 1 or -1
    return RecordsError(str(error), line=number)


def _row_of_cells(number: int, names: list[str], cells: list[str]) -> RawRow:
    """Return a row; one with more cells than names is refused."""
    if len(cells) > len(names):
        return RawRow(number, as_unicode(to_json(cells)), None, "more cells than columns")
    return row_of_value(number, dict(zip(names, cells, strict=False)))


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let a field be as long as a row may be; the limit belongs to the whole process."""
    before = csv.field_size_limit(LONGEST_ROW)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def read_batches(file: Path) -> "Iterator[pa.RecordBatch]":
    """Read a Parquet, Arrow or Feather file, a batch at a time, with its types.

    Raises
    ------
    RecordsError
        It is no such file, or damaged.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        if file.suffix.lower() == ".parquet":
            with ParquetFile(file) as table:
                _check_names(table.schema_arrow.names, file)
                yield from table.iter_batches(batch_size=_BATCH_ROWS)
            return
        with pa.memory_map(str(file)) as source:
            if source.read(4) == b"FEA1":
                fix = "write it again as version 2, as pandas does by default, or as Parquet"
                raise RecordsError("a Feather file of version 1, which cannot be read", file=file, fix=fix)
            source.seek(0)
            try:
                reader = pa.ipc.open_file(source)
                _check_names(reader.schema.names, file)
                batches = map(reader.get_batch, range(reader.num_record_batches))
            except pa.ArrowInvalid:
                source.seek(0)
                stream = pa.ipc.open_stream(source)
                _check_names(stream.schema.names, file)
                batches = iter(stream)
            for batch in batches:
                batch.validate(full=True)
                for start in range(0, len(batch), _BATCH_ROWS):
                    yield batch.slice(start, _BATCH_ROWS)
    except (pa.ArrowException, MemoryError, RecursionError, OverflowError) as error:
        problem = f"the file cannot be read as {file.suffix[1:]}: {str(error)[:200]}"
        raise RecordsError(problem, file=file, fix="get the file again") from error


def _check_names(names: list[str], file: Path) -> None:
    """Raise RecordsError where two columns have one name: a row could keep only one of them."""
    if (name := repeated_name(names)) is not None:
        fix = "rename one of them, or write the file without it"
        raise RecordsError("two columns have this name", received=name, column=name, file=file, fix=fix)


def repeated_name(names: Iterable[Hashable]) -> Hashable | None:
    """Return the first name that comes a second time, None where each is another.

    Examples
    --------
    >>> repeated_name(["text", "label", "text"]), repeated_name(["text", "label"])
    ('text', None)
    """
    return next((name for name, number in Counter(names).items() if number > 1), None)


def read_columns(file: Path) -> Iterator[RawRow]:
    """Read the rows of a Parquet, Arrow or Feather file.

    Raises
    ------
    RecordsError
        It is no such file, or damaged.
    """
    number = 0
    for batch in read_batches(file):
        try:
            rows = map(row_of_value, count(number + 1), batch.to_pylist())
        except (ValueError, OverflowError):  # a text that is no UTF-8, a date that no calendar has
            rows = map(_row_in, repeat(batch), range(len(batch)), count(number + 1))
        yield from rows
        number += len(batch)


def _row_in(batch: "pa.RecordBatch", place: int, number: int) -> RawRow:
    """Return one row of a batch, refused where it cannot be read."""
    try:
        return row_of_value(number, batch.slice(place, 1).to_pylist()[0])
    except UnicodeDecodeError:
        return RawRow(number, "", None, "not Unicode")
    except (ValueError, OverflowError):
        return RawRow(number, "", None, "not a value of Python")
