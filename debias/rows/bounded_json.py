"""Parses JSON that may be hostile: nesting and half characters are refused before they cost memory or crash.

A name that stands twice in an object is refused, too: :mod:`json` would keep the second value in silence.
Every refusal is a ValueError, as those of :mod:`json` are, so that a caller names the file or row.
"""

import json
import re
from typing import Any

import numpy as np

from debias.errors import shortened

MOST_LEVELS = 100
"""How deep lists and objects may stand within each other."""

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_LONG = re.compile(r"[0-9]{4301}")  # more digits than Python takes
_HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def parse_json(text: str | bytes, most_levels: int = MOST_LEVELS) -> Any:
    r"""Return the value that a JSON text states.

    Parameters
    ----------
    text : str or bytes
        Bytes are UTF-8; a byte order mark is dropped.
    most_levels : int, default=100
        How deep lists and objects may stand within each other.

    Returns
    -------
    object
        As :func:`json.loads` returns it: NaN and Infinity are numbers, integers have any size up to
        the 4,300 digits that Python takes.

    Raises
    ------
    ValueError
        The text is not JSON, is nested too deep, or has a number of too many digits.
    RepeatedNameError
        An object has a name twice; it is a ValueError, too.
    UnicodeError
        A string holds half a surrogate pair, which no file can keep; it is a ValueError, too.

    Examples
    --------
    >>> parse_json('{"a": [1, 2]}')
    {'a': [1, 2]}
    >>> parse_json("[" * 1000)
    Traceback (most recent call last):
    ValueError: lists and objects are nested more than 100 levels deep
    >>> parse_json('{"label": "a", "label": "b"}')
    Traceback (most recent call last):
    debias.rows.bounded_json.RepeatedNameError: an object has two values for 'label'
    >>> parse_json(r'["\ud800"]')
    Traceback (most recent call last):
    UnicodeError: a string contains an unpaired surrogate, which is not a character
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    text = text.removeprefix("\ufeff")
    if _depth_exceeds(text, most_levels):
        raise ValueError(f"lists and objects are nested more than {most_levels} levels deep")
    value = _DECODER.decode(text)
    if _HALF.search(text) and not _can_be_written(value):
        raise UnicodeError("a string contains an unpaired surrogate, which is not a character")
    return value


def parse_rows(text: str) -> Any:
    r"""Return the value of a JSON text that holds rows.

    What is wrong with one of them is left to whoever reads that row: half a surrogate pair, deep nesting,
    and a number of too many digits, in whose place is something that cannot be written.

    Parameters
    ----------
    text : str

    Raises
    ------
    ValueError
        The text is not JSON, has a name twice in an object, or is nested so deep that it cannot be parsed.

    Examples
    --------
    >>> parse_rows(r'{"data": [{"a": "\ud800"}, {"a": 1}]}')
    {'data': [{'a': '\ud800'}, {'a': 1}]}
    """
    try:
        return (_LONG_DECODER if _LONG.search(text) else _DECODER).decode(text)
    except RecursionError as error:
        raise ValueError("lists and objects are nested too deeply") from error


class RepeatedNameError(ValueError):
    """An object has two values of one name, of which only one could be kept."""


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON whose names are all different.

    Raises
    ------
    RepeatedNameError
        A name is there twice.

    Examples
    --------
    >>> object_of([("a", 1), ("a", 2)])
    Traceback (most recent call last):
    debias.rows.bounded_json.RepeatedNameError: an object has two values for 'a'
    """
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RepeatedNameError(f"an object has two values for {shortened(twice)}")
    return value


class _TooLong:
    """Stands for a number of too many digits."""

    def __str__(self) -> str:
        raise ValueError("a number has too many digits")


def _integer(digits: str) -> int | _TooLong:
    try:
        return int(digits)
    except ValueError:
        return _TooLong()


_DECODER = json.JSONDecoder(object_pairs_hook=object_of)
_LONG_DECODER = json.JSONDecoder(object_pairs_hook=object_of, parse_int=_integer)


def _depth_exceeds(text: str, most_levels: int) -> bool:
    """Tell whether brackets outside strings are nested deeper, without parsing."""
    if text.count("[") + text.count("{") <= most_levels:
        return False
    bare = np.frombuffer(_STRING.sub("", text).encode("utf-8", "replace"), dtype=np.uint8)
    opens, closes = ((bare == ord(a)) | (bare == ord(b)) for a, b in ("[{", "]}"))
    steps = opens.astype(np.int8) - closes.astype(np.int8)
    return bool((np.cumsum(steps[steps != 0], dtype=np.int64) > most_levels).any())


def _can_be_written(value: Any) -> bool:
    """Tell whether every string of a value has an encoding."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
