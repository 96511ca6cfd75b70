"""Warns of texts that have two labels, which no model can answer rightly twice."""

import warnings
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from debias.errors import SecondLabelWarning, shortened
from debias.tables.formats.cells.plain_text import line_of_row


def warn_of_second_labels(
    texts: Iterable[str],
    labels: Iterable[object],
    source: object = None,
    rows: Iterable[int] | None = None,
    stacklevel: int = 2,
) -> None:
    """Warn where the same text has different labels: how many texts, and one of them.

    Parameters
    ----------
    texts : iterable of str, length n_samples
        The classified texts.
    labels : iterable, length n_samples
        Class names.
    source : object, optional
        Where they come from, for the message; rows of a CSV file are named by their lines.
    rows : iterable of int, length n_samples, optional
        Numbers of the rows there; 0, 1, ... if omitted.
    stacklevel : int, default=2
        As in :func:`warnings.warn`.

    Warns
    -----
    SecondLabelWarning

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_of_second_labels(["fine", "dull", "fine"], ["good", "bad", "bad"], "moods.csv")
    >>> print(caught[0].message)
    moods.csv: 1 text has two labels, such as row 2: 'fine' is 'bad', and 'good' in row 0; check these rows.
    """
    first: dict[str, tuple[int, object]] = {}
    more: dict[str, dict[object, int]] = {}
    for row, text, label in zip(count() if rows is None else rows, texts, labels):  # noqa: B905
        if first.setdefault(text, (row, label))[1] != label:
            more.setdefault(text, {}).setdefault(label, row)
    if not more:
        return
    text, others = next(iter(more.items()))
    earlier, other = first[text]
    label, row = next(iter(others.items()))
    counted = "1 text has" if len(more) == 1 else f"{len(more):,} texts have"
    most = 1 + max(map(len, more.values()))
    how_many = "two" if most == 2 else f"{most:,}" if len(more) == 1 else f"two or more (up to {most:,})"
    found = (
        f"{_place(source, row)}: {shortened(text)} is {shortened(label)}, and {shortened(other)} in "
        f"{_place(source, earlier)}"
    )
    prefix = "" if source is None else f"{source}: "
    warnings.warn(
        f"{prefix}{counted} {how_many} labels, such as {found}; check these rows.",
        SecondLabelWarning,
        stacklevel=stacklevel + 1,
    )


def _place(source: object, row: int) -> str:
    """Return the line of a row, where the source is a file of lines, else its number."""
    line = line_of_row(Path(str(source)), row) if source is not None else None
    return f"row {row}" if line is None else f"line {line}"
