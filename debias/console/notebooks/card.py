"""A short card for a notebook: a title, facts, a small table and sentences, in the colours of the notebook.

Everything that is put into it is escaped, and control characters are written as Python writes them.
"""

from collections.abc import Sequence

from markupsafe import Markup, escape

from debias.errors import visible

MOST_ROWS = 14
"""Rows of a table that are shown where nothing else is asked."""
_LONGEST, _LONGEST_SENTENCE = 500, 10_000
"""Characters of a cell, and of a title or sentence, that are shown."""
_EDGE = "1px solid color-mix(in srgb, currentColor 25%, transparent)"
_STYLE = f"border:{_EDGE};border-radius:6px;padding:.6em .9em;margin:.4em 0;max-width:60em;font-size:.95em"
_CELL = f"text-align:{{}};padding:.15em .6em;border-bottom:{_EDGE};vertical-align:top;white-space:normal"


def card(
    title: str,
    facts: Sequence[tuple[str, object]] = (),
    *,
    header: Sequence[str] = (),
    rows: Sequence[Sequence[object]] = (),
    lines: Sequence[str] = (),
    most: int = MOST_ROWS,
) -> str:
    r"""Return a card as HTML that has no background of its own: it is readable on a light and a dark page.

    Parameters
    ----------
    title : str
    facts : sequence of (str, object)
        Names and values, a line each.
    header, rows : sequence
        A table; its first column holds names. Rows beyond `most` are counted only.
    lines : sequence of str
        Sentences below it.
    most : int
        Rows that are shown.

    Returns
    -------
    str

    Examples
    --------
    >>> shown = card("A <b>title</b>", [("model", "demo\u202e")], lines=["It is good."])
    >>> "A &lt;b&gt;title" in shown, "<b>" in shown, r"\u202e" in shown
    (True, False, True)
    """
    parts = [f'<div style="{_STYLE}"><strong>{_text(title, _LONGEST_SENTENCE)}</strong>']
    parts += [
        f'<div><span style="opacity:.8">{_text(name)}:</span> {_text(value)}</div>' for name, value in facts
    ]
    if rows:
        parts.append(_table(header, rows, most))
    parts += [f'<p style="margin:.4em 0 0">{_text(line, _LONGEST_SENTENCE)}</p>' for line in lines]
    return "".join([*parts, "</div>"])


def _table(header: Sequence[str], rows: Sequence[Sequence[object]], most: int) -> str:
    """Return a table that scrolls in itself where it is too wide."""
    head = "".join(
        f'<th scope="col" style="{_CELL.format("right" if at else "left")}">{_text(name)}</th>'
        for at, name in enumerate(header)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_CELL.format("right" if at else "left")}">{_text(cell)}</td>'
            for at, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows[:most]
    )
    more = f"<div>and {len(rows) - most:,} more</div>" if len(rows) > most else ""
    return (
        f'<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:.4em 0">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}"
    )


def _text(value: object, longest: int = _LONGEST) -> Markup:
    """Return a value as text that a page shows as it is, cut where it is long."""
    said = str(value)
    return escape(visible(said if len(said) <= longest else f"{said[: longest - 1]}…"))
