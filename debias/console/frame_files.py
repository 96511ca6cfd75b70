"""Writes DataFrames to files, whole or piece by piece, in the format that the suffix names."""

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from debias.console.output_files import write_or_rescue
from debias.files.atomic_file import atomic_path

if TYPE_CHECKING:
    import pandas as pd

FRAME_FORMATS = (".parquet", ".csv", ".jsonl")
"""What is written here."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def write_frame(frame: "pd.DataFrame", path: Path, spreadsheet_safe: bool = False) -> None:
    """Write a DataFrame.

    Parameters
    ----------
    frame : DataFrame
        Its index is not written.
    path : Path
        Ends in .parquet, .csv or .jsonl.
    spreadsheet_safe : bool, default=False
        Whether texts of a .csv file that a spreadsheet would run as formulas get an apostrophe.

    Raises
    ------
    OSError
        The file cannot be written; see :func:`~debias.console.output_files.write_or_rescue`.
    """
    write_frames(lambda: [frame], path, spreadsheet_safe)


def write_frames(
    make_frames: Callable[[], Iterable["pd.DataFrame"]], path: Path, spreadsheet_safe: bool = False
) -> None:
    r"""Write the rows of several DataFrames to one file, one after the other.

    Parameters
    ----------
    make_frames : callable
        Makes the frames anew each time it is called: all with the same columns, at least one.
    path : Path
        Ends in .parquet, .csv or .jsonl.
    spreadsheet_safe : bool, default=False
        As in :func:`write_frame`.

    Raises
    ------
    OSError
        The file cannot be written; see :func:`~debias.console.output_files.write_or_rescue`.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "rows.csv"
    ...     write_frames(lambda: [pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})], file)
    ...     file.read_text()
    'a\n1\n2\n'
    """
    opened = {".parquet": _parquet, ".jsonl": _json_lines}.get(path.suffix.lower(), _csv)

    def write(file: Path) -> None:
        with atomic_path(file) as temporary, opened(temporary) as append:
            for frame in make_frames():
                append(_safe(frame) if spreadsheet_safe else frame)

    write_or_rescue(path, write)


@contextmanager
def _parquet(path: Path) -> Iterator[Callable[["pd.DataFrame"], Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: Any = None

    def append(frame: "pd.DataFrame") -> None:
        nonlocal writer
        rows = pa.Table.from_pandas(frame, preserve_index=False)
        if writer is None:
            writer = pq.ParquetWriter(path, rows.schema)
        writer.write_table(rows.cast(writer.schema))

    try:
        yield append
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _json_lines(path: Path) -> Iterator[Callable[["pd.DataFrame"], Any]]:
    encode = json.JSONEncoder(ensure_ascii=False, default=str).encode  # json.dumps makes one for each row

    def append(frame: "pd.DataFrame") -> None:
        names = [str(name) for name in frame.columns]
        columns = [_json_cells(frame.iloc[:, place]) for place in range(len(names))]
        rows = zip(*columns, strict=True)
        file.writelines(f"{encode(dict(zip(names, cells, strict=True)))}\n" for cells in rows)

    # half of a surrogate pair, as in the name of a file, can only be kept escaped, which is JSON
    with path.open("w", encoding="utf-8", newline="\n", errors="backslashreplace") as file:
        yield append


def _json_cells(column: "pd.Series") -> Iterable[Any]:
    """Return the cells of a column as JSON has them."""
    cells = column.tolist()
    is_number = column.dtype.kind in "biuf" and not column.hasnans
    return cells if is_number and all(map(math.isfinite, cells)) else map(_json_cell, cells)


def _json_cell(cell: Any) -> Any:
    """Return a cell as JSON has it, every number with all its digits; what is missing or infinite is null."""
    if hasattr(cell, "tolist"):  # an array of NumPy, or a number of it
        cell = cell.tolist()
    if isinstance(cell, dict):
        return {str(name): _json_cell(value) for name, value in cell.items()}
    if isinstance(cell, (list, tuple)):
        return [*map(_json_cell, cell)]
    missing = type(cell).__name__ in ("NAType", "NaTType")
    return None if missing or (isinstance(cell, float) and not math.isfinite(cell)) else cell


@contextmanager
def _csv(path: Path) -> Iterator[Callable[["pd.DataFrame"], Any]]:
    with path.open("w", encoding="utf-8", newline="") as file:
        yield lambda frame: frame.to_csv(
            file, index=False, header=not file.tell(), quoting=csv_quoting(frame), lineterminator="\n"
        )


def csv_quoting(frame: "pd.DataFrame") -> Literal[0, 2]:
    r"""Return how the cells of a CSV file are quoted, so that each stays one cell.

    The csv writer leaves a lone carriage return bare, which every reader takes for a line break: a text
    behind it would become a row of its own.

    Parameters
    ----------
    frame : DataFrame

    Returns
    -------
    int
        csv.QUOTE_NONNUMERIC where a text, or the name of a column, holds a carriage return, else
        csv.QUOTE_MINIMAL.

    Examples
    --------
    >>> import pandas as pd
    >>> csv_quoting(pd.DataFrame({"a": ["b"]})), csv_quoting(pd.DataFrame({"a": ["b\rc"]}))
    (0, 2)
    """
    columns = (frame[name] for name in frame.columns if frame[name].dtype.kind not in "biufcmM")
    texts = chain(frame.columns, frame.index, *columns)
    is_bare = any("\r" in text for text in texts if isinstance(text, str))
    return csv.QUOTE_NONNUMERIC if is_bare else csv.QUOTE_MINIMAL


def _safe(frame: "pd.DataFrame") -> "pd.DataFrame":
    return frame.map(safe_for_spreadsheets).rename(columns=safe_for_spreadsheets)


def safe_for_spreadsheets(value: object) -> object:
    """Return a cell that a spreadsheet does not run: a text that begins like a formula gets an apostrophe.

    Examples
    --------
    >>> safe_for_spreadsheets("=1+1"), safe_for_spreadsheets("fine"), safe_for_spreadsheets(-1.5)
    ("'=1+1", 'fine', -1.5)
    """
    is_formula = isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA)
    return f"'{value}" if is_formula else value
