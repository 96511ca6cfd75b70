"""Warns of texts that have two labels, which no model can answer rightly twice."""

import warnings
from collections.abc import Iterable
from itertools import count

from debias.errors import SecondLabelWarning, shortened


def warn_of_second_labels(
    texts: Iterable[str],
    labels: Iterable[object],
    source: object = None,
    rows: Iterable[int] | None = None,
) -> None:
    """Warn where the same text has different labels: how many texts, and one of them.

    Parameters
    ----------
    texts : iterable of str, length n_samples
        The classified texts.
    labels : iterable, length n_samples
        Class names.
    source : object, optional
        Where they come from, for the message.
    rows : iterable of int, length n_samples, optional
        Numbers of the rows there; 0, 1, ... if omitted.

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
    second: dict[str, tuple[int, object]] = {}
    for row, text, label in zip(count() if rows is None else rows, texts, labels):  # noqa: B905
        if first.setdefault(text, (row, label))[1] != label:
            second.setdefault(text, (row, label))
    if not second:
        return
    text, (row, label) = next(iter(second.items()))
    earlier, other = first[text]
    counted = "1 text has" if len(second) == 1 else f"{len(second):,} texts have"
    found = f"row {row}: {shortened(text)} is {label!r}, and {other!r} in row {earlier}"
    prefix = "" if source is None else f"{source}: "
    warnings.warn(
        f"{prefix}{counted} two labels, such as {found}; check these rows.", SecondLabelWarning, stacklevel=3
    )
