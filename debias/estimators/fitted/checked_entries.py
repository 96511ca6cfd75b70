"""Entries of a JSON file become dataclasses, each field checked by its type."""

import math
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeAlias, TypeVar, get_args, get_origin

from debias.errors import CorrectionFileError

T = TypeVar("T")
Entry: TypeAlias = dict[str, Any]
"""An object of a JSON file that was not checked yet."""


def read_entry(kind: type[T], entry: Entry, **given: object) -> T:
    """Read a dataclass field by field, each by its type; a field with a default may be missing."""
    values = dict(given)
    for one in fields(kind):  # type: ignore[arg-type]
        if one.name in entry and one.name not in given:
            values[one.name] = value_of(one.type, entry, one.name)
        elif one.name not in given and one.default is MISSING:
            raise KeyError(one.name)
    return kind(**values)


def value_of(kind: Any, entry: Entry, name: str) -> Any:
    """Return a field of an entry if its value is of a type."""
    value = entry[name]
    if is_dataclass(kind):
        return read_entry(kind, value)  # type: ignore[arg-type]
    if get_origin(kind) is tuple:
        low, middle, high = (float(number) for number in value)
        return low, middle, high
    if get_origin(kind) is Literal:
        return one_of(entry, name, get_args(kind))
    allowed, is_allowed = _KINDS[kind]
    if not is_allowed(value):
        raise CorrectionFileError(parameter=name, allowed=allowed, received=value)
    return kind(value)


def one_of(entry: Entry, name: str, allowed: Sequence[str]) -> str:
    """Return a field that is one of some texts."""
    value = entry[name]
    if not isinstance(value, str) or value not in allowed:
        words = "one of " + ", ".join(map(repr, allowed))
        raise CorrectionFileError(parameter=name, allowed=words, received=value)
    return value


_KINDS: dict[type, tuple[str, Callable[[Any], bool]]] = {
    float: ("a finite number", lambda x: type(x) in (int, float) and math.isfinite(x)),
    int: ("an integer of at least 0", lambda x: type(x) is int and x >= 0),
    bool: ("true or false", lambda x: isinstance(x, bool)),
    str: ("text", lambda x: isinstance(x, str)),
}
"""What a value of each type may be."""
