"""A task: the fixed words of a classification prompt, its labels, and where its texts come from.

A task is a few lines of TOML or a ``Task(...)`` call. The prompt format is the one published with
DNIP, FuRud and DCS (Lin and You, arXiv 2405.07623, 2412.19018, 2503.05157), byte for byte.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from debias.errors import TaskError, shortened
from debias.inference.texts.letter_options import letter_options
from debias.inference.texts.source_rows import Source, check_template, source_from_settings
from debias.tables.labels.label_reading import did_you_mean


class Demonstration(NamedTuple):
    """A solved example that stands before the question in a few-shot prompt.

    ``label`` is the class name. ``id`` says which row it was, so that tables can name it.
    """

    text: str
    label: str
    id: str = ""


LARGEST_FILE = 2**17
"""Bytes of a task file: more is no description of a prompt."""


@dataclass(frozen=True)
class Task:
    r"""The words of a classification prompt.

    A prompt is ``prefix`` and a blank line, then for each demonstration
    ``question_prefix + text + "\n" + answer_prefix + label + separator``, then
    ``question_prefix + text + "\n" + answer_prefix`` without its last space, which goes to the label.

    Parameters
    ----------
    name : str
        Name of the task, for files and tables.
    labels : sequence of str
        The words put after the prompt and scored, one per class, in class order.
    class_names : sequence of str, optional
        What tables and reports call the classes; the labels themselves if omitted.
    prefix : str, default=""
        Instruction at the top of the prompt.
    question_prefix, answer_prefix : str
        Words before each text and before each label.
    separator : str
        What follows each demonstration.
    text_columns : sequence of str, default=("text",)
        Columns of the data that hold the text.
    text_template : str, optional
        How several columns become one text, such as ``"{premise}\nquestion: {hypothesis}"``.
    list_separator : str, default=" "
        What joins the items of a column that holds lists.
    label_column : str, default="label"
        Column that holds the label.
    label_map : mapping, optional
        From values in the label column to class names. Without it, a value is a class name, a
        label, or a class position 0 .. K-1.
    id_column : str, optional
        Column that holds row ids; without it an id is made from the text.
    keep_from : str, optional
        When a long text is shortened, the part from the last place of these words on stays whole.
    sources : mapping of split name to Source, optional
        Where the texts of each split are.
    notes : str, optional
        Where the data comes from and what is known about it.

    Raises
    ------
    TaskError
        When a field has a value that is not allowed: the message says which, what was received,
        what is allowed and how to fix it.

    Examples
    --------
    >>> task = Task("weather", labels=["sun", "rain"], question_prefix="Report: ", answer_prefix="Sky: ")
    >>> print(task.prompt("dark clouds", [("blue all day", "sun")]))
    Report: blue all day
    Sky: sun
    <BLANKLINE>
    ====
    <BLANKLINE>
    Report: dark clouds
    Sky:
    >>> task.continuations
    (' sun', ' rain')
    >>> Task("weather", labels=["sun"])
    Traceback (most recent call last):
    debias.errors.TaskError: task 'weather': labels must be a list of at least two, got ['sun'].
    """

    name: str
    labels: tuple[str, ...]
    class_names: tuple[str, ...] = ()
    prefix: str = ""
    question_prefix: str = ""
    answer_prefix: str = "Answer: "
    separator: str = "\n\n====\n\n"
    text_columns: tuple[str, ...] = ("text",)
    text_template: str = ""
    list_separator: str = " "
    label_column: str = "label"
    label_map: Mapping[str, str] = field(default_factory=dict)
    id_column: str = ""
    keep_from: str = ""
    sources: Mapping[str, Source] = field(default_factory=dict)
    notes: str = ""

    def __init__(self, /, name: str, labels: Sequence[str], **settings: Any) -> None:
        known = {f.name: f for f in fields(self)}
        if unknown := [key for key in settings if key not in known]:
            raise TaskError(
                f"task {shortened(name)}: unknown field {shortened(unknown[0])}",
                parameter=unknown[0],
                allowed=", ".join(known),
                fix=did_you_mean(unknown[0], known) or f"choose from {', '.join(known)}",
            )
        values = {"name": name, "labels": labels, **settings}
        for key, spec in known.items():
            default = spec.default_factory() if callable(spec.default_factory) else spec.default
            object.__setattr__(self, key, _typed(name, key, values.get(key, default), default))
        if not self.class_names:
            object.__setattr__(self, "class_names", self.labels)
        _check(self)

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return len(self.labels)

    @property
    def continuations(self) -> tuple[str, ...]:
        """The labels as they follow the prompt: with the space that the prompt leaves out."""
        space = " " if self.answer_prefix.endswith(" ") else ""
        return tuple(space + label for label in self.labels)

    @property
    def template(self) -> dict[str, Any]:
        """Everything that decides a prompt, JSON-able (sources and columns omitted)."""
        keys = ("name", "labels", "class_names", "prefix", "question_prefix", "answer_prefix", "separator")
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items() if k in keys}

    def prompt(self, text: str, demonstrations: Sequence[tuple[str, ...]] = ()) -> str:
        """Build the prompt for one text.

        Parameters
        ----------
        text : str
        demonstrations : sequence of Demonstration or (text, class name)
            Solved examples, in the order they are shown.

        Returns
        -------
        str
            The prompt, which ends where the label begins.
        """
        return self.opening(demonstrations) + self.question(text)

    def opening(self, demonstrations: Sequence[tuple[str, ...]] = ()) -> str:
        """Everything before the question: the same for all texts."""
        parts = [f"{self.prefix}\n\n"] if self.prefix else []
        for text, class_name in (d[:2] for d in demonstrations):
            label = self.labels[self.class_index(class_name)]
            parts.append(f"{self.question_prefix}{text}\n{self.answer_prefix}{label}{self.separator}")
        return "".join(parts)

    def question(self, text: str) -> str:
        """Return the last part of a prompt: the text and the opening of its answer."""
        return f"{self.question_prefix}{text}\n{self.answer_prefix.removesuffix(' ')}"

    def class_index(self, class_name: str) -> int:
        """Position of a class; TaskError when there is no such class."""
        if class_name not in self.class_names:
            allowed = ", ".join(map(repr, self.class_names))
            raise TaskError(
                f"task {self.name!r}: no class is named {class_name!r}; the classes are {allowed}",
                parameter="class_name",
                received=class_name,
                allowed=str(allowed),
            )
        return self.class_names.index(class_name)

    def with_letters(self, words: Sequence[str] | None = None) -> "Task":
        """Return this task with A, B, ... as its labels, explained below the prefix.

        Parameters
        ----------
        words : sequence of str, optional
            Explanations, one per class; class names if omitted.

        Raises
        ------
        TaskError
            There is not one word per class, or there are more than 26 classes.

        Examples
        --------
        >>> Task("weather", labels=["sun", "rain"]).with_letters().labels
        ('A', 'B')
        """
        labels, prefix = letter_options(words or self.class_names, self.n_classes, self.prefix)
        return replace(self, name=f"{self.name}-letters", labels=labels, prefix=prefix)

    def split_text(self, text: str) -> tuple[str, str]:
        """Divide a text into the part that may be shortened and the part that must stay.

        The end from the last ``keep_from`` on stays whole, and without it a closing question mark.

        Examples
        --------
        >>> Task("t", ["a", "b"]).split_text("Who wrote it ?")
        ('Who wrote it', ' ?')
        >>> Task("t", ["a", "b"], keep_from="question:").split_text("Long story. question: True or False?")
        ('Long story. ', 'question: True or False?')
        """
        if self.keep_from and self.keep_from in text:
            cut = text.rindex(self.keep_from)
            return text[:cut], text[cut:]
        if text.rstrip().endswith("?"):
            body = text.rstrip().removesuffix("?").rstrip()
            return body, text[len(body) :]
        return text, ""


def load_task(name_or_path: "str | Path | Task") -> Task:
    """Load a task by name, or from a TOML file of your own.

    Parameters
    ----------
    name_or_path : str, Path or Task
        The name of a task that ships with the package (see :func:`task_names`), or the path of a
        TOML file whose keys are the fields of :class:`Task`. A Task is returned as it is.

    Returns
    -------
    Task

    Raises
    ------
    TaskError
        When there is no such task, or its file is not valid.

    Examples
    --------
    >>> load_task("trec").class_names
    ('Number', 'Location', 'Person', 'Description', 'Entity', 'Abbreviation')
    >>> load_task("no-such-task")
    Traceback (most recent call last):
    debias.errors.TaskError: there is no task 'no-such-task'; choose one of agnews, dbpedia, ddi, ...
    """
    if isinstance(name_or_path, Task):
        return name_or_path
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = task_folder() / f"{name_or_path}.toml"
        if str(name_or_path) not in task_names():
            raise TaskError(
                f"there is no task {shortened(str(name_or_path))}",
                parameter="task",
                received=str(name_or_path),
                fix=(
                    f"choose one of {', '.join(task_names())}, or pass the path of a TOML file that ends in "
                    ".toml"
                ),
            )
        return _read_shipped_task(path)
    return _read_task(path)


def task_names() -> list[str]:
    """Names of the tasks that ship with the package.

    Examples
    --------
    >>> task_names()
    ['agnews', 'dbpedia', 'ddi', 'pubmedqa', 'rte', 'sst5', 'trec']
    """
    return sorted(path.stem for path in task_folder().glob("*.toml"))


def task_folder() -> Path:
    """Folder of the shipped task files: inside the wheel, or in the checkout it runs from."""
    package = Path(__file__).resolve().parents[2]
    candidates = (package / "data" / "tasks", package.parent / "data" / "tasks")
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise TaskError(f"the task files are missing from {candidates[0]}", fix="install debias-iterit again")


@cache
def _read_shipped_task(path: Path) -> Task:
    """Read a TOML file that does not change."""
    return _read_task(path)


def _read_task(path: Path) -> Task:
    """Read one TOML file, and name it in what is wrong with it."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise TaskError(f"a task file may have up to {LARGEST_FILE:,} bytes", file=path)
        settings = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise TaskError("the task file does not exist", file=path, fix="check the path") from error
    except RecursionError as error:
        raise TaskError("the task file is nested too deeply", file=path) from error
    except TaskError:
        raise
    except (ValueError, OSError) as error:  # TOML, UTF-8, a number of too many digits
        raise TaskError(f"the task file cannot be read as TOML: {str(error)[:200]}", file=path) from error
    try:
        return _task_of(path, settings)
    except TaskError as error:
        raise error.at(file=path) from error


