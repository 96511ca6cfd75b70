"""Bands, strata of length and floors of sources in rounds: windows hold the rows that they need."""

import numpy as np
import pandas as pd

from debias.errors import ParameterError
from iterit.rounds.length_order import in_length_order
from iterit.rounds.round import run_round
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import (
    answer_tokens,
    fall_of_losses,
    first_state,
    pickable,
    ranked,
    with_picks,
    with_scores,
)
from iterit.rounds.windows import window_of
from iterit.selection.selection import select
from tests.support.refusals import refused

N = 300
GENERATOR = np.random.default_rng(3)
TOKENS = np.ceil(GENERATOR.lognormal(3, 1, N)).astype(np.int64)
IFD = np.clip(1.05 - 0.12 * np.log(TOKENS) + GENERATOR.normal(0, 0.05, N), 0.05, None)  # short ones are hard
SOURCES = np.where(np.arange(N) % 10 == 0, "rare", "web").astype(object)


def score(rows):
    status = np.where(IFD[rows] >= 1, "ifd_ge_1", "ok")
    frame = {"ifd": IFD[rows], "conditional": 2.0, "n_tokens": TOKENS[rows], "status": status}
    return pd.DataFrame(frame, index=rows)


def picker(settings):
    def pick(candidates, newest, number):
        found = select(
            newest["ifd"].to_numpy(),
            k=settings.n_picks,
            candidates=candidates,
            sources=SOURCES,
            lengths=answer_tokens(newest),
            **(settings.selection | {"mode": "complexity"}),
        )
        found.table.attrs["n_compromises"] = sum(found.compromises.values())
        return found.table

    return pick


def two_rounds(settings):
    state = first_state(N)
    for _ in range(2):
        state, counts = run_round(state, settings, score, picker(settings), SOURCES)
    return state, counts


def test_an_order_by_length_keeps_the_order_of_each_stratum_and_the_shares_of_all():
    order = np.argsort(-IFD, kind="stable")
    merged = in_length_order(order, TOKENS.astype(float), 50)
    assert sorted(merged) == sorted(order)
    edges = np.unique(np.sort(TOKENS)[[N * number // 10 for number in range(1, 10)]])
    strata = np.searchsorted(edges, TOKENS, side="right")
    for stratum in range(10):
        assert merged[strata[merged] == stratum].tolist() == order[strata[order] == stratum].tolist()
    pool = np.bincount(strata) / N
    for first in (20, 100, 250):
        assert np.abs(np.bincount(strata[merged[:first]], minlength=10) - first * pool).max() <= 1.5


def test_later_rounds_pick_the_lengths_of_all_records():
    settings = RoundSettings(n_picks=30, match_length=True, stale_share=0.0)
    state, counts = two_rounds(settings)
    strata = np.searchsorted(
        np.unique(np.sort(TOKENS)[[N * number // 6 for number in range(1, 6)]]), TOKENS, side="right"
    )
    pool = np.bincount(strata) / N * 30
    for number in (0, 1):
        there = np.bincount(strata[state.rows_of(number)], minlength=6)
        assert np.maximum(there - pool, 0).sum() <= 6 + counts.get("n_compromises", 0)
    plain, _ = two_rounds(RoundSettings(n_picks=30))
    assert TOKENS[plain.rows_of(1)].mean() < 0.5 * TOKENS[state.rows_of(1)].mean()


def test_a_window_is_widened_until_sources_with_floors_have_rows():
    settings = RoundSettings(n_picks=20, floors={"rare": 0.5}, update_ratio=1.0)
    state, counts = two_rounds(settings)
    assert counts["n_widened"] > 0
    assert "n_compromises" not in counts
    for number in (0, 1):
        assert (SOURCES[state.rows_of(number)] == "rare").sum() >= 10


def test_picks_that_complete_a_round_keep_within_quotas():
    settings = RoundSettings(n_picks=200, quotas={"web": 0.85}, max_ifd=0.55)  # too few are below
    state, counts = two_rounds(settings)
    assert counts["n_completed"] > 0
    for number in (0, 1):
        assert (SOURCES[state.rows_of(number)] == "web").sum() == 170
    with refused(ParameterError, parameter="quotas", mentions="200"):
        two_rounds(RoundSettings(n_picks=200, quotas={"web": 100}))


def test_a_window_is_widened_until_quotas_leave_enough_rows():
    hard = np.argsort(-np.where(IFD < 1, IFD, 0), kind="stable")[:60]
    sources = np.full(N, "easy", dtype=object)
    sources[hard] = "hard"

    def pick(candidates, newest, number):
        chosen = select(
            newest["ifd"].to_numpy(), k=20, candidates=candidates, sources=sources,
            **(settings.selection | {"mode": "complexity"}),
        )  # fmt: skip
        return chosen.table

    settings = RoundSettings(n_picks=20, quotas={"hard": 0.25})
    state = first_state(N)
    for _ in range(2):
        state, counts = run_round(state, settings, score, pick, sources)
    assert counts["n_widened"] > 0 and counts["n_completed"] == 0
    assert (sources[state.rows_of(1)] == "hard").sum() == 5
    scored = state.scores.query("round == 1")["row"].to_numpy()
    assert (sources[scored] == "hard").sum() <= settings.window_size  # no more of those than the window has


def test_a_band_is_that_of_the_newest_scores_of_all_records():
    settings = RoundSettings(n_picks=20, mode="banded", low_quantile=0.4, high_quantile=0.6)
    state = with_scores(first_state(N), score(np.arange(N)), settings)
    newest = state.newest()
    may = pickable(newest, settings)
    ifd = newest["ifd"].to_numpy()
    below = np.sort(ifd[ifd < 1])
    assert ifd[may].min() == below[int(0.4 * (len(below) - 1))]
    assert 0.18 * len(below) <= may.sum() <= 0.23 * len(below)
    hardest_first, others = ranked(newest, settings)
    assert sorted(hardest_first) == np.flatnonzero(may).tolist()
    assert len(others) == N - may.sum()
    state = with_picks(state, pd.DataFrame({"row": hardest_first[:20]}))
    window = window_of(state, settings)
    assert may[window.rows[: window.n_top]].all()


def test_the_fall_of_losses_is_known_where_a_round_scored_again():
    before = pd.DataFrame({"conditional": [3.0, 2.0, np.nan], "round": [0, 0, -1]})
    newest = pd.DataFrame({"conditional": [2.5, 2.0, 1.0], "round": [1, 0, 1]})
    assert fall_of_losses(before, newest, 1).tolist()[:1] == [0.5]
    assert np.isnan(fall_of_losses(before, newest, 1)[1:]).all()
