"""Instruction records: one immutable table of rows with their answers, and what was refused and why.

Everything later refers to a record by its row in this table.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from debias.errors import ParameterError, RecordsError
from debias.inference.collection.answer_store import digest
from iterit.records.record_columns import RecordColumns
from iterit.records.record_files import RawRow, read_rows, to_json, write_rows
from iterit.records.record_formats import Message, parse_row

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_ROWS_AT_ONCE = 4096
_EXCERPT = 80


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
        The two parts of an Alpaca row's question, as they are; empty in other formats.
    """

    row: int
    messages: tuple[Message, ...]
    source: str = ""
    instruction: str = ""
    input: str = ""


class Records(Sequence[Record]):
    """An immutable table of instruction records; made by :func:`read_records` or :meth:`from_rows`.

    Attributes
    ----------
    responses : list of str
    digests : list of str
    sources : list of str
    refused : DataFrame
    refused_counts : dict

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

    def __init__(self, rows: "pa.Table", refused: "pa.Table", format: str) -> None:
        self._rows, self._refused, self._format = rows, refused, format

    @classmethod
    def from_rows(
        cls,
        rows: "Iterable[Mapping[str, Any]] | pd.DataFrame",
        *,
        format: str = "auto",
        source: str = "rows",
        max_characters: int | None = None,
    ) -> "Records":
        """Make records of rows in memory.

        Parameters
        ----------
        rows : iterable of mappings, or DataFrame
            A missing value in a DataFrame is taken as none.
        format : {"auto", "alpaca", "sharegpt", "messages", "qa"}, default="auto"
        source : str, default="rows"
            What these rows are said to come from.
        max_characters : int, optional
            Rows with more characters are refused.

        Returns
        -------
        Records
        """
        columns = RecordColumns(format, None, max_characters, None)
        columns.take(
            source, (RawRow(n, to_json(row), row) for n, row in enumerate(_mappings(rows), 1)), source
        )
        return cls(columns.kept.table(), columns.refused.table(), columns.format)

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

    def _record(self, row: int, original: Any, source: str) -> Record:
        content = parse_row(original, self._format)
        return Record(row, content.messages, source, content.instruction, content.input)

    def _originals(self) -> Iterator[dict[str, Any]]:
        """All rows as they were read."""
        import json

        for batch in self._rows.select(["text"]).to_batches(_ROWS_AT_ONCE):
            yield from map(json.loads, batch.column("text").to_pylist())

    @cached_property
    def responses(self) -> list[str]:
        """Answer of every record; several answers are joined by a newline."""
        return [
            "\n".join(m.content for m in record.messages if m.role == "assistant" and m.content.strip())
            for record in self
        ]

    @cached_property
    def digests(self) -> list[str]:
        """Digest of what every record says: equal means that it says the same."""
        return [
            digest(
                to_json([[[m.role, m.content] for m in record.messages], record.instruction, record.input])
            ).hex()
            for record in self
        ]

    @cached_property
    def sources(self) -> list[str]:
        """Where every record comes from: its file's name, or what the source field says."""
        return list(self._rows["source"].to_pylist())

    @property
    def refused(self) -> "pd.DataFrame":
        """Rows that were refused: file, line, reason and the beginning of each."""
        frame = self._refused.select(["file", "line", "reason"]).to_pandas()
        frame["excerpt"] = [text[:_EXCERPT] for text in self._refused["text"].to_pylist()]
        return frame

    @property
    def refused_counts(self) -> dict[str, int]:
        """How many rows were refused for each reason."""
        return dict(Counter(self._refused["reason"].to_pylist()).most_common())

    def write_refused(self, path: str | os.PathLike[str]) -> None:
        """Write the refused rows, whole, with file, line, reason and detail.

        Parameters
        ----------
        path : str or path-like
            Ends in .jsonl, .json (with or without .gz) or .parquet.
        """
        write_rows(path, self._refused.to_pylist())

    def original(self, row: int) -> dict[str, Any]:
        """Return a row as it was read.

        Parameters
        ----------
        row : int

        Returns
        -------
        dict
        """
        import json

        return dict(json.loads(self._rows["text"][range(len(self))[row]].as_py()))

    def take(self, rows: ArrayLike) -> "Records":
        """Return some of the records, in the order given, as a table of their own.

        Parameters
        ----------
        rows : sequence of int

        Returns
        -------
        Records
            Its rows count from 0; it holds no refused rows.
        """
        return Records(self._rows.take(self._checked(rows)), self._refused.slice(0, 0), self._format)

    def write(self, path: str | os.PathLike[str], rows: ArrayLike | None = None) -> None:
        """Write records as they were read, all their fields included.

        Parameters
        ----------
        path : str or path-like
            Ends in .jsonl, .json (with or without .gz) or .parquet.
        rows : sequence of int, optional
            Which ones, in this order; all when left out.

        Raises
        ------
        RecordsError
            The ending is unknown, or the rows do not fit into one table (Parquet).
        """
        chosen = self if rows is None else self.take(rows)
        write_rows(path, chosen._originals())

    def _checked(self, rows: ArrayLike) -> NDArray[np.int64]:
        """Rows as an array, each of them in the table."""
        numbers = np.asarray(rows)
        if numbers.size == 0:
            return np.empty(0, np.int64)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise ParameterError(f"rows is {rows!r}; give a list of row numbers")
        if numbers.min() < 0 or numbers.max() >= len(self):
            raise ParameterError(
                f"rows go from {numbers.min()} to {numbers.max()}; allowed are 0 to {len(self) - 1}"
            )
        return numbers.astype(np.int64)


