"""The sentences of errors and warnings: references to parameters and rows, and values as they are quoted.

A reference is rendered when the words are known: those of Python, or of a command line.
"""

import re
from collections.abc import Callable, Mapping

_REFERENCE = re.compile("\x00([^\x00\x01]*)(?:\x01([^\x00]*))?\x00")
_ROW = re.compile("\x02([0-9]+)\x02")
_IN_PYTHON = re.compile("\x03([^\x03]*)\x03")
_LONGEST = 200
_LONGEST_PROBLEM = 2000
_TOO_LONG = rf"{{{_LONGEST - 1},}}"
_QUOTED = re.compile(rf"""(?<!\w)'[^']{_TOO_LONG}'(?!\w)|(?<!\w)"[^"]{_TOO_LONG}"|\[[^\[\]]{_TOO_LONG}\]""")
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def param(name: str, value: str | bool | None = None) -> str:
    """Return a reference to a parameter, for the sentences of an error.

    Parameters
    ----------
    name : str
        Name of the parameter in Python.
    value : str or True, optional
        The value to give it: code of Python, or True for a switch.

    Returns
    -------
    str
        To be put into `problem`, `allowed` or `fix`; it is rendered as ``name=value`` for Python and
        as ``--name value`` for a command line.

    Examples
    --------
    >>> rendered(f"pass {param('normalise', True)} to divide it")
    'pass normalise=True to divide it'
    >>> rendered(f"pass {param('normalise', True)} to divide it", {"normalise": "--normalise"})
    'pass --normalise to divide it'
    """
    return f"\x00{name}\x00" if value is None else f"\x00{name}\x01{value}\x00"


def in_python(words: str) -> str:
    """Return words that are omitted where a sentence is rendered for a command line.

    Examples
    --------
    >>> allowed = f"a positive integer{in_python(' or None')}"
    >>> rendered(allowed), rendered(allowed, {"limit": "--limit"})
    ('a positive integer or None', 'a positive integer')
    """
    return f"\x03{words}\x03"


def other_row(row: int) -> str:
    """Return a reference to a second row, for the sentences of an error.

    Examples
    --------
    >>> rendered(f"'a' is also the id of {other_row(0)}")
    "'a' is also the id of row 0"
    """
    return f"\x02{row}\x02"


def with_places(text: str, place_of: Callable[[int], str | None]) -> str:
    """Return a sentence in which rows are named by their place in a file, where `place_of` knows it.

    Examples
    --------
    >>> with_places(f"the id of {other_row(0)}", lambda row: f"line {row + 2}")
    'the id of line 2'
    """
    return _ROW.sub(lambda found: place_of(int(found[1])) or found[0], text)


def rendered(text: str, options: Mapping[str, str] | None = None) -> str:
    """Return a sentence with its references in the words of Python, or of a command line with `options`.

    Examples
    --------
    >>> rendered(f"pass {param('classes')}", {"classes": "--classes"})
    'pass --classes'
    """
    text = _IN_PYTHON.sub("" if options else r"\1", text)
    return visible(_ROW.sub(r"row \1", _REFERENCE.sub(_referrer(options or {}), text)))


def visible(text: str) -> str:
    r"""Return a text that shows as it is on a terminal, a page or a report.

    Parameters
    ----------
    text : str
        Such as a class name, a row or a path.

    Returns
    -------
    str
        Escape codes, bells, bidirectional overrides and halves of surrogate pairs are written as Python
        writes them; line feeds and tabs stay.

    Examples
    --------
    >>> visible("World\x1b[31m\a\u202e")
    'World\\x1b[31m\\x07\\u202e'
    """
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def visible_json(text: str) -> str:
    r"""Return a JSON text that holds the same data and steers no terminal or editor that shows it.

    Parameters
    ----------
    text : str
        JSON, not only of ASCII.

    Returns
    -------
    str
        What :func:`visible` replaces is written as JSON writes it, halves of surrogate pairs, too, which
        UTF-8 cannot write.

    Examples
    --------
    >>> visible_json('{"Wörld\u202e": 1}')
    '{"Wörld\\u202e": 1}'
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shortened(value: object) -> str:
    """Return a value as code, at most 200 characters of it.

    Examples
    --------
    >>> shortened("a"), len(shortened("a" * 1000))
    ("'a'", 200)
    """
    try:
        text = repr(_plain(value))
    except (ValueError, RecursionError):  # a number of thousands of digits, endless nesting
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]}...{text[-1]}"


def _plain(value: object) -> object:
    """Return a value without the names of NumPy's types; of a list, as much as is shown."""
    if type(value).__module__ == "numpy" and hasattr(value, "item") and not getattr(value, "shape", (0,)):
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value[:_LONGEST]))  # type: ignore[index, call-arg]
    return value


def bounded(text: str) -> str:
    """Return a sentence in which no quotation is longer than :func:`shortened` leaves it.

    Examples
    --------
    >>> len(bounded(f"the columns are {['class'] * 5000}")), bounded("the columns are ['no', 'yes']")
    (216, "the columns are ['no', 'yes']")
    """
    text = _QUOTED.sub(lambda found: f"{found[0][: _LONGEST - 4]}...{found[0][-1]}", text)
    return text if len(text) <= _LONGEST_PROBLEM else f"{text[:_LONGEST_PROBLEM]}..."


def _referrer(names: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    """Return what writes a reference to a parameter in the words that are wanted."""

    def refer(match: re.Match[str]) -> str:
        name, value = match[1], match[2]
        if name in names:
            given = "" if value in (None, "True") else " " + value.strip("'\"")
            return names[name] + given
        return name if value is None else f"{name}={value}"

    return refer
