"""Chooses examples of a round: picks, and beside each a row that was scored and left out, as long as it.

Length decides much of what is picked: rows of equal length show what else did.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from iterit.rounds.round_state import RoundState, rescorable
from iterit.row_numbers import RowArray

N_EXAMPLES = 4
"""Picks shown of each round."""
LONGEST_EXCERPT = 200
"""Most characters of a question or an answer that are kept."""
EXAMPLE_COLUMNS = {
    "round": "int64",
    "pair": "int64",
    "is_picked": "bool",
    "row": "int64",
    "words": "int64",
    "ifd": "float64",
    "diversity": "float64",
    "score": "float64",
}


def examples_of(state: RoundState, number: int, words: ArrayLike) -> pd.DataFrame:
    """Choose examples of a round that has picked.

    Parameters
    ----------
    state : RoundState
    number : int
        The round.
    words : array-like of int
        Length of every record.

    Returns
    -------
    DataFrame
        round, pair, is_picked, row, words, ifd (as it was scored in the round), and diversity and score
        of picks: what decided; those of rows left out are added by :func:`with_left_scores`. Of each pair
        the pick comes first; it stands alone where all were picked.

    Examples
    --------
    >>> from iterit.rounds.round_settings import RoundSettings
    >>> from iterit.rounds.round_state import first_state, with_picks, with_scores
    >>> scores = pd.DataFrame({"ifd": [0.9, 0.5, 0.6, 0.7], "status": "ok"})
    >>> state = with_scores(first_state(4), scores, RoundSettings())
    >>> state = with_picks(state, pd.DataFrame({"row": [0], "complexity": [0.9]}))
    >>> examples_of(state, 0, [10, 11, 50, 9])[["row", "is_picked", "words", "ifd"]].round(2)
       row  is_picked  words  ifd
    0    0       True     10  0.9
    1    3      False      9  0.7
    """
    lengths = np.asarray(words, dtype=np.int64)
    scored = state.scores[state.scores["round"] == number].drop_duplicates("row", keep="last")
    ifd = scored.set_index("row")["ifd"].astype("float64")
    picks = state.picks[state.picks["round"] == number]
    left = np.setdiff1d(scored["row"].to_numpy()[rescorable(scored)], picks["row"])
    places = np.unique(np.linspace(0, len(picks) - 1, min(N_EXAMPLES, len(picks))).round().astype(int))
    rows = []
    for pair, (_, pick) in enumerate(picks.iloc[places].iterrows()):
        row = int(pick["row"])
        known = ifd.get(row, np.nan)
        rows.append((number, pair, True, row, lengths[row], known, pick["diversity"], pick["score"]))
        if (other := _nearest(left, lengths, ifd, int(lengths[row]))) is not None:
            rows.append((number, pair, False, other, lengths[other], ifd[other], np.nan, np.nan))
            left = left[left != other]
    return pd.DataFrame(rows, columns=list(EXAMPLE_COLUMNS)).astype(EXAMPLE_COLUMNS)


def with_left_scores(examples: pd.DataFrame, score: Callable[[RowArray], pd.DataFrame]) -> pd.DataFrame:
    """Return examples in which rows left out have the diversity and the score of the mode that decided.

    Parameters
    ----------
    examples : DataFrame
        Of :func:`examples_of`.
    score : callable
        Takes rows, returns a table indexed by row with diversity and score.
    """
    left = ~examples["is_picked"]
    rows = examples.loc[left, "row"].to_numpy()
    changed = examples.copy()
    changed.loc[left, ["diversity", "score"]] = score(rows)[["diversity", "score"]].to_numpy()
    return changed


def excerpt_of(text: str) -> str:
    """Return the beginning of a text on one line.

    Examples
    --------
    >>> excerpt_of("Name  a colour."), len(excerpt_of("word " * 99))
    ('Name a colour.', 200)
    """
    line = " ".join(text[: 10 * LONGEST_EXCERPT].split())
    return line if len(line) <= LONGEST_EXCERPT else line[: LONGEST_EXCERPT - 1] + "…"


def _nearest(left: RowArray, lengths: RowArray, ifd: "pd.Series[float]", length: int) -> int | None:
    """Return the row whose length is nearest, the hardest of equals, None where there is none."""
    if not len(left):
        return None
    gap = np.abs(lengths[left] - length)
    return int(left[np.lexsort((left, -ifd.reindex(left).to_numpy(), gap))[0]])
