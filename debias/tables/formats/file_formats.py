"""Infers the format of a file of class probabilities, and reads and writes it as a whole.

| format | what | keeps |
|---|---|---|
| parquet | the project's own, or one column per class (read only) | everything, bit by bit |
| csv | one column per class | everything but metadata |
| text | the published format: index, label, argmax, six-decimal probabilities | labels, rounded |
| json | records or lines of records, one field per class (read only) | – |
| answers | saved answers of a server with log-probabilities, such as a batch (read only) | – |
| lm-eval | ``samples_*.jsonl`` of lm-evaluation-harness (read only) | – |
"""

import inspect
import os
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from debias.errors import DebiasError, ParameterError, TableError, param
from debias.files.atomic_file import atomic_path
from debias.rows.delimiters import DELIMITERS
from debias.rows.row_files import encoding_of, ending_of
from debias.tables.formats.batch_answers import read_batch_answers
from debias.tables.formats.cells.plain_text import unpacked_bytes
from debias.tables.formats.csv_columns import read_csv, write_csv
from debias.tables.formats.harness_samples import read_harness_samples
from debias.tables.formats.json_records import read_json
from debias.tables.formats.named_columns import ColumnChoice
from debias.tables.formats.parquet_table import read_parquet, write_parquet
from debias.tables.formats.published_text import is_published_text, read_published_text, write_published_text
from debias.tables.labels.class_names import listed
from debias.tables.table_parts import TableParts

READERS: dict[str, Callable[..., TableParts]] = {
    "parquet": read_parquet,
    "csv": read_csv,
    "text": read_published_text,
    "json": read_json,
    "answers": read_batch_answers,
    "lm-eval": read_harness_samples,
}
WRITERS: dict[str, Callable[..., None]] = {
    "parquet": write_parquet,
    "csv": write_csv,
    "text": write_published_text,
}
SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
    ".json": "json",
    ".jsonl": "json",
}
_OTHERS = {
    b"PK\x03\x04": "a spreadsheet (.xlsx, .ods) or another zip archive",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old spreadsheet (.xls)",
    b"\x93NUMPY": "an array of NumPy (.npy)",
    b"\x89HDF\r\n": "an HDF5 file",
    b"SQLite format 3": "a SQLite database",
}
"""How files begin that are often taken for tables."""
_COLUMNS = tuple(one.name for one in fields(ColumnChoice))
KEYS = {
    "lm-eval": (r'"resps"\s*:',),
    "answers": (r'"(logprobs|custom_id)"\s*:', r'"(choices|response|error)"\s*:'),
}
"""What only these formats have, all of it, near the beginning of a JSON file."""


def read_parts(path: str | os.PathLike[str], format: str | None = None, **options: Any) -> TableParts:
    """Read the contents of a table from a file.

    Parameters
    ----------
    path : path-like
        The file.
    format : {"parquet", "csv", "text", "json", "answers", "lm-eval"}, optional
        Inferred from the suffix .parquet, .pq, .csv or .tsv by default, else from the content.
    **options
        Passed to the reader of the format.

    Returns
    -------
    TableParts
        The contents, not yet checked.

    Raises
    ------
    TableError
        The file is missing, empty, damaged, or its format cannot be told.
    ParameterError
        There is no such format, or it has no such option.
    """
    file = Path(path)
    if not file.is_file():
        raise TableError("there is no such file", file=file)
    if file.stat().st_size == 0:
        raise TableError("the file is empty", file=file)
    name = format or infer_format(file)
    try:
        reader = _choose(READERS, name, options, n_fixed=1)
        if options.get("classes") is not None:
            options["classes"] = listed(options["classes"])
        if "choice" in inspect.signature(reader).parameters:
            chosen = {column: options.pop(column) for column in _COLUMNS if column in options}
            options["choice"] = ColumnChoice(**chosen)
        return reader(file, **options)
    except DebiasError as error:
        raise error.at(file=file) from error
    except OSError as error:
        raise TableError(f"cannot be read: {error}", file=file) from error


