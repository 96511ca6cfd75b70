"""Compiles loops to machine code, with numba, and keeps the result where there is a place for it."""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any], **more: Any) -> Any:
    """Compile a kernel, and keep the result on disk where there is a place for it.

    Without a writable place (a container that is read-only, say) it is compiled anew by every
    process. Kernels run without the interpreter's lock, so threads share the work.

    Parameters
    ----------
    function : callable
        Something that numba compiles.
    **more
        Further options of numba.njit.
    """
    options: dict[str, Any] = {"nogil": True, "boundscheck": False, **more}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)
