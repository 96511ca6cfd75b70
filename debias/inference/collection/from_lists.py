"""From texts to a probability table: one resumable run of a model.

A table is collected once and saved; everything after it runs without a model.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from debias.inference.collection.collected_rows import DataDigest, listed_rows
from debias.inference.collection.collection import Collection, Paths, checked_target
from debias.inference.collection.prompting import prompted_rows
from debias.inference.engine import Engine
from debias.inference.texts.demonstrations import check_demonstrations
from debias.inference.texts.tasks import Task, load_task
from debias.tables.table import ProbabilityTable


def collect(
    engine: Engine,
    task: str | Task,
    texts: Sequence[str],
    labels: Sequence[str] | Sequence[int] | None = None,
    *,
    demonstrations: Sequence[tuple[str, ...]] = (),
    ids: Sequence[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    too_long: str = "error",
    low_mass: float = 0.5,
    chunk_size: int = 256,
    seed: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    reuse: Paths = (),
    keep: bool = True,
    progress: bool | str = True,
) -> ProbabilityTable:
    """Ask a model for the class probabilities of texts.

    With ``out``, answers are kept in the folder ``out + ".run"`` as they come, so that a run that was
    killed, at whatever moment, goes on where it stopped and makes the same file, byte by byte. An
    engine whose answers come one by one loses none, others compute the chunk under way again. A
    table that is already there, made with the same settings, is read back without the model.

    No prompt is sent twice: equal ones are asked once, and what this run or another one in the same
    folder asked the same engine is looked up (in floating point, batches of other rows may change
    the last digits of an answer; ``metadata["reused_rows"]`` counts rows answered by other runs). So
    an unfinished run may go on with other rows; a finished table is never replaced.

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
        Row ids, unique; row numbers when left out.
    out : path-like, optional
        Parquet file for the table.
    too_long : {"error", "truncate"}, default="error"
        What happens to prompts longer than the context: an error that names the rows, or the text
        (never the demonstrations, the question or the label) is shortened.
    low_mass : float, default=0.5
        Rows whose labels together got less probability than this are counted in the metadata.
    chunk_size : int, default=256
        Prompts between two savings; a run that goes on keeps its own.
    seed : int, optional
        The seed the demonstrations were drawn with, recorded in the metadata.
    metadata : mapping, optional
        JSON-able facts to record beside those that are recorded anyway.
    reuse : sequence of path-like, optional
        Other runs whose answers are used, wherever they are: their tables, their folders, or the
        folder that they are in.
    keep : bool, default=True
        Whether the folder of the run stays when the table is written: some 100 bytes per prompt, for
        runs to come.
    progress : bool or str, default=True
        Whether to show a progress bar on the error stream; a string is its title.

    Returns
    -------
    ProbabilityTable
        Normalised class probabilities; ``label_mass`` is what the labels got before.

    Raises
    ------
    TaskError, LabelError
        When a text is empty, a label is unknown, or label words cannot be told apart.
    OverlapError
        When a demonstration is among the texts: its prompt would hold its own answer.
    ContextLengthError
        When prompts do not fit into the context.
    ResumeError
        When ``out`` or its folder were made with other settings; the message says which differ.
    RunInUseError
        When another process is collecting into ``out``.
    EngineError
        When the engine fails. What it answered is kept.
    StorageError
        When answers cannot be written: a full disk. What was written is kept.

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
    """
    task = load_task(task)
    shown = check_demonstrations(task, demonstrations)
    rows = listed_rows(task, texts, labels, ids, shown)
    collection = Collection(
        engine, task, shown, too_long, low_mass, chunk_size, seed, metadata or {}, reuse, keep, progress
    )
    target = None if out is None else checked_target(out)
    if target is not None and target.exists():
        data = DataDigest()
        data.add(rows)
        collection.finished(target, data.settings())
        return ProbabilityTable.read(target)
    prompts = list(prompted_rows(engine, task, shown, rows, too_long=too_long, at_once=len(rows)))
    if target is None:
        return ProbabilityTable._checked(collection.in_memory(prompts, len(rows)))
    collection.to_file(prompts, len(rows), target)
    return ProbabilityTable.read(target)