def write_parts(
    path: str | os.PathLike[str], parts: TableParts, format: str | None = None, **options: Any
) -> None:
    """Write the contents of a table to a file, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file; an older one is replaced.
    parts : TableParts
        The contents, checked.
    format : {"parquet", "csv", "text"}, optional
        Inferred from the suffix .parquet, .pq, .csv, .tsv or .txt by default.
    **options
        Passed to the writer of the format.

    Raises
    ------
    TableError
        The file cannot be written, or the format cannot hold the table.
    ParameterError
        There is no such format, or it has no such option.
    """
    suffix = Path(path).suffix.lower()
    name = format or SUFFIXES.get(suffix, f"of the suffix {suffix!r}")
    writer = _choose(WRITERS, name, options, n_fixed=2)
    if name == "csv" and suffix == ".tsv":
        options.setdefault("delimiter", "\t")
    write_atomically(path, lambda temporary: writer(temporary, parts, **options))


def infer_format(path: Path) -> str:
    """Tell the format of a file from its suffix or, where that says nothing, from its beginning.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    str
        One of the keys of :data:`READERS`.

    Raises
    ------
    TableError
        Neither tells.
    """
    suffix = ending_of(path)
    start = unpacked_bytes(path, 2**20)
    if start.startswith((b"ARROW1", b"FEA1")):
        fix = "save it as Parquet (pandas: to_parquet)"
        raise TableError("an Arrow or Feather file; tables are not read from these", file=path, fix=fix)
    other = next((what for mark, what in _OTHERS.items() if start.startswith(mark)), None)
    if other is None and re.match(rb"\s*<(!doctype|html|table|\?xml)", start, re.IGNORECASE):
        other = "a page of HTML or XML"
    if other is not None:
        fix = "save it as CSV or Parquet, such as with DataFrame.to_csv"
        raise TableError(f"{other}, not a table that can be read", file=path, fix=fix)
    if start.startswith(b"PAR1"):
        with path.open("rb") as file:
            if file.read(4) != b"PAR1":
                raise TableError("a compressed Parquet file", file=path, fix="decompress it first")
        return "parquet"
    if suffix in SUFFIXES and suffix not in (".txt", ".json", ".jsonl"):
        return SUFFIXES[suffix]
    text = start.decode(encoding_of(start) or "utf-8", errors="replace")
    line = text.lstrip("\ufeff \r\n").split("\n")[0]
    if suffix in (".json", ".jsonl") or line.startswith(("{", "[")):
        return next((name for name, keys in KEYS.items() if all(re.search(k, text) for k in keys)), "json")
    if is_published_text(line):
        return "text"
    if any(delimiter in line for delimiter in DELIMITERS):
        return "csv"
    raise TableError(
        "the format cannot be determined", file=path, fix=f"pass {param('format')}, one of {sorted(READERS)}"
    )


def _choose(
    known: dict[str, Callable[..., Any]], name: str, options: dict[str, Any], n_fixed: int
) -> Callable[..., Any]:
    """Return the reader or writer of a format, which must know the options."""
    if name not in known:
        raise ParameterError(parameter="format", allowed=f"one of {sorted(known)}", received=name)
    allowed = list(inspect.signature(known[name]).parameters)[n_fixed:]
    if "choice" in allowed:
        allowed = [*_COLUMNS, *allowed[1:]]
    unknown = [option for option in options if option not in allowed]
    if unknown:
        raise ParameterError(
            f"format {name!r} has no option {param(unknown[0])}; it has {', '.join(map(param, allowed))}",
            parameter=unknown[0],
            allowed=f"one of {allowed}",
        )
    return known[name]


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> None:
    """Write a file of rows so that its name never stands for half of it.

    Parameters
    ----------
    path : path-like
        Where the file shall be; an older file there is replaced.
    write : callable
        Gets the path of a temporary file in the same folder, and writes it.

    Raises
    ------
    TableError
        The folder does not exist or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(f"{folder}/a.txt", lambda temporary: temporary.write_text("whole"))
    ...     os.listdir(folder)
    ['a.txt']
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise TableError(
            f"the folder {str(target.parent)!r} does not exist", file=target, fix="create it first"
        )
    try:
        with atomic_path(target) as temporary:
            write(temporary)
    except (OSError, UnicodeEncodeError) as error:
        raise TableError(f"cannot be written: {error}", file=target) from error


def has_a_line_a_row(path: Path, format: str | None) -> bool:
    """Tell whether lines are rows; samples of lm-evaluation-harness may have several lines for a row."""
    return ending_of(path) != ".jsonl" or (format or infer_format(path)) == "json"
