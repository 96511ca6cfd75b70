"""Near-ties as rows of a table: choices whose objective is about as good on the fitted rows."""

import pandas as pd

from debias.console.number_formats import fixed, percent

NEAR_TIES = (
    "choice",
    "objective",
    "accuracy, %",
    "balanced accuracy, %",
    "COBias, points",
    "worst class, %",
    "classes changed",
)
"""Columns of :func:`near_tie_rows`."""
_MEASURES = ("accuracy", "balanced_accuracy", "cobias", "worst_class_accuracy")


def near_tie_rows(near_ties: pd.DataFrame | None) -> list[list[str]]:
    """Return a row per choice as text, the one that is taken first.

    Parameters
    ----------
    near_ties : DataFrame, optional
        As :attr:`debias.estimators.base_debiaser.BaseDebiaser.near_ties_`.

    Examples
    --------
    >>> near_tie_rows(None)
    []
    """
    if near_ties is None:
        return []
    rows = []
    for at, tie in enumerate(near_ties.to_dict("records")):
        shares = [percent(float(tie[name]), unit=False) for name in _MEASURES]
        name = "taken" if tie["taken"] else f"near-tie {at}"
        rows.append([name, fixed(float(tie["objective"]), 4), *shares, str(tie["n_changed"])])
    return rows
