"""Several training processes that must agree: what each found is shared, an error stops all.

A process that fails alone would leave the others waiting for it for ever.
"""

from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def process_numbers() -> tuple[int, int]:
    """Return the number of this process, and how many there are."""
    from accelerate import PartialState

    state = PartialState()
    return int(state.process_index), int(state.num_processes)


def everywhere(find: Callable[[], Found]) -> list[Found]:
    """Let each process find something, and give all of them what each found.

    Parameters
    ----------
    find : callable
        Called once in each process.

    Returns
    -------
    list
        In the order of the processes.

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
    """Let the first process find something, and give it to all.

    Parameters
    ----------
    find : callable
        Called in the first process.

    Returns
    -------
    object

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
