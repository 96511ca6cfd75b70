"""Tells what stands between two columns of a CSV file: a first line says so, or the first rows show it."""

import csv
import re
from io import StringIO
from itertools import islice

DELIMITERS = (",", ";", "\t", "|")

_NAMED = re.compile(r"\Asep=(.)(?:\r\n|\n|\r|\Z)", re.IGNORECASE)


def named_delimiter(text: str) -> tuple[str | None, int]:
    r"""Return the delimiter that a first line names, as spreadsheets do, and the characters of that line.

    Examples
    --------
    >>> named_delimiter("sep=;\ntext;label\n"), named_delimiter("text,label\n")
    ((';', 6), (None, 0))
    """
    found = _NAMED.match(text)
    return (None, 0) if found is None else (found[1], found.end())


def likely_delimiter(text: str) -> str:
    r"""Return the delimiter that cuts the first two rows into most columns, as many in both if that can be.

    Parameters
    ----------
    text : str
        The file from its header on; the header alone will do.

    Examples
    --------
    >>> likely_delimiter("id;label;no;yes\na;yes;0,25;0,75\n"), likely_delimiter('"text, long"|label')
    (';', '|')
    """
    widths, first = {}, {}
    for delimiter in DELIMITERS:
        try:
            rows = list(islice(filter(None, csv.reader(StringIO(text, newline=""), delimiter=delimiter)), 2))
        except csv.Error:
            continue
        first[delimiter] = len(rows[0]) if rows else 0
        if len({len(row) for row in rows}) == 1:
            widths[delimiter] = len(rows[0])
    if max(widths.values(), default=0) < 2:  # a row has too many cells, or the header is none: say so by it
        widths = first
    return max(widths, key=lambda delimiter: widths[delimiter], default=",")
