"""The rows of a collection: a text, its class where it is known, and an id; checked one by one.

Lists are checked as a whole before a model is asked, streams row by row as they come.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from debias.errors import OverlapError, ParameterError, TaskError
from debias.inference.collection.answer_store import DIGEST_BYTES, digest
from debias.inference.texts.source_rows import is_missing, refuse_surrogates, render
from debias.inference.texts.task_labels import StreamedLabels, read_task_labels
from debias.inference.texts.tasks import Demonstration, Task
from debias.settings import check_list
from debias.tables.splitting import plain_text

_AT_ONCE = 1024
_FORMS = "a text, (text, label), (id, text, label), or a mapping with the task's columns"


class TextRow(NamedTuple):
    """One text to be classified; ``label`` is its class name or None."""

    id: str
    text: str
    label: str | None = None


class DataDigest:
    """Digests of texts, labels and ids apart, so that a difference between rows can be named.

    Examples
    --------
    >>> one, other = DataDigest(), DataDigest()
    >>> one.add([TextRow("0", "fine", "good")]), other.add([TextRow("0", "fine", "bad")])
    (None, None)
    >>> [key for key, value in one.settings().items() if other.settings()[key] != value]
    ['labels']
    """

    def __init__(self) -> None:
        self._n_rows = 0
        self._digests = [hashlib.sha256() for _ in range(3)]
        self._labelled = False

    def add(self, rows: Sequence[TextRow]) -> None:
        """Take in the next rows."""
        self._n_rows += len(rows)
        self._labelled = self._labelled or any(row.label is not None for row in rows)
        columns: list[list[str | None]] = [
            [row.text for row in rows],
            [row.label for row in rows],
            [row.id for row in rows],
        ]
        for one, column in zip(self._digests, columns, strict=True):
            one.update("".join(json.dumps(value) + "\n" for value in column).encode())

    def settings(self) -> dict[str, object]:
        """Return the number of rows and three digests; that of labels is None where there are none."""
        texts, labels, ids = (one.hexdigest()[:16] for one in self._digests)
        return {
            "rows": self._n_rows,
            "texts": texts,
            "labels": labels if self._labelled else None,
            "ids": ids,
        }


class SeenTexts:
    """The texts that came before, and their rows: digests in sorted blocks, 24 bytes for each text.

    Examples
    --------
    >>> seen = SeenTexts()
    >>> seen.first_rows(["a", "b", "a"]), seen.first_rows(["b", "c"])
    ([-1, -1, 0], [1, -1])
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[npt.NDArray[np.bytes_], npt.NDArray[np.int64]]] = []
        self._n_rows = 0

    def first_rows(self, texts: Sequence[str]) -> list[int]:
        """Remember texts; return the row of each one's first appearance, -1 where this is the first.

        Parameters
        ----------
        texts : sequence of str
            The next rows.

        Returns
        -------
        list of int
        """
        digests = np.frombuffer(b"".join(map(digest, texts)), dtype=f"S{DIGEST_BYTES}")
        known = np.full(len(texts), -1, dtype=np.int64)
        for block, rows in self._blocks:
            places = np.minimum(np.searchsorted(block, digests), len(block) - 1)
            known = np.where(block[places] == digests, rows[places], known)
        different, first, back = np.unique(digests, return_index=True, return_inverse=True)
        first_rows = self._n_rows + first.astype(np.int64)
        is_new = known[first] < 0
        self._add(different[is_new], first_rows[is_new])
        rows = self._n_rows + np.arange(len(texts))
        earlier = np.where(first_rows[back] < rows, first_rows[back], -1)
        self._n_rows += len(texts)
        return [int(row) for row in np.where(known < 0, earlier, known)]

    def _add(self, digests: npt.NDArray[np.bytes_], rows: npt.NDArray[np.int64]) -> None:
        """Add a sorted block; blocks of like size are merged, so that there are few."""
        if not len(digests):
            return
        self._blocks.append((digests, rows))
        while len(self._blocks) > 1 and len(self._blocks[-2][0]) < 2 * len(self._blocks[-1][0]):
            # invariant: no digest is in two blocks
            later, earlier = self._blocks.pop(), self._blocks.pop()
            joined, places = (np.concatenate(pair) for pair in zip(earlier, later, strict=True))
            order = np.argsort(joined, kind="stable")
            self._blocks.append((joined[order], places[order]))


