"""One shard of a collection: a resumable run of its own, which asks what one run would ask together."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from debias.errors import ParameterError
from debias.inference.collection.answer_store import storage_errors
from debias.inference.collection.collected_rows import DataDigest
from debias.inference.collection.collection_facts import CollectionFacts, origin
from debias.inference.collection.collection_run import CollectionRun
from debias.inference.collection.prompts import Prompted
from debias.inference.collection.run_folder import RunFolder, noting_what_is_kept, refuse_other_settings
from debias.inference.collection.shards.dealing import deal
from debias.inference.collection.shards.shard import Shard
from debias.inference.collection.shards.shard_files import (
    ShardWriter,
    answered_rows,
    read_shard_header,
    read_shard_rows,
)
from debias.inference.collection.shards.table_blocks import table_blocks
from debias.tables.table import ProbabilityTable
from debias.tables.table_parts import PER_ROW, TableParts


@dataclass(frozen=True)
class CollectedShard:
    """A shard that was collected into a file.

    Attributes
    ----------
    path : Path
    shard : Shard
    n_rows : int
        Rows of this shard; there may be none.
    n_rows_of_all : int
        Rows of all shards.
    metadata : dict
        What the shard was made with.
    """

    path: Path
    shard: Shard
    n_rows: int
    n_rows_of_all: int
    metadata: dict[str, Any]

    @classmethod
    def of(cls, path: Path) -> "CollectedShard":
        """Return what a file says about itself.

        Raises
        ------
        TableError
            The file is no shard.
        """
        header = read_shard_header(path)
        made_with = {**header["decides"], "data": header["data"]}
        return cls(
            path,
            Shard.of(tuple(header["shard"])),
            header["rows"],
            header["data"]["rows"],
            {**header["known"], "collection": made_with},
        )

    def read(self) -> ProbabilityTable:
        """Read the rows of this shard as a table, for a look at them; a shard may have no row.

        Returns
        -------
        ProbabilityTable
        """
        header = read_shard_header(self.path)
        classes = header["classes"]
        rows = list(read_shard_rows(self.path, header))
        if not rows:
            empty: dict[str, Any] = {name: np.empty(0, dtype=object) for name in ("ids", "texts")}
            nothing = TableParts(np.empty((0, len(classes))), classes, metadata=self.metadata, **empty)
            return ProbabilityTable.of_checked(nothing)
        facts = CollectionFacts(classes, header["low_mass"])
        blocks = list(table_blocks([answered_rows(rows, "{}")], classes, facts))
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(one, name) for one in blocks])
            for name in PER_ROW
            if getattr(blocks[0], name) is not None
        }
        about = {**self.metadata, "normalised": True}
        return ProbabilityTable.of_checked(
            TableParts(classes=tuple(classes), metadata=about, ids_given=True, **columns)
        )


def collect_shard(
    run: CollectionRun, shard: Shard, rows: Iterable[Prompted], n_rows: int | None, target: Path
) -> CollectedShard:
    """Ask about the rows of a shard and write them, resuming where an earlier start stopped.

    Parameters
    ----------
    run : CollectionRun
    shard : Shard
    rows : iterable of Prompted
        All rows of all shards.
    n_rows : int, optional
        For the progress bar.
    target : Path

    Returns
    -------
    CollectedShard

    Raises
    ------
    ResumeError, RunInUseError, EngineError, StorageError
        As for :func:`~debias.inference.collection.collection.collect`.
    """
    folder, questions, data = RunFolder.beside(target), run.label_questions, DataDigest()
    settings = {**run.decides, "shard": str(shard)}
    facts: str | None = None
    with folder.locked():
        store, chunk_size = folder.begin(settings, run.settings.chunk_size, questions.asked)
        missing = questions.missing(chunk_size)
        with noting_what_is_kept(folder, store):
            place = folder.unfinished_table
            with storage_errors(target):
                writer = ShardWriter(place)
            try:
                with writer, run.progress(n_rows) as advance:
                    for dealt in deal(rows, shard, missing, questions.before, chunk_size):
                        data.add([one.row for one in dealt.rows])
                        if dealt.own:
                            own = [(key, one) for _, key, one in dealt.own]
                            answered = questions.answer_chunk(own, dealt.asked, store)
                            facts = answered.facts if facts is None else facts
                            with storage_errors(target):
                                writer.write([number for number, _, _ in dealt.own], answered)
                        advance(len(dealt.rows))
                    _refuse_no_rows(data)
                    with storage_errors(target):
                        writer.finish(_header(run, shard, chunk_size, data, facts))
            except BaseException:
                place.unlink(missing_ok=True)
                raise
            with storage_errors(target):
                place.replace(target)
        run.forget(folder, target)
    return CollectedShard.of(target)


def _refuse_no_rows(data: DataDigest) -> None:
    if not data.settings()["rows"]:
        raise ParameterError(parameter="rows", allowed="an iterable of at least one row")


def _header(
    run: CollectionRun, shard: Shard, chunk_size: int, data: DataDigest, facts: str | None
) -> dict[str, object]:
    """Return what a shard says about itself."""
    made_with = origin(run.engine, run.task, run.demonstrations, run.settings.seed)
    return {
        "shard": [shard.index, shard.count],
        "classes": list(run.task.class_names),
        "plan": {
            "chunk_size": chunk_size,
            "operations_per_token": float(run.engine.operations_per_token()),
        },
        "decides": run.decides,
        "known": {**run.metadata, **made_with},
        "low_mass": float(run.settings.low_mass),
        "data": data.settings(),
        "engine": json.loads(facts or "{}"),
    }


def finished_shard(run: CollectionRun, shard: Shard, target: Path, data: DataDigest) -> CollectedShard:
    """Return a shard that is there, if it is the one that was asked for.

    Parameters
    ----------
    run : CollectionRun
    shard : Shard
    target : Path
    data : DataDigest
        Of all rows of all shards.

    Returns
    -------
    CollectedShard

    Raises
    ------
    ResumeError
        It was made with other settings or of other rows, or is another shard.
    TableError
        The file is no shard.
    """
    check_finished_shard(target, shard, {**run.decides, "data": data.settings()})
    if not run.settings.keep:
        RunFolder.beside(target).remove_unused()
    return CollectedShard.of(target)


def check_finished_shard(target: Path, shard: Shard, now: Mapping[str, object]) -> None:
    """Raise for a shard that was made with other settings or of other rows, or is another one.

    Parameters
    ----------
    target : Path
    shard : Shard
    now : mapping
        The settings that are known now, and "data".

    Raises
    ------
    ResumeError
        It was made with other settings or of other rows, or is another shard.
    TableError
        The file is no shard.
    """
    header = read_shard_header(target)
    before = {**header["decides"], "data": header["data"]}
    found = {name: before.get(name) for name in now} | {"shard": str(Shard.of(tuple(header["shard"])))}
    refuse_other_settings(target, found, {**now, "shard": str(shard)})
