"""The integer program against plain enumeration, and against the descent on real rows."""

import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.families import ensemble, memberships, weights
from debias.errors import ParameterError, SolverError, TableError
from debias.search.constraints import INFEASIBLE, Constrained
from debias.search.descent.coordinate_descent import descend
from debias.search.milp.integer_program import IntegerProgram
from debias.search.milp.program_model import force_gaps
from debias.search.objective import Objective
from debias.search.problem import build_problem
from tests.support.published_tables import published
from tests.support.refusals import refused
from tests.support.small_problems import SMALL_FAMILY, literal_counts, random_rows

LINEAR = Objective(pmi=0)
OBJECTIVES = [
    LINEAR,
    Objective(error=1, cobias=10, pmi=0),
    Objective(error=0, cobias=1, pmi=0),
    Objective(error=1, cobias=0, pmi=0),
]


def every_choice(probabilities, y, family):
    """Yield each choice, its literal counts, and how many classes it changes."""
    for choice in itertools.product(range(len(family)), repeat=probabilities.shape[1]):
        counts = literal_counts(probabilities, y, family, choice)
        yield choice, counts, sum(r != family.identity for r in choice)


def enumerate_best(probabilities, y, family, objective, allowed=lambda *_: True):
    """Return the smallest z that is allowed, and the fewest changed classes among the equal."""
    met = [
        (float(objective(*counts)), n_changed)
        for choice, counts, n_changed in every_choice(probabilities, y, family)
        if allowed(choice, counts, n_changed)
    ]
    best = min(met)[0]
    return best, min(n for z, n in met if z <= best + 1e-12)


def accuracies(counts):
    return counts.correct / counts.support


def mean_gap(counts):
    return Objective(error=0, cobias=1, pmi=0)(*counts)


def sample(task, n_rows, seed=0):
    probabilities, y = published(task, "opt")
    rows = np.random.default_rng(seed).choice(len(y), n_rows, replace=False)
    return probabilities[rows], y[rows]


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 10_000), steps=st.sampled_from([2, 4, 8, 100]), objective=st.sampled_from(OBJECTIVES)
)
def test_the_optimum_is_that_of_plain_enumeration(seed, steps, objective):
    """Coarse probabilities, so that ties between classes and rows of zeros are common."""
    probabilities, y = random_rows(seed, n_samples=15, steps=steps)
    result = IntegerProgram(probabilities, y, SMALL_FAMILY, objective).solve()
    best, fewest = enumerate_best(probabilities, y, SMALL_FAMILY, objective)
    assert result.status == "optimal"
    assert result.objective == pytest.approx(best, abs=1e-9)
    assert result.n_changed == fewest
    assert result.simplest
    assert result.lower_bound == pytest.approx(best, abs=1e-9)
    assert 0 <= result.gap < 1e-9


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10_000))
def test_a_class_without_rows_competes_but_has_no_accuracy(seed):
    probabilities, y = random_rows(seed, n_samples=12)
    y = np.where(y == 1, 2, y)
    program = IntegerProgram(probabilities, y, SMALL_FAMILY, LINEAR)
    result = program.solve()
    assert result.objective == pytest.approx(
        enumerate_best(probabilities, y, SMALL_FAMILY, LINEAR)[0], abs=1e-9
    )
    assert list(program.model.class_accuracy) == [0, 2]
    assert np.isnan(result.class_accuracies).tolist() == [False, True, False]


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 10_000))
def test_the_figures_are_the_literal_ones_of_the_choice(seed):
    probabilities, y = random_rows(seed, n_samples=20, n_classes=4, steps=20)
    family = memberships()[:5]
    result = IntegerProgram(probabilities, y, family, LINEAR).solve(simplest=False)
    counts = literal_counts(probabilities, y, family, result.choice)
    assert result.objective == LINEAR(*counts)
    assert result.accuracy == pytest.approx(counts.correct.sum() / 20)
    assert result.cobias == pytest.approx(mean_gap(counts))
    np.testing.assert_allclose(result.class_accuracies, accuracies(counts))
    assert result.n_changed == sum(r != family.identity for r in result.choice)


@pytest.mark.parametrize(
    ("task", "n_rows", "family"),
    [
        ("rte", 40, weights(20)),
        ("rte", 24, ensemble(5)),
        ("pubmedqa", 40, ensemble(10)),
        ("agnews", 24, weights(10)),
        ("agnews", 24, memberships()),
        ("sst5", 24, weights(10)),
    ],
)
def test_on_real_rows_the_descent_has_found_the_optimum(task, n_rows, family):
    probabilities, y = sample(task, n_rows)
    result = IntegerProgram(probabilities, y, family, LINEAR).solve()
    best = descend(build_problem(probabilities, y, family, LINEAR)).best
    assert result.status == "optimal"
    assert result.objective == pytest.approx(best.objective, abs=1e-9)
    assert result.n_changed == best.n_changed


