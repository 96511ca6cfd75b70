"""Matches the columns of a table to the classes of a correction, by name, whatever their order."""

from collections.abc import Sequence

import pandas as pd

from debias.errors import TableError, param, shortened
from debias.tables.labels.class_names import ONLY_FORM, look_alike
from debias.tables.labels.column_affixes import affix_of, with_affix
from debias.tables.table import ProbabilityTable


def matched_columns(table: ProbabilityTable, classes: Sequence[str]) -> pd.DataFrame:
    """Return the probabilities of a table with its columns in the order of the classes.

    Parameters
    ----------
    table : ProbabilityTable
        Any rows.
    classes : sequence of str
        Class names of a correction, in the order of its columns.

    Returns
    -------
    DataFrame of shape (n_samples, n_classes)
        One column per class.

    Raises
    ------
    TableError
        The classes of both are not the same.

    Examples
    --------
    >>> table = ProbabilityTable([[0.2, 0.8]], classes=["no", "yes"])
    >>> matched_columns(table, ["yes", "no"]).columns.tolist()
    ['yes', 'no']
    """
    wanted, given = list(classes), list(table.classes)
    if set(wanted) != set(given):
        alike = look_alike([*wanted, *given])
        said = f". {ONLY_FORM}: {shortened(alike[0])} and {shortened(alike[1])}" if alike else ""
        only = [
            f"only the {owner} has {_names(sorted(set(mine) - set(its)))}"
            for owner, mine, its in (("correction", wanted, given), ("table", given, wanted))
            if set(mine) - set(its)
        ]
        fix = "fit on a table with these classes, or name its columns after them"
        columns = with_affix(wanted, given)
        if columns != wanted:
            around = " and ".join(repr(text) for text in affix_of(columns) if text)
            fix = f"name the classes in {param('classes')}, without {around}, when the table is read"
        raise TableError(
            f"the correction is for the classes {_names(wanted)}, but the table has {_names(given)}: "
            f"{', '.join(only)}",
            fix=fix + said,
        )
    return table.probabilities[wanted]


def _names(names: list[str]) -> str:
    """List some names for a message."""
    shown = ", ".join(map(repr, names[:20]))
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 20 else shown
