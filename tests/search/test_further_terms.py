"""Worst class, balanced accuracy, macro F1, costs and guards: every search against the literal objective."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from debias.corrections.decision_rule import decide
from debias.corrections.families import memberships, weights
from debias.errors import ParameterError
from debias.search.constraints import INFEASIBLE, Constrained
from debias.search.counting.score import terms_of
from debias.search.counting.sweeps import sweepers
from debias.search.descent.annealing import anneal
from debias.search.descent.coordinate_descent import descend
from debias.search.descent.multi_objective import search_together
from debias.search.goals.class_order import goal_by_class, goal_by_column
from debias.search.log_bias.log_bias_problem import LogBiasProblem
from debias.search.objective import Counts, Objective
from debias.search.problem import build_problem
from debias.search.proof.bounds import least_objective, most_beyond
from debias.search.proof.exact_search import ExactSearch
from debias.search.proof.radius import pair_bound
from debias.search.solve import solve
from tests.support.refusals import refused
from tests.support.small_problems import SMALL_FAMILY, enumerate_best, random_rows

ROWS = [[0.0, 1.0, 7.0, 2.0], [3.0, 0.5, 0.0, 1.0], [0.25, 4.0, 0.0, 9.0], [1.0, 1.0, 2.0, 0.0]]


def costs_of(n_classes):
    return [row[:n_classes] for row in ROWS[:n_classes]]


def goals(n_classes):
    """Objectives and bounds of every new kind, and mixed with the old ones."""
    costs = costs_of(n_classes)
    floors = np.linspace(0.2, 0.6, n_classes).tolist()
    return {
        "worst class": Objective.worst_class_first(),
        "balanced": Objective.balanced(),
        "macro F1": Objective(0.0, 0.0, 0.0, macro_f1=1.0),
        "costs": Objective.least_cost(costs),
        "all": Objective(0.5, 1.0, 0.2, 3.0, 0.7, 0.4, 0.9, costs),
        "PMI and F1": Objective(pmi=1.0, smoothing=3.0, macro_f1=2.0),
        "guard": Constrained(no_class_worse_than="uncorrected", margin=0.1),
        "guard of batch": Constrained(no_class_worse_than="batch", objective=Objective.worst_class_first()),
        "floors": Constrained(0.4, no_class_worse_than=floors, objective=Objective(costs=costs)),
    }


NAMES = list(goals(2))


def literal(goal, y, predicted, n_classes, floors=None):
    """z by scikit-learn and by loops over rows; `floors` are the least accuracies of the classes."""
    present = np.unique(y)
    accuracies = [(predicted[y == k] == k).mean() for k in present]
    if isinstance(goal, Constrained):
        out = sum(max(0.0, floors[k] - a) for k, a in zip(present, accuracies, strict=True))
        cobias = np.mean([abs(a - b) for a, b in itertools.combinations(accuracies, 2)])
        out += max(0.0, cobias - (1.0 if goal.max_cobias is None else goal.max_cobias))
        if out > 1e-12:
            return INFEASIBLE + out
    inner = goal.inner if isinstance(goal, Constrained) else goal
    old = Objective(inner.error, inner.cobias, inner.pmi, inner.smoothing)
    z = old(*old.counts(y, predicted, n_classes))
    z += inner.worst_class * (1 - min(accuracies))
    z += inner.balanced_error * (1 - balanced_accuracy_score(y, predicted))
    z += inner.macro_f1 * (1 - f1_score(y, predicted, labels=present, average="macro", zero_division=0))
    if inner.costs is not None:
        z += sum(inner.costs[t][p] for t, p in zip(y, predicted, strict=True)) / len(y)
    return z


def floors_of(goal, probabilities, y, uncorrected):
    """The least accuracies of the classes, each model judged anew."""
    if not isinstance(goal, Constrained):
        return None
    if not isinstance(goal.no_class_worse_than, str):
        return [x - goal.margin for x in goal.no_class_worse_than]
    named = uncorrected
    if goal.no_class_worse_than == "batch":
        named = (probabilities / probabilities.mean(axis=0)).argmax(axis=1)
    classes = range(probabilities.shape[1])
    return [(named[y == k] == k).mean() - goal.margin if (y == k).any() else 0.0 for k in classes]


def family_of(n_classes):
    return SMALL_FAMILY if n_classes < 4 else weights(3) | memberships()[3:5]


def predictions(problem, choice):
    return np.argmax(problem.columns[np.arange(problem.n_classes), np.asarray(choice)], axis=0)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10_000), steps=st.sampled_from([4, 100]), n_classes=st.integers(2, 4))
def test_the_value_of_a_choice_is_the_literal_one(name, seed, steps, n_classes):
    probabilities, y = random_rows(seed, steps=steps, n_classes=n_classes)
    goal = goals(n_classes)[name]
    problem = build_problem(probabilities, y, family_of(n_classes), goal)
    floors = floors_of(goal, probabilities, y, decide(probabilities, probabilities))
    rng = np.random.default_rng(seed)
    for _ in range(4):
        choice = rng.integers(problem.n_corrections, size=n_classes)
        expected = literal(goal, problem.y, predictions(problem, choice), n_classes, floors)
        assert problem.evaluate(choice) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("largest", [0, None], ids=["ranks", "wins"])
@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10_000), steps=st.sampled_from([4, 100]), n_classes=st.integers(2, 4))
def test_sweeps_value_every_neighbour(name, largest, seed, steps, n_classes):
    problem = build_problem(
        *random_rows(seed, steps=steps, n_classes=n_classes), family_of(n_classes), goals(n_classes)[name]
    )
    sweeper = sweepers(problem, largest=largest)()
    rng = np.random.default_rng(seed)
    choice = rng.integers(problem.n_corrections, size=n_classes)
    i, j = rng.permutation(n_classes)[:2]
    single, pair = sweeper.values(choice, i), sweeper.values(choice, i, j)
    for r, s in itertools.product(range(problem.n_corrections), repeat=2):
        moved = choice.copy()
        moved[i] = r
        assert single[r] == pytest.approx(problem.evaluate(moved), abs=1e-10)
        moved[j] = s
        assert pair[r, s] == pytest.approx(problem.evaluate(moved), abs=1e-10)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000), steps=st.sampled_from([4, 8, 100]), n_classes=st.integers(2, 4))
def test_the_proved_optimum_is_the_enumerated_one(name, seed, steps, n_classes):
    problem = build_problem(
        *random_rows(seed, steps=steps, n_classes=n_classes), family_of(n_classes), goals(n_classes)[name]
    )
    best = enumerate_best(problem)
    for prune in (True, False):
        result = ExactSearch(problem).run(prune=prune)
        assert result.best.objective == pytest.approx(best.objective, abs=1e-10)
        assert result.best.n_changed == best.n_changed
        assert result.certificate.status == "optimal"
    assert pair_bound(problem) <= best.objective + 1e-10 or best.objective >= INFEASIBLE


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 4), absent=st.booleans())
def test_the_bound_is_below_every_box_of_counts(name, seed, n_classes, absent):
    # Right samples within a box, wrong ones predicted as any other class; one may have no samples.
    rng = np.random.default_rng(seed)
    probabilities, y = random_rows(seed, n_samples=20, n_classes=n_classes, steps=100)
    if absent:
        kept = y > 0 if n_classes > 2 else y >= 0
        probabilities, y = probabilities[kept], y[kept]
    problem = build_problem(probabilities, y, weights(3), goals(n_classes)[name])
    terms = terms_of(problem)
    most = np.array([rng.integers(0, b + 1) for b in problem.support])
    bound = least_objective(most, terms, np.zeros(n_classes))
    for _ in range(30):
        right = np.array([rng.integers(0, m + 1) if rng.random() < 0.5 else m for m in most])
        named = problem.y.copy()
        favourite = rng.integers(n_classes)
        for k in range(n_classes):
            rows = np.flatnonzero(problem.y == k)
            others = [other for other in range(n_classes) if other != k]
            one = favourite if favourite != k and rng.random() < 0.8 else rng.choice(others)
            named[rows[right[k] :]] = one if rng.random() < 0.8 else rng.choice(others)
        value = problem.objective(*problem.objective.counts(problem.y, named, n_classes))
        assert bound <= value + 1e-9


def test_the_bound_of_macro_f1_is_reached():
    # Three right of four in each class, and all that are wrong predicted as one: the most that F1 can be.
    P = np.full((8, 2), 0.5)
    problem = build_problem(P, np.repeat([0, 1], 4), weights(2), Objective(0, 0, 0, macro_f1=2.0))
    terms = terms_of(problem)
    right = np.array([3, 2])
    sums = []
    for n_first in range(4):
        q = right + [n_first, 3 - n_first]
        sums.append((2 * right / (q + 4)).sum())
    assert most_beyond(5, right, terms) == pytest.approx(max(sums))


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 4))
def test_log_biases_are_valued_literally(name, seed, n_classes):
    probabilities, y = random_rows(seed, n_classes=n_classes, steps=100)
    goal = goals(n_classes)[name]
    problem = LogBiasProblem(probabilities, probabilities, y, goal)
    floors = floors_of(goal, probabilities, y, decide(probabilities, probabilities))
    biases = np.random.default_rng(seed).normal(size=n_classes)
    bounds, z = problem.profile(biases, 0)
    for s in np.flatnonzero(np.isfinite(z)):
        moved = biases.copy()
        moved[0] = (bounds[s] + bounds[s + 1]) / 2
        predicted = decide(probabilities * np.exp(moved), probabilities)
        expected = literal(goal, y, predicted, n_classes, floors)
        assert problem.evaluate(moved) == pytest.approx(expected, abs=1e-10)
        assert z[s] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_the_searches_find_what_enumeration_finds(name):
    problem = build_problem(*random_rows(3, n_samples=40, steps=100), SMALL_FAMILY, goals(3)[name])
    best = enumerate_best(problem)
    assert descend(problem, 8).best.objective == pytest.approx(best.objective, abs=1e-10)
    found = solve(problem)
    assert found.best.objective == pytest.approx(best.objective, abs=1e-10)
    assert found.certificate.status == "optimal"
    annealed = anneal(problem).best
    assert annealed.objective == pytest.approx(problem.evaluate(annealed.choice), abs=1e-12)
    assert annealed.objective >= best.objective - 1e-10


def test_one_search_serves_objectives_of_all_kinds():
    objectives = [goal for goal in goals(3).values() if isinstance(goal, Objective)]
    problem = build_problem(*random_rows(5, n_samples=40, steps=100), SMALL_FAMILY, Objective())
    found = search_together(problem, objectives)
    for best, objective in zip(found.best, objectives, strict=True):
        expected = enumerate_best(problem.with_objective(objective))
        assert best.objective == pytest.approx(expected.objective, abs=1e-10)


def test_the_worst_class_comes_first_and_accuracy_second():
    objective = Objective.worst_class_first()
    support = [10, 990]
    assert objective([6, 594], [10, 990], support) < objective([5, 990], [10, 990], support)
    assert objective([6, 700], [10, 990], support) < objective([6, 600], [10, 990], support)


def test_costs_by_label_are_never_misaligned():
    by_label = {"ham": {"spam": 20.0}, "spam": {"ham": 1.0}}
    for columns in ([0, 1], [1, 0]):
        goal = goal_by_column(Objective.least_cost(by_label), ["ham", "spam"], np.array(columns))
        ham, spam = columns
        y, predicted = np.array([ham, ham, spam]), np.array([spam, ham, ham])
        assert goal(*goal.counts(y, predicted, 2)) == pytest.approx(7.0)
        assert goal_by_class(goal, np.array(columns)).costs == ((0.0, 20.0), (1.0, 0.0))
    guard = Constrained(no_class_worse_than={"spam": 0.5, "ham": 0.75})
    assert goal_by_column(guard, ["ham", "spam"], np.array([1, 0])).no_class_worse_than == (0.5, 0.75)


def test_counts_without_their_cost_have_no_value():
    objective = Objective.least_cost([[0, 1], [1, 0]])
    with refused(ParameterError, parameter="cost"):
        objective([1, 1], [1, 1], [1, 1])


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda: Objective(worst_class=-1.0).validate(), "worst_class"),
        (lambda: Objective(costs=[[0, 1]]).validate(), "costs"),
        (lambda: Objective(costs=[[0, "much"], [1, 0]]).validate(), "costs"),
        (lambda: Objective(costs=[[0, -1], [1, 0]]).validate(), "costs"),
        (lambda: Objective(costs={"a": 1}).validate(), "costs"),
        (lambda: Objective(costs=[[0, 1], [1, 0]]).cost_matrix(3), "costs"),
        (lambda: goal_by_column(Objective(costs={"a": {"c": 1}}), ["a", "b"], np.arange(2)), "costs"),
        (lambda: Constrained(no_class_worse_than="better").validate(), "no_class_worse_than"),
        (lambda: Constrained(no_class_worse_than=[0.5, 2.0]).validate(), "no_class_worse_than"),
        (lambda: Constrained(max_cobias=0.1, margin=0.1).validate(), "margin"),
        (lambda: Constrained(no_class_worse_than="batch", margin=2).validate(), "margin"),
        (lambda: goal_by_column(Constrained(no_class_worse_than={"a": 0.5}), ["a", "b"], np.arange(2)),
         "no_class_worse_than"),
        (lambda: goal_by_column(Constrained(no_class_worse_than=[0.5]), ["a", "b"], np.arange(2)),
         "no_class_worse_than"),
        (lambda: Constrained(no_class_worse_than="batch")([1, 1], [1, 1], [1, 1]), "no_class_worse_than"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused(make, parameter):
    with refused(ParameterError, parameter=parameter):
        make()


def test_a_guard_that_is_not_kept_is_said_with_what_is_lost():
    guard = Constrained(no_class_worse_than="uncorrected", margin=0.02)
    resolved = guard.resolve(Counts(np.array([8, 2]), np.array([16, 4]), np.array([10, 10])))
    assert resolved.describe() == "no class more than 2 points less accurate than the uncorrected model"
    assert resolved.unmet([8, 5], [10, 10]) == []
    assert resolved.unmet([7, 9], [10, 10]) == [f"{resolved.describe()} (one is by 10)"]


def test_costs_count_beside_an_error_of_a_thousand_and_more():
    """Values of 1000 and more stand for what is out of bounds, but only where there are bounds."""
    goal = Objective(9000.0, 0.0, 0.0, costs=3000 * np.array(costs_of(3)))
    probabilities, y = random_rows(3, n_samples=40, steps=100)
    problem = build_problem(probabilities, y, SMALL_FAMILY, goal)
    for largest in (None, 0):
        values = sweepers(problem, largest=largest)().values(problem.identity_choice, 0)
        moved = [[r, *problem.identity_choice[1:]] for r in range(problem.n_corrections)]
        assert values == pytest.approx([problem.evaluate(choice) for choice in moved])
    assert ExactSearch(problem).run().best.choice == enumerate_best(problem).choice
    log_biases, biases = LogBiasProblem(probabilities, probabilities, y, goal), np.array([0.0, -0.5, -1.0])
    expected = literal(goal, y, decide(probabilities * np.exp(biases), probabilities), 3)
    assert log_biases.evaluate(biases) == pytest.approx(expected)
    bounds, z = log_biases.profile(biases, 0)
    assert z[(bounds[:-1] < 0) & (bounds[1:] > 0)] == pytest.approx([expected])
