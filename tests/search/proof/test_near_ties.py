"""Near-ties: what is listed and taken, against every choice evaluated one after another."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.families import memberships, weights
from debias.search.constraints import Constrained
from debias.search.objective import Objective
from debias.search.problem import build_problem
from debias.search.proof.exact_search import ExactSearch
from debias.search.proof.near_optima import near_optima
from debias.search.proof.near_ties import MEASURES, WITHIN, NearTie, extremes, near_ties, tie_of
from debias.search.search_settings import SearchSettings
from debias.search.solve import solve
from tests.support.small_problems import SMALL_FAMILY, random_rows

GOALS = [
    Objective(pmi=0.0),
    Objective(pmi=1.0, smoothing=3.0, macro_f1=0.5),
    Objective.worst_class_first(),
    Objective(costs=[[0, 1, 5, 2], [3, 0, 0, 1], [1, 4, 0, 9], [1, 1, 2, 0]]),
    Constrained(no_class_worse_than="uncorrected", margin=0.3),
]


def of_classes(goal, n_classes):
    """The same goal with costs for so many classes."""
    if isinstance(goal, Objective) and goal.costs is not None:
        return Objective(costs=[row[:n_classes] for row in goal.costs[:n_classes]])
    return goal


def literal(problem, within):
    """By number of right samples, the highest balanced accuracy of a near-tie; and the least objective."""
    choices = list(itertools.product(range(problem.n_corrections), repeat=problem.n_classes))
    values = [problem.evaluate(choice) for choice in choices]
    best, highest = min(values), {}
    for choice, value in zip(choices, values, strict=True):
        if value <= best + within + 1e-12:
            counts = problem.counts(choice)
            present = counts.support > 0
            balanced = (counts.correct[present] / counts.support[present]).mean()
            right = int(counts.correct.sum())
            highest[right] = max(highest.get(right, 0.0), balanced)
    return best, highest


@pytest.mark.parametrize("goal", GOALS, ids=repr)
@settings(deadline=None, max_examples=8)
@given(
    seed=st.integers(0, 10_000),
    within=st.sampled_from([0.002, 0.05, 0.3]),
    n_classes=st.integers(2, 4),
)
def test_near_optima_are_the_enumerated_ones(goal, seed, within, n_classes):
    family = SMALL_FAMILY if n_classes < 4 else weights(3) | memberships()[3:5]
    rows = random_rows(seed, steps=100, n_classes=n_classes)
    problem = build_problem(*rows, family, of_classes(goal, n_classes))
    best, highest = literal(problem, within)
    if not problem.objective.is_feasible(best):
        return
    found = near_optima(ExactSearch(problem), best + within + 1e-12, np.inf)
    assert found.complete
    met = {}
    for choice in found.choices:
        assert problem.evaluate(choice) <= best + within + 1e-11
        counts = problem.counts(choice)
        present = counts.support > 0
        balanced = (counts.correct[present] / counts.support[present]).mean()
        right = int(counts.correct.sum())
        met[right] = max(met.get(right, 0.0), balanced)
    assert met == pytest.approx(highest)


@pytest.mark.parametrize("goal", GOALS, ids=repr)
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10_000), within=st.sampled_from([0.0, 0.05, 0.3]), n_classes=st.integers(2, 4))
def test_what_is_said_of_all_near_ties_is_true_of_all(goal, seed, within, n_classes):
    family = SMALL_FAMILY if n_classes < 4 else weights(3) | memberships()[3:5]
    rows = random_rows(seed, steps=100, n_classes=n_classes)
    problem = build_problem(*rows, family, of_classes(goal, n_classes))
    near = solve(problem, SearchSettings(tolerance=within), with_near_ties=True).near
    choices = itertools.product(range(problem.n_corrections), repeat=n_classes)
    every = [
        tie for choice in choices if problem.objective.is_feasible((tie := tie_of(problem, choice)).objective)
    ]
    if near is None:
        assert not every
        return
    assert near.complete
    highest = min(tie.objective for tie in every) + (within or WITHIN) + 1e-12
    for name, pick in MEASURES.items():
        of_all = pick(getattr(tie, name) for tie in every if tie.objective <= highest)
        assert pick(getattr(row, name) for row in near.rows) == pytest.approx(of_all), name


def test_of_equal_balanced_accuracies_the_lowest_objective_is_taken():
    dearer = NearTie(0.51, 0.6, 0.1 + 0.2, 0.1, 0.4, 1, (0, 1))  # .1 + .2 is above .3 by a rounding
    cheaper = NearTie(0.505, 0.6, 0.3, 0.1, 0.4, 2, (1, 1))
    best = NearTie(0.5, 0.6, 0.2, 0.1, 0.4, 2, (0, 0))
    assert extremes([best, dearer, cheaper], 0.52, tolerance=0.02).rows[0] == cheaper


def test_weights_of_thousands_leave_near_ties():
    """z is then rounded by more than what counts as equal."""
    rows = random_rows(5, n_samples=41, steps=100)
    for error in (1e4, 3e5, 7e6, 1.1e7):
        problem = build_problem(*rows, SMALL_FAMILY, Objective(error, error / 3, error / 7, 0.5))
        result = solve(problem, SearchSettings(tolerance=1e-12), with_near_ties=True)
        assert result.near.rows[0].objective == pytest.approx(result.certificate.objective, rel=1e-9)


@pytest.mark.parametrize("search", ["exact", "exact by boxes", "descent"])
@pytest.mark.parametrize("tolerance", [0.0, 0.1])
def test_a_tolerance_takes_the_highest_balanced_accuracy_and_says_what_it_costs(
    search, tolerance, monkeypatch
):
    if search == "exact by boxes":
        monkeypatch.setattr("debias.search.solve.LITTLE_WORK", 0.0)
    search = search.removesuffix(" by boxes")
    problem = build_problem(*random_rows(11, n_samples=60, steps=100), SMALL_FAMILY, Objective(pmi=0.0))
    result = solve(problem, SearchSettings(search, tolerance=tolerance), with_near_ties=True)
    best, highest = literal(problem, tolerance or WITHIN)
    taken, frame = result.near.rows[0], result.near.to_frame()
    assert problem.evaluate(result.best.choice) == taken.objective
    assert taken.choice == result.best.choice
    assert result.certificate.objective + result.certificate.given_up == pytest.approx(taken.objective)
    assert frame["taken"].tolist() == [True] + [False] * (len(frame) - 1)
    assert (frame["objective"] <= best + (tolerance or WITHIN) + 1e-9).all()
    if tolerance:
        assert taken.balanced_accuracy == frame["balanced_accuracy"].max()
    else:
        assert taken.objective == pytest.approx(best)
        assert result.certificate.given_up == 0
    if search == "exact":
        assert result.near.complete
        assert frame["balanced_accuracy"].max() == pytest.approx(max(highest.values()))
        assert frame["accuracy"].max() == pytest.approx(max(highest) / problem.n_samples)
        expected = "within" if tolerance else "no choice has an objective under"
        assert expected in result.certificate.proved


def test_what_is_not_enumerated_to_the_end_is_not_called_complete():
    problem = build_problem(*random_rows(2, n_samples=60, steps=100), SMALL_FAMILY, Objective(pmi=0.0))
    best = ExactSearch(problem).run().best
    assert not near_optima(ExactSearch(problem), best.objective + 0.5, 1.0).complete
    assert not near_ties(problem, best, 0.1).complete


def test_nothing_is_near_to_what_is_out_of_bounds():
    problem = build_problem(*random_rows(2), SMALL_FAMILY, Constrained(min_class_accuracy=1.0))
    result = solve(problem, with_near_ties=True)
    assert not problem.objective.is_feasible(result.best.objective)
    assert result.near is None


def test_a_tolerance_never_leaves_the_bounds():
    goal = Constrained(max_cobias=0.2)
    problem = build_problem(*random_rows(4, n_samples=60, steps=100), SMALL_FAMILY, goal)
    result = solve(problem, SearchSettings(tolerance=10.0), with_near_ties=True)
    assert all(problem.objective.is_feasible(row.objective) for row in result.near.rows)
    assert (result.near.to_frame()["cobias"] <= 0.2 + 1e-9).all()


def test_without_a_tolerance_the_choice_is_the_same():
    problem = build_problem(*random_rows(7, n_samples=60, steps=100), SMALL_FAMILY, Objective())
    assert solve(problem, with_near_ties=True).best == solve(problem).best
