"""Formats in plain text share decoding, a check for a truncated end, and the line of a row."""

import csv
import os
import zlib
from io import StringIO
from pathlib import Path
from typing import TypeVar

import numpy as np

from debias.errors import DebiasError, RecordsError, TableError, other_row, param, shortened
from debias.rows.delimiters import likely_delimiter, named_delimiter
from debias.rows.row_files import encoding_of, ending_of, unpacked
from debias.tables.class_columns import FloatArray

E = TypeVar("E", bound=DebiasError)


_ROUNDING = 1e-5
"""How far from 1 the sum of a whole row may be where its values have six decimals."""


def decode(path: Path, encoding: str = "utf-8") -> str:
    """Return the text of a file.

    Parameters
    ----------
    path : Path
        The file.
    encoding : str, default="utf-8"
        Its encoding; a byte order mark is dropped, and one of UTF-16 or UTF-32 is followed.

    Returns
    -------
    str
        The text.

    Raises
    ------
    TableError
        The file has another encoding, or is empty but for white space.
    """
    content = unpacked_bytes(path)
    if encoding == "utf-8":
        encoding = encoding_of(content) or encoding
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        raise TableError(
            f"byte {getattr(error, 'start', 0)} is not {encoding}",
            parameter="encoding",
            received=encoding,
            file=path,
            fix=f"save the file as utf-8, or pass {param('encoding')} (for example 'latin-1')",
        ) from error
    except (LookupError, ValueError) as error:
        raise TableError(
            f"there is no encoding {shortened(encoding)}; common ones are 'utf-8', 'latin-1'",
            parameter="encoding",
            received=encoding,
            file=path,
        ) from error
    if "\0" in text:
        raise TableError(
            "holds zero bytes, so it is not text", file=path, fix="check the file and its encoding"
        )
    if not text.strip():
        raise TableError("the file is empty", file=path)
    return text


def unpacked_bytes(path: Path, most: int = -1) -> bytes:
    """Return the bytes of a file, or the first of them, unpacked if they are packed by gzip or zstd.

    Raises
    ------
    TableError
        It is packed and damaged, or becomes too large.
    """
    try:
        with unpacked(path) as stream:
            return stream.read(most)
    except RecordsError as error:
        raise TableError(error.problem, file=path, fix=error.fix) from error
    except (EOFError, zlib.error, OSError) as error:
        raise TableError(f"the file cannot be read to its end: {str(error)[:200]}", file=path) from error


def refuse_cut_end(path: Path, text: str, probabilities: FloatArray) -> None:
    r"""Refuse a file that ends in the middle of its last number.

    Such a file has no line break at its end, and its last row alone does not sum to one.

    Parameters
    ----------
    path : Path
        The file, for the message.
    text : str
        Its content.
    probabilities : ndarray of shape (n_samples, n_classes)
        What was read.

    Raises
    ------
    TableError
        The file was cut.

    Examples
    --------
    >>> refuse_cut_end(Path("a.txt"), "0 0 0 .7 .3\n1 1 1 .25 .7", np.array([[0.7, 0.3], [0.25, 0.7]]))
    Traceback (most recent call last):
        ...
    debias.errors.TableError: a.txt: the file is cut short: it ends within row 1, which sums to 0.95 while
    all others sum to 1.
    """
    off = np.abs(probabilities.sum(axis=1) - 1) > _ROUNDING
    if not text.endswith(("\n", "\r")) and len(off) > 1 and off[-1] and not off[:-1].any():
        raise TableError(
            f"the file is cut short: it ends within {other_row(len(off) - 1)}, which sums to "
            f"{probabilities[-1].sum():.6g} while all others sum to 1",
            file=path,
        )


def on_its_line(error: E) -> E:
    """Return an error on a row of a text file with the line on which that row begins.

    Parameters
    ----------
    error : DebiasError
        Its file is read again, if it is CSV, TSV or JSON Lines that can be read.

    Returns
    -------
    DebiasError
        The same, where no line is found.
    """
    if error.file is None or error.line is not None:
        return error
    path = Path(error.file)
    return error.on_lines(lambda row: line_of_row(path, row))


def line_of_row(path: Path, row: int) -> int | None:
    r"""Return the line on which a row of a file begins, from 1.

    Parameters
    ----------
    path : Path
        CSV or TSV with a header, or JSON Lines.
    row : int
        From 0, blank lines not counted.

    Returns
    -------
    int or None
        None where it cannot be told.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "table.csv")
    ...     _ = path.write_text('text,label\n"two\nlines",yes\n\nlast,no\n')
    ...     [line_of_row(path, row) for row in range(3)]
    [2, 5, None]
    """
    suffix = ending_of(path)
    if suffix not in (".csv", ".tsv", ".jsonl") or not os.path.isfile(path):
        return None
    try:
        content = unpacked_bytes(path)
    except TableError:
        return None
    text = content.decode(encoding_of(content) or "utf-8", errors="replace").removeprefix("\ufeff")
    if suffix == ".jsonl":
        lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        is_lines = all(line[0] + line[-1] == "{}" for _, line in lines)  # else a list, or one spread out
        return lines[row][0] if is_lines and row < len(lines) else None
    delimiter, n_before = named_delimiter(text)
    first = text[:n_before].count("\n") + 1
    delimiter = delimiter or ("\t" if suffix == ".tsv" else likely_delimiter(text[n_before:]))
    reader = csv.reader(StringIO(text[n_before:], newline=""), delimiter=delimiter)
    begun, wanted = first, row + 1  # the header is a row, too
    try:
        for cells in reader:
            if len(cells) > 1 or "".join(cells).strip():
                if not wanted:
                    return begun
                wanted -= 1
            begun = first + reader.line_num
    except csv.Error:
        return None
    return None