def _task_of(path: Path, settings: dict[str, Any]) -> Task:
    """Return the task that a TOML file describes."""
    name = settings.pop("name", path.stem)
    if "labels" not in settings:
        raise TaskError("labels is missing", parameter="labels", fix='add labels = ["first", "second"]')
    raw = settings.pop("sources", {})
    if not isinstance(raw, dict):
        raise TaskError(parameter="sources", received=raw, allowed="one [sources.SPLIT] table per split")
    sources = {split: source_from_settings(name, split, value, path.parent) for split, value in raw.items()}
    return Task(name, settings.pop("labels"), sources=sources, **settings)


def _typed(task: str, key: str, value: Any, default: Any) -> Any:
    """Return a field's value in the type its default has, or raise TaskError."""
    if key == "labels" or isinstance(default, tuple):
        if (
            isinstance(value, str)
            or not isinstance(value, Sequence)
            or not all(isinstance(v, str) for v in value)
        ):
            raise _wrong(task, key, value, "a list of strings")
        return tuple(value)
    if isinstance(default, dict):
        if not isinstance(value, Mapping):
            raise _wrong(task, key, value, "a mapping")
        wrong = [name for name in value.values() if not isinstance(name, str)]
        if wrong and key == "label_map":
            raise _wrong(task, key, wrong[0], "a mapping to names")
        return {str(k): v for k, v in value.items()}
    if not isinstance(value, str):
        raise _wrong(task, key, value, "a string")
    return value


