"""The bounded window: counts over all orders, coverage in simulations, picks as if all were scored."""

from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.errors import ParameterError
from iterit.rounds.bounds.bounded_window import could_enter, hardest, threshold_of, upper_limit
from iterit.rounds.bounds.moves import MoveBound, bound_of, check_sample, moves_of, order_of_bound
from iterit.rounds.round import run_round
from iterit.rounds.round_settings import RoundSettings
from iterit.rounds.round_state import first_state, pickable, rescorable, with_picks, with_scores
from tests.support.refusals import refused

RULES = RoundSettings(n_picks=20, window="bounded", max_ifd=1.0, missed_share=0.2)
N = 600


def scores_of(ifd, rows=None):
    ifd = np.asarray(ifd, dtype=np.float32)
    status = np.where(np.isnan(ifd), "empty", np.where(ifd >= 1, "ifd_ge_1", "ok"))
    return pd.DataFrame({"ifd": ifd, "status": status}, index=np.arange(len(ifd)) if rows is None else rows)


def hardest_first(candidates, newest, number):
    ifd = newest["ifd"].to_numpy()[candidates]
    return pd.DataFrame({"row": candidates[np.argsort(-ifd, kind="stable")][: RULES.n_picks]})


class Scores:
    """The scores that a model would give in each round, and what was asked of it."""

    def __init__(self, seed, moves, n=N, n_rounds=4):
        source = np.random.default_rng(seed)
        start = source.beta(4, 3, n) * 1.2
        steps = [moves(source, n) for _ in range(n_rounds - 1)]
        self.table = np.cumsum([start, *steps], axis=0).clip(0).astype(np.float32)
        self.asked = []

    def run(self, rules, n_rounds=4, first=None):
        state, counts = first or first_state(self.table.shape[1]), []
        for _ in range(n_rounds):
            asked = []

            def score(rows, number=state.round, asked=asked):
                asked.append(rows)
                return scores_of(self.table[number][rows], rows)

            state, found = run_round(state, rules, score, hardest_first)
            self.asked.append(np.concatenate(asked))
            counts.append(found)
        return state, counts

    def top(self, number, rules=RULES):
        return set(hardest(scores_of(self.table[number]), np.arange(self.table.shape[1]), rules).tolist())


def shrinking(source, n):
    return source.normal(-0.02, 0.03, n)


@pytest.mark.parametrize(("n_moves", "n_rows", "n_allowed"), [(4, 3, 0), (5, 4, 1), (6, 3, 2), (3, 5, 2)])
@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95])
def test_the_order_of_a_bound_is_counted_over_all_orders(n_moves, n_rows, n_allowed, confidence):
    def share_of_failures(order):
        failures = 0
        for known in combinations(range(n_moves + n_rows), n_moves):  # which of all ranks are known
            bound = sorted(known)[-order]
            failures += sum(rank > bound for rank in set(range(n_moves + n_rows)) - set(known)) > n_allowed
        return failures / comb(n_moves + n_rows, n_moves)

    allowed = [order for order in range(1, n_moves + 1) if share_of_failures(order) <= 1 - confidence + 1e-12]
    assert order_of_bound(n_moves, n_rows, n_allowed, confidence) == max(allowed, default=0)


def test_few_moves_bound_nothing_and_many_allowed_need_no_bound():
    assert order_of_bound(0, 10, 1, 0.95) == 0
    assert order_of_bound(10, 10_000, 5, 0.95) == 0
    assert order_of_bound(7, 10, 10, 0.95) == 7


def test_the_share_of_runs_in_which_more_move_than_is_allowed():
    source, n, allowed, confidence = np.random.default_rng(0), 400, 12, 0.9
    order = order_of_bound(n, n, allowed, confidence)
    draws = source.standard_t(2, (2000, 2 * n))  # heavy tails: no model of moves is assumed
    bound = np.sort(draws[:, :n])[:, -order]
    failures = ((draws[:, n:] > bound[:, None]).sum(1) > allowed).mean()
    assert failures <= 1 - confidence + 3 * np.sqrt(0.1 * 0.9 / 2000)
    assert failures > 0.02  # the next order would be too few: the bound is not needlessly wide


def test_all_rows_are_scored_until_enough_moves_are_known():
    model = Scores(0, shrinking)
    _, counts = model.run(RULES)
    assert [one["n_scored"] for one in counts[:2]] == [N, N]
    assert counts[1]["is_exact"] == 1
    assert all(one["n_scored"] < N and one["is_exact"] == 0 for one in counts[2:])
    assert "is_exact" not in counts[0]
    few = Scores(0, shrinking, n=60)
    _, counts = few.run(replace(RULES, n_picks=2, missed_share=0.01))
    assert [one["n_scored"] for one in counts] == [60] * 4


@pytest.mark.parametrize("seed", range(5))
def test_with_moves_within_the_bound_candidates_and_picks_are_those_of_all_rows(seed):
    def bounded(source, n):
        step = source.uniform(-0.1, 0.1, n)
        step[:400] = np.sign(step[:400]) * 0.1  # the furthest move is common: every bound is this one
        return source.permutation(step)

    model = Scores(seed, bounded)
    state, counts = model.run(RULES)
    for number in range(1, 4):
        own = state.scores.query("round == @number")["row"].to_numpy()
        assert len(own) == len(set(own)) == counts[number]["n_scored"]
        assert model.top(number) <= set(own.tolist())
        best = hardest_first(np.array(sorted(model.top(number))), scores_of(model.table[number]), number)
        assert sorted(state.rows_of(number)) == sorted(best["row"])
        assert counts[number]["n_missed"] == 0
    assert counts[2]["n_scored"] < N


