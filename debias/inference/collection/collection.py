"""One collection, from prompts to a table, in memory or on disk: what lists and streams share."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from debias.atomic_file import flush_folder
from debias.errors import Kept, ParameterError, ResumeError
from debias.inference.collection.answer_store import AnswerStore
from debias.inference.collection.asking import Answered, Questions
from debias.inference.collection.collection_facts import Outcome, answer_settings, origin
from debias.inference.collection.probability_blocks import probability_blocks
from debias.inference.collection.prompting import Prompted
from debias.inference.collection.run_folder import SUFFIX, RunFolder, refuse_other_settings, storage_errors
from debias.inference.engine import Engine
from debias.inference.texts.tasks import Demonstration, Task
from debias.tables.formats.parquet_table import read_header
from debias.tables.formats.parquet_writer import ParquetTableWriter
from debias.tables.row_checks import check_metadata
from debias.tables.table_parts import PER_ROW, TableParts

Paths = Sequence[str | os.PathLike[str]]


@dataclass
class Collection:
    """What a collection is made with; see :func:`debias.inference.collection.from_lists.collect`."""

    engine: Engine
    task: Task
    demonstrations: tuple[Demonstration, ...]
    too_long: str = "error"
    low_mass: float = 0.5
    chunk_size: int = 256
    seed: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reuse: Paths = ()
    keep: bool = True
    progress: bool | str = True

    def __post_init__(self) -> None:
        if isinstance(self.chunk_size, bool) or not isinstance(self.chunk_size, int) or self.chunk_size < 1:
            raise ParameterError(f"chunk_size is {self.chunk_size!r}; give a number from 1 on")
        if not 0 <= self.low_mass <= 1:
            raise ParameterError(f"low_mass is {self.low_mass!r}; give a probability from 0 to 1")
        self.settings = answer_settings(self.engine, self.task, self.demonstrations, self.too_long)
        self._named_runs = _named_runs(self.reuse)
        self.metadata = check_metadata(dict(self.metadata or {}))

    def in_memory(self, rows: Iterable[Prompted], n_rows: int | None) -> TableParts:
        """Ask about all rows and return the whole table.

        Parameters
        ----------
        rows : iterable of Prompted
        n_rows : int, optional
            For the progress bar.

        Returns
        -------
        TableParts
            Checked, with metadata.
        """
        store = AnswerStore(self.task.n_classes, others=self._other_runs(None))
        outcome = Outcome(self.task.class_names, self.low_mass)
        with self._bar(n_rows) as advance:
            blocks = list(self._blocks(rows, store, outcome, self.chunk_size, advance))
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(one, name) for one in blocks])
            for name in PER_ROW
            if getattr(blocks[0], name) is not None
        }
        return replace(self._about(outcome), **columns)

    def to_file(self, rows: Iterable[Prompted], n_rows: int | None, target: Path) -> dict[str, Any]:
        """Ask about all rows and write the table, going on where an earlier start stopped.

        Parameters
        ----------
        rows : iterable of Prompted
        n_rows : int, optional
            For the progress bar.
        target : Path

        Returns
        -------
        dict
            The table's metadata.
        """
        folder = RunFolder(run_path(target))
        with ExitStack() as stack:
            stack.enter_context(folder.locked())
            chunk_size = folder.begin(self.settings, self.chunk_size)
            store = AnswerStore(self.task.n_classes, folder, self._other_runs(target))
            stack.callback(store.close)
            stack.enter_context(_saying_what_is_kept(store, folder))
            outcome = Outcome(self.task.class_names, self.low_mass)
            advance = stack.enter_context(self._bar(n_rows))
            blocks = self._blocks(rows, store, outcome, chunk_size, advance)
            metadata = self._write(blocks, outcome, folder, target)
            if not self.keep:
                folder.remove()
        return metadata

    def _blocks(
        self,
        rows: Iterable[Prompted],
        store: AnswerStore,
        outcome: Outcome,
        chunk_size: int,
        advance: Callable[[int], object],
    ) -> Iterator[TableParts]:
        """Yield the table in blocks."""
        questions = Questions(self.engine, self.task.continuations, store, chunk_size)

        def watched() -> Iterator[Answered]:
            for some in questions.answer(rows):
                advance(len(some.rows))
                yield some

        yield from probability_blocks(watched(), self.task.class_names, outcome)
        if not outcome.n_rows:
            raise ParameterError("rows is empty; give at least one row")

    @contextmanager
    def _bar(self, n_rows: int | None) -> Iterator[Callable[[int], object]]:
        """Show how far it is: on the error stream, so that standard output stays for results."""
        title = self.progress if isinstance(self.progress, str) else self.task.name
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), disable=not self.progress) as bar:
            job = bar.add_task(title, total=n_rows)
            yield lambda n_done: bar.advance(job, n_done)

    def _write(
        self, blocks: Iterable[TableParts], outcome: Outcome, folder: RunFolder, target: Path
    ) -> dict[str, Any]:
        """Write the table beside its answers, then give it its name; return its metadata."""
        unfinished = folder.unfinished_table
        kept = "all answers so far are kept in the run's folder"
        with _opened(unfinished, kept) as writer:
            for block in blocks:
                with storage_errors(target, kept):
                    writer.write(block)
            about = self._about(outcome)
            with storage_errors(target, kept):
                writer.finish(about)
            folder.begin(self.settings, self.chunk_size, outcome.data.settings())
        with storage_errors(target, kept):
            unfinished.replace(target)
            flush_folder(target.parent)
        return dict(about.metadata)

    def _about(self, outcome: Outcome) -> TableParts:
        """Return what the table says about itself; no rows."""
        made_with = origin(self.engine, self.task, self.demonstrations, self.seed)
        facts = {**self.metadata, **made_with, "collection": outcome.settings(self.settings)}
        metadata = check_metadata({**facts, **outcome.facts(), "normalised": True})
        return TableParts(
            np.empty((0, self.task.n_classes)),
            self.task.class_names,
            metadata=metadata,
            ids_given=outcome.ids_given,
        )

    def _other_runs(self, target: Path | None) -> list[Path]:
        """Folders of other runs that asked the same engine in the same words."""
        siblings = [] if target is None else sorted(target.parent.glob(f"*{SUFFIX}"))
        own = None if target is None else run_path(target).resolve()
        found = {path.resolve(): path for path in [*siblings, *self._named_runs]}
        return [path for place, path in found.items() if place != own and self._asked_alike(path)]

    def _asked_alike(self, path: Path) -> bool:
        """Whether the answers of a run can be ours; their keys decide, this only spares reading them."""
        try:
            settings = RunFolder(path).manifest().get("settings", {})
            template = {k: v for k, v in settings["task"].items() if k not in ("name", "class_names")}
            shown = [one[0] for one in settings["demonstrations"]]
        except (ResumeError, KeyError, TypeError, AttributeError, IndexError):
            return False
        own = {k: v for k, v in self.settings["task"].items() if k in template}
        return bool(
            settings.get("engine") == self.settings["engine"]
            and template == own
            and shown == [one[0] for one in self.settings["demonstrations"]]
        )

    def finished(self, target: Path, data: Mapping[str, Any]) -> dict[str, Any]:
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
            It was made with other settings or of other rows; the message names each difference.
        """
        metadata: dict[str, Any] = read_header(target)["metadata"]
        made_with = metadata.get("collection")
        if not isinstance(made_with, dict):
            raise ResumeError(f"{target} exists and was not made by collect; choose another out or delete it")
        refuse_other_settings(target, made_with, {**self.settings, "data": data})
        folder = RunFolder(run_path(target))
        if not self.keep and folder.path.exists():
            with folder.locked():
                folder.remove()
        return metadata


