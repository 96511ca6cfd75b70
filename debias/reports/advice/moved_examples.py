"""Examples of rows whose prediction moved, drawn at random so that none was chosen to please."""

import numpy as np
import pandas as pd

LONGEST = 300
"""Characters of a text that are shown."""
OUTCOMES = ("became right", "became wrong", "stayed wrong")


def moved_examples(rows: pd.DataFrame, texts: "pd.Series[str]", n: int, seed: int = 0) -> pd.DataFrame:
    """Draw rows whose prediction moved, up to `n` of each outcome.

    Parameters
    ----------
    rows : DataFrame
        With label, before and after.
    texts : Series of str
        Of the same rows.
    n : int
        Of each outcome.
    seed : int, default=0

    Returns
    -------
    DataFrame
        outcome, text (its beginning), label, before, after; indexed by row.

    Examples
    --------
    >>> rows = pd.DataFrame({"label": ["a", "b"], "before": ["b", "b"], "after": ["a", "b"]})
    >>> moved_examples(rows, pd.Series(["one", "two"]), n=3)
            outcome text label before after
    0  became right  one     a      b     a
    """
    moved = rows[rows["before"] != rows["after"]]
    right, wrong = moved["after"] == moved["label"], moved["before"] == moved["label"]
    outcome = np.select([right, wrong], OUTCOMES[:2], OUTCOMES[2])
    rng = np.random.default_rng(seed)
    parts = []
    for name in OUTCOMES:
        there = moved.index[outcome == name].to_numpy()
        parts.append(np.sort(there[rng.permutation(len(there))[:n]]))
    chosen = np.concatenate(parts).astype(np.int64)
    shown = moved.loc[chosen, ["label", "before", "after"]]
    shown.insert(0, "text", [_beginning(str(text)) for text in texts.iloc[chosen]])
    shown.insert(0, "outcome", [str(outcome[moved.index.get_loc(row)]) for row in chosen])
    return shown


def _beginning(text: str) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(text[: 10 * LONGEST].split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
