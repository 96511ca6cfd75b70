"""Refusals checked by the fields of an error, never by its sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from debias.errors import DebiasError


@contextmanager
def refused(kind: type[DebiasError], **fields: Any) -> Iterator[pytest.ExceptionInfo[DebiasError]]:
    """Expect an error whose fields have these values; a field given as a type need only be of it.

    ``mentions=("a", 3)`` demands that the rendered error names each of these things: for values
    (a class, a file, a count) that a user must be shown, not for wording.
    """
    mentions = fields.pop("mentions", ())
    with pytest.raises(kind) as caught:
        yield caught
    for name, value in fields.items():
        found = getattr(caught.value, name)
        matches = isinstance(found, value) if isinstance(value, type) else found == value
        assert matches, f"{name} is {found!r}, not {value!r}: {caught.value}"
    for thing in [mentions] if isinstance(mentions, str) else mentions:
        assert str(thing) in str(caught.value), f"{thing!r} is not mentioned: {caught.value}"
