"""Compiles loops to machine code, with numba, and keeps the result if there is a place for it."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.options import DefaultOptions


class _OptionalCache(FunctionCache):
    """Numba's files of compiled code; on a full disk, or where one is damaged, a kernel is compiled anew.

    Numba raises then, whatever the kernel was to be used for: a cache is never worth a result.
    """

    def load_overload(self, sig: object, target_context: object) -> object:
        """Return compiled code, None where its file is missing or damaged."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # of a damaged file, anything may be raised
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: object, data: object) -> None:
        """Keep compiled code, where there is room for it."""
        with suppress(OSError):
            super().save_overload(sig, data)


def compiled(function: Callable[..., object], **more: object) -> Any:
    """Compile a kernel, and keep the result on disk if there is a place for it.

    Without a writable place (a container that is read-only, or a full disk) every process compiles it anew.
    Kernels run without the interpreter's lock, so threads share the work.

    Parameters
    ----------
    function : callable
        Something that numba compiles.
    **more
        Further options of numba.njit.
    """
    options: dict[str, object] = {"nogil": True, "boundscheck": False, **more}
    kernel = njit(**options)(function)
    with suppress(RuntimeError):  # there is no place for files
        kernel._cache = _OptionalCache(kernel.py_func)
    return kernel


def compiled_in_place(function: Callable[..., object]) -> Any:
    """Compile a kernel that allocates no memory: it writes to arrays that it is given.

    So its arrays need no reference counts, which are atomic and, with many arrays passed from one
    small function to the next, take more time than the work itself: two to three times as much.

    Parameters
    ----------
    function : callable
        Something that numba compiles, without arrays or lists of its own.
    """
    return compiled(function, **({"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}))


def is_compiled(kernel: Any) -> bool:
    """Tell whether a kernel was compiled on this machine before, so that it begins at once.

    Parameters
    ----------
    kernel : callable
        What :func:`compiled` returned.

    Returns
    -------
    bool
        True as well where nobody can tell.

    Examples
    --------
    >>> is_compiled(abs)
    True
    """
    folder = getattr(getattr(kernel, "stats", None), "cache_path", None)
    if folder is None:
        return True
    stem = f"{kernel.__module__.rsplit('.', 1)[-1]}.{kernel.__name__}"
    return any(Path(folder).glob(f"{stem}-*.nbi"))
