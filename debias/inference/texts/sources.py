"""From a task and the name of a split to texts, class names and ids.

Sources are the StaICC wheel, local files of rows of any kind, and the Hugging Face hub.
"""

import hashlib
import warnings
from collections.abc import Hashable, Mapping
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from debias.errors import DebiasWarning, MissingDependencyError, RecordsError, TaskError, param, shortened
from debias.inference.texts.source_rows import Source, is_missing, refuse_surrogates, render
from debias.inference.texts.staicc import read_staicc
from debias.inference.texts.task_labels import read_task_labels
from debias.inference.texts.tasks import Task, load_task
from debias.rows.json_rows import RawRow
from debias.rows.row_files import find_files, read_rows
from debias.settings import check_positive_integer, check_seed
from debias.tables.formats.cells.plain_text import on_its_line
from debias.tables.labels.label_reading import did_you_mean
from debias.tables.labels.second_labels import warn_of_second_labels
from debias.tables.splitting import plain_text

_FILES = "files"
"""Attribute of a frame: the files of its rows, and how many each has."""


class LabelledTexts(NamedTuple):
    """Texts of a split with their class names and ids, and how many repeated texts were omitted."""

    texts: list[str]
    labels: list[str] | None
    ids: list[str]
    n_duplicates: int = 0


def load_split(
    task: str | Path | Task,
    split: str,
    limit: int | None = None,
    seed: int = 0,
    *,
    data: str | Path | Source | None = None,
    require_labels: bool | None = True,
    labels: str | None = None,
) -> LabelledTexts:
    """Load the texts of one split of a task.

    Which rows belong to a split depends on their texts alone, so two splits share no text whatever
    ``limit`` and ``seed`` are. Of rows with the same text the first is kept.

    Parameters
    ----------
    task : str, Path or Task
    split : str
        Name of the split, such as "opt" or "test".
    limit : int, optional
        Take this many rows at random, in the order of the source; all if omitted or fewer.
    seed : int, default=0
        Decides which rows ``limit`` takes.
    data : str, Path or Source, optional
        Files of any kind that :func:`debias.rows.row_files.read_rows` reads (a file, a folder or
        a pattern), or a Source, in place of the task's own source.
    require_labels : bool or None, default=True
        Whether a missing label column is an error; otherwise ``labels`` is None then. With None it is
        one where the task names a label column, or another column than texts and ids may hold labels.
    labels : {"name", "position"}, optional
        What labels are, where numbers could be both: names of classes, or positions from 0.

    Returns
    -------
    LabelledTexts
        Texts (list of str), class names (list of str), ids (unique str).

    Raises
    ------
    TaskError
        When there is no such split or file, a row has no text or no known label, or labels could be
        names as well as positions.
    MissingDependencyError
        When the source needs a package that is not installed.

    Warns
    -----
    SecondLabelWarning
        A text occurs with two labels; the first is kept.

    Examples
    --------
    >>> texts, labels, ids, _ = load_split("trec", "opt", limit=2)
    >>> labels, ids
    (['Description', 'Description'], ['trec-3776', 'trec-5023'])
    """
    task = load_task(task)
    source = _find_source(task, split, data)
    frame = _rename(_read(source), source)
    try:
        rows = _extract(task, source, frame, require_labels, labels)
    except TaskError as error:
        raise on_its_line(_in_its_file(error, frame)) from error
    if rows.empty:
        raise TaskError(
            f"split {split!r} of task {task.name!r} has no rows (part {source.part})", file=source.path
        )
    unique = rows.drop_duplicates("text")
    if "label" in rows:
        warn_of_second_labels(rows["text"], rows["label"], source.path, rows.index)
    check_positive_integer("limit", limit, or_none=True)
    check_seed(seed)
    if limit is not None and limit < len(unique):
        chosen = np.random.default_rng(seed).choice(len(unique), size=limit, replace=False)
        unique = unique.iloc[np.sort(chosen)]
    names = unique["label"].tolist() if "label" in unique else None
    return LabelledTexts(
        unique["text"].tolist(), names, unique["id"].tolist(), len(rows) - rows["text"].nunique()
    )


