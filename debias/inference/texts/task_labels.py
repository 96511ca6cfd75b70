"""Reads the labels of a task's rows as its classes: one reading for all of them, or a refusal."""

from collections.abc import Mapping, Sequence
from typing import Any

from debias.errors import TableError, TaskError, shortened
from debias.inference.texts.source_rows import is_missing
from debias.inference.texts.tasks import Task
from debias.settings import check_list
from debias.tables.labels.label_reading import READINGS, label_text, read_labels


def read_task_labels(
    task: Task,
    values: Sequence[Any],
    reading: str | None = None,
    *,
    label_map: Mapping[str, str] | None = None,
    of_file: bool = False,
) -> list[str]:
    """Return the class name of every value.

    What the label map says is never read otherwise; the other values are all class names or label
    words, or all positions 0 .. n_classes - 1.

    Parameters
    ----------
    task : Task
    values : sequence of length n
        Labels as they are in the data.
    reading : {"name", "position"}, optional
        What they are; whatever fits if omitted.
    label_map : mapping of str to str, optional
        In place of that of the task.
    of_file : bool, default=False
        Whether they come from a file, see :func:`~debias.tables.labels.label_reading.read_labels`.

    Returns
    -------
    list of str

    Raises
    ------
    TaskError
        A value is no class, or two readings fit; the error has its row.

    Examples
    --------
    >>> task = Task("trec", labels=["number", "person"], class_names=["Number", "Person"])
    >>> read_task_labels(task, ["person", "Number"]), read_task_labels(task, [1.0, 0.0])
    (['Person', 'Number'], ['Person', 'Number'])
    >>> read_task_labels(task, ["HUM"], label_map={"HUM": "Person"})
    ['Person']
    """
    values = check_list("labels", values, "a list of labels")
    chosen = task.label_map if label_map is None else label_map
    known: dict[str, str] = {}
    for key, name in chosen.items() if reading != "position" else ():
        if known.setdefault(label_text(key), name) != name:
            raise TaskError(
                f"label_map maps {key!r} to {name!r}, but the same number in another form to "
                f"{known[label_text(key)]!r}",
                parameter="label_map",
                received=key,
                fix="map each label once",
            )
    for row, value in enumerate(values):
        if is_missing(value) or str(value) == "":
            fix = "omit the row, or label it"
            raise TaskError("the label is missing", row=row, column=task.label_column, fix=fix)
    mapped = [known.get(label_text(value)) for value in values]
    rest = [row for row, name in enumerate(mapped) if name is None]
    try:
        columns = read_labels(
            [values[row] for row in rest],
            task.class_names,
            "name" if len(rest) < len(values) else reading,
            other_names=task.labels,
            of_file=of_file,
            column=task.label_column,
        )
    except TableError as error:
        fields = {
            name: getattr(error, name) for name in ("problem", "parameter", "received", "column", "fix")
        }
        fields["fix"] = fields["fix"] or f"map {shortened(error.received)} to a class in label_map"
        raise TaskError(row=None if error.row is None else rest[error.row], **fields) from error
    for row, column in zip(rest, columns, strict=True):
        mapped[row] = task.class_names[column]
    return [str(name) for name in mapped]


class StreamedLabels:
    """Reads labels that come one by one: a reading that has failed once is out, for all that follow.

    Only the end of them tells whether positions could count from 1: call :meth:`finish` there.

    Parameters
    ----------
    task : Task

    Examples
    --------
    >>> labels = StreamedLabels(Task("stars", labels=["1", "2", "3"]))
    >>> labels.read(0, 0), labels.read(1, 1)
    ('1', '2')
    >>> labels.read(2, 3)
    Traceback (most recent call last):
    debias.errors.TaskError: row 2, column 'label': 3 is not a position: these are 0 .. 2 (['1', '2', ...
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._readings = list(READINGS)
        self._known: dict[tuple[str, bool], str] = {}
        self._seen: set[str] = set()
        self._n_read = 0

    def read(self, row: int, value: object, of_file: bool = False) -> str:
        """Return the class name of the next label."""
        names_only = isinstance(value, str) and not of_file
        key = (label_text(value), names_only)
        if key not in self._known:
            self._known[key] = self._new(row, value, of_file, names_only)
            self._seen.add(key[0])
        self._n_read += 1
        return self._known[key]

    def finish(self) -> None:
        """Refuse positions that never were 0, as :func:`read_task_labels` does where it has all of them.

        Raises
        ------
        TaskError
            They could count from 0 or from 1.

        Examples
        --------
        >>> labels = StreamedLabels(Task("mood", labels=["bad", "mixed", "good"]))
        >>> labels.read(0, 1), labels.read(1, 2)
        ('mixed', 'good')
        >>> labels.finish()
        Traceback (most recent call last):
        debias.errors.TaskError: column 'label': the labels fit two readings: as a position from 0 1 is ...
        """
        numbers = [int(one) for one in self._seen if one.isdecimal()]
        if self._readings == ["position"] and self._n_read > 1 and len(numbers) == len(self._seen):
            read_task_labels(self._task, sorted(numbers) * 2)

    def _new(self, row: int, value: object, of_file: bool, names_only: bool) -> str:
        """Return the class name of a label that did not come before."""
        found, failed = {}, None
        for reading in self._readings:
            if names_only and reading == "position":
                continue
            try:
                (found[reading],) = read_task_labels(self._task, [value], reading, of_file=of_file)
            except TaskError as error:
                failed = error
        if not found:
            problem = f"{value!r} is a name, and earlier labels are positions"
            failed = failed or TaskError(problem, received=value, column="label")
            failed.row = None  # that of a list of one
            raise failed.at(row=row)
        if len(set(found.values())) > 1:
            raise TaskError(
                f"{value!r} fits two readings: as a name it is class {found['name']!r}, as a position "
                f"from 0 it is class {found['position']!r}",
                received=value,
                row=row,
                column="label",
                fix="pass class names, as strings",
            )
        if len(found) == 1 and not names_only:
            self._known.clear()
            self._readings = list(found)
        return next(iter(found.values()))
