"""One run of a collection: from prompts to the table, in memory or on disk.

Rows are handed on in blocks of one size, however they were answered, so that the same answers make
the same file.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from debias.console.progress import counted_progress
from debias.errors import ParameterError, ResumeError, param
from debias.files.atomic_file import flush_folder, followed
from debias.inference.collection.answer_store import AnswerStore, storage_errors
from debias.inference.collection.collection_facts import CollectionFacts, answer_settings, origin
from debias.inference.collection.collection_settings import CollectionSettings
from debias.inference.collection.prompts import Prompted
from debias.inference.collection.questions import OtherRuns, Questions
from debias.inference.collection.run_folder import (
    SUFFIX,
    RunFolder,
    named_runs,
    noting_what_is_kept,
    refuse_other_settings,
)
from debias.inference.collection.shards.ray_chunks import RayEngine, answer_ahead
from debias.inference.collection.shards.table_blocks import about_table, table_blocks
from debias.inference.engine import Engine
from debias.inference.texts.tasks import Demonstration, Task
from debias.inference.votes.vote_questions import VoteQuestions
from debias.inference.votes.vote_settings import votes_of
from debias.inference.votes.voting_engine import VotingEngine
from debias.tables.checks import check_metadata
from debias.tables.formats.parquet_table import ParquetTableWriter, read_header
from debias.tables.table_parts import PER_ROW, TableParts


class CollectionRun:
    """The engine, the task and the settings of a collection.

    Parameters
    ----------
    engine : Engine
    task : Task
    demonstrations : tuple of Demonstration
    settings : CollectionSettings

    Attributes
    ----------
    engine : Engine
        What is asked: with votes, a :class:`~debias.inference.votes.voting_engine.VotingEngine`.

    Raises
    ------
    EngineError
        Votes are wanted, and the engine cannot sample answers.
    ParameterError, ResumeError
        ``reuse`` names no run, or one of an earlier version.
    TableError
        The metadata is not JSON-able.
    """

    def __init__(
        self,
        engine: Engine,
        task: Task,
        demonstrations: tuple[Demonstration, ...],
        settings: CollectionSettings,
    ) -> None:
        if (votes := votes_of(settings.votes)).n_votes:
            engine = VotingEngine(engine, task, votes, demonstrations)
        self.engine, self.task, self.demonstrations, self.settings = engine, task, demonstrations, settings
        self.decides = answer_settings(engine, task, demonstrations, settings.too_long)
        self.questions = (
            VoteQuestions(engine)
            if isinstance(engine, VotingEngine)
            else Questions(engine, task.continuations)
        )
        self._named_runs = named_runs(settings.reuse)
        self.metadata = check_metadata(dict(settings.metadata or {}))

    @property
    def label_questions(self) -> Questions:
        """The questions, which ask for log-probabilities of labels: shards and clusters ask no others."""
        assert isinstance(self.questions, Questions)
        return self.questions

    def table(self, rows: Iterable[Prompted], n_rows: int | None, target: Path | None) -> TableParts:
        """Ask about all rows and return the whole table; with a target it is also written.

        Parameters
        ----------
        rows : iterable of Prompted
        n_rows : int, optional
            For the progress bar.
        target : Path, optional

        Returns
        -------
        TableParts
            Checked, with metadata.
        """
        blocks: list[TableParts] = []
        if target is None:
            facts = CollectionFacts(self.task.class_names, self.settings.low_mass)
            with AnswerStore() as store:
                blocks += self._blocks(rows, n_rows, store, facts, self.settings.chunk_size, None)
            about = self._about(facts)
        else:
            about = self.to_file(rows, n_rows, target, blocks.append)
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(one, name) for one in blocks])
            for name in PER_ROW
            if getattr(blocks[0], name) is not None
        }
        return replace(about, **columns)

    def to_file(
        self,
        rows: Iterable[Prompted],
        n_rows: int | None,
        target: Path,
        on_block: Callable[[TableParts], object] = lambda block: None,
    ) -> TableParts:
        """Ask about all rows and write the table, resuming where an earlier start stopped.

        Parameters
        ----------
        rows : iterable of Prompted
        n_rows : int, optional
            For the progress bar.
        target : Path
        on_block : callable, optional
            Gets each block of rows that was written.

        Returns
        -------
        TableParts
            What the table says about itself; no rows.
        """
        folder = RunFolder.beside(target)
        facts = CollectionFacts(self.task.class_names, self.settings.low_mass)
        with folder.locked():
            store, chunk_size = folder.begin(self.decides, self.settings.chunk_size, self.questions.asked)
            with noting_what_is_kept(folder, store):
                found = closing(self._blocks(rows, n_rows, store, facts, chunk_size, target))
                with opened_table(folder.unfinished_table) as writer, found as blocks:
                    for block in blocks:
                        with storage_errors(target):
                            writer.write(block)
                        on_block(block)
                    about = self._about(facts)
                    with storage_errors(target):
                        writer.finish(about)
                with storage_errors(target):
                    folder.unfinished_table.replace(target)
            self.forget(folder, target)
        return about

    def forget(self, folder: RunFolder, target: Path) -> None:
        """Delete the answers of a finished table, where they are not wanted."""
        if not self.settings.keep:
            flush_folder(target.parent)  # the table before its answers go
            folder.remove()

    def _blocks(
        self,
        rows: Iterable[Prompted],
        n_rows: int | None,
        store: AnswerStore,
        facts: CollectionFacts,
        chunk_size: int,
        target: Path | None,
    ) -> Generator[TableParts, None, None]:
        """Yield the table in blocks, and count what there is to know about it."""
        others = OtherRuns(self._other_runs(target), self.questions.asked, self._named_runs)
        if isinstance(self.engine, RayEngine):
            rows = answer_ahead(self.engine, self.label_questions, rows, store, others, chunk_size)
        with self.progress(n_rows) as advance:
            answers = self.questions.answer(rows, store, others, chunk_size)
            yield from table_blocks(answers, self.task.class_names, facts, advance)

    def progress(self, n_rows: int | None) -> AbstractContextManager[Callable[[int], object]]:
        """Show how many rows are done, where that is wanted."""
        shown = self.settings.progress
        return counted_progress(shown if isinstance(shown, str) else self.task.name, n_rows, bool(shown))

    def _about(self, facts: CollectionFacts) -> TableParts:
        """Return what the table says about itself; no rows."""
        made_with = origin(self.engine, self.task, self.demonstrations, self.settings.seed)
        known = {**self.metadata, **made_with, **self.questions.facts()}
        return about_table(self.task.class_names, known, self.decides, facts)

    def _other_runs(self, target: Path | None) -> list[Path]:
        """Return the folders of other runs: beside the target, and those that were named."""
        beside = [] if target is None else sorted(target.parent.glob(f"*{SUFFIX}"))
        own = None if target is None else RunFolder.beside(target).path.resolve()
        found = {path.resolve(): path for path in [*beside, *self._named_runs]}
        return [path for place, path in found.items() if place != own]

    def check_finished(self, target: Path, data: Mapping[str, object]) -> dict[str, Any]:
        """Return the metadata of a table that is there, if it is the one that was asked for.

        Parameters
        ----------
        target : Path
        data : mapping
            Of :meth:`DataDigest.settings`.

        Returns
        -------
        dict

        Raises
        ------
        ResumeError
            It was made with other settings or of other rows; the error names each difference.
        """
        metadata: dict[str, Any] = read_header(target)["metadata"]
        made_with = settings_that_made(target, metadata)
        refuse_other_settings(target, made_with, {**self.decides, "data": data})
        if not self.settings.keep:
            RunFolder.beside(target).remove_unused()
        return metadata


def settings_that_made(target: Path, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings by which a table was collected.

    Parameters
    ----------
    target : Path
        For the error.
    metadata : mapping
        Of the table.

    Returns
    -------
    dict

    Raises
    ------
    ResumeError
        It was not collected.

    Examples
    --------
    >>> settings_that_made(Path("mine.parquet"), {})
    Traceback (most recent call last):
    debias.errors.ResumeError: mine.parquet: the table was not made by collect; choose another ...
    """
    made_with = metadata.get("collection")
    if isinstance(made_with, dict):
        return made_with
    raise ResumeError(
        "the table was not made by collect", file=target, fix=f"choose another {param('out')} or delete it"
    )


