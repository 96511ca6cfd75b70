"""Rules on tables of results small enough to judge by eye."""

import numpy as np
import pandas as pd
import pytest

from debias.corrections.families import ensemble, memberships, weights
from debias.errors import ParameterError
from debias.estimators.tuning.selection_rules import RULES, order_by
from debias.estimators.tuning.tuning_settings import (
    PUBLISHED_N_WEIGHTS,
    Setting,
    combine,
    published_objectives,
)
from debias.search.objective import Objective
from tests.support.refusals import refused


def results(n_folds=5, **columns):
    """A table of four settings: A accurate, B even, C between, D between and simple."""
    table = pd.DataFrame(
        {
            "mean_accuracy": [0.80, 0.60, 0.70, 0.69],
            "mean_cobias": [0.40, 0.05, 0.12, 0.12],
            "mean_accuracy_minus_cobias": [0.40, 0.55, 0.58, 0.57],
            "std_accuracy_minus_cobias": [0.02, 0.02, 0.04, 0.02],
            "mean_worst_class_accuracy": [0.30, 0.55, 0.54, 0.50],
            "mean_balanced_accuracy": [0.61, 0.60, 0.65, 0.66],
            "mean_n_changed": [3.0, 2.0, 2.0, 1.0],
        }
    ).assign(**columns)
    table.attrs["n_folds"] = n_folds
    return table


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        ("accuracy-cobias", "ACDB"),
        ("accuracy-minus-cobias", "CDBA"),
        ("worst-class-accuracy", "BCDA"),
        ("balanced-accuracy", "DCAB"),
        ("one-standard-error", "DCBA"),  # .04 / sqrt(4) = .02 below .58: C and D; D changes fewer classes
        (lambda table: table["mean_balanced_accuracy"] - table["mean_n_changed"], "DCBA"),
        (lambda table: [1, 2, 3, 4], "DCBA"),
    ],
)
def test_rules_by_hand(rule, order):
    assert "".join("ABCD"[row] for row in order_by(rule, results())) == order


def test_the_published_rule_breaks_ties_by_cobias_then_by_simplicity_then_by_place():
    even = results(mean_accuracy=0.5)
    assert order_by("accuracy-cobias", even).tolist() == [1, 3, 2, 0]
    assert order_by("accuracy-cobias", even.assign(mean_cobias=0.1, mean_n_changed=1.0)).tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_what_differs_by_rounding_is_equal():
    rounded = results(mean_accuracy=np.array([0.1 + 0.2, 0.3, 0.3, 0.3]))
    assert order_by("accuracy-cobias", rounded)[0] == 1


def test_within_no_error_the_best_stays_the_best():
    sharp = results(std_accuracy_minus_cobias=0.0)
    assert order_by("one-standard-error", sharp)[0] == order_by("accuracy-minus-cobias", sharp)[0]


def test_a_standard_error_needs_two_folds():
    with refused(ParameterError, parameter="rule", received="one-standard-error"):
        order_by("one-standard-error", results(n_folds=1))


@pytest.mark.parametrize(
    "rule", ["best", None, lambda table: "C", lambda table: [1.0], lambda table: [1, 2, 3, np.nan]]
)
def test_rules_that_are_none(rule):
    with refused(ParameterError, parameter="rule"):
        order_by(rule, results())


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_orders_every_setting_once(rule):
    assert sorted(order_by(rule, results())) == [0, 1, 2, 3]


# Settings.


def test_the_published_grid_has_304_settings_none_of_them_twice():
    settings = combine(published_objectives(), PUBLISHED_N_WEIGHTS, "ensemble")
    keys = {(s.n_weights, s.objective.error, s.objective.cobias, s.objective.pmi) for s in settings}
    assert len(settings) == len(keys) == 304
    assert sum(key[1] == key[3] == 0 for key in keys) == 4


def test_a_setting_knows_what_is_chosen_from():
    objective = Objective()
    assert Setting("ensemble", 30, objective).corrections() == ensemble(30)
    assert Setting("weights", 50, objective).corrections() == weights(50)
    assert Setting("memberships", None, objective).corrections() == memberships()
    kinds = {(s.family, s.n_weights) for s in combine([objective], [10, 10, 20], ("weights", "memberships"))}
    assert kinds == {("weights", 10), ("weights", 20), ("memberships", None)}


@pytest.mark.parametrize(
    ("objectives", "n_weights", "families", "parameter"),
    [
        ([], 30, "ensemble", "settings"),
        (["cobias"], 30, "ensemble", "settings"),
        ([Objective(error=-1)], 30, "ensemble", "error"),
        ([Objective()], 0, "ensemble", "n_weights"),
        ([Objective()], [], "ensemble", "n_weights"),
        ([Objective()], 30, "fuzzy", "families"),
        ([Objective()], 30, (), "families"),
    ],
)
def test_settings_that_are_none(objectives, n_weights, families, parameter):
    with refused(ParameterError, parameter=parameter):
        combine(objectives, n_weights, families)
