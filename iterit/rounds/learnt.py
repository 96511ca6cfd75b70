"""Tells how fast the loss of each record fell between its last two scores: learnable, by rounds."""

import numpy as np
import pandas as pd

from iterit.rounds.round_state import RoundState


def learnt_between(state: RoundState) -> "pd.Series[float]":
    """Return the fall of each row's loss between its last two scores, for each round between them.

    A row is not scored in every round. What fell by as much in fewer rounds was learnt faster, so the
    fall is divided by the number of rounds.

    Parameters
    ----------
    state : RoundState

    Returns
    -------
    Series of float64, indexed by all rows
        Nats per token of the answers and round; negative where the loss rose, nan where a row was scored
        once or never, or has no loss.

    Examples
    --------
    >>> from iterit.rounds.round_state import first_state, with_picks, with_scores
    >>> from iterit.rounds.round_settings import RoundSettings
    >>> settings, state = RoundSettings(n_picks=1), first_state(3)
    >>> for losses in ({0: 2.0, 1: 3.0}, {0: 1.5}):
    ...     table = pd.DataFrame({"conditional": losses, "direct": 4.0, "ifd": 0.5, "status": "ok"})
    ...     state = with_picks(with_scores(state, table, settings), pd.DataFrame({"row": [1]}))
    >>> learnt_between(state).tolist()
    [0.5, nan, nan]
    """
    scores = state.scores
    last = scores.drop_duplicates("row", keep="last")
    earlier = scores.drop(index=last.index).drop_duplicates("row", keep="last")
    pair = pd.merge(
        earlier.set_index("row"), last.set_index("row"), left_index=True, right_index=True,
        suffixes=(" before", ""),
    )  # fmt: skip
    rounds = (pair["round"] - pair["round before"]).to_numpy(np.float64)
    fall = (pair["conditional before"] - pair["conditional"]).to_numpy(np.float64)
    value = pd.Series(fall / np.maximum(rounds, 1), index=pair.index, dtype="float64")
    return value.reindex(pd.RangeIndex(state.n_rows, name="row")).rename("learnt")
