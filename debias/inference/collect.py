"""From texts to a probability table: one resumable run of a model.

A table is collected once and saved; everything after it runs without a model.
"""

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from scipy.special import logsumexp

from debias.errors import OverlapError, ParameterError, ResumeError, TaskError
from debias.inference.demonstrations import check_demonstrations
from debias.inference.engine import Engine, FloatArray, check_texts
from debias.inference.labels import check_labels
from debias.inference.lengths import fit_texts
from debias.inference.resume import ChunkStore, refuse_other_settings
from debias.inference.tasks import Demonstration, Task, load_task
from debias.table_division import plain_text
from debias.tables import ProbabilityTable
from debias.version import __version__


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
    progress: bool = True,
) -> ProbabilityTable:
    """Ask a model for the class probabilities of texts.

    With ``out``, finished chunks of rows are kept in the folder ``out + ".parts"`` until the table
    is written, so that an interrupted run goes on where it stopped. A table that is already
    there, made with the same settings, is read back without the model.

    Parameters
    ----------
    engine : Engine
    task : str or Task
    texts : sequence of str, length n
    labels : sequence of class names, or of class positions 0 .. K-1, length n, optional
    demonstrations : sequence of Demonstration or (text, class name), optional
        Solved examples for the prompt; see :func:`~debias.inference.demonstrations.draw_demonstrations`.
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
        Rows between two savings.
    seed : int, optional
        The seed the demonstrations were drawn with, recorded in the metadata.
    metadata : mapping, optional
        JSON-able facts to record beside those that are recorded anyway.
    progress : bool, default=True
        Whether to show a progress bar on the error stream.

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
        When ``out`` or its parts were made with other settings; the message says which differ.

    Examples
    --------
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
    texts = _check_rows(texts, shown)
    names = _class_names(task, labels, len(texts))
    row_ids = _row_ids(ids, len(texts))
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
        raise ParameterError(f"chunk_size is {chunk_size!r}; give a number from 1 on")
    if not 0 <= low_mass <= 1:
        raise ParameterError(f"low_mass is {low_mass!r}; give a probability from 0 to 1")
    settings = {
        "engine": engine.fingerprint,
        "task": task.template,
        "demonstrations": [list(one) for one in shown],
        "too_long": too_long,
        "data": _data_settings(texts, names, row_ids),
    }
    target = None if out is None else _target(out)
    if target is not None and target.exists():
        return _read_back(target, settings)
    prompts, shortened = _prepare(engine, task, texts, shown, too_long)
    scores = _score(engine, task, prompts, settings, target, chunk_size, progress)
    mass = logsumexp(scores, axis=1)
    facts = dict(metadata or {}) | _facts(engine, task, shown, seed, settings)
    facts |= _outcome(np.exp(mass), low_mass, [row_ids[row] for row in shortened], texts)
    table = ProbabilityTable(
        pd.DataFrame(np.exp(scores - mass[:, None]), columns=list(task.class_names)),
        names,
        ids=row_ids,
        label_mass=np.minimum(np.exp(mass), 1.0),
        texts=texts,
        metadata=facts,
        normalise=True,
    )
    if target is not None:
        table.write(target)
        ChunkStore(_parts_folder(target), settings, len(texts), chunk_size).remove()
    return table


def _check_rows(texts: Sequence[str], demonstrations: Sequence[Demonstration]) -> list[str]:
    """Return the texts, or raise for an empty one and for one that is also a demonstration."""
    checked = check_texts(texts, "texts")
    if not checked:
        raise ParameterError("texts is empty; give at least one text")
    for row, text in enumerate(checked):
        if not text.strip():
            raise TaskError(f"texts[{row}] is {text!r}; leave empty texts out")
    shown = {plain_text(one.text) for one in demonstrations}
    rows = [row for row, text in enumerate(checked) if plain_text(text) in shown]
    if rows:
        raise OverlapError(
            f"texts[{rows[0]}] is also a demonstration ({len(rows)} such rows), so its prompt would"
            " hold its own answer; take these rows out, as draw_demonstrations does"
        )
    return checked


def _class_names(task: Task, labels: Sequence[Any] | None, n_rows: int) -> list[str] | None:
    """Class name of every row, from names or positions."""
    if labels is None:
        return None
    values = list(labels)
    if len(values) != n_rows:
        raise ParameterError(f"{len(values)} labels for {n_rows} texts; give one label per text")
    names = []
    for row, value in enumerate(values):
        if (
            isinstance(value, int | np.integer)
            and not isinstance(value, bool)
            and 0 <= value < task.n_classes
        ):
            names.append(task.class_names[value])
        elif isinstance(value, str) and value in task.class_names:
            names.append(str(value))
        else:
            raise TaskError(
                f"labels[{row}] is {value!r}; task {task.name!r} has the classes {list(task.class_names)},"
                f" or positions 0 .. {task.n_classes - 1}"
            )
    return names


def _row_ids(ids: Sequence[str] | None, n_rows: int) -> list[str]:
    """Ids as unique strings; row numbers when none are given."""
    names = [str(row) for row in range(n_rows)] if ids is None else [str(one) for one in ids]
    if len(names) != n_rows:
        raise ParameterError(f"{len(names)} ids for {n_rows} texts; give one id per text")
    if len(set(names)) < n_rows:
        repeated = pd.Series(names).value_counts().index[0]
        raise ParameterError(f"id {repeated!r} stands there more than once; ids must be unique")
    return names


def _data_settings(texts: Sequence[str], labels: Sequence[str] | None, ids: Sequence[str]) -> dict[str, Any]:
    """Digests of what the rows are, apart, so that a difference can be named."""
    digest = {
        key: hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
        for key, value in (("texts", texts), ("labels", labels), ("ids", ids))
    }
    return {"rows": len(texts)} | digest


def _target(out: str | os.PathLike[str]) -> Path:
    """Path of the table, which must be Parquet: no other format keeps the settings."""
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


def _parts_folder(target: Path) -> Path:
    return target.with_name(target.name + ".parts")


def _read_back(target: Path, settings: Mapping[str, Any]) -> ProbabilityTable:
    """Return the finished table when it was made with the same settings."""
    table = ProbabilityTable.read(target)
    made_with = table.metadata.get("collection")
    if not isinstance(made_with, dict):
        raise ResumeError(f"{target} exists and was not made by collect; choose another out or delete it")
    refuse_other_settings(target, made_with, settings)
    ChunkStore(_parts_folder(target), settings, len(table), 1).remove()
    return table


def _prepare(
    engine: Engine, task: Task, texts: Sequence[str], demonstrations: Sequence[Demonstration], too_long: str
) -> tuple[list[str], list[int]]:
    """Check labels and lengths; return the prompts and the rows whose text was shortened."""
    label_tokens = 1
    if engine.encode([task.labels[0]]) is not None:

        def encode(batch: Sequence[str]) -> list[list[int]]:
            return engine.encode(batch) or []

        check = check_labels(encode, task.continuations, task.prompt(texts[0], demonstrations))
        label_tokens = max(len(tokens) for tokens in check.tokens)
    fitted, rows = fit_texts(
        engine, task, texts, demonstrations, label_tokens=label_tokens, too_long=too_long
    )
    opening = task.opening(demonstrations)
    return [opening + task.question(text) for text in fitted], rows


def _score(
    engine: Engine,
    task: Task,
    prompts: Sequence[str],
    settings: Mapping[str, Any],
    target: Path | None,
    chunk_size: int,
    progress: bool,
) -> FloatArray:
    """Label log-probabilities of all prompts, shape (n, K), chunk by chunk."""
    starts = range(0, len(prompts), chunk_size)
    store = None if target is None else ChunkStore(_parts_folder(target), settings, len(prompts), chunk_size)
    spans = [(s, min(s + chunk_size, len(prompts))) for s in starts] if store is None else store.missing()
    kept: list[FloatArray] = []
    with _bar(progress) as bar:
        done = len(prompts) - sum(stop - start for start, stop in spans)
        job = bar.add_task(task.name, total=len(prompts), completed=done)
        for start, stop in spans:
            scores = engine.label_logprobs(prompts[start:stop], task.continuations)
            if store is None:
                kept.append(scores)
            else:
                store.save(start, scores)
            bar.advance(job, stop - start)
    return np.concatenate(kept) if store is None else store.load()


def _bar(progress: bool) -> Progress:
    """Progress bar on the error stream, so that standard output stays for results."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not progress)


def _facts(
    engine: Engine,
    task: Task,
    demonstrations: Sequence[Demonstration],
    seed: int | None,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what the table was made with."""
    own = {"debias": __version__, "python": platform.python_version(), "numpy": np.__version__}
    return {
        "model": engine.fingerprint.get("model"),
        "task": task.name,
        "template": task.template,
        "shots": len(demonstrations),
        "demonstrations": [one.id for one in demonstrations],
        "seed": seed,
        "versions": own | engine.versions(),
        "engine": engine.facts(),
        "collection": settings,
    }


def _outcome(
    mass: FloatArray, low_mass: float, shortened: Sequence[str], texts: Sequence[str]
) -> dict[str, Any]:
    """Return what there is to know about the run: label mass, shortened and repeated texts."""
    return {
        "label_mass": {
            "mean": round(float(mass.mean()), 6),
            "least": round(float(mass.min()), 6),
            "threshold": low_mass,
            "rows_below": int((mass < low_mass).sum()),
        },
        "truncated": {"rows": len(shortened), "ids": list(shortened)},
        "repeated_texts": len(texts) - len(set(texts)),
    }
