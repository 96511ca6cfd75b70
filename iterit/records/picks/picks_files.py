"""Reads the picks of any tool: row numbers, ids, digests, or the picked records themselves.

One reading holds for the whole file. Where two readings give different rows, both are named and the
file is refused; `picks_as` decides.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from debias.errors import RecordsError, param, shortened
from debias.settings import check_choice
from iterit.records.instruction_records import Record, Records
from iterit.records.picks.picked_values import is_plain, mask_error, read_values, values_of_only_column
from iterit.records.record_formats import parse_row
from iterit.records.row_fields import RefusedRow
from iterit.row_numbers import RowArray

READINGS = ("auto", "rows", "ids", "digests", "records")
_ROWS = ("row", "index", "idx", "row_number", "row_id")
_IDS = ("id", "uid", "uuid", "_id", "example_id", "record_id", "sample_id")


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
        score``), with one column of any name, or the records themselves, found by their texts. Of a table of
        all rows with a column ``selected`` or ``picked`` of 0 and 1, those with 1 are read.
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
    values = read_values(file)
    if not values:
        raise RecordsError("it has no picks", file=file)
    readings = _plain_readings(values, pool) if is_plain(values) else _readings_of(values, pool)
    if not readings:
        raise _nameless(values, file)
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


def _nameless(values: Sequence[object], file: Path) -> RecordsError:
    """Return the error of rows that are no records, and have no column that names one."""
    names = dict.fromkeys(str(name) for row in values if isinstance(row, dict) for name in row)
    shown = ", ".join(map(shortened, list(names)[:8])) or "none"
    return RecordsError(
        f"its rows are no records, and it has no column that names records, got the columns: {shown}",
        received=list(names),
        allowed=f"a column {', '.join(map(repr, (*_ROWS[:3], *_IDS[:2])))} or 'digest', or whole records",
        fix="rename the column of row numbers 'row', or that of ids 'id'",
        file=file,
    )


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
            allowed = ", ".join(map(repr, readings))
            raise RecordsError(
                f"it has no {picks_as}; it can be read as {allowed}", file=file, received=picks_as
            )
        readings = {picks_as: readings[picks_as]}
    found = {name: places for name, one in readings.items() if (places := one.read()) is not None}
    if not found:
        raise RecordsError(
            f"it names no records of the pool: it can be read as {' or '.join(readings)}, and a"
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


def _plain_readings(values: Sequence[object], pool: Records) -> dict[str, _Reading]:
    """Return the ways in which plain values can be read."""
    return {"rows": _Reading(partial(_by_row, values, pool)), "ids": _ids(values, "id", pool)}


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
    if not readings and (only := values_of_only_column(rows)) is not None:
        return _plain_readings(only, pool)
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
        raise mask_error(len(pool))
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
