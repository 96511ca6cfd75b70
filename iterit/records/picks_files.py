"""Reads the picks of any tool: row numbers, ids, digests, or the picked records themselves.

One reading holds for the whole file. Where two readings give different rows, both are named and the
file is refused; `picks_as` decides.
"""

import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from debias.errors import RecordsError, param
from debias.rows.json_rows import RawRow
from debias.rows.row_files import ENDINGS, ending_of, read_rows
from debias.settings import check_choice
from iterit.records.instruction_records import Record, Records
from iterit.records.record_formats import parse_row
from iterit.records.row_fields import RefusedRow
from iterit.row_numbers import RowArray

READINGS = ("auto", "rows", "ids", "digests", "records")
_ROWS = ("row", "index", "idx", "row_number", "row_id")
_IDS = ("id", "uid", "uuid", "_id", "example_id", "record_id", "sample_id")
_LISTS = (".txt", ".npy")
_MARKS = ("selected", "is_selected", "picked", "is_picked")


@dataclass(frozen=True, eq=False)
class FilePicks:
    """The rows of a pool that a file of picks names.

    Attributes
    ----------
    rows : int64 array
        In the order of the file, each once.
    reading : str
        What the file holds: "rows", "ids", "digests" or "records".
    n_repeated : int
        Picks that name a row again.
    n_unknown : int
        Picks that are not in the pool.
    """

    rows: RowArray
    reading: str
    n_repeated: int
    n_unknown: int


def read_picks(path: str | Path, pool: Records, picks_as: str = "auto") -> FilePicks:
    r"""Read which records of a pool a tool has picked.

    Parameters
    ----------
    path : str or Path
        A list of numbers or ids (.txt with one in each line, .json, .jsonl, .npy), or a file of rows of any
        kind that :func:`debias.rows.row_files.read_rows` reads: with a column of row numbers (``row``,
        ``index``), of ids (``id``, looked up in the pool's field of that name), of digests (from ``iterit
        score``), or the records themselves, found by their texts. Of a table of all rows with a column
        ``selected`` or ``picked`` of 0 and 1, those with 1 are read.
    pool : Records
    picks_as : {"auto", "rows", "ids", "digests", "records"}, default="auto"
        What the file holds. Row numbers begin with 0 and count usable records; "auto" refuses them where
        rows of the pool were excluded.

    Returns
    -------
    FilePicks

    Raises
    ------
    RecordsError
        The file cannot be read, names nothing of this pool, can be read in two ways, or has an id of several
        records.
    ParameterError
        `picks_as` is unknown.

    Examples
    --------
    >>> import tempfile
    >>> pool = Records.from_rows([{"id": f"q{n}", "question": f"{n}?", "answer": str(n)} for n in range(9)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     numbers, ids = Path(folder) / "rows.json", Path(folder) / "ids.csv"
    ...     _ = numbers.write_text("[7, 2, 7]"), ids.write_text("id\nq7\nq2\n")
    ...     first, second = read_picks(numbers, pool), read_picks(ids, pool)
    >>> first.rows.tolist(), first.reading, first.n_repeated, second.rows.tolist(), second.reading
    ([7, 2], 'rows', 1, [7, 2], 'ids')
    """
    check_choice("picks_as", picks_as, READINGS)
    file = Path(path)
    listed = _plain_list(file)
    values = _marked(_values_of(file)) if listed is None else listed
    if not values:
        raise RecordsError("it has no picks", file=file)
    if listed is not None or _is_plain(values):
        readings = {"rows": _Reading(partial(_by_row, values, pool)), "ids": _ids(values, "id", pool)}
    else:
        readings = _readings_of(values, pool)
    try:
        found = _decided(file, pool, readings, picks_as)
    except RecordsError as error:
        raise error.at(file=file) from error
    if not len(found.rows):
        raise RecordsError(
            f"none of its {found.n_unknown:,} picks is in the pool of {len(pool):,} records",
            file=file,
            received=found.reading,
            fix="pass the pool that the tool picked from",
        )
    return found


class _Reading(NamedTuple):
    """A way to read a file: `read` returns a row or -1 for each pick, or None where it does not fit.

    `check` raises RecordsError where the reading fits, and says too little.
    """

    read: Callable[[], "list[int] | None"]
    check: Callable[[], None] = lambda: None


