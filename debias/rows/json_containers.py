"""Takes rows out of one JSON object: columns, rows by name, or a list in a field such as "data".

One rule says whether an object is a row or holds rows; where both fit, it is refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from debias.errors import RecordsError, shortened

_WRAPPERS = ("data", "rows", "records", "examples", "instances", "items")
_SPLIT = {"columns", "data", "index", "index_names", "column_names"}
_FORM = {"version", "schema", "pandas_version"}
_ABOUT = _FORM | {
    "about", "author", "authors", "citation", "config", "count", "created", "created_at", "dataset",
    "dataset_name", "date", "description", "features", "first_id", "format", "has_more", "homepage", "info",
    "kind", "lang", "language", "languages", "last_id", "length", "licence", "license", "meta", "metadata",
    "model", "n_rows", "name", "next", "num_rows", "num_rows_per_page", "num_rows_total", "object", "page",
    "pages", "partial", "previous", "size", "source", "split", "splits", "status", "success", "task",
    "timestamp", "title", "total", "type", "updated", "url",
}  # fmt: skip
"""Fields beside the rows of a whole file that say something of the file."""
_SAVE_ROWS = "save the rows alone, as a list, or write one object per line (.jsonl)"


def rows_of_object(value: Mapping[str, Any], is_line: bool = False) -> Iterator[Any] | None:
    """Return the rows that one object holds, one after the other, or None where it is a row itself.

    Parameters
    ----------
    value : mapping
        Columns of equal lengths, as lists or by row; rows by name; or rows in a field such as "data".
    is_line : bool, default=False
        Whether it is the only line of a file of lines. There an object is a row, as it were beside others,
        unless it has nothing but rows in a field such as "data", or columns by row as pandas writes them.

    Raises
    ------
    RecordsError
        It has rows in a field such as "data", and fields beside them that are not known to be of the file;
        or it may be one conversation of pairs as well as many of one pair.

    Examples
    --------
    >>> list(rows_of_object({"a": [1, 2], "b": [3, 4]})), list(rows_of_object({"a": {"0": 1, "1": 2}}))
    ([{'a': 1, 'b': 3}, {'a': 2, 'b': 4}], [{'a': 1}, {'a': 2}])
    >>> list(rows_of_object({"version": 1, "data": [{"a": 1}]}))
    [{'a': 1}]
    >>> list(rows_of_object({"x": {"a": 1}, "y": {"a": 2}}))
    [{'id': 'x', 'a': 1}, {'id': 'y', 'a': 2}]
    >>> rows_of_object({"messages": [{"role": "user", "content": "Hi"}]}) is None
    True
    >>> rows_of_object({"text": "a", "data": [{"a": 1}]}, is_line=True) is None
    True
    >>> rows_of_object({"text": "a", "data": [{"a": 1}]})
    Traceback (most recent call last):
    debias.errors.RecordsError: the object may be one row, or hold rows in 'data': next to them is 'text';
    save the rows ...
    """
    lists = {name: column for name, column in value.items() if isinstance(column, list)}
    if {"columns", "data"} <= set(lists) and set(value) <= _SPLIT and _are(list, value["data"]):
        return (_of_cells(value["columns"], row) for row in value["data"])
    wrapper = next((name for name in _WRAPPERS if _are_rows(lists.get(name))), None)
    beside = [name for name in value if name != wrapper and name not in (_FORM if is_line else _ABOUT)]
    if wrapper is not None and not beside:
        return iter(lists[wrapper])
    if lists and len(lists) == len(value) and len(set(map(len, lists.values()))) == 1:
        if is_line or any(map(_has_messages, lists.values())):
            return None
        if len(lists) == 1 and all(map(_is_pair, *lists.values())):
            name = next(iter(lists))
            problem = f"the object may be one row with {len(lists[name])} pairs in {name!r}, or as many rows"
            raise RecordsError(problem, received=name, fix=_SAVE_ROWS)
        return (dict(zip(value, row, strict=True)) for row in zip(*lists.values(), strict=True))
    if wrapper is not None and not is_line:
        names = ", ".join(map(shortened, beside[:3]))
        raise RecordsError(
            f"the object may be one row, or hold rows in {wrapper!r}: next to them is {names}",
            received=beside,
            fix=_SAVE_ROWS,
        )
    if not value or not all(isinstance(inner, Mapping) and inner for inner in value.values()):
        return None
    keys = list(next(iter(value.values())))
    if all(str(key).isdecimal() for key in keys) and all(list(inner) == keys for inner in value.values()):
        return ({name: inner[key] for name, inner in value.items()} for key in keys)
    return None if is_line else ({"id": key, **inner} for key, inner in value.items())


def _is_pair(value: object) -> bool:
    """Tell whether a value is two texts: a question with its answer, or a row of two."""
    return isinstance(value, list) and len(value) == 2 and _are(str, value)


def _of_cells(names: list[Any], cells: list[Any]) -> Any:
    """Return a row of a table by column; one of another length stays what it is, and is refused as that."""
    return dict(zip(names, cells, strict=True)) if len(cells) == len(names) else cells


def _are_rows(values: list[Any] | None) -> bool:
    return bool(values) and _are(Mapping, values or []) and not _has_messages(values or [])


def _are(kind: type, values: list[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _has_messages(values: list[Any]) -> bool:
    return any(isinstance(value, Mapping) and {"role", "from"} & value.keys() for value in values)
