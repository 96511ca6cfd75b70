"""Output files: checked before any work is done, written whole or not at all."""

from pathlib import Path
from typing import TYPE_CHECKING

from debias.atomic_file import atomic_path
from debias.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd

FRAME_FORMATS = (".parquet", ".csv", ".jsonl")
"""What :func:`write_frame` writes."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def check_output(
    path: Path, suffixes: tuple[str, ...], inputs: tuple[Path, ...] = (), parameter: str = "out"
) -> None:
    """Refuse an output file that could not be written, before any work is done.

    Parameters
    ----------
    path : Path
        The file.
    suffixes : tuple of str
        What it may end in.
    inputs : tuple of Path
        Files that the command reads, which it must not overwrite.
    parameter : str, default="out"
        The parameter that names the file.

    Raises
    ------
    ParameterError
        Another suffix, a folder of that name, no such folder, or an input.

    Examples
    --------
    >>> check_output(Path("report.pdf"), (".html", ".md"))
    Traceback (most recent call last):
    debias.errors.ParameterError: out must be a file name that ends in .html or .md, got 'report.pdf'.
    """
    allowed = None
    if path.suffix.lower() not in suffixes:
        allowed = f"a file name that ends in {' or '.join(suffixes)}"
    elif path.is_dir():
        allowed = "the name of a file, not of a folder"
    elif not path.parent.is_dir():
        allowed = f"a file in an existing folder, and {str(path.parent)!r} does not exist"
    elif any(path.resolve() == source.resolve() for source in inputs):
        allowed = "another file than an input of the command"
    if allowed is not None:
        raise ParameterError(parameter=parameter, allowed=allowed, received=str(path))


def write_frame(frame: "pd.DataFrame", path: Path) -> None:
    """Write a DataFrame in the format that the suffix names.

    Parameters
    ----------
    frame : DataFrame
        Its index is not written.
    path : Path
        Ends in .parquet, .csv or .jsonl.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".parquet":
            frame.to_parquet(temporary, index=False)
        elif path.suffix.lower() == ".jsonl":
            frame.to_json(temporary, orient="records", lines=True, force_ascii=False)
        else:
            frame.to_csv(temporary, index=False)


def write_text(text: str, path: Path) -> None:
    """Write a text as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def safe_for_spreadsheets(value: object) -> object:
    """Return a cell that a spreadsheet does not run: a text that begins like a formula gets an apostrophe.

    Examples
    --------
    >>> safe_for_spreadsheets("=1+1"), safe_for_spreadsheets("fine"), safe_for_spreadsheets(-1.5)
    ("'=1+1", 'fine', -1.5)
    """
    is_formula = isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA)
    return f"'{value}" if is_formula else value
