"""A file that is there whole or not at all: written beside its place, then renamed."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to; it takes its final name when the block ends well.

    Parameters
    ----------
    path : str or path-like
        The final name. What is there already stays until then.

    Yields
    ------
    Path
        An empty file in the same folder, removed when the block fails.

    Raises
    ------
    FileNotFoundError
        There is no such folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "note.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "note.txt").read_text()
    'whole'
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "the folder does not exist; create it first", str(target.parent)
        )
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # as any new file of this user, not private as a temporary one
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


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