def _find_source(task: Task, split: str, data: str | Path | Source | None) -> Source:
    """Return the source to read: the one given, or the task's."""
    if isinstance(data, Source):
        return data
    if data is not None:
        return Source("file", str(data))
    if split not in task.sources:
        known = ", ".join(map(repr, task.sources)) or "none"
        raise TaskError(
            f"task {task.name!r} has no source for split {split!r} (it has {known})",
            parameter="split",
            received=split,
            fix=(
                f"pass a local file with the columns {', '.join([*task.text_columns, task.label_column])} "
                f"(data=...), or add [sources.{split}] to a task file of your own"
            ),
        )
    return task.sources[split]


def _read(source: Source) -> pd.DataFrame:
    """Read all rows of a source."""
    if source.kind == "staicc":
        return read_staicc(source.path)
    if source.kind == "huggingface":
        return _read_hub(source)
    return _read_file(Path(source.path))


def _read_file(path: Path) -> pd.DataFrame:
    """Read local files; labels and ids keep the form they have in them."""
    try:
        parts = [
            (file.path, [_checked(file.path, row) for row in read_rows(file.path)])
            for file in find_files(path)
        ]
    except RecordsError as error:
        raise TaskError(
            _problem(error), parameter="data", received=error.received, allowed=error.allowed,
            fix=error.fix, file=error.file, row=error.row, line=error.line,
        ) from error  # fmt: skip
    rows = [row for _, part in parts for row in part]
    if not rows:
        raise TaskError("it has no rows", parameter="data", file=path)
    frame = pd.DataFrame(rows, dtype=object)
    frame.attrs[_FILES] = [(str(file), len(part)) for file, part in parts]
    return frame


def _in_its_file(error: TaskError, frame: pd.DataFrame) -> TaskError:
    """Return an error on a row of several files with the file and the row there."""
    row = error.row
    for file, n_rows in frame.attrs.get(_FILES, ()):
        if row is None:
            break
        if row < n_rows:
            placed = copy(error)
            placed.file = placed.row = None
            return placed.at(file=file, row=row)
        row -= n_rows
    return error


def _problem(error: RecordsError) -> str:
    """Return what is wrong with a file, where the fields say it, too."""
    if error.problem is not None:
        return error.problem
    return f"{error.parameter} must be {error.allowed}, got {shortened(error.received)}"


def _checked(file: Path, row: RawRow) -> object:
    """Return the fields of a row, or raise RecordsError."""
    if row.refused or not isinstance(row.value, dict):
        problem = f"the row cannot be read ({row.refused or 'not an object'}): {shortened(row.text)}"
        raise RecordsError(problem, line=row.line, file=file, fix="repair the row, or omit it")
    return row.value


def _read_hub(source: Source) -> pd.DataFrame:
    """Read a data set of the Hugging Face hub, or a local folder in its form."""
    try:
        import datasets
    except ImportError as error:
        problem = f"the Hugging Face data set {source.path!r} needs the package datasets"
        raise MissingDependencyError(problem, fix='run: pip install "debias-iterit[datasets]"') from error
    try:
        data = datasets.load_dataset(source.path, source.config or None, split=source.split or "train")
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise TaskError(
            f"the Hugging Face data set {source.path!r} cannot be loaded: {error}",
            received=source.path,
            fix="check the name and the connection, or pass a local file",
        ) from error
    frame: pd.DataFrame = data.to_pandas()
    return frame


