"""From texts to a probability table: one resumable run of a model, over lists or over a stream.

A table is collected once and saved; everything after it runs without a model.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Unpack

from debias.errors import ParameterError, param
from debias.files.atomic_file import followed
from debias.inference.collection.collected_rows import DataDigest, listed_rows, streamed_rows
from debias.inference.collection.collection_facts import asked_settings
from debias.inference.collection.collection_run import CollectionRun, checked_target, settings_that_made
from debias.inference.collection.collection_settings import CollectionKeywords, CollectionSettings
from debias.inference.collection.prompts import prompted_rows
from debias.inference.collection.run_folder import RunFolder, refuse_other_settings
from debias.inference.collection.shards.ray_chunks import RayEngine
from debias.inference.collection.shards.shard import Shard
from debias.inference.collection.shards.shard_run import (
    CollectedShard,
    check_finished_shard,
    collect_shard,
    finished_shard,
)
from debias.inference.engine import Engine
from debias.inference.texts.demonstrations import check_demonstrations
from debias.inference.texts.tasks import Task, load_task
from debias.tables.formats.parquet_table import read_header
from debias.tables.table import ProbabilityTable

_STREAM_CHUNK = 1024


def collect(
    engine: Engine,
    task: str | Task,
    texts: Sequence[str],
    labels: Sequence[str] | Sequence[int] | None = None,
    *,
    demonstrations: Sequence[tuple[str, ...]] = (),
    ids: Sequence[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    **settings: Unpack[CollectionKeywords],
) -> ProbabilityTable:
    """Ask a model for the class probabilities of texts.

    With ``out``, answers are kept in the folder ``out + ".run"`` as they come, so that a run that was
    killed, at whatever moment, resumes where it stopped and makes the same file, byte by byte. An
    engine whose answers come one by one loses none; a model on this machine computes the current chunk
    again, which is as much as a slow processor does in two minutes. A
    table that is already there, made with the same settings, is read back without the model.

    An answer that was kept is never requested again, and equal prompts are asked once: answers of this
    run or of another one in the same folder to the same question are used again (in floating point,
    batches of other rows may change the last digits of an answer; ``metadata["reused_rows"]`` counts
    rows answered by other runs). So an unfinished run may resume with other rows; a finished table is
    never replaced.

    Parameters
    ----------
    engine : Engine
    task : str or Task
    texts : sequence of str, length n
    labels : sequence of class names, or of class positions 0 .. K-1, length n, optional
    demonstrations : sequence of Demonstration or (text, class name), optional
        Solved examples for the prompt; see
        :func:`~debias.inference.texts.demonstrations.draw_demonstrations`.
    ids : sequence of str, optional
        Row ids, unique; row numbers if omitted.
    out : path-like, optional
        Parquet file for the table.
    **settings
        The fields of :class:`~debias.inference.collection.collection_settings.CollectionSettings`:
        ``too_long``, ``low_mass``, ``chunk_size``, ``seed``, ``metadata``, ``reuse``, ``keep``,
        ``progress``, ``shard`` and ``votes``.

    Returns
    -------
    ProbabilityTable
        Normalised class probabilities; ``label_mass`` is what the labels got before. With ``shard``
        the rows of that shard, of which there may be none. With ``votes`` they are smoothed
        frequencies, ``label_mass`` is the share of the answers that match a label, and the metadata
        say ``n_votes``.

    Raises
    ------
    ParameterError
        A setting is not allowed or not known.
    TaskError, LabelError
        A text is empty, a label is unknown, or label words cannot be told apart.
    OverlapError
        A demonstration is among the texts: its prompt would hold its own answer.
    ContextLengthError
        Prompts do not fit into the context.
    ResumeError
        ``out`` or its folder were made with other settings, each of which is named; or the answers
        are damaged.
    RunInUseError
        Another process is collecting into ``out``.
    EngineError
        The engine fails. What it answered is kept.
    StorageError
        Answers cannot be written: a full disk. What was written is kept.

    Notes
    -----
    Whatever stops a run, an interruption by the user included, has what is kept as its attribute
    ``kept`` (:class:`debias.errors.Kept`).

    Examples
    --------
    >>> import numpy as np
    >>> class Even(Engine):
    ...     context_length, fingerprint = 100, {"model": "even"}
    ...
    ...     def continuation_logprobs(self, prompts, continuations):
    ...         return [np.log([0.4]) for _ in continuations]
    >>> table = collect(Even(), Task("mood", labels=["bad", "good"]), ["fine", "dull"], progress=False)
    >>> table.probabilities
       bad  good
    0  0.5   0.5
    1  0.5   0.5
    >>> table.label_mass.tolist()
    [0.8, 0.8]
    >>> collect(Even(), "trec", ["Who ?"], too_long="cut")
    Traceback (most recent call last):
    debias.errors.ParameterError: too_long must be one of 'error', 'truncate', got 'cut'.
    """
    chosen = CollectionSettings.of(**settings)
    task = load_task(task)
    shown = check_demonstrations(task, demonstrations)
    rows = listed_rows(task, texts, labels, ids, shown)
    run = CollectionRun(engine, task, shown, chosen)
    target = None if out is None else checked_target(out)
    if chosen.part is not None and isinstance(engine, RayEngine):
        raise ParameterError(
            "a Ray cluster distributes the chunks among its workers itself",
            parameter="shard",
            received=chosen.shard,
            fix=f"omit {param('shard')}",
        )
    if chosen.part is not None and target is None:
        raise ParameterError(
            parameter="out", allowed="the file of the shard", received=out, fix=f"pass {param('out')}"
        )
    if target is not None and target.exists():
        data = DataDigest()
        data.add(rows)
        if chosen.part is not None:
            return finished_shard(run, chosen.part, target, data).read()
        run.check_finished(target, data.settings())
        return ProbabilityTable.read(target)
    prompts = list(prompted_rows(run.engine, task, shown, rows, too_long=chosen.too_long, at_once=len(rows)))
    if chosen.part is not None and target is not None:
        return collect_shard(run, chosen.part, prompts, len(rows), target).read()
    return ProbabilityTable.of_checked(run.table(prompts, len(rows), target))


def read_finished(
    out: str | os.PathLike[str],
    task: str | Task,
    texts: Sequence[str],
    labels: Sequence[str] | Sequence[int] | None = None,
    *,
    request: Mapping[str, object],
    demonstrations: Sequence[tuple[str, ...]] = (),
    ids: Sequence[str] | None = None,
    too_long: str = "error",
    keep: bool = True,
    shard: str | tuple[int, int] | None = None,
) -> ProbabilityTable | None:
    """Return a table that is there already, if it can be told without an engine that it was asked for.

    Parameters
    ----------
    out, task, texts, labels, demonstrations, ids, too_long, keep, shard
        As for :func:`collect`.
    request : mapping
        What the engine is to be; the table has it in its metadata as "request".

    Returns
    -------
    ProbabilityTable or None
        None where there is none, or the engine must be asked whether it is the same.

    Raises
    ------
    ResumeError
        It was made by the same engine, with other settings or of other rows, or it was not collected.
    """
    target = followed(out)
    if not target.exists():
        return None
    part = None if shard is None else Shard.of(shard)
    metadata = read_header(target)["metadata"] if part is None else CollectedShard.of(target).metadata
    made_with = settings_that_made(target, metadata)
    if metadata.get("request") != json.loads(json.dumps(request)):
        return None
    task = load_task(task)
    shown = check_demonstrations(task, demonstrations)
    data = DataDigest()
    data.add(listed_rows(task, texts, labels, ids, shown))
    now = {**asked_settings(task, shown, too_long), "data": data.settings()}
    if part is not None:
        check_finished_shard(target, part, now)
    refuse_other_settings(target, {name: made_with.get(name) for name in now}, now)
    if not keep:
        RunFolder.beside(target).remove_unused()
    return ProbabilityTable.read(out) if part is None else CollectedShard.of(target).read()


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
    rows: Iterable[object],
    *,
    out: str | os.PathLike[str],
    demonstrations: Sequence[tuple[str, ...]] = (),
    n_rows: int | None = None,
    **settings: Unpack[CollectionKeywords],
) -> CollectedFile:
    """Ask a model for the class probabilities of texts that come one by one, and write them to a file.

    The file is the one, byte by byte, that :func:`collect` writes for the same rows and chunks. After
    a kill the same call resumes where it stopped, with the rows from the beginning (they are read and
    checked again, the model is not asked). Memory holds a few thousand rows, and 24 bytes for the text
    and the id of every row there was.

    Parameters
    ----------
    engine : Engine
    task : str or Task
    rows : iterable
        Each a text, (text, label), (id, text, label), or a mapping with the task's columns, such as a
        line of a JSON Lines file. Labels are class names or positions. All rows have labels or none has
        one; row numbers are the ids where none are given.
    out : path-like
        Parquet file for the table.
    demonstrations : sequence of Demonstration or (text, class name), optional
    n_rows : int, optional
        For the progress bar, where it is known.
    **settings
        As for :func:`collect`; ``chunk_size`` is 1,024 by default.

    Returns
    -------
    CollectedFile
        The path, the number of rows, and what the table says about itself.

    Raises
    ------
    ParameterError, TaskError, OverlapError, ContextLengthError
        A row is not valid; the error has its number. Answers to the rows before are kept.
    ResumeError, RunInUseError, EngineError, StorageError
        As for :func:`collect`.

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
    settings.setdefault("chunk_size", _STREAM_CHUNK)
    chosen = CollectionSettings.of(**settings)
    task = load_task(task)
    shown = check_demonstrations(task, demonstrations)
    run = CollectionRun(engine, task, shown, chosen)
    target = checked_target(out)
    checked = streamed_rows(task, rows, shown)
    at_once = chosen.chunk_size
    if target.exists():
        data = DataDigest()
        while some := list(islice(checked, at_once)):
            data.add(some)
        if chosen.part is not None:
            return _as_file(finished_shard(run, chosen.part, target, data))
        metadata = run.check_finished(target, data.settings())
    else:
        prompts = prompted_rows(run.engine, task, shown, checked, too_long=chosen.too_long, at_once=at_once)
        if chosen.part is not None:
            return _as_file(collect_shard(run, chosen.part, prompts, n_rows, target))
        metadata = run.to_file(prompts, n_rows, target).metadata
    return CollectedFile(target, metadata["collection"]["data"]["rows"], metadata)


def _as_file(shard: CollectedShard) -> CollectedFile:
    return CollectedFile(shard.path, shard.n_rows, shard.metadata)