def _decided(file: Path, pool: Records, readings: dict[str, _Reading], picks_as: str) -> FilePicks:
    """Return the only reading that fits, or the one that was asked for."""
    if picks_as != "auto":
        if picks_as not in readings:
            allowed = ", ".join(map(repr, readings)) or "none"
            raise RecordsError(
                f"it has no {picks_as}; it can be read as {allowed}", file=file, received=picks_as
            )
        readings = {picks_as: readings[picks_as]}
    found = {name: places for name, one in readings.items() if (places := one.read()) is not None}
    if not found:
        raise RecordsError(
            f"it names no records of the pool: it can be read as {' or '.join(readings) or 'nothing'}, and a"
            f" row number must be an integer from 0 to {len(pool) - 1:,}",
            file=file,
            received=picks_as,
            fix=f"check the pool, or pass {param('picks_as')}={'|'.join(READINGS[1:])}",
        )
    if len({tuple(places) for places in found.values()}) > 1:
        most = max(sum(place >= 0 for place in places) for places in found.values())
        whole = {name: places for name, places in found.items() if sum(p >= 0 for p in places) == most}
        is_clear = len(whole) == 1 and all(
            sum(place >= 0 for place in places) < most / 2
            for name, places in found.items()
            if name not in whole
        )
        if not is_clear:
            raise RecordsError(
                f"it can be read as {' and as '.join(found)}, which are different records",
                file=file,
                received=list(found),
                fix=f"pass {param('picks_as', next(iter(found)))}",
            )
        found = whole
    reading, places = next(iter(found.items()))
    readings[reading].check()
    if reading == "rows" and picks_as == "auto":
        _check_counted(pool)
    known = [place for place in places if place >= 0]
    rows = np.array(list(dict.fromkeys(known)), dtype=np.int64)
    return FilePicks(rows, reading, len(known) - len(rows), len(places) - len(known))


def _marked(values: list[object]) -> list[object]:
    """Return the rows that a table of picked and other rows marks as picked, or all where it marks none.

    Examples
    --------
    >>> _marked([{"row": 0, "picked": 0}, {"row": 1, "picked": 1}])
    [{'row': 1, 'picked': 1}]
    """
    yes, no = ("1", "1.0", "true"), ("0", "0.0", "false")
    rows = [value for value in values if isinstance(value, dict)]
    if len(rows) == len(values):
        for name in _MARKS:
            marks = [str(row.get(name)).lower() for row in rows]
            if set(marks) <= {*yes, *no} and set(marks) & set(no):
                return [value for value, mark in zip(values, marks, strict=True) if mark in yes]
    return values


def _plain_list(file: Path) -> list[object] | None:
    """Return the values of a file that is no file of rows, or None where it is one."""
    ending = ending_of(file) or file.suffix.lower()
    if ending not in _LISTS:
        return None
    try:
        if ending == ".npy":
            return _listed(np.load(file, allow_pickle=False), file)
        return _of_lines(file.read_text(encoding="utf-8-sig"))
    except RecordsError as error:
        raise error.at(file=file) from error
    except FileNotFoundError as error:
        raise RecordsError("there is no such file", file=file) from error
    except (ValueError, EOFError, OSError) as error:
        raise RecordsError(f"it cannot be read: {str(error)[:200]}", file=file) from error


def _of_lines(text: str) -> list[object]:
    r"""Return the numbers of a text, however they are separated, or else its lines: an id may have spaces.

    Examples
    --------
    >>> _of_lines("[3, 1]\n"), _of_lines("task 3\n\ntask 1\n")
    ([3, 1], ['task 3', 'task 1'])
    """
    pieces = text.strip().removeprefix("[").removesuffix("]").replace(",", " ").split()
    if all(re.fullmatch(r"-?\d+", piece) for piece in pieces):
        return [int(piece) for piece in pieces]
    return [line.strip() for line in text.splitlines() if line.strip()]


def _is_plain(values: Sequence[object]) -> bool:
    """Tell whether all values are numbers or texts: a list of row numbers or ids."""
    return all(isinstance(one, int | float | str) and not isinstance(one, bool) for one in values)


def _listed(array: npt.NDArray[Any], file: Path) -> list[object]:
    """Return the values of an array of one column or row."""
    if array.size != max(array.shape, default=1):
        problem = f"an array of picks must have one column, got the shape {array.shape}"
        raise RecordsError(
            problem, received=array.shape, file=file, fix="save the column of row numbers alone"
        )
    if array.dtype == np.bool_:
        raise _is_mask(array.size)
    return list(array.ravel().tolist())


def _is_mask(n_values: int) -> RecordsError:
    return RecordsError(
        f"it has a 0 or 1 for each of the {n_values:,} records, which is a mask, not row numbers",
        received="a mask",
        fix="write the numbers of the rows that have a 1, such as numpy.flatnonzero(mask)",
    )


def _values_of(file: Path) -> list[object]:
    """Return the values of all rows; what cannot be read is refused."""
    if ending_of(file) not in ENDINGS:
        allowed = f"one of {', '.join(dict.fromkeys([*ENDINGS, *_LISTS]))}"
        raise RecordsError(
            parameter="the file name's ending", received=file.suffix, allowed=allowed, file=file
        )
    rows: list[RawRow] = list(read_rows(file))
    for raw in rows:
        # a bare number or string is no record, and may be a row number or an id
        if raw.refused:
            raise RecordsError(f"it cannot be read: {raw.refused}", file=file, line=raw.line)
    return [raw.value for raw in rows]