def read_records(
    paths: Files,
    *,
    format: str = "auto",
    limit: int | None = None,
    max_characters: int | None = None,
    source_field: str | None = None,
) -> Records:
    r"""Read instruction records from files of any size.

    Parameters
    ----------
    paths : str, path-like, or a sequence of them
        Files that end in .jsonl, .ndjson or .json (each also .gz) or in .parquet.
    format : {"auto", "alpaca", "sharegpt", "messages", "qa"}, default="auto"
        What rows look like; "auto" goes by the fields of each row.
    limit : int, optional
        Stop after this many records.
    max_characters : int, optional
        Rows whose messages have more characters together are refused.
    source_field : str, optional
        Field of a row that says where it comes from; its file's name when left out.

    Returns
    -------
    Records
        With the rows that cannot be used counted, under ``refused``.

    Raises
    ------
    RecordsError
        A file cannot be read, or no row of any file can be used.
    ParameterError
        A parameter is not allowed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "two.jsonl"
    ...     _ = path.write_text('{"question": "1 + 1?", "answer": "2"}\nnonsense\n')
    ...     records = read_records(path)
    >>> records
    <Records: 1 rows, 1 refused>
    >>> records.refused[["line", "reason", "excerpt"]].to_dict("records")
    [{'line': 2, 'reason': 'not JSON', 'excerpt': 'nonsense'}]
    """
    files = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not files:
        raise ParameterError("paths is empty; give at least one file")
    columns = RecordColumns(format, limit, max_characters, source_field)
    for file in files:
        columns.take(str(file), read_rows(file), Path(file).name)
    records = Records(columns.kept.table(), columns.refused.table(), columns.format)
    if not len(records):
        raise RecordsError(
            f"no row of {', '.join(map(str, files))} can be used ({records.refused_counts or 'no rows'});"
            " rows need instruction and output, question and answer, or messages with roles"
        )
    return records


def _mappings(rows: Any) -> Iterable[Any]:
    """Rows of any kind as mappings, with what is missing in a DataFrame as None."""
    if not hasattr(rows, "iterrows"):  # only a DataFrame has it
        return iter(rows)
    frame = rows.astype(object)
    return iter(frame.where(frame.notna(), None).to_dict("records"))
