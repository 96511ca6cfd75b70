"""Makes text of others safe to show: what steers a terminal or reorders a line is written as an escape."""

import re

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


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
