"""Says how often classes occur among labels and predictions: never, always, or unlike on other rows."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from debias.console.number_formats import listed, percent

Mix: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64]
"""Rows of each class, of shape (n_classes,); parts of rows where weights are scaled."""

LEVEL = 0.01
"""Share of tables with an unchanged mix where chance alone makes it seem changed."""
LEAST_SHIFT = 0.02
"""Share of the rows that must have moved between classes for a change to be worth a sentence."""
_LEAST_EXPECTED = 5.0
"""Rows that a class must be expected to have on both sides to count on its own in the test."""


def describe_never_predicted(names: Sequence[str], before: Mix, after: Mix) -> str:
    """Name the classes that no row is predicted as, or the only one that every row is.

    Parameters
    ----------
    names : sequence of str
        The classes.
    before, after : ndarray of shape (n_classes,)
        Rows predicted as each, without corrections and with them.

    Returns
    -------
    str
        One or two sentences; empty if each class is predicted for a row.

    Examples
    --------
    >>> names = ["Negative", "Effect", "Advice"]
    >>> describe_never_predicted(names, np.array([50, 30, 0]), np.array([60, 20, 0]))
    'No row is predicted as Advice, as before.'
    >>> describe_never_predicted(names, np.array([50, 30, 0]), np.array([80, 0, 0]))
    'Every row is predicted as Negative.'
    """
    if np.count_nonzero(after) == 1:
        was = ", as before" if np.array_equal(before > 0, after > 0) else ""
        return f"Every row is predicted as {names[int(np.argmax(after))]}{was}."
    gone = [name for name, was, is_now in zip(names, before, after, strict=True) if was and not is_now]
    never = [name for name, was, is_now in zip(names, before, after, strict=True) if not was and not is_now]
    said = [f"No row is predicted as {listed(gone, 'or')} any more."] if gone else []
    said += [f"No row is predicted as {listed(never, 'or')}, as before."] if never else []
    return " ".join(said)


def is_other_mix(ours: npt.ArrayLike, fitted: npt.ArrayLike) -> bool:
    """Test whether the mix of classes differs between two tables by more than chance, and by enough.

    The test is Pearson's for a table of two rows, with classes of few rows taken together.

    Parameters
    ----------
    ours, fitted : array-like of shape (n_classes,)
        Rows of each class, in both.

    Returns
    -------
    bool
        True in at most :data:`LEVEL` of the cases where both are drawn from one mix.

    Examples
    --------
    >>> is_other_mix([50, 50], [600, 400]), is_other_mix([20, 80], [600, 400])
    (False, True)
    """
    from scipy.stats import chi2_contingency

    table = np.array([ours, fitted], dtype=np.float64)
    if not table.sum(axis=1).all():
        return False
    shares = table / table.sum(axis=1, keepdims=True)
    if np.abs(shares[0] - shares[1]).sum() / 2 < LEAST_SHIFT:
        return False
    expected = table.sum(axis=0) * table.sum(axis=1).min() / table.sum()
    rare = expected < _LEAST_EXPECTED
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.any(axis=0)]
    return table.shape[1] > 1 and float(chi2_contingency(table, correction=False).pvalue) < LEVEL


def describe_other_mix(names: Sequence[str], ours: Mix, fitted: Mix, what: str) -> str:
    """Say that a class mix is another one than on the opt rows; empty if chance may explain it.

    Parameters
    ----------
    names : sequence of str
        The classes.
    ours, fitted : ndarray of shape (n_classes,)
        Rows of each class here, and on the opt rows.
    what : str
        Of what it is the mix: the subject of the sentence, a plural.

    Returns
    -------
    str
        A sentence that names the three classes that changed most.

    Examples
    --------
    >>> fitted, ours = np.array([600, 300, 100]), np.array([20, 60, 20])
    >>> describe_other_mix(["yes", "no", "maybe"], ours, fitted, "labels")
    'The labels have a different class mix from the opt rows (a test at the 1 % level): yes 20.0 % (60.0 %
    there), no 60.0 % (30.0 % there), maybe 20.0 % (10.0 % there).'
    """
    if not is_other_mix(ours, fitted):
        return ""
    here, there = ours / ours.sum(), fitted / fitted.sum()
    most = np.argsort(-np.abs(here - there), kind="stable")[:3]
    changes = [f"{names[k]} {percent(here[k])} ({percent(there[k])} there)" for k in most]
    return (
        f"The {what} have a different class mix from the opt rows (a test at the {100 * LEVEL:g} % level): "
        f"{', '.join(changes)}."
    )