def test_no_more_are_missed_than_is_allowed_and_the_check_sample_says_how_many():
    too_many, n_missed, stated = 0, [], []
    for seed in range(20):
        model = Scores(100 + seed, shrinking)
        state, counts = model.run(RULES)
        for number in (2, 3):
            own = set(state.scores.query("round == @number")["row"].tolist())
            n_missed.append(len(model.top(number) - own))
            too_many += n_missed[-1] > RULES.missed_share * RULES.window_size
            sampled = set(check_sample(state, RULES, number).tolist())
            assert sampled <= own
            assert counts[number]["n_check_top"] >= len(sampled & model.top(number))
            stated.append(counts[number]["n_missed"])
    assert too_many <= 0.05 * 40
    assert np.mean(n_missed) < 0.05 * RULES.window_size
    # the sample is a share of 50 / 600 of the rows; what it finds is what was missed, on average
    missed_by_bound = np.mean(n_missed) * N / (N - 50)
    assert abs(np.mean(stated) - missed_by_bound * 50 / N) < 0.2


def test_scores_that_move_further_than_before_are_found_by_the_check_sample():
    def jumping(source, n):
        jumping.calls += 1
        return source.normal(0, 0.01 if jumping.calls % 3 != 2 else 0.5, n)

    jumping.calls = 0
    rules = replace(RULES, check_share=0.3)
    model = Scores(3, jumping)
    _, counts = model.run(rules)
    assert counts[2]["n_missed"] > 3
    assert counts[2]["missed_at_most"] > counts[2]["n_missed"] / counts[2]["n_check_top"] > 0.1
    assert counts[3]["bound"] > 10 * counts[2]["bound"]  # the next round knows
    assert counts[3]["n_scored"] == N > counts[2]["n_scored"]


def test_a_score_may_have_moved_in_each_round_of_its_age():
    newest = scores_of([0.5, 0.5, 1.2, 1.2]).assign(round=[0, 1, 0, 1])
    found = could_enter(newest, MoveBound(0.15, 9), 0.75, RULES, 2)
    assert found.tolist() == [True, False, True, False]
    low = could_enter(newest, MoveBound(0.15, 9), -np.inf, replace(RULES, min_ifd=0.7), 2)
    assert low.tolist() == [True, False, True, False]


def test_the_bound_of_old_scores_shares_what_may_go_wrong():
    model = Scores(0, shrinking, n=2000)
    state, _ = model.run(replace(RULES, n_picks=60, check_share=0.01), n_rounds=4)
    rules = replace(RULES, n_picks=60, check_share=0.01)
    moves = moves_of(state, 1.0)
    full = np.sort(moves.loc[moves["round"] == 1, "move"])
    newest = state.newest()
    oldest = 4 - newest["round"][rescorable(newest)].min()
    assert oldest == 3
    order = order_of_bound(2000, 2000, int(0.2 * 180 / 3), 1 - 0.05 / 3)
    sampled = [
        moves[(moves["round"] == r) & moves["row"].isin(check_sample(state, rules, r))] for r in (2, 3)
    ]
    largest = max(one["move"].max() for one in sampled)
    assert bound_of(state, rules).per_round == pytest.approx(max(full[-order], largest), abs=2e-6)


def test_rows_without_a_score_are_not_asked_again_and_proxy_scores_bound_nothing():
    model = Scores(1, shrinking)
    model.table[:, 7] = np.nan
    state, _ = model.run(RULES)
    assert state.scores.query("row == 7")["round"].tolist() == [0]
    proxy = Scores(1, shrinking)
    first = replace(first_state(N), by_proxy=True)
    state, counts = proxy.run(RULES, first=first)
    assert counts[1]["n_scored"] == counts[2]["n_scored"] == N  # no move of the model is known before
    assert moves_of(state, 1.0)["round"].min() == 2
    assert counts[3]["n_scored"] < N


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 1.375, width=32), min_size=5, max_size=12),
    st.integers(0, 10**6),
    st.floats(0.0, 0.4),
    st.floats(-0.5, 1.0),
)
def test_no_row_is_dismissed_that_a_move_within_the_bound_brings_to_the_threshold(ifd, seed, reach, low):
    old = scores_of(ifd).assign(round=0)
    moves = np.random.default_rng(seed).uniform(-reach, reach, len(ifd))
    new = (old["ifd"].to_numpy(np.float64) + moves).astype(np.float32)
    after = scores_of(new.clip(0)).assign(round=1)
    could = could_enter(old, MoveBound(reach + 1e-6, 9), low, RULES, 1)
    enters = pickable(after, RULES) & (after["ifd"].to_numpy() >= low)
    assert not (enters & ~could).any()


def test_thresholds_and_limits_by_hand():
    rules = replace(RULES, n_picks=1, update_ratio=2)
    newest = scores_of([0.9, 0.3, 1.2, 0.9, 0.5])
    assert threshold_of(newest, np.arange(5), rules) == pytest.approx(0.9)
    assert threshold_of(newest, np.array([1, 2]), rules) == -np.inf
    assert hardest(newest, np.array([4, 3, 2, 0, 1]), rules).tolist() == [0, 3]
    assert upper_limit(0, 1, 0.95) == pytest.approx(0.95)
    assert upper_limit(1, 1, 0.95) == 1.0
    with refused(ParameterError, parameter="confidence", received=1.0):
        RoundSettings(confidence=1.0)


def test_an_exact_round_and_the_others_are_the_same_when_run_again():
    model, again = Scores(5, shrinking), Scores(5, shrinking)
    state, counts = model.run(RULES)
    later, repeated = again.run(RULES)
    assert counts == repeated
    assert state.scores.equals(later.scores)
    picked = with_picks(
        with_scores(first_state(3), scores_of([0.1, 0.2, 0.3]), RULES), pd.DataFrame({"row": [0]})
    )
    assert bound_of(picked, RULES) is None
