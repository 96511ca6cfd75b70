"""Holds instruction records: one immutable table of rows with their answers, and the refused rows.

Everything later refers to a record by its row in this table.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count, repeat
from typing import TYPE_CHECKING, cast, overload

from numpy.typing import ArrayLike

from debias.errors import ParameterError, RecordsError
from debias.inference.collection.answer_store import digest
from debias.rows.json_rows import row_of_value, to_json
from debias.rows.row_files import read_rows, readable
from iterit.records.chat_messages import Message
from iterit.records.record_columns import FIX_OF_ROWS, RecordColumns, UnreadFields, counts_told, taken
from iterit.records.record_files import Place, keeps_types, write_rows, write_typed
from iterit.records.record_formats import parse_row
from iterit.records.rows_in_memory import is_iterable, is_path, mappings_of
from iterit.row_numbers import row_numbers

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_BATCH_ROWS = 4096
_EXCERPT = 80
_NAMED = 10


@dataclass(frozen=True)
class Record:
    """One instruction with its answer, or a conversation with several.

    Parameters
    ----------
    row : int
        Its row in the table.
    messages : tuple of Message
    source : str
    instruction, input : str
        The two parts of the question of an Alpaca row; empty in other formats.
    tools : tuple of dict
        Tools that the assistant may call.
    """

    row: int
    messages: tuple[Message, ...]
    source: str = ""
    instruction: str = ""
    input: str = ""
    tools: tuple[dict[str, object], ...] = ()

    @property
    def digest(self) -> str:
        """A digest of all that is said: equal digests mean equal texts."""
        said: list[object] = [[[m.role, m.content] for m in self.messages], self.instruction, self.input]
        more = [[m.is_trained, m.tool_calls, m.others] for m in self.messages]
        if self.tools or any(one != [True, (), {}] for one in more):
            said += [self.tools, more]
        return digest(to_json(said)).hex()


class Records(Sequence[Record]):
    """An immutable table of instruction records; made by :func:`read_records` or :meth:`from_rows`.

    Attributes
    ----------
    responses : list of str
    digests : list of str
    sources : list of str
    refused : DataFrame
    refused_counts : dict
    unread_counts : dict

    Examples
    --------
    >>> records = Records.from_rows([
    ...     {"instruction": "Name a colour.", "input": "", "output": "Red."},
    ...     {"instruction": "Name a fish.", "input": "", "output": " "},
    ...     {"question": "1 + 1?", "answer": "2"},
    ... ])
    >>> len(records), records.responses, records.refused_counts
    (2, ['Red.', '2'], {'empty answer': 1})
    >>> records[1].messages[0].content, records.original(1)
    ('1 + 1?', {'question': '1 + 1?', 'answer': '2'})
    """

    def __init__(
        self, rows: "pa.Table", refused: "pa.Table", format: str, unread: UnreadFields | None = None
    ) -> None:
        self._rows, self._refused, self._format = rows, refused, format
        self._unread = unread or UnreadFields()

    @classmethod
    def _of(cls, columns: RecordColumns) -> "Records":
        return cls(columns.kept.table(), columns.refused.table(), columns.format, columns.unread)

    @classmethod
    def from_rows(
        cls,
        rows: "Iterable[Mapping[str, object]] | pd.DataFrame",
        *,
        format: str = "auto",
        source: str = "rows",
        max_characters: int | None = None,
    ) -> "Records":
        """Make records of rows in memory.

        Parameters
        ----------
        rows : iterable of mappings, DataFrame, Arrow table, or mapping of columns
            A missing value in a DataFrame becomes None.
        format : {"auto", "alpaca", "sharegpt", "messages", "qa"}, default="auto"
        source : str, default="rows"
            Source of these rows.
        max_characters : int, optional
            Rows with more characters are refused.
        """
        columns = RecordColumns(format, None, max_characters, None)
        columns.add_rows(source, map(row_of_value, count(1), mappings_of(rows)), source)
        return cls._of(columns)

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    @overload
    def __getitem__(self, row: int) -> Record: ...
    @overload
    def __getitem__(self, row: slice) -> "Records": ...
    def __getitem__(self, row: int | slice) -> "Record | Records":
        if isinstance(row, slice):
            return self.take(range(len(self))[row])
        place = range(len(self))[row]
        return self._record(place, self.original(place), self._rows["source"][place].as_py())

    def __iter__(self) -> Iterator[Record]:
        for row, (original, source) in enumerate(zip(self._originals(), self.sources, strict=True)):
            yield self._record(row, original, source)

    def __repr__(self) -> str:
        refused = sum(self.refused_counts.values())
        return f"<Records: {len(self)} rows{f', {refused} refused' if refused else ''}>"

    def _record(self, row: int, original: object, source: str) -> Record:
        content = parse_row(original, self._format)
        return Record(row, content.messages, source, content.instruction, content.input, content.tools)

    def _originals(self) -> Iterator[dict[str, object]]:
        """Yield all rows as they were read."""
        for batch in self._rows.select(["text"]).to_batches(_BATCH_ROWS):
            yield from map(json.loads, batch.column("text").to_pylist())

    @cached_property
    def responses(self) -> list[str]:
        """The answer of every record; several answers are joined by newlines."""
        return list(self.each_response())

    def each_response(self) -> Iterator[str]:
        """Yield the answers one after the other, for more records than fit into memory.

        Examples
        --------
        >>> list(Records.from_rows([{"question": "1 + 1?", "answer": "2"}]).each_response())
        ['2']
        """
        for batch in self._rows.select(["response"]).to_batches(_BATCH_ROWS):
            yield from batch.column("response").to_pylist()

    @cached_property
    def digests(self) -> list[str]:
        """A digest of every record: equal digests mean equal texts."""
        return [record.digest for record in self]

    @cached_property
    def sources(self) -> list[str]:
        """The source of every record: the name of its file, or the value of the source field."""
        return list(chain.from_iterable(map(_shared_strings, self._rows["source"].chunks)))

    @property
    def format(self) -> str:
        """The format that the rows were read in; "auto" where each row says its own."""
        return self._format

    @property
    def refused(self) -> "pd.DataFrame":
        """Rows that were refused: file, line, reason and the beginning of each."""
        frame = self._refused.select(["file", "line", "reason"]).to_pandas()
        frame["excerpt"] = [text[:_EXCERPT] for text in self._refused["text"].to_pylist()]
        return frame

    @property
    def refused_counts(self) -> dict[str, int]:
        """Number of refused rows by reason."""
        return dict(Counter(self._refused["reason"].to_pylist()).most_common())

    def ambiguity(self) -> str:
        """Say why row numbers of another tool may mean other rows; nothing where no row was refused."""
        if not (n_refused := sum(self.refused_counts.values())):
            return ""
        return (
            f"its row numbers may count the {len(self):,} usable records, or all"
            f" {len(self) + n_refused:,} rows of the files"
        )

    @property
    def unread_counts(self) -> dict[str, int]:
        """Number of records by each field that has a value and is not read."""
        return dict(self._unread.fields.most_common())

    def notes(self, where: str = "") -> list[str]:
        """Return what was excluded and what is not read, a sentence each, for people.

        Parameters
        ----------
        where : str, default=""
            Where the excluded rows are, such as "see refused.jsonl".

        Examples
        --------
        >>> rows = [{"question": "1 + 1?", "answer": "2", "id": 7}, {"question": "?", "answer": " "}]
        >>> Records.from_rows(rows).notes("see refused.jsonl")
        ['1 row was excluded: 1 empty answer; see refused.jsonl.',
         '1 row has fields that are not read: id.']
        """
        lines, counts, unread = [], self.refused_counts, self.unread_counts
        if counts:
            excluded = _rows(sum(counts.values()), "was", "were")
            lines.append(f"{excluded} excluded: {counts_told(counts)}")
            lines[0] += f"; {where}." if where else "."
        if unread:
            names = ", ".join(list(unread)[:_NAMED]) + (", ..." if len(unread) > _NAMED else "")
            lines.append(f"{_rows(self._unread.n_rows, 'has', 'have')} fields that are not read: {names}.")
        return lines

    def write_refused(self, path: str | os.PathLike[str], also: Mapping[int, str] | None = None) -> None:
        """Write the refused rows, complete, with file, line, reason and detail.

        Parameters
        ----------
        path : str or path-like
            Ends in .jsonl, .json (with or without .gz) or .parquet.
        also : mapping of int to str, optional
            Records that a template refuses, by row, with what it says.
        """
        rows = self._refused.to_pylist()
        for row, detail in sorted((also or {}).items()):
            record = {name: self._rows[name][row].as_py() for name in ("file", "line", "text")}
            rows.append({**record, "reason": "refused by the template", "detail": detail})
        write_rows(path, rows)

    def original(self, row: int) -> dict[str, object]:
        """Return a row as it was read."""
        return dict(json.loads(self._rows["text"][range(len(self))[row]].as_py()))

    def take(self, rows: ArrayLike) -> "Records":
        """Return some of the records, in the order given, as a table of their own without refused rows.

        Raises
        ------
        ParameterError
            There is no such row.
        """
        numbers = row_numbers(rows, len(self))
        return Records(taken(self._rows, numbers), self._refused.slice(0, 0), self._format)

    def write(self, path: str | os.PathLike[str], rows: ArrayLike | None = None) -> None:
        """Write records as they were read, all their fields included; tables into Parquet keep their types.

        Parameters
        ----------
        path : str or path-like
            Ends in .jsonl, .json (with or without .gz) or .parquet.
        rows : sequence of int, optional
            The records, in this order; all by default.

        Raises
        ------
        RecordsError
            The ending is unknown; or, for Parquet, the rows do not fit into one table, or the file that they
            come from has changed.
        """
        chosen = self if rows is None else self.take(rows)
        named = chosen._rows.select(["file", "line", "text"])
        files = map(Place, named["file"].unique().to_pylist(), count(), repeat(""))
        if keeps_types(path, files):
            write_typed(path, [Place(*row.values()) for row in named.to_pylist()])
        else:
            write_rows(path, chosen._originals())


def read_records(
    paths: Files,
    *,
    format: str = "auto",
    limit: int | None = None,
    max_characters: int | None = None,
    source_field: str | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Records:
    r"""Read instruction records from files of any size.

    Parameters
    ----------
    paths : str, path-like, or a sequence of them
        Files of any kind that :func:`debias.rows.row_files.read_rows` reads, folders of them,
        also those that ``save_to_disk`` made, or patterns with * or ?.
    format : {"auto", "alpaca", "sharegpt", "messages", "qa"}, default="auto"
        Format of the rows; "auto" infers it from the fields of each row.
    limit : int, optional
        Stop after this many records.
    max_characters : int, optional
        Rows whose messages have more characters together are refused.
    source_field : str, optional
        Field of a row with its source; by default the name of its file.
    folder : str or path-like, optional
        Holds rows that do not fit into memory, in a file without a name that vanishes with the process.

    Returns
    -------
    Records
        Unusable rows are in ``refused``, and counted in ``refused_counts``.

    Raises
    ------
    RecordsError
        A file cannot be read, or no row of any file is usable.
    ParameterError
        A parameter is not allowed.
    StorageError
        The folder cannot be written, or its disk is full.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "two.jsonl"
    ...     _ = path.write_text('{"question": "1 + 1?", "answer": "2"}\nnonsense\n')
    ...     records = read_records(path)
    >>> records
    <Records: 1 rows, 1 refused>
    >>> records.refused[["line", "reason", "excerpt"]].to_dict("records")
    [{'line': 2, 'reason': 'not JSON', 'excerpt': 'nonsense'}]
    """
    records = read_all(paths, RecordColumns(format, limit, max_characters, source_field, folder))
    check_usable(records, paths)
    return records


def read_all(paths: Files, columns: RecordColumns) -> Records:
    """Read records into empty columns, as :func:`read_records` does, also where no row is usable."""
    given = [paths] if is_path(paths) else paths if is_iterable(paths) else []
    files = list(cast("Sequence[str | os.PathLike[str]]", given))
    if not files or not all(map(is_path, files)):
        raise ParameterError(parameter="paths", received=paths, allowed="one path or more")
    for file, source in readable(files):
        columns.add_rows(str(file), read_rows(file), source)
    columns.check_source_field()
    return Records._of(columns)


def check_usable(records: Records, paths: Files) -> None:
    """Raise RecordsError where no row of some files is usable."""
    if not len(records):
        files = [paths] if isinstance(paths, str | os.PathLike) else paths
        raise RecordsError(
            f"no row is usable: {counts_told(records.refused_counts) or 'there are none'}",
            received=records.refused_counts,
            file=", ".join(map(str, files)),
            fix=FIX_OF_ROWS,
        )


def _shared_strings(column: "pa.DictionaryArray") -> list[str]:
    """Return values that come again and again as one string each."""
    names = column.dictionary.to_pylist()
    return [names[number] for number in column.indices.to_pylist()]


def _rows(n: int, one: str, many: str) -> str:
    return f"1 row {one}" if n == 1 else f"{n:,} rows {many}"