def checked_target(out: str | os.PathLike[str]) -> Path:
    """Return the path of the table, which must be Parquet: no other format keeps the settings.

    Parameters
    ----------
    out : path-like

    Returns
    -------
    Path

    Raises
    ------
    ParameterError
        Another ending, or no such folder.

    Examples
    --------
    >>> checked_target("trec.csv")
    Traceback (most recent call last):
    debias.errors.ParameterError: out is 'trec.csv'; it must end in .parquet, which keeps the settings ...
    """
    path = Path(out)
    if path.suffix != ".parquet":
        raise ParameterError(
            f"out is {str(out)!r}; it must end in .parquet, which keeps the settings beside the table"
            " (table.write makes other formats from it)"
        )
    if not path.parent.is_dir():
        raise ParameterError(
            f"out is {str(out)!r}, but the folder {str(path.parent)!r} does not exist; make it first"
        )
    return path


def run_path(target: Path) -> Path:
    """Folder of the run that makes a table."""
    return target.with_name(target.name + SUFFIX)


def _named_runs(paths: Paths) -> list[Path]:
    """Folders of runs that the user named: themselves, their tables, or the folder they are in."""
    found = []
    for given in [paths] if isinstance(paths, str | os.PathLike) else paths:
        path = Path(given)
        beside = run_path(path)
        inside = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else []
        if path.is_dir() and (path / "manifest.json").exists():
            found.append(path)
        elif beside.is_dir():
            found.append(beside)
        elif inside:
            found += inside
        else:
            raise ParameterError(
                f"reuse names {str(given)!r}, where no run is; give a table, its folder"
                f" (table.parquet{SUFFIX}), or the folder that they are in"
            )
    return found


@contextmanager
def _opened(path: Path, kept: str) -> Iterator[ParquetTableWriter]:
    """Open the unfinished table, which goes when it stays unfinished."""
    with storage_errors(path, kept):
        writer = ParquetTableWriter(path)
    try:
        with writer:
            yield writer
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _saying_what_is_kept(store: AnswerStore, folder: RunFolder) -> Iterator[None]:
    """Add to whatever stops a run how much of it is kept; a folder of nothing is not."""
    try:
        yield
    except BaseException as error:
        # The files decide: an interruption may come between a file and its being counted.
        if folder.answer_files() or folder.journal.exists():
            Kept(str(folder.path), store.n_kept or None).attach(error)
        else:
            folder.remove()
        raise
