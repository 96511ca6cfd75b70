"""The fall of each record's loss from one model to another.

Influence, where the later model was trained a few steps on a query; learnable, where it was trained on
other data, or is the model of a later round (Mindermann et al., "RHO-LOSS", ICML 2022).
"""

import numpy as np
import pandas as pd

from debias.errors import TableError

_LOSSES = ("loss", "conditional")


def loss_drop(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return how far the loss of each record falls.

    Parameters
    ----------
    before, after : DataFrame
        Indexed by row, of the same records: tables of :func:`~iterit.scoring.answer_losses.answer_losses`
        (column ``loss``) or of :func:`~iterit.scoring.complexity.score_complexity` (``conditional``).

    Returns
    -------
    DataFrame, indexed by ``row`` in the order of ``before``
        - ``value`` (float64): loss before minus loss after, mean nats per token of the answers; nan where
          either is not known;
        - ``summed`` (float64): the same over all tokens of the answers;
        - ``n_tokens`` (int64);
        - ``status``: that of ``before``, as far as it tells of the answer: "ok", "truncated", "empty" or
          "refused".

    Raises
    ------
    TableError
        A table has no losses, a row twice or not the rows of the other, or the answers of a record
        have not as many tokens in both: they were scored with other templates or limits.

    Examples
    --------
    >>> before = pd.DataFrame({"loss": [2.0, 3.0], "n_tokens": [4, 2]}, index=[7, 8])
    >>> after = pd.DataFrame({"loss": [1.5, 3.25], "n_tokens": [4, 2]}, index=[7, 8])
    >>> loss_drop(before, after)[["value", "summed"]]
         value  summed
    row
    7     0.50     2.0
    8    -0.25    -0.5
    >>> loss_drop(before, after.drop(8))
    Traceback (most recent call last):
    debias.errors.TableError: row 8: the table after has no loss of this row; ...
    """
    tables = {"before": before, "after": after}
    losses = {name: _loss_of(table, name) for name, table in tables.items()}
    _check_same_rows(before, after)
    later = after.loc[before.index]
    counts, others = (table["n_tokens"].to_numpy(np.int64) for table in (before, later))
    if (counts != others).any():
        row = before.index[int((counts != others).argmax())]
        received = (int(before.loc[row, "n_tokens"]), int(later.loc[row, "n_tokens"]))
        raise TableError(
            f"the answers have {received[0]} tokens before and {received[1]} after",
            row=int(row),
            column="n_tokens",
            received=received,
            fix="score both with the same template and the same limit of tokens",
        )
    value = losses["before"].to_numpy(np.float64) - losses["after"].loc[before.index].to_numpy(np.float64)
    status = before.get("status", pd.Series("ok", index=before.index)).replace("ifd_ge_1", "ok")
    columns = {"value": value, "summed": value * counts, "n_tokens": counts, "status": status.to_numpy()}
    return pd.DataFrame(columns, index=before.index.rename("row"))


def _loss_of(table: pd.DataFrame, name: str) -> "pd.Series[float]":
    """Return the losses of a table."""
    column = next((one for one in _LOSSES if one in table.columns), None)
    if column is None or "n_tokens" not in table.columns:
        raise TableError(
            f"the table {name} must have n_tokens, and loss or conditional",
            parameter=name,
            received=[*table.columns],
            fix="pass a table of answer_losses or score_complexity",
        )
    return table[column]


def _check_same_rows(before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Raise TableError unless both have the same rows, each once."""
    for name, table in (("before", before), ("after", after)):
        if table.index.has_duplicates:
            row = int(table.index[table.index.duplicated()][0])
            raise TableError(f"the table {name} has this row twice", parameter=name, row=row)
    for name, rows, others in (("after", before.index, after.index), ("before", after.index, before.index)):
        missing = rows.difference(others)
        if len(missing):
            fix = "score the same rows twice"
            problem = f"the table {name} has no loss of this row"
            raise TableError(problem, parameter=name, row=int(missing[0]), fix=fix)
