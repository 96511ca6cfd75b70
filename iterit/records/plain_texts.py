"""Reads general text: paragraphs of a text file, or the field "text" of rows."""

import os
import re
from pathlib import Path

from debias.errors import RecordsError
from debias.rows.row_files import ENDINGS, read_rows, readable

_FIELD = "text"


def read_texts(path: str | os.PathLike[str]) -> list[str]:
    r"""Read texts.

    Parameters
    ----------
    path : str or path-like
        A ``.txt`` in UTF-8, whose texts are divided by empty lines; or a file of rows, as records have them,
        with a field ``text``.

    Returns
    -------
    list of str
        Those that are not empty.

    Raises
    ------
    RecordsError
        There is no such file, it cannot be read, a row has no text, or all are empty.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "some.txt"
    ...     _ = file.write_text("Ice floats.\nIt is light.\n\n\nIron sinks.")
    ...     read_texts(file)
    ['Ice floats.\nIt is light.', 'Iron sinks.']
    """
    file = Path(path)
    texts = _paragraphs(file) if file.suffix.lower() == ".txt" else _fields(file)
    found = [text for text in texts if text.strip()]
    if not found:
        raise RecordsError("it has no text", file=file, fix="pass a file with text")
    return found


def _paragraphs(file: Path) -> list[str]:
    """Return what stands between empty lines."""
    try:
        return re.split(r"\n\s*\n", file.read_text(encoding="utf-8-sig").strip())
    except (OSError, UnicodeError) as error:
        raise RecordsError(f"the file cannot be read: {error}", file=file) from error


def _fields(file: Path) -> list[str]:
    """Return the texts of rows."""
    texts = []
    for one in readable([file]):
        for row in read_rows(one.path):
            value = row.value.get(_FIELD) if isinstance(row.value, dict) else None
            if not isinstance(value, str):
                raise RecordsError(
                    f"the row has no field {_FIELD!r} with a text",
                    line=row.line,
                    column=_FIELD,
                    received=value,
                    file=one.path,
                    fix=f"pass a .txt, or rows with a field {_FIELD!r}: {', '.join(ENDINGS)}",
                )
            texts.append(value)
    return texts
