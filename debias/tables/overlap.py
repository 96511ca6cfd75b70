"""Finds and removes rows that two tables share: a figure from rows that were fitted on is dishonest."""

import numpy as np

from debias.errors import OverlapError, TableError
from debias.tables.splitting import describe_rows, shared_rows, warn_of_copies
from debias.tables.table import ProbabilityTable


def check_disjoint(opt: ProbabilityTable, test: ProbabilityTable) -> None:
    """Refuse two tables that share rows: a figure from `test` would be dishonest.

    Parameters
    ----------
    opt, test : ProbabilityTable
        What is fitted on, and what is tested on.

    Raises
    ------
    OverlapError
        They share rows; names how many, and the first few.

    Notes
    -----
    Rows are compared as :func:`debias.tables.splitting.shared_rows` says. Tables with neither texts
    nor ids of their own can only be told apart as wholes: the same file on both sides is refused. Rows that
    seem to be copies are warned of.

    Examples
    --------
    >>> table = ProbabilityTable([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]], texts=["a", "b", "B"])
    >>> check_disjoint(table.take([0]), table.take([1]))
    >>> check_disjoint(table.take([0, 1]), table.take([2]))
    Traceback (most recent call last):
    debias.errors.OverlapError: the opt set and the test set share 1 of the 2 opt rows: row 1 (id '1', text
    'b'); remove what they share (in Python: remove_overlap(opt, test)).
    """
    rows = shared_rows(opt._parts, test._parts)
    if not len(rows):
        warn_of_copies(opt._parts, test._parts)
        return
    raise OverlapError(
        f"the opt set and the test set share {len(rows)} of the {len(opt)} opt rows:"
        f" {describe_rows(opt._parts, rows)}",
        received=rows.tolist(),
        fix="remove what they share (in Python: remove_overlap(opt, test))",
    )


def remove_overlap(opt: ProbabilityTable, test: ProbabilityTable) -> ProbabilityTable:
    """Return `opt` without the rows that also stand in `test`.

    Parameters
    ----------
    opt, test : ProbabilityTable
        Two tables.

    Returns
    -------
    ProbabilityTable
        A part of `opt` that :func:`check_disjoint` accepts beside `test`.

    Raises
    ------
    TableError
        Every row of `opt` stands in `test`.

    Examples
    --------
    >>> table = ProbabilityTable([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]])
    >>> remove_overlap(table, table.take([1])).ids.tolist()
    ['0', '2']
    """
    left = np.setdiff1d(np.arange(len(opt)), shared_rows(opt._parts, test._parts))
    if not len(left):
        raise TableError(f"each of the {len(opt)} opt rows is also in the test set: nothing is left")
    return opt.take(left)