def listed_rows(
    task: Task,
    texts: Sequence[str],
    labels: Sequence[str] | Sequence[int] | None,
    ids: Sequence[str] | None,
    demonstrations: Sequence[Demonstration],
) -> list[TextRow]:
    """Check texts, labels and ids, and put them together.

    Parameters
    ----------
    task : Task
    texts : sequence of str, length n
    labels : sequence of class names or positions, length n, optional
    ids : sequence, length n, optional
        Row numbers if omitted.
    demonstrations : sequence of Demonstration

    Returns
    -------
    list of TextRow

    Raises
    ------
    ParameterError, TaskError, OverlapError
        Something is not valid; a row has its number in the error.

    Examples
    --------
    >>> listed_rows(Task("mood", labels=["bad", "good"]), ["fine"], [0], None, [])
    [TextRow(id='0', text='fine', label='bad')]
    """
    values = check_list("texts", texts, "a list of strings")
    if not values:
        raise ParameterError(parameter="texts", allowed="a list of at least one text", received=values)
    own_labels = None if labels is None else _one_per_text("labels", labels, len(values))
    own_ids = None if ids is None else _one_per_text("ids", ids, len(values))
    names = None if own_labels is None else read_task_labels(task, own_labels, label_map={})
    rows = (
        TextRow(
            str(number) if own_ids is None else _checked_id(number, own_ids[number]),
            _checked_text(number, text),
            None if names is None else names[number],
        )
        for number, text in enumerate(values)
    )
    return list(_checked(rows, demonstrations, check_ids=ids is not None))


def _one_per_text(name: str, column: object, n_texts: int) -> list[Any]:
    """Return labels or ids as a list that is as long as the texts."""
    values = check_list(name, column, "a list, one per text")
    if len(values) != n_texts:
        raise ParameterError(
            f"there are {len(values)} {name} for {n_texts} texts",
            parameter=name,
            received=len(values),
            fix=f"pass one per text, or omit {name}",
        )
    return values


def streamed_rows(
    task: Task, rows: Iterable[object], demonstrations: Sequence[Demonstration]
) -> Iterator[TextRow]:
    """Check rows as they come.

    Parameters
    ----------
    task : Task
    rows : iterable
        Each a text, (text, label), (id, text, label), or a mapping with the task's columns
        (``text_columns``, and where there are any ``label_column`` and ``id_column`` or "id"). All
        rows have labels or none has one; the same is true of ids.
    demonstrations : sequence of Demonstration

    Yields
    ------
    TextRow

    Raises
    ------
    ParameterError, TaskError, OverlapError
        A row is not valid; the error has its number. After the last row: its labels could count
        from 0 or from 1.

    Examples
    --------
    >>> task = Task("mood", labels=["bad", "good"])
    >>> list(streamed_rows(task, [("a1", "fine", "good"), {"id": "a2", "text": "dull", "label": 0}], []))
    [TextRow(id='a1', text='fine', label='good'), TextRow(id='a2', text='dull', label='bad')]
    """
    is_frame = hasattr(rows, "columns")  # which yields the names of its columns
    if is_frame or isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise ParameterError(
            parameter="rows",
            allowed=f"an iterable, each item {_FORMS}",
            received=f"<{type(rows).__name__}>" if is_frame else rows,
            fix="pass its rows, such as frame.to_dict('records')" if is_frame else None,
        )
    names = StreamedLabels(task)
    parsed = (_parsed(task, names, number, item) for number, item in enumerate(rows))
    for first in parsed:
        checked = _alike(chain([first], parsed))
        yield from _checked(checked, demonstrations, check_ids=first[1] is not None)
    names.finish()


