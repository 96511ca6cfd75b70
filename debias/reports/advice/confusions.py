"""Confusion matrices for a reader: rows shaded by their shares, or the largest confusions of many classes."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from debias.console.number_formats import percent

MOST_CONFUSIONS = 20
"""Confusions that are listed where there are too many classes for a matrix."""


class Shade(NamedTuple):
    """A cell of a heat map.

    Attributes
    ----------
    rows, share : str
        Rows, and their share of the rows of the label in per cent; a dot where there is none.
    strength : int
        The share in whole per cent, for the colour.
    is_right : bool
        Whether the cell is on the diagonal.
    """

    rows: str
    share: str
    strength: int
    is_right: bool


def shades(counts: pd.DataFrame) -> list[list[Shade]]:
    """Return the cells of a confusion matrix, each row shaded by its own shares.

    Parameters
    ----------
    counts : DataFrame
        Rows by label and prediction, square.

    Examples
    --------
    >>> [shade.share for shade in shades(pd.DataFrame([[3, 1], [0, 0]]))[0]]
    ['75.0', '25.0']
    """
    found = []
    for at, row in enumerate(counts.to_numpy()):
        total = max(int(row.sum()), 1)
        cells = []
        for place, n in enumerate(row.tolist()):
            share = n / total
            shown = (f"{n:,}", percent(share, unit=False)) if n else ("·", "")
            cells.append(Shade(*shown, round(100 * share), at == place))
        found.append(cells)
    return found


def largest_confusions(confusions: Mapping[str, pd.DataFrame], most: int = MOST_CONFUSIONS) -> pd.DataFrame:
    """Return the pairs of label and wrong prediction with the most rows, before or after.

    Parameters
    ----------
    confusions : mapping of {"before", "after"} to DataFrame
        Counts by label and prediction.
    most : int, default=20

    Returns
    -------
    DataFrame
        Indexed by label and predicted; before, after (rows), rows (of the label).

    Examples
    --------
    >>> sides = {side: pd.DataFrame([[3, n], [1, 2]], ["a", "b"], ["a", "b"]) for side, n in
    ...          (("before", 5), ("after", 0))}
    >>> largest_confusions(sides, most=1).iloc[0].tolist()
    [5, 0, 8]
    """
    names = list(confusions["before"].index)
    counts = {side: frame.to_numpy() for side, frame in confusions.items()}
    wrong = ~np.eye(len(names), dtype=bool)
    label, predicted = np.nonzero(wrong & ((counts["before"] > 0) | (counts["after"] > 0)))
    frame = pd.DataFrame(
        {
            "label": [names[k] for k in label],
            "predicted": [names[k] for k in predicted],
            **{side: counts[side][label, predicted] for side in ("before", "after")},
            "rows": counts["before"].sum(axis=1)[label],
        }
    ).set_index(["label", "predicted"])
    order = frame[["before", "after"]].max(axis=1).sort_values(ascending=False, kind="stable").index
    return frame.loc[order].head(most)