def _readings_of(values: Sequence[object], pool: Records) -> dict[str, _Reading]:
    """Return the ways in which rows can be read, by what all of them have."""
    rows = [value if isinstance(value, dict) else {} for value in values]
    shared = set.intersection(*(set(row) for row in rows)) if rows else set()
    readings: dict[str, _Reading] = {}

    def column(name: str) -> list[object]:
        return [row[name] for row in rows]

    records = [_record_of(row, pool.format) for row in rows]
    if all(one is not None for one in records):
        whole = [one for one in records if one is not None]
        readings["records"] = _Reading(partial(_by_texts, whole, pool))
        return readings  # other fields of a whole record, such as an id of its own, do not name rows
    if "digest" in shared:
        readings["digests"] = _Reading(lambda: _matched(column("digest"), pool.digests))
        return readings  # a digest is of the text: it holds however the pool is sorted
    for name in _ROWS:
        if name in shared:
            readings["rows"] = _Reading(partial(_by_row, column(name), pool))
            break
    for name in _IDS:
        if name in shared:
            readings["ids"] = _ids(column(name), name, pool)
            break
    return readings


def _record_of(row: dict[str, object], format: str) -> Record | None:
    """Return a row as a record, or None where it is none."""
    try:
        content = parse_row(row, format)
    except RefusedRow:
        return None
    return Record(0, content.messages, "", content.instruction, content.input, content.tools)


def _by_texts(records: Sequence[Record], pool: Records) -> list[int]:
    """Return the rows that say the same; spaces and the format of the file do not matter."""
    places = _matched([one.digest for one in records], pool.digests)
    if min(places) >= 0:
        return places
    again = _matched(map(_said, records), map(_said, pool))
    return [place if place >= 0 else other for place, other in zip(places, again, strict=True)]


def _said(record: Record) -> str:
    """Return what a record says, with single spaces."""
    return "\n".join(f"{m.role}: {' '.join(m.content.split())}" for m in record.messages)


def _by_row(values: Sequence[object], pool: Records) -> list[int] | None:
    """Return row numbers, or None where one of them is none of this pool."""
    found = []
    for value in values:
        text = str(value).strip()
        whole = isinstance(value, float) and value.is_integer()
        if isinstance(value, bool) or not (text.isdecimal() or whole):
            return None
        number = int(float(text)) if whole else int(text)
        if not 0 <= number < len(pool):
            return None
        found.append(number)
    if len(found) == len(pool) > 2 and set(found) <= {0, 1}:
        raise _is_mask(len(pool))
    return found


def _check_counted(pool: Records) -> None:
    """Refuse row numbers of a pool without some rows of its files: they may count those rows or not."""
    if problem := pool.ambiguity():
        raise RecordsError(
            problem,
            received="rows",
            fix=f"pass {param('picks_as', 'rows')} if they count usable records, as those of iterit do; else"
            " pick by ids, or remove the other rows from the pool",
        )


def _ids(values: Sequence[object], name: str, pool: Records) -> _Reading:
    """Read values as those of a field of the pool."""
    return _Reading(partial(_by_id, values, name, pool), partial(_check_one_each, values, name, pool))


def _by_id(values: Sequence[object], name: str, pool: Records) -> list[int] | None:
    """Return the rows whose field has these values, or None where the pool has no such field."""
    known = _ids_of(pool, name)
    if all(one is None for one in known):
        return None
    places = _matched(map(_id_of, values), known)
    return places if any(place >= 0 for place in places) else None


def _check_one_each(values: Sequence[object], name: str, pool: Records) -> None:
    """Refuse an id of several different records, unless it is named as often as there are such records."""
    known = _ids_of(pool, name)
    times, there = Counter(map(_id_of, values)), Counter(known)
    several = {one for one, n in times.items() if one is not None and n < there[one]}
    if not several:
        return
    first: dict[str, str] = {}
    for one, digest in zip(known, pool.digests, strict=True):
        if one in several and first.setdefault(str(one), digest) != digest:
            raise RecordsError(
                f"{there[one]:,} records of the pool have the {name} {one!r}, and they are not the same",
                received=one,
                fix="pass row numbers, digests or the records themselves, or give each record its own id",
            )


def _ids_of(pool: Records, name: str) -> list[str | None]:
    return [_id_of(pool.original(row).get(name)) for row in range(len(pool))]


def _id_of(value: object) -> str | None:
    """Return an id as a text: a column with missing values makes fractions of whole numbers.

    Examples
    --------
    >>> _id_of("q7"), _id_of(7), _id_of(7.0), _id_of(None)
    ('q7', '7', '7', None)
    """
    if value is None:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _matched(values: Iterable[object], known: Iterable[Hashable]) -> list[int]:
    """Return the row of each value, and -1 for one that is unknown or None.

    Equal values name the rows that have them one after the other, and the last one again.
    """
    places: defaultdict[Hashable, deque[int]] = defaultdict(deque)
    for row, value in enumerate(known):
        places[value].append(row)
    found = []
    for value in values:
        rows = None if value is None else places.get(str(value))
        found.append(-1 if not rows else rows.popleft() if len(rows) > 1 else rows[0])
    return found
