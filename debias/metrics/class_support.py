"""Class support: classes with too few labelled rows for a class accuracy are named."""

import warnings
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from debias.errors import FewRowsWarning
from debias.tables.class_columns import IndexArray

FEW_ROWS = 5
"""Rows of a class below which its accuracy is not worth a number."""


def warn_of_few_rows(names: Iterable[object], support: IndexArray) -> None:
    """Warn of the classes without rows, and of those with a few.

    Parameters
    ----------
    names : ndarray of shape (n_classes,)
        Class labels, in the order of the columns.
    support : ndarray of shape (n_classes,)
        Rows of each.

    Warns
    -----
    UserWarning
        Classes without rows.
    FewRowsWarning
        Classes with fewer than :data:`FEW_ROWS`.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_of_few_rows(np.array(["Entity", "Abbreviation"]), np.array([40, 2]))
    >>> print(caught[0].message)
    Abbreviation has 2 labelled rows: its class accuracy cannot be known.
    """
    names = list(names)
    missing = [str(name) for name, rows in zip(names, support, strict=True) if rows == 0]
    present = [name for name, rows in zip(names, support, strict=True) if rows]
    if missing:
        said = f"no labelled row of {', '.join(missing)}: COBias omits it, and its correction is a guess."
        if present == [0, 1]:  # one class against the rest would be read as the first two columns
            said += (
                " If OneVsRestClassifier or a similar tool made these labels of 0 and 1, fit without it: a "
                "correction takes all classes at once."
            )
        warnings.warn(said, UserWarning, stacklevel=3)
    few = describe_few_rows(names, support)
    if few:
        warnings.warn(few, FewRowsWarning, stacklevel=3)


def describe_few_rows(names: Iterable[object], support: npt.ArrayLike) -> str:
    """Say which classes have rows, but fewer than :data:`FEW_ROWS`; empty if there are none.

    Parameters
    ----------
    names : sequence
        Class labels.
    support : array-like of int
        Rows of each.

    Examples
    --------
    >>> describe_few_rows(["yes", "no", "maybe"], [30, 1, 4])
    'no has 1 labelled row, maybe has 4: their class accuracies cannot be known.'
    """
    few = [(name, rows) for name, rows in zip(names, np.asarray(support), strict=True) if 0 < rows < FEW_ROWS]
    if not few:
        return ""
    (first, rows), others = few[0], few[1:]
    counted = [f"{first} has {rows} labelled row{'' if rows == 1 else 's'}"]
    counted += [f"{name} has {number}" for name, number in others]
    known = "their class accuracies" if others else "its class accuracy"
    return f"{', '.join(counted)}: {known} cannot be known."
