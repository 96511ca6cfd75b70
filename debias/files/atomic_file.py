"""A file that is there whole or not at all: written beside its place, then renamed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TRIED_BYTES = 1 << 16


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to; it takes its final name when the block ends well.

    Parameters
    ----------
    path : str or path-like
        The final name. What is there already stays until then. A symbolic link is followed.

    Yields
    ------
    Path
        An empty file in the same folder, removed when the block fails.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    OSError
        It cannot be written, such as on a full disk: the error has the final name as its ``filename``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "note.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "note.txt").read_text()
    'whole'
    """
    target = followed(path)
    with _named(path):
        temporary = _new_file(target)
    try:
        mask = os.umask(0)
        os.umask(mask)
        with _named(path, temporary):
            temporary.chmod(0o666 & ~mask)  # as any new file of this user, not private as a temporary one
            yield temporary
            temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def followed(path: str | os.PathLike[str]) -> Path:
    """Return the file that a path stands for: where it is a symbolic link, what that points to."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)


def try_to_write(path: str | os.PathLike[str]) -> None:
    """Write a little beside a file and remove it, to learn whether the file could be written.

    Parameters
    ----------
    path : str or path-like

    Raises
    ------
    OSError
        No such folder, no permission, or a full disk.

    Examples
    --------
    >>> try_to_write("/no/such/folder/file.txt")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] the folder does not exist; create it first: '/no/such/folder'
    """
    with _named(path):
        temporary = _new_file(followed(path))
        try:
            with temporary.open("wb") as file, _named(path, temporary):
                file.write(bytes(_TRIED_BYTES))
                file.flush()
                os.fsync(file.fileno())
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _new_file(target: Path) -> Path:
    """Return an empty file in the folder of another one."""
    if not target.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "the folder does not exist; create it first", str(target.parent)
        )
    import tempfile  # imports a generator of random numbers: only what writes waits for it

    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
    except OSError as error:
        error.filename = str(target)
        raise
    os.close(handle)
    return Path(name)


@contextmanager
def _named(path: str | os.PathLike[str], temporary: Path | None = None) -> Iterator[None]:
    """Give an error of the system the final name of a file, where it has none or that of a temporary one."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        raise


def write_durably(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file whole or not at all, and wait until it is on the disk.

    Parameters
    ----------
    path : str or path-like
        The file; an older one is replaced.
    content : bytes

    Raises
    ------
    OSError
        It cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_durably(Path(folder) / "note.txt", b"whole")
    ...     (Path(folder) / "note.txt").read_bytes()
    b'whole'
    """
    target = Path(path)
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    flush_folder(target.parent)


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can tell.

    Parameters
    ----------
    folder : Path
    """
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
