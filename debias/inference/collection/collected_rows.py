"""The rows of a collection: a text, its class where it is known, and an id; checked one by one.

Lists are checked as a whole before a model is asked, streams row by row as they come.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from debias.errors import OverlapError, ParameterError, TaskError
from debias.inference.collection.hash_index import SeenTexts
from debias.inference.texts.source_rows import class_name, render
from debias.inference.texts.tasks import Demonstration, Task
from debias.tables.splitting import plain_text

_AT_ONCE = 1024
_FORMS = "a text, (text, label), (id, text, label), or a mapping with the task's columns"


class Row(NamedTuple):
    """One text to be classified; ``label`` is its class name or None."""

    id: str
    text: str
    label: str | None = None


class DataDigest:
    """What the rows are, in digests of texts, labels and ids apart, so that a difference can be named.

    Examples
    --------
    >>> one, other = DataDigest(), DataDigest()
    >>> one.add([Row("0", "fine", "good")]), other.add([Row("0", "fine", "bad")])
    (None, None)
    >>> [key for key, value in one.settings().items() if other.settings()[key] != value]
    ['labels']
    """

    def __init__(self) -> None:
        self._n_rows = 0
        self._digests = [hashlib.sha256() for _ in range(3)]
        self._labelled = False

    def add(self, rows: Sequence[Row]) -> None:
        """Take in the next rows."""
        self._n_rows += len(rows)
        self._labelled = self._labelled or any(row.label is not None for row in rows)
        columns: tuple[list[Any], ...] = (
            [row.text for row in rows],
            [row.label for row in rows],
            [row.id for row in rows],
        )
        for digest, column in zip(self._digests, columns, strict=True):
            digest.update("".join(json.dumps(value) + "\n" for value in column).encode())

    def settings(self) -> dict[str, Any]:
        """Return the number of rows and three digests; that of labels is None where there are none."""
        texts, labels, ids = (digest.hexdigest()[:16] for digest in self._digests)
        return {
            "rows": self._n_rows,
            "texts": texts,
            "labels": labels if self._labelled else None,
            "ids": ids,
        }


def listed_rows(
    task: Task,
    texts: Sequence[str],
    labels: Sequence[Any] | None,
    ids: Sequence[Any] | None,
    demonstrations: Sequence[Demonstration],
) -> list[Row]:
    """Check texts, labels and ids, and put them together.

    Parameters
    ----------
    task : Task
    texts : sequence of str, length n
    labels : sequence of class names or positions, length n, optional
    ids : sequence, length n, optional
        Row numbers when left out.
    demonstrations : sequence of Demonstration

    Returns
    -------
    list of Row

    Raises
    ------
    ParameterError, TaskError, OverlapError
        The message names the row.

    Examples
    --------
    >>> listed_rows(Task("mood", labels=["bad", "good"]), ["fine"], [1], None, [])
    [Row(id='0', text='fine', label='good')]
    """
    values = list(texts) if not isinstance(texts, str) else texts
    if isinstance(values, str):
        raise ParameterError(f"texts is one string, {texts!r}; give a list of strings: [{texts!r}]")
    if not values:
        raise ParameterError("texts is empty; give at least one text")
    for what, column in (("labels", labels), ("ids", ids)):
        if column is not None and len(column) != len(values):
            raise ParameterError(
                f"{len(column)} {what} for {len(values)} texts; give one {what[:-1]} per text"
            )
    items = (
        Row(
            str(number) if ids is None else str(ids[number]),
            _checked_text(f"texts[{number}]", text),
            None if labels is None else _class_of(f"labels[{number}]", task, labels[number]),
        )
        for number, text in enumerate(values)
    )
    return list(_checked(items, demonstrations, "texts[{}]", check_ids=ids is not None))


def streamed_rows(task: Task, rows: Iterable[Any], demonstrations: Sequence[Demonstration]) -> Iterator[Row]:
    """Check rows as they come.

    Parameters
    ----------
    task : Task
    rows : iterable
        Each a text, (text, label), (id, text, label), or a mapping with the task's columns
        (``text_columns``, and where there are any ``label_column`` and ``id_column`` or "id"). All
        rows have labels or none has, and the same goes for ids.
    demonstrations : sequence of Demonstration

    Yields
    ------
    Row

    Raises
    ------
    ParameterError, TaskError, OverlapError
        The message names the row.

    Examples
    --------
    >>> task = Task("mood", labels=["bad", "good"])
    >>> list(streamed_rows(task, [("a1", "fine", "good"), {"id": "a2", "text": "dull", "label": 0}], []))
    [Row(id='a1', text='fine', label='good'), Row(id='a2', text='dull', label='bad')]
    """
    if isinstance(rows, str | Mapping) or not isinstance(rows, Iterable):
        raise ParameterError(f"rows is {type(rows).__name__}; give an iterable whose items are {_FORMS}")
    parsed = (_parsed(task, number, item) for number, item in enumerate(rows))
    for first in parsed:
        checked = _alike(chain([first], parsed))
        yield from _checked(checked, demonstrations, "row {}: the text", check_ids=first[1] is not None)


def _alike(parsed: Iterable[tuple[int, str | None, str, str | None]]) -> Iterator[Row]:
    """Yield rows that all have labels and ids, or none has."""
    has: tuple[bool, bool] | None = None
    for number, id_, text, label in parsed:
        own = (label is not None, id_ is not None)
        has = own if has is None else has
        for what, mine, first in zip(("label", "id"), own, has, strict=True):
            if mine != first:
                raise ParameterError(
                    f"row {number} has {'a' if mine else 'no'} {what}, row 0 has"
                    f" {'one' if first else 'none'}; give all rows one or none"
                )
        yield Row(str(number) if id_ is None else id_, text, label)


def _parsed(task: Task, number: int, item: Any) -> tuple[int, str | None, str, str | None]:
    """Row number, id, text and class name of one item of a stream."""
    id_: Any = None
    label: Any = None
    if isinstance(item, Mapping):
        missing = [column for column in task.text_columns if column not in item]
        if missing:
            raise TaskError(f"row {number} has no column {missing[0]!r}; it has {list(map(str, item))}")
        text: Any = render(item, task.text_columns, task.text_template, task.list_separator)
        id_, label = item.get(task.id_column or "id"), item.get(task.label_column)
        if label is not None:
            label = class_name(label, task.class_names, task.labels, task.label_map) or label
    elif isinstance(item, tuple | list) and 2 <= len(item) <= 3:
        id_, text, label = item if len(item) == 3 else (None, *item)
    else:
        text = item
    if not isinstance(text, str):
        raise ParameterError(f"row {number} is {item!r:.200}; give {_FORMS}")
    name = None if label is None else _class_of(f"row {number}: the label", task, label)
    return number, None if id_ is None else str(id_), _checked_text(f"row {number}: the text", text), name


def _checked_text(where: str, text: Any) -> str:
    """Text that is one and not empty."""
    if not isinstance(text, str):
        raise ParameterError(f"{where} is {text!r} of type {type(text).__name__}; it must be a str")
    if not text.strip():
        raise TaskError(f"{where} is {text!r}; leave empty texts out")
    return str(text)


def _class_of(where: str, task: Task, value: Any) -> str:
    """Class name that a label means: a name, or a position."""
    is_position = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if is_position and 0 <= value < task.n_classes:
        return task.class_names[value]
    if isinstance(value, str) and value in task.class_names:
        return str(value)
    raise TaskError(
        f"{where} is {value!r}; task {task.name!r} has the classes {list(task.class_names)},"
        f" or positions 0 .. {task.n_classes - 1}"
    )


def _checked(
    rows: Iterable[Row], demonstrations: Sequence[Demonstration], where: str, check_ids: bool
) -> Iterator[Row]:
    """Yield rows; raise for one that is a demonstration, and for an id that came before."""
    shown, seen, number = {plain_text(one.text) for one in demonstrations}, SeenTexts(), 0
    source = iter(rows)
    while batch := list(islice(source, _AT_ONCE)):
        earlier = seen.first_rows([row.id for row in batch]) if check_ids else [-1] * len(batch)
        for row, first in zip(batch, earlier, strict=True):
            if shown and plain_text(row.text) in shown:
                raise OverlapError(
                    f"{where.format(number)} is also a demonstration, so its prompt would"
                    " hold its own answer; take such rows out, as draw_demonstrations does"
                )
            if first >= 0:
                raise ParameterError(
                    f"id {row.id!r} stands there more than once, in the rows {first} and {number};"
                    " ids must be unique"
                )
            number += 1
        yield from batch
