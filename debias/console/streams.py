"""Makes standard output and errors take every text, whatever the code page, and go quietly when closed."""

import codecs
import errno
import os
import sys
import unicodedata
from io import TextIOWrapper

_PLAIN = {
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{BULLET}": "*",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{PLUS-MINUS SIGN}": "+/-",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
}
_HANDLER = "plain"


def plain_characters(error: UnicodeError) -> tuple[str, int]:
    r"""Replace characters that a code page lacks: by ASCII where there is a sign for it, else an escape.

    Examples
    --------
    >>> prepare_streams()
    >>> "\N{MINUS SIGN}0.5 \N{CJK UNIFIED IDEOGRAPH-4E2D}".encode("cp1252", "plain")
    b'-0.5 \\u4e2d'
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    """Return a character in ASCII."""
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    box = "-" if unicodedata.name(character, "").startswith("BOX DRAWINGS") else ""
    return _PLAIN.get(character) or letters or box or ascii(character)[1:-1]


def prepare_streams() -> None:
    """Let standard output and errors fall back to ASCII where their code page lacks a character.

    A stream that is closed (``>&-``) goes nowhere from now on: no file that is opened later gets its place.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    codecs.register_error(_HANDLER, plain_characters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors=_HANDLER)


def is_closed_pipe(error: BaseException) -> bool:
    """Tell whether a reader such as ``head`` has gone; nothing more need be written then.

    Examples
    --------
    >>> is_closed_pipe(BrokenPipeError(errno.EPIPE, "Broken pipe")), is_closed_pipe(OSError("full"))
    (True, False)
    """
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def discard_output() -> None:
    """Send what is still written to standard output nowhere, so that the end of the program is quiet."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):  # a stream that is no file
        pass
    finally:
        os.close(nowhere)