def _rename(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Give columns the names that the task uses; a dotted name reaches into a column of mappings."""
    for old, new in source.rename.items():
        column, _, inner = old.partition(".")
        if column not in frame:
            raise _no_column(source, frame, column)
        if not inner:
            frame[new] = frame[column]
            continue
        for row, value in enumerate(frame[column]):
            if not isinstance(value, Mapping) or inner not in value:
                problem = f"it must have the field {inner!r}, got {shortened(value)}"
                raise TaskError(problem, file=source.path, row=row, column=column)
        frame[new] = [value[inner] for value in frame[column]]
    return frame


def _no_column(
    source: Source, frame: pd.DataFrame, column: str, key: str | None = None, fix: str | None = None
) -> TaskError:
    """Return the error of a column that no row has."""
    names = list(map(str, frame.columns))
    problem = f"it is not there; the columns are {shortened(names)}" if names else "the rows have no columns"
    near = did_you_mean(column, names)
    both = f"{fix} ({near})" if fix and near else fix or near
    return TaskError(problem, parameter=key, file=source.path, column=column, fix=both)


def _extract(
    task: Task, source: Source, frame: pd.DataFrame, require_labels: bool | None, reading: str | None
) -> pd.DataFrame:
    """Turn the source's columns into text, label and id, for the rows of the source's part."""
    if require_labels is None:
        others = set(frame.columns) - {*task.text_columns, task.id_column, "id"}
        require_labels = task.label_column != "label" or bool(others)
    wanted = list(task.text_columns) + ([task.label_column] if require_labels else [])
    missing = [column for column in wanted if column not in frame]
    if missing:
        key = "label_column" if missing[0] == task.label_column else "text_columns"
        unlabelled = f", or pass {param('unlabelled', True)} if the rows have no labels"
        fix = f"set {key} in the task file{unlabelled if key == 'label_column' else ''}"
        raise _no_column(source, frame, missing[0], key, fix)
    records = frame.to_dict("records")
    _note_gaps(task, source, frame)
    out = pd.DataFrame({"text": [_text(task, source, n, row) for n, row in enumerate(records)]}, dtype=object)
    if task.label_column in frame:
        out["label"] = _labels(task, source, frame[task.label_column].tolist(), reading)
    out["id"] = _ids(task, source, frame, out["text"])
    low, high = source.part
    if (low, high) != (0.0, 1.0):
        place = out["text"].map(_place)
        out = out[(place >= low) & (place < high)]
    return out


def _note_gaps(task: Task, source: Source, frame: pd.DataFrame) -> None:
    """Warn of rows that lack some of several texts, and of a column of ids that is not there."""
    notes = []
    for column in task.text_columns if len(task.text_columns) > 1 else ():
        gaps = [
            row
            for row, value in enumerate(frame[column])
            if is_missing(value) or (isinstance(value, str) and not value.strip())
        ]
        if gaps:
            rows = "1 row has" if len(gaps) == 1 else f"{len(gaps):,} rows have"
            notes.append(
                f"{rows} nothing in the column {column!r}, such as row {gaps[0]}: it is empty in prompts"
            )
    if task.id_column and task.id_column not in frame:
        notes.append(
            f"there is no column {task.id_column!r}, which the task names as the id column: ids "
            "are derived from the texts"
        )
    for note in notes:
        warnings.warn(f"{source.path}: {note}.", DebiasWarning, stacklevel=4)


def _text(task: Task, source: Source, row: int, record: dict[Hashable, Any]) -> str:
    """Text of one row; an empty one is refused."""
    try:
        text = render(
            {str(k): v for k, v in record.items()}, task.text_columns, task.text_template, task.list_separator
        )
    except TaskError as error:
        raise error.at(file=source.path, row=row) from error
    if not text.strip():
        raise TaskError("the text is empty", file=source.path, row=row, fix="omit the row, or add a text")
    refuse_surrogates(text, file=source.path, row=row)
    return text


def _labels(task: Task, source: Source, values: list[Any], reading: str | None) -> list[str]:
    """Class names of all rows, read in one way."""
    try:
        return read_task_labels(
            task, values, reading or source.labels or None, label_map=source.label_map or None, of_file=True
        )
    except TaskError as error:
        raise error.at(file=source.path) from error


def _ids(task: Task, source: Source, frame: pd.DataFrame, texts: "pd.Series[str]") -> list[str]:
    """Ids of all rows: the task's column, the row in the wheel's file, or a digest of the text."""
    if task.id_column and task.id_column in frame:
        first: dict[str, int] = {}
        for row, value in enumerate(frame[task.id_column]):
            problem = "the id is missing" if is_missing(value) else ""
            if not problem and first.setdefault(str(value), row) != row:
                problem = f"ids must be unique, got {shortened(str(value))} more than once"
            if problem:
                received = None if is_missing(value) else str(value)
                raise TaskError(problem, received=received, file=source.path, row=row, column=task.id_column)
        return list(first)
    if source.kind == "staicc":
        return [f"{source.path}-{row}" for row in frame["row"]]
    return [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]


def _place(text: str) -> float:
    """Place of a text in [0, 1) by a hash: the same on every machine, blind to case and spacing."""
    digest = hashlib.sha256(plain_text(text).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