@pytest.mark.parametrize("seed", range(3))
def test_the_descent_within_bounds_agrees_with_the_bounds_as_constraints(seed):
    probabilities, y = random_rows(seed, n_samples=30, steps=10)
    within = Constrained(max_cobias=0.15, min_class_accuracy=0.2, objective=LINEAR)
    best = descend(build_problem(probabilities, y, SMALL_FAMILY, within)).best
    program = IntegerProgram(probabilities, y, SMALL_FAMILY, LINEAR)
    program.add(program.model.cobias <= 0.15)
    for k in range(3):
        program.add(program.model.class_accuracy[k] >= 0.2)
    result = program.solve()
    if best.objective >= INFEASIBLE:
        assert result.status == "infeasible"
    else:
        assert result.objective == pytest.approx(best.objective, abs=1e-9)
        assert result.n_changed == best.n_changed


CONSTRAINTS = {
    "a floor under one class": (
        lambda model: model.class_accuracy[0] >= 0.7,
        lambda choice, counts, n_changed: accuracies(counts)[0] >= 0.7,
    ),
    "a ceiling over one class": (
        lambda model: model.class_accuracy[1] <= 0.3,
        lambda choice, counts, n_changed: accuracies(counts)[1] <= 0.3,
    ),
    "a floor under the accuracy": (
        lambda model: model.accuracy >= 0.5,
        lambda choice, counts, n_changed: counts.correct.sum() >= 0.5 * counts.support.sum(),
    ),
    "a ceiling over COBias": (
        lambda model: model.cobias <= 0.05,
        lambda choice, counts, n_changed: mean_gap(counts) <= 0.05,
    ),
    "a floor under COBias": (
        lambda model: model.cobias >= 0.4,
        lambda choice, counts, n_changed: mean_gap(counts) >= 0.4,
    ),
    "one class better than another": (
        lambda model: model.class_accuracy[2] >= model.class_accuracy[0],
        lambda choice, counts, n_changed: accuracies(counts)[2] >= accuracies(counts)[0],
    ),
    "one class changed": (
        lambda model: model.n_changed <= 1,
        lambda choice, counts, n_changed: n_changed <= 1,
    ),
    "all classes changed": (
        lambda model: model.n_changed == 3,
        lambda choice, counts, n_changed: n_changed == 3,
    ),
    "one correction for all": (
        lambda model: model.chosen[0, 3] + model.chosen[1, 3] + model.chosen[2, 3] == 3,
        lambda choice, counts, n_changed: choice == (3, 3, 3),
    ),
}


@pytest.mark.parametrize("objective", [LINEAR, Objective(error=1, cobias=0, pmi=0)], ids=["both", "error"])
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_of_ones_own_leave_the_best_of_what_they_allow(name, objective):
    write, allowed = CONSTRAINTS[name]
    n_solved = 0
    for seed in range(4):
        probabilities, y = random_rows(seed, n_samples=14, steps=6)
        program = IntegerProgram(probabilities, y, SMALL_FAMILY, objective)
        program.add(write(program.model))
        result = program.solve()
        if not any(allowed(*each) for each in every_choice(probabilities, y, SMALL_FAMILY)):
            assert result.status == "infeasible"
            continue
        best, fewest = enumerate_best(probabilities, y, SMALL_FAMILY, objective, allowed)
        counts = literal_counts(probabilities, y, SMALL_FAMILY, result.choice)
        assert result.objective == pytest.approx(best, abs=1e-9)
        assert result.n_changed == fewest
        assert allowed(result.choice, counts, result.n_changed)
        n_solved += 1
    assert n_solved


def test_corrections_that_act_alike_on_the_rows_can_still_be_told_apart_by_a_constraint():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
    program = IntegerProgram(probabilities, [0, 0, 1], weights(4), LINEAR)
    assert program.solve().choice == (3, 3)
    program.add(program.model.chosen[0, 2] == 1)  # 3/4 and 1 predict the same here
    result = program.solve()
    assert result.choice == (2, 3)
    assert (result.objective, result.n_changed, result.simplest) == (0.0, 1, True)


def test_solving_leaves_the_program_as_it_was():
    probabilities, y = random_rows(2, n_samples=20)
    program = IntegerProgram(probabilities, y, SMALL_FAMILY, LINEAR)
    first, second = program.solve(), program.solve()
    assert (first.objective, first.n_changed) == (second.objective, second.n_changed)


def test_what_cannot_be_is_said_to_be_infeasible():
    program = IntegerProgram([[0.6, 0.4], [0.6, 0.4]], [0, 1], weights(5), LINEAR)
    program.add(program.model.accuracy >= 0.9)
    result = program.solve()
    assert result.status == "infeasible"
    assert (result.choice, result.objective, result.lower_bound, result.gap) == (None, None, None, None)
    assert str(result) == "infeasible: no choice of corrections meets the constraints"


