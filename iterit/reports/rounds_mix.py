"""Computes how the mix of picks moved: shares of sources and of lengths, round by round."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from iterit.rounds.round_state import RoundState

MOST_SOURCES = 6
_BLOCKS = "▁▂▃▄▅▆▇█"
_QUARTERS = (0.25, 0.5, 0.75)


def mix_of(state: RoundState, records: pd.DataFrame, numbers: Sequence[int]) -> pd.DataFrame:
    """Return shares of the picks by source, and by quarters of the lengths of all records.

    Parameters
    ----------
    state : RoundState
    records : DataFrame
        Words and source of every row.
    numbers : sequence of int
        The rounds.

    Returns
    -------
    DataFrame
        Indexed by kind ("source", "words") and group; "all" and a column per round: shares, which add up
        to 1 in each kind. Beyond six sources, the smaller ones are one group.
    """
    sources = records["source"].astype(str)
    largest = sources.iloc[state.rows].value_counts().index
    if len(largest) > MOST_SOURCES:
        sources = sources.where(sources.isin(largest[:MOST_SOURCES]), "other sources")
    words = records["words"].to_numpy()
    bounds = np.unique(np.quantile(words[state.rows], _QUARTERS).round().astype(int))
    names = _names(bounds.tolist())
    lengths = pd.Series([names[place] for place in np.searchsorted(bounds, words)], index=records.index)
    groups = {"all": state.rows} | {str(number): state.rows_of(number) for number in numbers}

    def shares(values: "pd.Series[str]") -> pd.DataFrame:
        found = {name: values.iloc[rows].value_counts(normalize=True) for name, rows in groups.items()}
        return pd.DataFrame(found).fillna(0.0)

    by_source, by_words = shares(sources), shares(lengths)
    by_source = by_source.sort_values("all", ascending=False, kind="stable")
    by_words = by_words.reindex([name for name in names if name in by_words.index])
    return pd.concat({"source": by_source, "words": by_words}, names=["kind", "group"])


def sparkline(shares: list[float]) -> str:
    """Draw shares as blocks whose height is relative to the largest of them.

    Examples
    --------
    >>> sparkline([0.1, 0.2, 0.4]), sparkline([0.0, 0.0])
    ('▂▄█', '▁▁')
    """
    top = max(shares, default=0.0) or 1.0
    return "".join(_BLOCKS[min(int(share / top * 8 - 1e-9), 7)] for share in shares)


def _names(bounds: list[int]) -> list[str]:
    """Name the groups of lengths between bounds.

    Examples
    --------
    >>> _names([10, 20])
    ['up to 10 words', '11 to 20 words', 'more than 20 words']
    """
    inner = [f"{low + 1} to {high} words" for low, high in zip(bounds, bounds[1:], strict=False)]
    return [f"up to {bounds[0]} words", *inner, f"more than {bounds[-1]} words"]