def _alike(parsed: Iterable[tuple[int, str | None, str, str | None]]) -> Iterator[TextRow]:
    """Yield rows that all have labels and ids, or none has."""
    has: tuple[bool, bool] | None = None
    for number, id_, text, label in parsed:
        own = (label is not None, id_ is not None)
        has = own if has is None else has
        for name, mine, first in zip(("label", "id"), own, has, strict=True):
            if mine != first:
                raise ParameterError(
                    f"the row has {'a' if mine else 'no'} {name}, and row 0 has {'one' if first else 'none'}",
                    parameter="rows",
                    row=number,
                    column=name,
                    fix=f"give every row a {name}, or none",
                )
        yield TextRow(str(number) if id_ is None else id_, text, label)


def _parsed(
    task: Task, names: StreamedLabels, number: int, item: object
) -> tuple[int, str | None, str, str | None]:
    """Return row number, id, text and class name of one item of a stream."""
    id_: object = None
    label: object = None
    text: object = item
    if isinstance(item, Mapping):
        for column in task.text_columns:
            if column not in item:
                raise TaskError(
                    f"the row has no such column; it has {list(map(str, item))}", row=number, column=column
                )
        try:
            text = render(item, task.text_columns, task.text_template, task.list_separator)
        except TaskError as error:
            raise error.at(row=number) from error
        id_, label = item.get(task.id_column or "id"), item.get(task.label_column)
    elif isinstance(item, tuple | list) and 2 <= len(item) <= 3:
        id_, text, label = item if len(item) == 3 else (None, *item)
    if not isinstance(text, str):
        raise ParameterError(parameter="rows", row=number, received=item, allowed=_FORMS)
    name = None if label is None else names.read(number, label, of_file=isinstance(item, Mapping))
    return number, None if id_ is None else _checked_id(number, id_), _checked_text(number, text), name


def _checked_id(row: int, value: object) -> str:
    """Return an id as text, unless it is missing or no file can hold it."""
    if is_missing(value):
        raise ParameterError("the id is missing", parameter="ids", row=row, column="id")
    name = str(value)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        problem = "the id contains an unpaired surrogate, which no file can hold"
        raise ParameterError(problem, parameter="ids", received=name, row=row, column="id") from error
    return name


def _checked_text(row: int, text: object) -> str:
    """Return a text that is one and not empty."""
    if not isinstance(text, str):
        raise ParameterError(
            f"{text!r} is not a string", parameter="texts", received=text, row=row, column="text"
        )
    if not text.strip():
        raise TaskError(
            f"the text is {text!r}", received=text, row=row, column="text", fix="omit empty texts"
        )
    refuse_surrogates(text, row=row, column="text")
    return str(text)


def _checked(
    rows: Iterable[TextRow], demonstrations: Sequence[Demonstration], check_ids: bool
) -> Iterator[TextRow]:
    """Yield rows; raise for one that is a demonstration, and for an id that came before."""
    shown, seen, number = {plain_text(one.text) for one in demonstrations}, SeenTexts(), 0
    source = iter(rows)
    while batch := list(islice(source, _AT_ONCE)):
        earlier = seen.first_rows([row.id for row in batch]) if check_ids else [-1] * len(batch)
        for row, first in zip(batch, earlier, strict=True):
            if shown and plain_text(row.text) in shown:
                raise OverlapError(
                    "the text is also a demonstration, so its prompt would contain its own answer",
                    row=number,
                    column="text",
                    fix="omit such rows, as draw_demonstrations does",
                )
            if first >= 0:
                raise ParameterError(
                    f"{row.id!r} is also the id of row {first}; ids must be unique",
                    parameter="ids",
                    received=row.id,
                    row=number,
                    column="id",
                )
            number += 1
        yield from batch