@pytest.mark.parametrize("time_limit", [1e-4, 1.0])
def test_when_the_time_is_over_the_bounds_hold(time_limit):
    probabilities, y = sample("agnews", 60)
    family = ensemble(30)
    result = IntegerProgram(probabilities, y, family, LINEAR).solve(time_limit=time_limit)
    best = descend(build_problem(probabilities, y, family, LINEAR)).best.objective
    assert result.status == "time limit"
    assert not result.simplest
    assert 0 <= result.lower_bound <= best + 1e-9
    if result.choice is None:
        assert result.gap is None
        assert "no choice found yet" in str(result)
    else:
        assert result.objective == LINEAR(*literal_counts(probabilities, y, family, result.choice))
        assert result.gap == result.objective - result.lower_bound
        assert "the best possible one is at least" in str(result)


def test_a_table_with_named_columns_and_labels():
    table = pd.DataFrame({"no": [0.9, 0.6, 0.65, 0.3], "yes": [0.1, 0.4, 0.35, 0.7]})
    result = IntegerProgram(table, ["no", "no", "yes", "yes"], weights(5), LINEAR).solve()
    assert (result.objective, result.class_accuracies) == (0.5, (0.5, 0.5))


@pytest.mark.parametrize(
    ("arguments", "error", "fields"),
    [
        (
            ([[0.6, 0.4]] * 2, [0, 1], weights(2), Objective(pmi=0.2)),
            ParameterError,
            {"parameter": "pmi", "received": 0.2},
        ),
        (([[0.6, 0.4]] * 2, [0, 1], weights(2), "z"), ParameterError, {"parameter": "objective"}),
        (([[0.6, 0.4]] * 2, [0, 1], ["half"], LINEAR), ParameterError, {"mentions": "half"}),
        (([[0.6, 0.6]] * 2, [0, 1], weights(2), LINEAR), TableError, {"mentions": "1.2"}),
        (
            ([[0.6, 0.4]] * 2, [0, 0], weights(2), LINEAR),
            TableError,
            {"parameter": "y", "received": [0]},
        ),
        (([[0.6, 0.4]] * 2, [0], weights(2), LINEAR), TableError, {"parameter": "y", "received": (1,)}),
        (([[0.6, 0.4]] * 2, ["a", "a"], weights(2), LINEAR), TableError, {"mentions": "DataFrame"}),
    ],
)
def test_bad_arguments_are_refused(arguments, error, fields):
    with refused(error, **fields):
        IntegerProgram(*arguments)


def test_constraints_that_are_none_are_refused():
    program, other = (IntegerProgram([[0.6, 0.4], [0.3, 0.7]], [0, 1], weights(2), LINEAR) for _ in range(2))
    model = program.model
    for constraint in [
        True,
        model.accuracy,
        model.accuracy * model.accuracy <= 1,
        abs(model.class_accuracy[0] - 1) <= 1,
        model.accuracy > 0.5,
        other.model.accuracy >= 0.5,
    ]:
        with refused(ParameterError, parameter="constraint"):
            program.add(constraint)
    assert not len(model.own)
    for time_limit in (0, -1, float("nan")):
        with refused(ParameterError, parameter="time_limit"):
            program.solve(time_limit)


def test_gaps_are_forced_once():
    program = IntegerProgram([[0.6, 0.4], [0.3, 0.7]], [0, 1], weights(2), LINEAR)
    program.add(program.model.cobias <= 0.5)
    n_constraints = len(program.model.gap_at_most)
    force_gaps(program.model)
    assert len(program.model.gap_at_most) == n_constraints == 2


def test_an_answer_that_does_not_stand_is_an_error():
    program = IntegerProgram([[0.6, 0.4], [0.3, 0.7]], [0, 1], weights(2), LINEAR)
    program.model.wrong_if.deactivate()
    program.model.right_if.deactivate()
    program.add(program.model.class_accuracy[0] == 0)
    with refused(SolverError, received=float, mentions="class 0"):
        program.solve()


@pytest.mark.parametrize("package", ["pyomo.environ", "highspy"])
def test_without_the_solver_it_says_what_to_install(package):
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from debias.search.milp.integer_program import IntegerProgram\n"
        "from debias.corrections.families import weights\n"
        "from debias.search.objective import Objective\n"
        "IntegerProgram([[0.6, 0.4], [0.3, 0.7]], [0, 1], weights(2), Objective(pmi=0)).solve()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "MissingDependencyError: the integer program" in done.stderr
    assert "pip install" in done.stderr


def test_importing_the_module_loads_no_solver():
    code = (
        "import sys, debias.search.milp.integer_program; "
        "print('pyomo' in sys.modules, 'highspy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
