"""A file without a name: it takes room in a folder while a process uses it, and leaves nothing behind.

The system frees its room when the process ends, however it ends, so that nothing half written can be
taken for whole later.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from debias.errors import StorageError

ZEROS = bytes(1 << 20)


@contextmanager
def storing(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Raise what the system says of files in a folder as an error of ours.

    Raises
    ------
    StorageError
        No such folder, no permission, or a full disk.

    Examples
    --------
    >>> with storing("/no/such/folder"):
    ...     unnamed_file("/no/such/folder")
    Traceback (most recent call last):
        ...
    debias.errors.StorageError: /no/such/folder: no file can be written there (No such file or directory); \
choose a writable folder on a disk with enough space.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"no file can be written there ({error.strerror or error})",
            parameter="folder",
            received=str(folder),
            file=folder,
            fix="choose a writable folder on a disk with enough space",
        ) from error


def unnamed_file(folder: str | os.PathLike[str], size: int = 0) -> BinaryIO:
    """Open an empty file without a name, for reading and writing.

    Parameters
    ----------
    folder : str or path-like
        Where its bytes are.
    size : int, default=0
        Zeros that it begins with. Their room is taken at once: a map of the file never meets a full disk,
        which would kill the process.

    Returns
    -------
    file

    Raises
    ------
    StorageError
        No such folder, no permission, or a full disk.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, unnamed_file(folder, 8) as file:
    ...     len(file.read()), os.listdir(folder)
    (8, [])
    """
    with storing(folder):
        file = cast(BinaryIO, tempfile.TemporaryFile(dir=folder))  # noqa: SIM115
        try:
            if size and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                for start in range(0, size, len(ZEROS)):
                    file.write(ZEROS[: size - start])
                file.flush()
                file.seek(0)
        except BaseException:
            file.close()
            raise
    return file
