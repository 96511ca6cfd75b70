"""Looks up the fields of a row or a message by their usual names, and remembers which were read.

What no one reads is named afterwards, so that nothing that changes the meaning is dropped in silence.
"""

import ast
from collections.abc import Mapping, Sequence

from debias.rows.bounded_json import parse_json
from debias.rows.json_rows import as_unicode

_MOST_BRACKETS = 2000
_LONGEST_DETAIL = 200


class RefusedRow(Exception):
    """A row is not usable.

    Parameters
    ----------
    reason : str
        Such as "empty answer": rows are counted by it.
    detail : str, optional
        What was found; at most 200 characters of it are kept.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, as_unicode(detail[:_LONGEST_DETAIL])


class Fields:
    """The fields of a row, their names in small or capital letters; None and NaN are missing values.

    Parameters
    ----------
    row : mapping

    Examples
    --------
    >>> fields = Fields({"Question": "1 + 1?", "answer": float("nan"), "Response": 2, "id": 7})
    >>> fields.text("question"), fields.text("answer", "response"), fields.unread
    ('1 + 1?', '2', ['id'])
    """

    def __init__(self, row: Mapping[str, object]) -> None:
        self._values = {str(name).strip().lower(): value for name, value in row.items() if not missing(value)}
        self._values |= {name: row[name] for name in self._values if not missing(row.get(name))}
        self._names = {str(name).strip().lower(): str(name) for name in row}
        self._left = {name for name, value in self._values.items() if not _is_empty(value)}

    def __contains__(self, name: str) -> bool:
        """Tell whether the row has a field, with or without a value."""
        return name in self._names

    def first(self, *names: str) -> object:
        """Return the value of the first of some fields that has one."""
        name = next((name for name in names if name in self._values), "")
        self._left.discard(name)
        return self._values.get(name)

    def text(self, *names: str) -> str | None:
        """Return the first of some fields as a text; numbers and booleans become one.

        Raises
        ------
        RefusedRow
            It is neither.
        """
        name = next((name for name in names if name in self._values), names[0])
        return written(self.first(name), self._names.get(name, name))

    def give_back(self, name: str) -> None:
        """Count a field as unread again."""
        self._left.add(name)

    def unread_value(self, name: str) -> object:
        """Return the value of a field that was not read, or None."""
        return self._values[name] if name in self._left else None

    @property
    def names(self) -> list[str]:
        """Names of all fields, as the row spells them."""
        return list(self._names.values())

    @property
    def unread(self) -> list[str]:
        """Names of the fields that have a value and were not read, as the row spells them."""
        return [as_unicode(self._names[name]) for name in self._values if name in self._left]


def missing(value: object) -> bool:
    """Tell whether a value stands for a missing one: None or NaN."""
    return value is None or (isinstance(value, float) and value != value)


def _is_empty(value: object) -> bool:
    return isinstance(value, str | Sequence | Mapping) and not (
        value.strip() if isinstance(value, str) else value
    )


def written(value: object, name: str) -> str | None:
    """Return a value as a text, such as "2" for a number; None where it is missing.

    Raises
    ------
    RefusedRow
        It is neither a text nor a number or boolean.
    """
    if missing(value):
        return None
    if isinstance(value, str | int | float):
        return str(value)
    raise RefusedRow("wrong type", f"{name} is {type(value).__name__}")


def parsed(value: object) -> object:
    """Return what a text of JSON, or of a list as Python writes it, holds; anything else as it is.

    Examples
    --------
    >>> parsed('[{"role": "user"}]'), parsed("[{'role': 'user'}]"), parsed("a chat")
    ([{'role': 'user'}], [{'role': 'user'}], 'a chat')
    """
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return parse_json(value)
    except ValueError:
        if value.count("[") + value.count("{") + value.count("(") > _MOST_BRACKETS:
            return value
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return value
