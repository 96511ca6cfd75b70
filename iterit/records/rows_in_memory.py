"""Takes rows in memory of any kind: mappings, a DataFrame, an Arrow table, a mapping of columns."""

import os
from collections.abc import Hashable, Iterable, Mapping
from itertools import chain
from typing import Any

from debias.errors import ParameterError
from debias.rows.column_rows import repeated_name
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
        _check_no_splits(rows)
        held = rows_of_object(rows)
        return [rows] if held is None else held
    table: Any = rows
    if hasattr(rows, "to_pylist"):  # only a table of Arrow has it
        _check_names(table.schema.names if hasattr(rows, "schema") else [])
        listed: Iterable[object] = table.to_pylist()
        return listed
    if hasattr(rows, "iterrows"):  # only a DataFrame has it
        _check_names(list(table.columns))
        frame = table.astype(object)
        records: list[object] = frame.where(frame.notna(), None).to_dict("records")
        return records
    if not is_iterable(rows):
        allowed = "mappings, a DataFrame, an Arrow table, or a mapping of columns"
        raise ParameterError(parameter="rows", received=rows, allowed=allowed)
    return chain.from_iterable(map(_rows_of_item, table))


def _rows_of_item(item: object) -> Iterable[object]:
    """Return an item of rows, or those it has: some data sets and readers give tables, one after another."""
    is_table = hasattr(item, "to_pylist") or hasattr(item, "iterrows")
    return mappings_of(item) if is_table else [item]


def _check_names(names: Iterable[Hashable]) -> None:
    """Refuse two columns of one name: a row could keep only one of them."""
    if (name := repeated_name(names)) is not None:
        raise ParameterError(
            f"two columns of the rows have the name {name!r}",
            parameter="rows",
            received=name,
            allowed="columns of different names",
            fix="rename one of them, or omit it",
        )


def _check_no_splits(rows: Mapping[str, object]) -> None:
    """Refuse data sets by the names of their splits."""
    splits = [name for name, one in rows.items() if hasattr(one, "column_names") or hasattr(one, "iterrows")]
    if splits:
        raise ParameterError(
            f"the rows are splits: {', '.join(map(repr, splits[:10]))}",
            parameter="rows",
            received=splits,
            allowed="the rows of one split",
            fix=f"pass one of them, such as rows[{splits[0]!r}]",
        )
