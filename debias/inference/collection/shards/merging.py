"""Shards become one table: the file, byte by byte, that one run makes of the same rows."""

import heapq
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from debias.errors import ParameterError, TableError, shortened
from debias.files.atomic_file import atomic_path, flush_folder
from debias.inference.collection.answer_store import storage_errors
from debias.inference.collection.collection import CollectedFile
from debias.inference.collection.collection_facts import CollectionFacts
from debias.inference.collection.collection_run import checked_target
from debias.inference.collection.questions import Answered
from debias.inference.collection.shards.shard_checks import check_complete, check_same
from debias.inference.collection.shards.shard_files import (
    ROWS_AT_ONCE,
    NumberedRow,
    answered_rows,
    read_shard_header,
    read_shard_rows,
)
from debias.inference.collection.shards.table_blocks import about_table, table_blocks
from debias.tables.formats.parquet_table import ParquetTableWriter

_NAMED = 10


def merge(shards: Iterable[str | os.PathLike[str]], out: str | os.PathLike[str]) -> CollectedFile:
    """Merge the shards of a collection into its table.

    The file is the one, byte by byte, that a run without shards writes. Memory holds a few thousand rows.
    Versions of libraries are the only facts that shards may differ in: all of them are then recorded.

    Parameters
    ----------
    shards : iterable of path-like
        The files of all shards, in any order.
    out : path-like
        Parquet file for the table; an older one is replaced.

    Returns
    -------
    CollectedFile
        The path, the number of rows, and what the table says about itself.

    Raises
    ------
    TableError
        A shard is missing or there twice, a row is missing or there twice, a file is damaged, or shards
        were made with other settings, of other rows or by another model: each difference is named.
    ParameterError
        ``out`` is no .parquet file, or is one of the shards.
    StorageError
        The table cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from debias import Engine, Task, collect
    >>> class Even(Engine):
    ...     context_length, fingerprint = 100, {"model": "even"}
    ...
    ...     def continuation_logprobs(self, prompts, continuations):
    ...         return [np.log([0.4]) for _ in continuations]
    >>> task, texts = Task("mood", labels=["bad", "good"]), [f"text {number}" for number in range(9)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     parts = [Path(folder) / f"{index}.parquet" for index in (1, 2, 3)]
    ...     for index, part in enumerate(parts, 1):
    ...         table = collect(
    ...             Even(), task, texts, out=part, shard=(index, 3), chunk_size=2, progress=False
    ...         )
    ...     whole = collect(Even(), task, texts, out=Path(folder) / "whole.parquet", progress=False)
    ...     merged = merge(parts, Path(folder) / "merged.parquet")
    ...     merged.n_rows, merged.path.read_bytes() == (Path(folder) / "whole.parquet").read_bytes()
    (9, True)
    """
    target = checked_target(out)
    paths = [Path(one) for one in ([shards] if isinstance(shards, str | os.PathLike) else shards)]
    if not paths:
        raise ParameterError(parameter="shards", allowed="the files of all shards", received=paths)
    if any(path.resolve() == target.resolve() for path in paths):
        raise ParameterError(parameter="out", allowed="a different file from the shards", received=str(out))
    headers = {path: read_shard_header(path) for path in paths}
    check_complete(paths, [tuple(headers[path]["shard"]) for path in paths])
    check_same({path: _compared(header) for path, header in headers.items()})
    first = headers[paths[0]]
    facts = CollectionFacts(first["classes"], first["low_mass"])
    known = {**first["known"], "versions": _versions(headers.values())}
    with (
        storage_errors(target),
        atomic_path(target) as temporary,
        ParquetTableWriter(temporary) as writer,
    ):
        for block in table_blocks(_answers(headers), first["classes"], facts):
            writer.write(block)
        _check_rows(first["data"], facts, target)
        about = about_table(first["classes"], known, first["decides"], facts)
        writer.finish(about)
    flush_folder(target.parent)
    return CollectedFile(target, facts.n_rows, about.metadata)


def _compared(header: Mapping[str, Any]) -> dict[str, object]:
    """Return what all shards must have alike."""
    known = {name: value for name, value in header["known"].items() if name != "versions"}
    names = ("classes", "plan", "decides", "low_mass", "data")
    return {**{name: header[name] for name in names}, "metadata": known}


def _versions(headers: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return versions of libraries; where shards differ, all of them."""
    found: dict[str, list[str]] = {}
    for header in headers:
        for name, version in header["known"].get("versions", {}).items():
            found.setdefault(name, []).append(str(version))
    return {name: ", ".join(sorted(set(versions))) for name, versions in found.items()}


def _answers(headers: Mapping[Path, Mapping[str, Any]]) -> Iterator[Answered]:
    """Yield all rows in their order, with their answers."""
    facts: str | None = None
    source = _in_order(headers)
    while some := list(islice(source, ROWS_AT_ONCE)):
        if facts is None:
            facts = json.dumps(headers[some[0][0]]["engine"])
        yield answered_rows([row for _, row in some], facts)


def _in_order(headers: Mapping[Path, Mapping[str, Any]]) -> Iterator[tuple[Path, NumberedRow]]:
    """Yield the rows of all shards by their numbers, each of which must be there once."""

    def rows_of(path: Path) -> Iterator[tuple[Path, NumberedRow]]:
        return ((path, row) for row in read_shard_rows(path, headers[path]))

    expected, last = 0, Path()
    for path, row in heapq.merge(*map(rows_of, headers), key=lambda one: one[1].number):
        if row.number != expected:
            _refuse_row(expected, path, row, last)
        yield path, row
        expected, last = expected + 1, path


def _refuse_row(expected: int, path: Path, row: NumberedRow, last: Path) -> None:
    """Raise for a row that is missing, or there twice."""
    if row.number < expected:
        raise TableError(
            f"row {row.number} (id {row.prompted.row.id!r}) is also in {last}",
            file=path,
            row=row.number,
            received=row.number,
            fix="collect the shards again",
        )
    missing = list(range(expected, row.number))
    raise TableError(
        f"no shard has {_rows(missing)}",
        parameter="shards",
        row=expected,
        received=missing[:_NAMED],
        fix="collect the shards again",
    )


def _rows(numbers: Sequence[int]) -> str:
    """Name rows."""
    named = ", ".join(map(str, numbers[:_NAMED])) + (", ..." if len(numbers) > _NAMED else "")
    return f"row {named}" if len(numbers) == 1 else f"rows {named} ({len(numbers):,} in all)"


def _check_rows(data: Mapping[str, object], facts: CollectionFacts, target: Path) -> None:
    """Refuse rows that are not those that every shard read."""
    found = facts.data.settings()
    if facts.n_rows < int(str(data["rows"])):
        missing = list(range(facts.n_rows, int(str(data["rows"]))))
        raise TableError(
            f"no shard has {_rows(missing)}",
            parameter="shards",
            row=facts.n_rows,
            received=missing[:_NAMED],
            fix="collect the shards again",
        )
    wrong = [name for name in data if data[name] != found.get(name)]
    if wrong:
        raise TableError(
            f"the {wrong[0]} of the shards are not those that were read: {shortened(found[wrong[0]])}",
            parameter="shards",
            received=wrong,
            file=target,
            fix="collect the shards again",
        )
