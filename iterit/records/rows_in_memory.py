"""Takes rows in memory of any kind: mappings, a DataFrame, an Arrow table, a mapping of columns."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from debias.errors import ParameterError
from debias.rows.json_containers import rows_of_object


def is_path(value: object) -> bool:
    """Tell whether a value is a path."""
    return isinstance(value, str | os.PathLike)


def is_iterable(value: object) -> bool:
    """Tell whether a value has items; a text and bytes count as one thing."""
    if isinstance(value, str | bytes | bytearray | os.PathLike):
        return False
    return isinstance(value, Iterable) or hasattr(value, "__getitem__")


def mappings_of(rows: object) -> Iterable[object]:
    """Return rows of any kind as mappings; a missing value in a DataFrame becomes None.

    Raises
    ------
    ParameterError
        They are something else.

    Examples
    --------
    >>> list(mappings_of({"question": ["a", "b"], "answer": ["c", "d"]}))
    [{'question': 'a', 'answer': 'c'}, {'question': 'b', 'answer': 'd'}]
    >>> mappings_of(5)
    Traceback (most recent call last):
    debias.errors.ParameterError: rows must be mappings, a DataFrame, an Arrow table, or a mapping ...
    """
    if isinstance(rows, Mapping):
        held = rows_of_object(rows)
        return [rows] if held is None else held
    table: Any = rows
    if hasattr(rows, "to_pylist"):  # only a table of Arrow has it
        listed: Iterable[object] = table.to_pylist()
        return listed
    if hasattr(rows, "iterrows"):  # only a DataFrame has it
        frame = table.astype(object)
        records: list[object] = frame.where(frame.notna(), None).to_dict("records")
        return records
    if not is_iterable(rows):
        allowed = "mappings, a DataFrame, an Arrow table, or a mapping of columns"
        raise ParameterError(parameter="rows", received=rows, allowed=allowed)
    items: Iterable[object] = table
    return items
