"""What dropped between two rounds: by hand, and against a loop over all scores."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from iterit.rounds.learnt import learnt_between
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import first_state, with_picks, with_scores

SETTINGS = RoundSettings(n_picks=1)
N_ROWS = 6


def state_of(rounds):
    """A state whose rounds scored these rows with these losses."""
    state = first_state(N_ROWS)
    for losses in rounds:
        series = pd.Series(losses, dtype="float64")
        table = pd.DataFrame(
            {"conditional": series, "direct": 4.0, "ifd": 0.5, "n_tokens": 3, "status": "ok"}
        )
        state = with_picks(with_scores(state, table, SETTINGS), pd.DataFrame({"row": [0]}))
    return state


def test_by_hand():
    state = state_of([{0: 2.0, 1: 3.0, 2: 1.0, 4: np.nan}, {0: 1.5, 4: 1.0}, {0: 1.75, 1: 2.0}])
    np.testing.assert_array_equal(learnt_between(state), [-0.25, 0.5, np.nan, np.nan, np.nan, np.nan])
    assert learnt_between(first_state(2)).isna().tolist() == [True, True]


LOSSES = st.dictionaries(st.integers(0, N_ROWS - 1), st.floats(0, 10), min_size=1)


@given(st.lists(LOSSES, min_size=1, max_size=5))
def test_against_a_loop(rounds):
    seen = {row: [(n, own[row]) for n, own in enumerate(rounds) if row in own] for row in range(N_ROWS)}
    expected = [
        (own[-2][1] - own[-1][1]) / (own[-1][0] - own[-2][0]) if len(own) > 1 else np.nan
        for own in seen.values()
    ]
    found = learnt_between(state_of(rounds))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found.index.tolist() == list(range(N_ROWS))
