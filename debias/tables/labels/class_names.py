"""Lists of class names: in an order of their own, and so that a reader can tell them apart."""

import unicodedata
from collections.abc import Iterable, Mapping, Set
from typing import Any

from debias.errors import TableError

ONLY_FORM = "They differ only in spaces, in characters that are not seen, or in the Unicode form of letters"
"""What is said of names that look alike."""

_SELECTORS = {chr(number) for number in range(0xFE00, 0xFE10)}
"""They choose the form of the character before them."""


def listed(classes: Any) -> list[Any]:
    """Return class names as a list; what has no order of its own, or is one text, is refused.

    Examples
    --------
    >>> listed(name for name in ("no", "yes"))
    ['no', 'yes']
    >>> listed("no,yes")
    Traceback (most recent call last):
    debias.errors.TableError: classes must be a list of names, got 'no,yes'.
    """
    if isinstance(classes, (str, bytes, Mapping, Set)) or not isinstance(classes, Iterable):
        raise TableError(parameter="classes", allowed="a list of names", received=classes)
    return list(classes)


def look_alike(names: Iterable[object]) -> tuple[str, str] | None:
    """Return two different names that look the same, but for spaces.

    Examples
    --------
    >>> look_alike(["no", "yes", "no "]), look_alike(["no", "No"])
    (('no', 'no '), None)
    """
    seen: dict[str, str] = {}
    for name in map(str, names):
        first = seen.setdefault(appearance(name), name)
        if first != name:
            return first, name
    return None


def appearance(name: str) -> str:
    r"""Return a name as it looks: single spaces, none around it, each letter with its marks as one.

    Characters that no one sees are omitted.

    Examples
    --------
    >>> appearance(" a\u00a0 b"), len("e\u0301"), len(appearance("e\u0301")), appearance("a\u200b")
    ('a b', 2, 1, 'a')
    """
    seen = (one for one in name if unicodedata.category(one) != "Cf" and one not in _SELECTORS)
    return " ".join(unicodedata.normalize("NFC", "".join(seen)).split())
