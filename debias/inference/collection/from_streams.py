"""From a stream of texts to a probability table on disk: a million rows are never in memory at once."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from debias.inference.collection.collected_rows import DataDigest, streamed_rows
from debias.inference.collection.collection import Collection, Paths, checked_target
from debias.inference.collection.prompting import prompted_rows
from debias.inference.engine import Engine
from debias.inference.texts.demonstrations import check_demonstrations
from debias.inference.texts.tasks import Task, load_task
from debias.tables.table import ProbabilityTable


@dataclass(frozen=True)
class CollectedFile:
    """A table that was collected into a file.

    Attributes
    ----------
    path : Path
    n_rows : int
    metadata : dict
        What the table says about itself: label mass, bounds, shortened and repeated texts, settings.
    """

    path: Path
    n_rows: int
    metadata: dict[str, Any]

    def read(self) -> ProbabilityTable:
        """Read the whole table into memory.

        Returns
        -------
        ProbabilityTable
        """
        return ProbabilityTable.read(self.path)


def collect_stream(
    engine: Engine,
    task: str | Task,
    rows: Iterable[Any],
    *,
    out: str | os.PathLike[str],
    demonstrations: Sequence[tuple[str, ...]] = (),
    n_rows: int | None = None,
    too_long: str = "error",
    low_mass: float = 0.5,
    chunk_size: int = 1024,
    seed: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    reuse: Paths = (),
    keep: bool = True,
    progress: bool | str = True,
) -> CollectedFile:
    """Ask a model for the class probabilities of texts that come one by one, and write them to a file.

    The file is the one, byte by byte, that
    :func:`~debias.inference.collection.from_lists.collect` writes for the
    same rows and chunks; killed, the same call goes on where it stopped, with the rows from the
    beginning (they are read and checked again, the model is not asked). In memory are a few thousand
    rows, and some 100 bytes for every row there was.

    Parameters
    ----------
    engine : Engine
    task : str or Task
    rows : iterable
        Each a text, (text, label), (id, text, label), or a mapping with the task's columns, such as a
        line of a JSON Lines file. Labels are class names or positions. All rows have labels or none has;
        row numbers are the ids where none are given.
    out : path-like
        Parquet file for the table.
    demonstrations : sequence of Demonstration or (text, class name), optional
    n_rows : int, optional
        For the progress bar, where it is known.
    too_long, low_mass, chunk_size, seed, metadata, reuse, keep, progress
        As for :func:`~debias.inference.collection.from_lists.collect`; ``chunk_size`` prompts
        (1,024) are asked together.

    Returns
    -------
    CollectedFile
        The path, the number of rows, and what the table says about itself.

    Raises
    ------
    ParameterError, TaskError, OverlapError, ContextLengthError
        When a row is not valid; the message names it. Answers to the rows before are kept.
    ResumeError, RunInUseError, EngineError, StorageError
        As for :func:`~debias.inference.collection.from_lists.collect`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> class Even(Engine):
    ...     context_length, fingerprint = 100, {"model": "even"}
    ...
    ...     def continuation_logprobs(self, prompts, continuations):
    ...         return [np.log([0.4]) for _ in continuations]
    >>> task = Task("mood", labels=["bad", "good"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     texts = (f"text {number}" for number in range(3000))
    ...     done = collect_stream(Even(), task, texts, out=f"{folder}/mood.parquet", progress=False)
    ...     done.read()
    ProbabilityTable(3000 rows, classes=['bad', 'good'], unlabelled)
    """
    task = load_task(task)
    shown = check_demonstrations(task, demonstrations)
    collection = Collection(
        engine, task, shown, too_long, low_mass, chunk_size, seed, metadata or {}, reuse, keep, progress
    )
    target = checked_target(out)
    checked = streamed_rows(task, rows, shown)
    if target.exists():
        data = DataDigest()
        while some := list(islice(checked, chunk_size)):
            data.add(some)
        found = collection.finished(target, data.settings())
    else:
        prompts = prompted_rows(engine, task, shown, checked, too_long=too_long, at_once=chunk_size)
        found = collection.to_file(prompts, n_rows, target)
    return CollectedFile(target, found["collection"]["data"]["rows"], found)
