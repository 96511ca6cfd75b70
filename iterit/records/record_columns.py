"""Rows checked one by one into columns: those that can be used, and those that are refused, with reasons."""

from collections.abc import Iterable, Mapping
from typing import Any

from debias.errors import ParameterError
from iterit.records.record_files import RawRow
from iterit.records.record_formats import RefusedRow, check_format, parse_row

_ROWS_AT_ONCE = 4096
_LONGEST_KEPT = 1_000_000


class RecordColumns:
    """Takes rows from files and keeps them compactly.

    Parameters
    ----------
    format : str
        See :func:`iterit.records.record_formats.parse_row`.
    limit : int, optional
        Most rows to keep.
    max_characters : int, optional
        Rows with more characters are refused.
    source_field : str, optional
        Field of a row that says where it comes from.
    """

    def __init__(
        self, format: str, limit: int | None, max_characters: int | None, source_field: str | None
    ) -> None:
        for name, number in (("limit", limit), ("max_characters", max_characters)):
            if number is not None and (not isinstance(number, int) or number < 1):
                raise ParameterError(f"{name} is {number!r}; give a number from 1 on, or None")
        self.format = check_format(format)
        self.limit, self.max_characters, self.source_field = limit, max_characters, source_field
        self.kept = _Columns("text", "file", "line", "source")
        self.refused = _Columns("file", "line", "reason", "detail", "text")

    def take(self, file: str, rows: Iterable[RawRow], source: str) -> None:
        """Add the rows of a file, until there are enough."""
        for raw in rows:
            if self.limit is not None and len(self.kept) >= self.limit:
                return
            try:
                self._check(raw)
            except RefusedRow as refusal:
                text = raw.text[:_LONGEST_KEPT].encode(errors="replace").decode()
                self.refused.add(file, raw.line, refusal.reason, refusal.detail, text)
            else:
                self.kept.add(raw.text, file, raw.line, self._source(raw.value, source))

    def _check(self, raw: RawRow) -> None:
        """Refuse a row that cannot be used."""
        if raw.refused:
            raise RefusedRow(raw.refused)
        content = parse_row(raw.value, self.format)
        if self.max_characters is not None and content.n_characters > self.max_characters:
            raise RefusedRow("too long", f"{content.n_characters} characters")

    def _source(self, row: Mapping[str, Any], source: str) -> str:
        """Where a row comes from."""
        named = row.get(self.source_field) if self.source_field else None
        return source if named is None else str(named)


class _Columns:
    """Columns that grow, kept compactly."""

    def __init__(self, *names: str) -> None:
        import pyarrow as pa

        repeats = pa.dictionary(pa.int32(), pa.string())
        types = {"text": pa.large_string(), "detail": pa.string(), "line": pa.int64()}
        self.schema = pa.schema([(name, types.get(name, repeats)) for name in names])
        self.n_rows = 0
        self.waiting: list[tuple[Any, ...]] = []
        self.batches: list[Any] = []

    def __len__(self) -> int:
        return self.n_rows

    def add(self, *values: Any) -> None:
        """Add a row."""
        self.n_rows += 1
        self.waiting.append(values)
        if len(self.waiting) >= _ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        arrays = [
            pa.array(column, type=kind)
            for column, kind in zip(zip(*self.waiting, strict=True), self.schema.types, strict=True)
        ]
        self.batches.append(pa.record_batch(arrays, schema=self.schema))
        self.waiting = []

    def table(self) -> Any:
        """Return all rows as one table."""
        import pyarrow as pa

        if self.waiting:
            self._flush()
        return pa.Table.from_batches(self.batches, schema=self.schema).unify_dictionaries().combine_chunks()
