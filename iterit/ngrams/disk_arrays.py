"""Arrays in files without a name, mapped into memory: the system keeps the pages that it has room for."""

import mmap
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from debias.files.unnamed_file import storing, unnamed_file


def new_array(folder: Path | None, size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Make an array to be filled: in memory, or in a file of a folder.

    Parameters
    ----------
    folder : Path or None
        Memory if None.
    size : int
    dtype : dtype

    Returns
    -------
    ndarray of shape (size,)

    Raises
    ------
    StorageError
        The folder cannot be written, or its disk has no room for the array.

    Examples
    --------
    >>> import os, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     array = new_array(pathlib.Path(folder), 3, np.int64)
    ...     array[:] = 7
    ...     array.tolist(), os.listdir(folder)
    ([7, 7, 7], [])
    """
    if folder is None or size == 0:
        return np.empty(size, dtype=dtype)
    with unnamed_file(folder, size * np.dtype(dtype).itemsize) as file, storing(folder):
        return _mapped(file.fileno(), dtype)


class AppendedArray:
    """An array in a file of a folder that grows at its end.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with AppendedArray(pathlib.Path(folder), np.int32) as growing:
    ...         growing.append(np.array([1, 2]))
    ...         growing.append(np.array([3]))
    ...         growing.finished().tolist()
    [1, 2, 3]
    """

    def __init__(self, folder: Path, dtype: npt.DTypeLike) -> None:
        self._folder, self._dtype = folder, np.dtype(dtype)
        self._file = unnamed_file(folder)
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what a full disk refused is refused again
            self._file.close()

    def append(self, values: npt.NDArray[Any]) -> None:
        """Add values at the end.

        Raises
        ------
        StorageError
            The disk is full.
        """
        with storing(self._folder):
            self._file.write(np.ascontiguousarray(values, dtype=self._dtype).data)
        self._size += len(values)

    def finished(self) -> npt.NDArray[Any]:
        """Return the array, to be used as long as anyone likes; nothing can be added after this.

        Raises
        ------
        StorageError
            The disk is full.
        """
        with storing(self._folder):
            self._file.flush()
            return _mapped(self._file.fileno(), self._dtype) if self._size else np.empty(0, self._dtype)


def _mapped(descriptor: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Map a whole file; the map outlives the descriptor."""
    return np.frombuffer(mmap.mmap(descriptor, 0), dtype=dtype)