def _wrong(task: str, parameter: str, received: object, allowed: str) -> TaskError:
    """Return the error of a field of a task."""
    return TaskError(
        f"task {shortened(task)}: {parameter} must be {allowed}, got {shortened(received)}",
        parameter=parameter,
        received=received,
        allowed=allowed,
    )


def _check(task: Task) -> None:
    """Raise TaskError for values that are of the right type but make no task."""
    where = f"task {shortened(task.name)}"
    if not task.name.strip():
        raise TaskError(parameter="name", received=task.name, allowed="a name of at least one letter")
    if len(task.labels) < 2:
        raise _wrong(task.name, "labels", list(task.labels), "a list of at least two")
    for key, values in (("labels", task.labels), ("class_names", task.class_names)):
        if any(not value.strip() for value in values):
            raise _wrong(task.name, key, list(values), "words of at least one letter")
        if len(set(values)) < len(values):
            raise _wrong(task.name, key, list(values), "different from each other")
    if len(task.class_names) != len(task.labels):
        raise TaskError(
            f"{where}: {len(task.class_names)} class_names for {len(task.labels)} labels",
            parameter="class_names",
            received=list(task.class_names),
            fix="give one name per label",
        )
    unknown = {v for v in task.label_map.values() if v not in task.class_names}
    if unknown:
        raise TaskError(
            f"{where}: label_map leads to {shortened(sorted(unknown))}; allowed are the class_names "
            f"{shortened(list(task.class_names))}",
            parameter="label_map",
            received=sorted(unknown),
        )
    for split, source in task.sources.items():
        if not isinstance(source, Source):
            raise _wrong(task.name, f"sources[{split!r}]", source, "a Source")
    check_template(where, task.text_columns, task.text_template, task.label_column)
