"""Words and tables, written so that Markdown shows them as they are."""

import re
from collections.abc import Iterable, Sequence

from debias.errors import visible

_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\|*_`[]#~$"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})

_OPENING = re.compile(r"^(\d{0,9})([-+=.)])(?=[-=]*(?: |$))")
"""What a line may begin with to be an item of a list, a rule, or the underline of a heading."""


def escape(text: str) -> str:
    r"""Return a text that Markdown shows as it is, on one line.

    Parameters
    ----------
    text : str
        Such as a class name.

    Returns
    -------
    str
        With Markdown's and HTML's special characters escaped.

    Examples
    --------
    >>> escape("<b> a|b"), escape("1. World")
    ('&lt;b&gt; a\\|b', '1\\. World')
    """
    return _OPENING.sub(r"\1\\\2", visible(" ".join(text.split())).translate(_SPECIAL))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]], n_names: int = 1) -> str:
    """Return a Markdown table, its first columns left and the others right.

    Parameters
    ----------
    header : sequence of str
        Column names.
    rows : iterable of sequence
        Cells, escaped here.
    n_names : int, default=1
        Columns that hold names and not numbers.

    Returns
    -------
    str
        The lines.

    Examples
    --------
    >>> print(markdown_table(["class", "rows"], [["World", 10]]))
    | class | rows |
    | --- | ---: |
    | World | 10 |
    """
    rule = ["---" if column < n_names else "---:" for column in range(len(header))]
    cells = [[escape(str(cell)) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [[escape(h) for h in header], rule, *cells])
