"""Sizes of memory as a user says them."""

import re

from debias.errors import ParameterError

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def bytes_of(size: int | str, parameter: str) -> int:
    """Return a size in bytes.

    Parameters
    ----------
    size : int or str
        Bytes, or a number with a unit: "500 MB", "8 GiB".
    parameter : str
        What the size is called, for the message.

    Raises
    ------
    ParameterError
        It is no size above 0.

    Examples
    --------
    >>> bytes_of("1.5 KiB", "max_memory"), bytes_of(300, "max_memory")
    (1536, 300)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(size))
    if found and found[2].lower() in UNITS and float(found[1]) > 0:
        return int(float(found[1]) * UNITS[found[2].lower()])
    raise ParameterError(
        f'{parameter} is {size!r}; it must be a number of bytes above 0, or words such as "8 GiB"'
    )
