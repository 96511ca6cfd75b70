"""Rounds without a model: windows by hand and against a plain restatement, budgets, completion."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.errors import ParameterError
from iterit.rounds.round import run_round, training_order
from iterit.rounds.round_state import (
    RoundSettings,
    first_state,
    n_picks_of,
    pickable,
    with_picks,
    with_scores,
)
from iterit.rounds.windows import next_rows, window_of
from iterit.selection.selection_settings import SelectionSettings
from tests.support.refusals import refused


def scores_of(ifd, rows=None):
    ifd = np.asarray(ifd, dtype=np.float32)
    status = np.where(np.isnan(ifd), "empty", np.where(ifd >= 1, "ifd_ge_1", "ok"))
    rows = np.arange(len(ifd)) if rows is None else rows
    return pd.DataFrame({"ifd": ifd, "status": status}, index=rows)


def hardest(candidates, newest, number):
    """Pick the two hardest."""
    ifd = newest["ifd"].to_numpy()[candidates]
    return pd.DataFrame({"row": candidates[np.argsort(-ifd, kind="stable")][:2]})


class Model:
    """Scores that fall with each round in which a row was asked for, and a memory of what was asked."""

    def __init__(self, ifd):
        self.ifd = np.array(ifd, dtype=np.float32)
        self.asked = []

    def __call__(self, rows):
        self.asked.append(list(rows))
        return scores_of(self.ifd[rows], rows)


def test_round_0_scores_all_that_take_part_and_orders_them():
    state = first_state(6, rows=np.array([5, 0, 1, 2, 4]))
    model = Model([0.5, 0.9, 1.5, 0.99, np.nan, 0.9])
    state, facts = run_round(state, RoundSettings(n_picks=2), model, hardest)
    assert model.asked == [[0, 1, 2, 4, 5]]
    assert state.permutation.tolist() == [1, 5, 0, 2, 4]  # ties to the first row, without an IFD last
    assert state.rows_of(0).tolist() == [1, 5]
    assert facts["n_candidates"] == 3
    assert state.newest()["status"].tolist() == ["ok", "ok", "ifd_ge_1", "", "empty", "ok"]


def test_top_follows_the_newest_scores_and_published_the_first_ones():
    ifd = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    asked = {}
    for window in ("top", "published"):
        rules = RoundSettings(n_picks=2, update_ratio=1.5, window=window, stale_share=0, above_share=0)
        model = Model(ifd)
        state, _ = run_round(first_state(6), rules, model, hardest)
        model.ifd[:3] = [0.1, 0.85, 0.2]
        state, _ = run_round(state, rules, model, hardest)
        state, _ = run_round(state, rules, model, hardest)
        asked[window] = model.asked[1:]
    assert asked == {"top": [[0, 1, 2], [1, 3, 4]], "published": [[0, 1, 2], [0, 1, 2]]}


def test_rows_above_one_have_their_budget_oldest_scores_first():
    rules = RoundSettings(n_picks=2, update_ratio=2, above_share=0.5, stale_share=0)
    model = Model([0.9, 0.8, 0.7, 0.6, 1.1, 1.2, 1.3])
    state, _ = run_round(first_state(7), rules, model, hardest)
    state, _ = run_round(state, rules, model, hardest)
    model.ifd[6] = 0.95  # a row that comes back is a candidate at once
    state, _ = run_round(state, rules, model, hardest)
    assert model.asked[1:] == [[0, 1, 4, 5], [0, 1, 6, 4]]
    assert state.rows_of(2).tolist() == [6, 0]


def test_old_scores_are_refreshed_in_turn():
    rules = RoundSettings(n_picks=1, update_ratio=2, above_share=0, stale_share=0.5)
    model = Model([0.9, 0.5, 0.4, 0.3])
    state = first_state(4)
    for _ in range(5):
        state, _ = run_round(state, rules, model, hardest_one)
    assert model.asked[1:] == [[0, 1], [0, 2], [0, 3], [0, 1]]


def hardest_one(candidates, newest, number):
    return hardest(candidates, newest, number).head(1)


def test_a_window_without_enough_rows_is_widened_in_its_order():
    for window, expected in (("top", [[0, 1, 2], [3]]), ("published", [[0, 1, 2], [3]])):
        rules = RoundSettings(n_picks=2, update_ratio=1.5, window=window, above_share=0, stale_share=0)
        model = Model([0.9, 0.8, 0.7, 0.6, 0.5])
        state, _ = run_round(first_state(5), rules, model, hardest)
        model.ifd[:2] = 1.4  # training made them harder than no instruction at all
        state, facts = run_round(state, rules, model, hardest)
        assert model.asked[1:] == expected
        assert facts["n_widened"] == 1
        assert state.rows_of(1).tolist() == [2, 3]


def test_picks_are_completed_by_the_nearest_and_marked():
    rules = RoundSettings(n_picks=3)
    model = Model([1.5, 0.9, 1.01, np.nan, 1.2])
    state, facts = run_round(first_state(5), rules, model, hardest)
    assert state.rows_of(0).tolist() == [1, 2, 4]
    assert state.picks["completed"].tolist() == [False, True, True]
    assert facts["n_completed"] == 2


def test_too_few_scores_are_refused_before_anything_is_trained():
    with refused(ParameterError, parameter="ratio", received=2, mentions=("1 of 3",)):
        run_round(first_state(3), RoundSettings(n_picks=2), Model([np.nan, 0.5, np.nan]), hardest)


@pytest.mark.parametrize(
    ("parameter", "value", "others"),
    [
        ("n_picks", 0, {}),
        ("window", "x", {}),
        ("update_ratio", 0.5, {}),
        ("decay", 2, {}),
        ("max_ifd", None, {}),
        ("above_share", 0.7, {"stale_share": 0.3}),
    ],
)
def test_settings_that_are_not_allowed(parameter, value, others):
    with refused(ParameterError, parameter=parameter, received=value):
        RoundSettings(**{"n_picks": 1, parameter: value, **others})


def test_the_settings_of_a_selection_are_among_those_of_a_round():
    rules = RoundSettings(n_picks=1, mode="longest", quotas={"a": 0.5}, min_ifd=0.2)
    assert SelectionSettings(**rules.selection) == SelectionSettings(
        mode="longest", quotas={"a": 0.5}, min_ifd=0.2
    )
    with refused(ParameterError, parameter="update_ration", mentions="'update_ratio'"):
        RoundSettings.of(n_picks=1, update_ration=2)


@pytest.mark.parametrize("ratio", [0, -0.1, 1.5, float("nan"), 0.001, "0.5", None])
def test_a_ratio_that_picks_nothing_is_refused(ratio):
    with refused(ParameterError, parameter="ratio", received=type(ratio)):
        n_picks_of(ratio, 100)


@given(n=st.integers(1, 100_000), percent=st.integers(1, 100))
def test_the_number_of_picks_is_the_floor_of_the_exact_product(n, percent):
    exact = n * percent // 100
    if exact:
        assert n_picks_of(percent / 100, n) == exact


def plain_window(newest, rules):
    """Restate the window row by row."""
    below = [r for r in newest.index if newest["status"][r] == "ok"]
    above = [r for r in newest.index if newest["status"][r] == "ifd_ge_1"]
    below.sort(key=lambda r: (-newest["ifd"][r], r))
    above.sort(key=lambda r: (newest["round"][r], newest["ifd"][r], r))
    size = min(int(rules.update_ratio * rules.n_picks), len(below) + len(above))
    n_above = min(int(rules.above_share * size + 1e-9), len(above))
    n_stale = int(rules.stale_share * size + 1e-9)
    top = below[: size - n_above - n_stale]
    others = sorted((r for r in below if r not in top), key=lambda r: (newest["round"][r], below.index(r)))
    stale = others[:n_stale]
    return [*top, *stale, *above[: size - len(top) - len(stale)]]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_windows_are_those_of_the_plain_definition_and_never_repeat(data):
    n = data.draw(st.integers(2, 25))
    values = st.sampled_from([0.1, 0.5, 0.5, 0.9, 0.99, 1.0, 1.3, float("nan")])
    rules = RoundSettings(
        n_picks=data.draw(st.integers(1, n)),
        update_ratio=data.draw(st.sampled_from([1.0, 2.0, 3.0])),
        above_share=data.draw(st.sampled_from([0.0, 0.1, 0.4])),
        stale_share=data.draw(st.sampled_from([0.0, 0.1, 0.5])),
    )
    state = with_scores(first_state(n), scores_of(data.draw(st.lists(values, min_size=n, max_size=n))), rules)
    state = with_picks(state, pd.DataFrame({"row": [0]}))
    for _ in range(3):
        window = window_of(state, rules)
        assert window.rows.tolist() == plain_window(state.newest(), rules)
        assert len(set(window.rows)) == len(window.rows) == window.n_top + window.n_stale + window.n_above
        more = next_rows(state, rules, window.rows, 3)
        assert not set(more) & set(window.rows)
        fresh = data.draw(st.lists(values, min_size=len(window.rows), max_size=len(window.rows)))
        state = with_picks(
            with_scores(state, scores_of(fresh, window.rows), rules), pd.DataFrame({"row": [0]})
        )


def test_bounds_below_and_above():
    newest = scores_of([0.1, 0.3, 0.99, 1.0, 1.1, np.nan])
    rules = RoundSettings(n_picks=1, min_ifd=0.3, max_ifd=1.05)
    assert pickable(newest, rules).tolist() == [False, True, True, True, False, False]


def test_the_training_order_depends_on_seed_and_epoch_alone():
    rows, lengths = np.arange(50), np.ones(50, dtype=np.int64)
    first = training_order(rows, 0, 1, lengths, 8)
    np.testing.assert_array_equal(first, training_order(rows, 0, 1, lengths, 8))
    assert sorted(first) == list(rows)
    assert not np.array_equal(first, training_order(rows, 0, 2, lengths, 8))
    assert not np.array_equal(first, training_order(rows, 1, 1, lengths, 8))


@pytest.mark.parametrize("rows_per_step", [1, 4, 7, 100])
def test_each_step_trains_the_same_rows_long_ones_first(rows_per_step):
    rows, lengths = np.arange(10, 60, 2), np.random.default_rng(0).integers(1, 9, size=60)
    plain = training_order(rows, 3, 1, lengths, 1)
    found = training_order(rows, 3, 1, lengths, rows_per_step)
    for start in range(0, len(rows), rows_per_step):
        step = found[start : start + rows_per_step]
        assert sorted(step) == sorted(plain[start : start + rows_per_step])
        assert (np.diff(lengths[step]) <= 0).all()
