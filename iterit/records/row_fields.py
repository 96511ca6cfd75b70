"""Looks up the fields of a row or a message by their usual names, and remembers which were read.

What no one reads is named afterwards, so that nothing that changes the meaning is dropped in silence.
"""

import ast
from collections.abc import Mapping, Sequence

from debias.rows.bounded_json import parse_json
from debias.rows.json_rows import RAW_BYTES, as_unicode

_MOST_BRACKETS = 2000
_LONGEST_DETAIL = 200
NAMELESS = "(a field without a name)"
"""How a field is called that has no name, such as the index that pandas writes into a CSV file."""


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
        self._values: dict[str, object] = {}
        self._names: dict[str, str] = {}
        self._others: list[str] = []
        for name in sorted(row, key=lambda name: str(name) != _plain(name)):  # a plain spelling comes first
            self._add(_plain(name), str(name), row[name])
        self._left = {name for name, value in self._values.items() if not is_empty(value)}

    def _add(self, plain: str, name: str, value: object) -> None:
        """Add a field; of two spellings of a name, the first with a text counts, and the other is unread."""
        kept = self._values.get(plain)
        if plain not in self._names or (is_empty(kept) and not is_empty(value)):
            self._names[plain] = name
            if not missing(value):
                self._values[plain] = value
        elif not is_empty(value) and value != kept:
            self._others.append(name)

    def __contains__(self, name: str) -> bool:
        """Tell whether the row has a field, with or without a value."""
        return name in self._names

    def is_filled(self, name: str) -> bool:
        """Tell whether a field has a value that is not empty."""
        return not is_empty(self._values.get(name))

    def _first(self, names: Sequence[str]) -> str:
        """Return the name of the first of some fields that is not empty, else of the first with a value."""
        there = [name for name in names if name in self._values]
        return next(filter(self.is_filled, there), (there or names)[0])

    def first(self, *names: str) -> object:
        """Return the value of the first of some fields that is not empty, or an empty one."""
        name = self._first(names)
        self._left.discard(name)
        return self._values.get(name)

    def text(self, *names: str) -> str | None:
        """Return the first of some fields that is not empty as a text; numbers and booleans become one.

        Raises
        ------
        RefusedRow
            It is neither.
        """
        name = self._first(names)
        return written(self.first(name), self._names.get(name, name))

    def give_back(self, name: str) -> None:
        """Count a field as unread again."""
        self._left.add(name)

    @property
    def left(self) -> dict[str, object]:
        """Values of the fields that were not read, by their names in small letters."""
        return {name: value for name, value in self._values.items() if name in self._left}

    @property
    def names(self) -> list[str]:
        """Names of all fields, as the row spells them."""
        return list(self._names.values())

    @property
    def unread(self) -> list[str]:
        """Names of the fields that have a value and were not read, as the row spells them."""
        left = [self._names[name] for name in self._values if name in self._left]
        return [as_unicode(name) if name.strip() else NAMELESS for name in (*left, *self._others)]


def missing(value: object) -> bool:
    """Tell whether a value stands for a missing one: None or NaN."""
    return value is None or (isinstance(value, float) and value != value)


def is_empty(value: object) -> bool:
    """Tell whether a value says nothing: missing, white space, or a list or object of nothing else.

    Tables have an object of missing values where a row has no object.

    Examples
    --------
    >>> is_empty(" "), is_empty([None]), is_empty({"name": None, "arguments": ""}), is_empty(0)
    (True, True, True, False)
    """
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, Mapping):
        return all(map(is_empty, value.values()))
    return missing(value) or (isinstance(value, Sequence) and all(map(is_empty, value)))


def _plain(name: object) -> str:
    return str(name).strip().lower()


def written(value: object, name: str) -> str | None:
    """Return a value as a text, such as "2" for a number; None where it is missing.

    Raises
    ------
    RefusedRow
        It is neither a text nor a number or boolean, or bytes in another encoding than UTF-8.
    """
    if missing(value):
        return None
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, Mapping) and value.keys() == {RAW_BYTES}:
        raise RefusedRow("not Unicode", f"{name} is bytes that are not valid UTF-8")
    raise RefusedRow("wrong type", f"{name} is {type(value).__name__}")


def flag(value: object) -> bool | None:
    """Return the truth value that a boolean, 0 or 1 states, also as a text; None for anything else.

    Examples
    --------
    >>> flag(False), flag("0.0"), flag("True"), flag(2), flag([])
    (False, False, True, None, None)
    """
    text = str(value).strip().lower() if isinstance(value, str | int | float) else ""
    return {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}.get(text)


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
