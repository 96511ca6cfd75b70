"""Keeps several training processes together: they share what each found, and an error stops all.

If a process failed alone, the others would wait for it for ever.
"""

from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def process_numbers() -> tuple[int, int]:
    """Return the number of this process, and the number of processes."""
    from accelerate import PartialState

    state = PartialState()
    return int(state.process_index), int(state.num_processes)


def everywhere(find: Callable[[], Found]) -> list[Found]:
    """Call a function in each process, and return in all of them what each found, in their order.

    Raises
    ------
    Exception
        What the first process that failed raised, in all of them.

    Examples
    --------
    >>> everywhere(lambda: 3)
    [3]
    """
    from accelerate.utils import gather_object

    return [_unless_failed(one) for one in gather_object([_tried(find)])]


def in_first(find: Callable[[], Found]) -> Found:
    """Call a function in the first process, and return in all of them what it found.

    Raises
    ------
    Exception
        What the first process raised, in all of them.

    Examples
    --------
    >>> in_first(lambda: "rows")
    'rows'
    """
    from accelerate.utils import broadcast_object_list

    index, _ = process_numbers()
    found = [_tried(find) if index == 0 else None]
    answer = broadcast_object_list(found)[0]
    assert answer is not None
    return _unless_failed(answer)


def _tried(find: Callable[[], Found]) -> tuple[Found | None, Exception | None]:
    """Return what was found, or what went wrong."""
    try:
        return find(), None
    except Exception as error:
        return None, error


def _unless_failed(outcome: tuple[Found | None, Exception | None]) -> Found:
    """Return what a process found, or raise what it raised."""
    found, error = outcome
    if error is not None:
        raise error
    return found  # type: ignore[return-value]
