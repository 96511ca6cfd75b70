"""Checks rows one by one, and keeps them compactly in columns: usable ones, and refused ones with reasons."""

import mmap
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError, RecordsError, param
from debias.files.unnamed_file import storing, unnamed_file
from debias.rows.json_rows import RawRow, as_unicode
from debias.settings import check_choice, check_positive_integer
from iterit.records.record_formats import FORMATS, Content, parse_row
from iterit.records.row_fields import RefusedRow, missing

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 4096
_LONGEST_KEPT = 1_000_000
_MOST_SHAPELESS = 100_000
_SHAPELESS = ("not an object", "unknown fields", "not JSON", "not Unicode", "too large")

_TOLD = {
    "preference label": "preference label (true, false, 0 or 1; rename the field where it is a class)",
}
FIX_OF_ROWS = "rows need instruction and output, question and answer, or messages with roles"


@dataclass
class UnreadFields:
    """Fields with a value that are not read.

    Parameters
    ----------
    fields : Counter
        Number of records by field.
    n_rows : int
        Records with such a field.
    """

    fields: Counter[str] = field(default_factory=Counter)
    n_rows: int = 0


class RecordColumns:
    """Rows of files, kept compactly; see :func:`iterit.records.instruction_records.read_records`."""

    def __init__(
        self,
        format: str,
        limit: int | None,
        max_characters: int | None,
        source_field: str | None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        for name, number in (("limit", limit), ("max_characters", max_characters)):
            check_positive_integer(name, number, or_none=True)
        check_choice("format", format, FORMATS)
        self.format = format
        self.limit, self.max_characters, self.source_field = limit, max_characters, source_field
        self.has_source, self.fields = False, list[str]()
        self.kept = _Columns("text", "file", "line", "source", "response", folder=folder)
        self.refused = _Columns("file", "line", "reason", "detail", "text")
        self.unread = UnreadFields()

    def add_rows(self, file: str, rows: Iterable[RawRow], source: str) -> None:
        """Add the rows of a file, up to the limit.

        Raises
        ------
        RecordsError
            The first 100,000 rows have no shape of a record, not one of them: the file is something else.
        """
        shapeless: Counter[str] | None = Counter()
        for raw in rows:
            if self.limit is not None and len(self.kept) >= self.limit:
                return
            try:
                content = self._content(raw)
            except RefusedRow as refusal:
                text = as_unicode(raw.text[:_LONGEST_KEPT])
                self.refused.add(file, raw.line, refusal.reason, refusal.detail, text)
                shapeless = _counted(shapeless, refusal.reason, file)
            else:
                shapeless = None
                origin = self._source(raw.value, source)
                self.kept.add(raw.text, file, raw.line, origin, content.response)
                self.unread.fields.update(content.unread)
                self.unread.n_rows += bool(content.unread)

    def _content(self, raw: RawRow) -> Content:
        """Return the messages of a row, or raise RefusedRow."""
        if raw.refused:
            raise RefusedRow(raw.refused)
        content = parse_row(raw.value, self.format, self.source_field)
        if self.max_characters is not None and content.n_characters > self.max_characters:
            raise RefusedRow("too long", f"{content.n_characters} characters")
        return content

    def _source(self, row: object, source: str) -> str:
        """Return the source of a row."""
        if self.source_field is None or not isinstance(row, Mapping):
            return source
        plain = self.source_field.strip().lower()
        same = [name for name in row if name == self.source_field]
        same += [name for name in row if str(name).strip().lower() == plain]
        named = next((row[name] for name in same if not missing(row[name])), None)
        self.has_source = self.has_source or named is not None
        self.fields = self.fields or list(map(str, row))
        return source if named is None else as_unicode(str(named))

    def check_source_field(self) -> None:
        """Raise ParameterError where no record has a value in the field of its source."""
        if self.source_field is not None and len(self.kept) and not self.has_source:
            raise ParameterError(
                f"no record has a value in the field {self.source_field!r}",
                parameter="source_field",
                received=self.source_field,
                fix=f"name a field such as {', '.join(map(repr, self.fields[:10]))}, or omit"
                f" {param('source_field')}",
            )


def _counted(shapeless: "Counter[str] | None", reason: str, file: str) -> "Counter[str] | None":
    """Count rows that are nothing like a record, until one is; refuse a file that begins with too many."""
    if shapeless is None or reason not in _SHAPELESS:
        return None
    shapeless[reason] += 1
    if shapeless.total() >= _MOST_SHAPELESS:
        raise RecordsError(
            f"none of the first {_MOST_SHAPELESS:,} rows looks like a record: {counts_told(shapeless)}",
            file=file,
            received=dict(shapeless),
            fix=FIX_OF_ROWS,
        )
    return shapeless


def counts_told(counts: Mapping[str, int]) -> str:
    """Return how many rows were refused for which reasons.

    Examples
    --------
    >>> counts_told({"no answer": 1200, "not JSON": 1})
    '1,200 no answer, 1 not JSON'
    """
    return ", ".join(f"{n:,} {_TOLD.get(reason, reason)}" for reason, n in counts.items())


class _Columns:
    """Columns that grow, kept compactly: in memory, or in a file without a name in a folder."""

    def __init__(self, *names: str, folder: str | os.PathLike[str] | None = None) -> None:
        import pyarrow as pa

        repeats = pa.dictionary(pa.int32(), pa.string())
        types = {
            "text": pa.large_string(),
            "response": pa.large_string(),
            "detail": pa.string(),
            "line": pa.int64(),
        }
        self.schema = pa.schema([(name, types.get(name, repeats)) for name in names])
        self.n_rows = 0
        self.waiting: list[tuple[object, ...]] = []
        self.batches: list[pa.RecordBatch] = []
        self.folder = folder
        self.file = None if folder is None else unnamed_file(folder)
        self.writer = None if self.file is None else pa.ipc.new_stream(self.file, self.schema)

    def __len__(self) -> int:
        return self.n_rows

    def add(self, *values: object) -> None:
        """Add a row."""
        self.n_rows += 1
        self.waiting.append(values)
        if len(self.waiting) >= _BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        arrays = [
            pa.array(column, type=kind)
            for column, kind in zip(zip(*self.waiting, strict=True), self.schema.types, strict=True)
        ]
        batch = pa.record_batch(arrays, schema=self.schema)
        self.waiting = []
        if self.writer is None or self.folder is None:
            self.batches.append(batch)
            return
        with storing(self.folder):
            self.writer.write_batch(batch)

    def table(self) -> "pa.Table":
        """Return all rows as one table."""
        import pyarrow as pa

        if self.waiting:
            self._flush()
        if self.file is None or self.writer is None or self.folder is None:
            return (
                pa.Table.from_batches(self.batches, schema=self.schema).unify_dictionaries().combine_chunks()
            )
        with storing(self.folder), self.file:
            self.writer.close()
            self.file.flush()
            mapped = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
        return pa.ipc.open_stream(pa.py_buffer(mapped)).read_all().unify_dictionaries()


def taken(table: "pa.Table", rows: npt.NDArray[np.int64]) -> "pa.Table":
    """Return some rows of a table in the order given, and copy no others.

    Parameters
    ----------
    table : Table
        In one piece or in many, as a file has it.
    rows : ndarray of int64

    Returns
    -------
    Table
        In one piece.

    Examples
    --------
    >>> import numpy as np, pyarrow as pa
    >>> pieces = pa.concat_tables([pa.table({"n": [0, 1]}), pa.table({"n": [2, 3]})])
    >>> taken(pieces, np.array([3, 0, 3]))["n"].to_pylist()
    [3, 0, 3]
    """
    import pyarrow as pa

    order = np.argsort(rows, kind="stable")
    ascending, found, first = rows[order], [table.schema.empty_table()], 0
    for batch in table.to_batches():
        low, high = np.searchsorted(ascending, [first, first + len(batch)])
        if low < high:
            found.append(pa.Table.from_batches([batch.take(pa.array(ascending[low:high] - first))]))
        first += len(batch)
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return pa.concat_tables(found).unify_dictionaries().combine_chunks().take(pa.array(places))
