"""Output files: checked before any work is done, written whole or not at all."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from debias.errors import DebiasError, ParameterError, StorageError, param
from debias.files.atomic_file import atomic_path, try_to_write


def check_output(
    path: Path,
    suffixes: tuple[str, ...],
    inputs: tuple[Path, ...] = (),
    parameter: str = "out",
    is_tried: bool = True,
) -> None:
    """Refuse an output file that could not be written, before any work is done; it is tried.

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
    is_tried : bool, default=True
        Whether a little is written there and removed.

    Raises
    ------
    ParameterError
        Another suffix, a folder of that name, no such folder, or an input.
    StorageError
        The folder cannot be written, or the disk is full.

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
        allowed = "different from the input files of the command"
    if allowed is not None:
        raise ParameterError(parameter=parameter, allowed=allowed, received=str(path))
    if is_tried:
        try_output(path, parameter)


def try_output(path: Path, parameter: str = "out") -> None:
    """Refuse an output file that cannot be written: a little is written there and removed.

    Parameters
    ----------
    path : Path
    parameter : str, default="out"
        The parameter that names the file.

    Raises
    ------
    StorageError
        The folder cannot be written, or the disk is full.

    Examples
    --------
    >>> try_output(Path("/no/such/folder/file.txt"))
    Traceback (most recent call last):
    debias.errors.StorageError: /no/such/folder/file.txt: it cannot be written (the folder does not exist; ...
    """
    try:
        try_to_write(path)
    except OSError as error:
        raise _no_place(path, "it cannot be written", error, parameter) from error


def make_folder(path: str | os.PathLike[str], parameter: str = "out") -> None:
    """Make a folder of outputs where it is missing, and try to write there; a symbolic link is followed.

    Parameters
    ----------
    path : path-like
    parameter : str, default="out"
        The parameter that names the folder.

    Raises
    ------
    StorageError
        It cannot be made or written, or is a file.

    Examples
    --------
    >>> make_folder("/dev/null")
    Traceback (most recent call last):
    debias.errors.StorageError: /dev/null: the folder cannot be made (File exists); choose another out, ...
    """
    try:
        Path(os.path.realpath(path)).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_place(path, "the folder cannot be made", error, parameter) from error
    try:
        try_to_write(Path(path) / "file")
    except OSError as error:
        raise _no_place(path, "the folder cannot be written", error, parameter) from error


def _no_place(path: str | os.PathLike[str], problem: str, error: OSError, parameter: str) -> StorageError:
    """Return the error of a place where nothing can be written."""
    return StorageError(
        f"{problem} ({error.strerror or error})",
        parameter=parameter,
        file=path,
        fix=f"choose another {param(parameter)}, or fix the cause",
    )


def write_or_rescue(path: Path, write: Callable[[Path], object]) -> None:
    """Write a result, and where that fails after all the work, write it elsewhere.

    Parameters
    ----------
    path : Path
        Where it belongs.
    write : callable
        Writes it to the path that it gets.

    Raises
    ------
    StorageError
        It could not be written there; the error says where it is.
    OSError
        It could not be written anywhere.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_or_rescue(Path(folder) / "note.txt", lambda path: path.write_text("whole"))
    ...     (Path(folder) / "note.txt").read_text()
    'whole'
    """
    try:
        write(path)
    except OSError as error:
        reason = error.problem if isinstance(error, DebiasError) else error.strerror
        for other in _elsewhere(path):
            try:
                write(other)
            except OSError:
                continue
            raise StorageError(
                f"it cannot be written ({reason or error})",
                file=path,
                received=str(other),
                fix=f"the result is in {other}: move it to where you want it",
            ) from error
        raise


def _elsewhere(path: Path) -> Iterator[Path]:
    """Yield new files of the same kind: in the working folder, and in the one for temporary files."""
    import tempfile

    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        if os.access(folder, os.W_OK):
            names = (folder / f"rescued{number}-{path.name}" for number in ("", *range(2, 1000)))
            yield next(name for name in names if not name.exists())


def write_text(text: str, path: Path) -> None:
    """Write a text as UTF-8; where that fails, elsewhere, as :func:`write_or_rescue` does."""

    def write(file: Path) -> None:
        with atomic_path(file) as temporary:
            temporary.write_text(text, encoding="utf-8")

    write_or_rescue(path, write)