def checked_target(out: str | os.PathLike[str]) -> Path:
    """Return the path of the table, which must be Parquet: no other format keeps the settings.

    Parameters
    ----------
    out : path-like

    Returns
    -------
    Path
        What a symbolic link points to.

    Raises
    ------
    ParameterError
        Another ending, or no such folder.

    Examples
    --------
    >>> checked_target("trec.csv")
    Traceback (most recent call last):
    debias.errors.ParameterError: out must be a .parquet file, which keeps the settings, got 'trec.csv'; ...
    """
    path = Path(out)
    if path.suffix != ".parquet":
        raise ParameterError(
            parameter="out",
            allowed="a .parquet file, which keeps the settings",
            received=str(out),
            fix="convert the table with its write method if you need another format",
        )
    if not path.parent.is_dir():
        raise ParameterError(
            parameter="out",
            allowed="in a folder that exists",
            received=str(out),
            fix=f"create {str(path.parent)!r}",
        )
    return followed(path)


@contextmanager
def opened_table(path: Path) -> Iterator[ParquetTableWriter]:
    """Open an unfinished table, which is removed if it stays unfinished.

    Parameters
    ----------
    path : Path

    Yields
    ------
    ParquetTableWriter

    Raises
    ------
    StorageError
        It cannot be made.
    """
    with storage_errors(path):
        writer = ParquetTableWriter(path)
    try:
        with writer:
            yield writer
    except BaseException:
        path.unlink(missing_ok=True)
        raise
