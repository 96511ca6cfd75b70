"""The search by boxes against every choice evaluated one after another, and against proved optima."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debias.corrections.families import ensemble, memberships, weights
from debias.search.constraints import Constrained
from debias.search.descent.coordinate_descent import descend
from debias.search.objective import Objective
from debias.search.problem import build_problem
from debias.search.proof.boxes import box_kernels, box_search
from debias.search.proof.boxes.box_search import BoxSearch
from debias.search.proof.exact_search import ExactSearch
from tests.support.published_tables import published
from tests.support.small_problems import GOALS, SMALL_FAMILY, assert_same, enumerate_best, random_rows


def boxes_of(problem):
    exact = ExactSearch(problem)
    return BoxSearch(problem, exact.tables, exact.terms)


@pytest.mark.parametrize("is_sharp", [True, False])
@pytest.mark.parametrize("goal", GOALS, ids=repr)
@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 10_000), steps=st.sampled_from([4, 8, 100]), n_classes=st.integers(2, 4))
def test_the_optimum_is_the_enumerated_one(goal, is_sharp, seed, steps, n_classes):
    family = SMALL_FAMILY if n_classes < 4 else weights(3) | memberships()[3:5]
    probabilities, y = random_rows(seed, steps=steps, n_classes=n_classes)
    problem = build_problem(probabilities, y, family, goal)
    search = boxes_of(problem)
    search.is_sharp = is_sharp
    result = search.run()
    assert_same(result.best, enumerate_best(problem))
    assert result.certificate.status == "optimal"
    assert result.certificate.gap == 0


@pytest.mark.parametrize("goal", [Objective(), Objective(pmi=0.0), Constrained(max_cobias=0.2)], ids=repr)
def test_classes_without_rows_and_rows_without_values_are_counted(goal):
    rng = np.random.default_rng(3)
    probabilities = np.round(rng.dirichlet(np.full(4, 0.4), 40), 1)  # many ties, and zeros in every row
    y = rng.integers(0, 3, 40)  # the last class has no row
    problem = build_problem(probabilities, y, memberships()[3:9], goal)
    assert (problem.columns.min(axis=1) >= 1).all() and problem.support[3] == 0
    assert_same(boxes_of(problem).run().best, enumerate_best(problem))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), goal=st.sampled_from(GOALS), is_sharp=st.booleans())
def test_the_bound_of_a_box_is_below_each_of_its_choices(seed, goal, is_sharp):
    rng = np.random.default_rng(seed)
    probabilities, y = random_rows(seed, n_samples=40, n_classes=3, steps=20)
    problem = build_problem(probabilities, y, SMALL_FAMILY, goal)
    search = boxes_of(problem)
    tables = search.tables
    state = box_search._Runner(search, np.zeros(1, dtype=bool), None).new_state()
    state.best[:] = np.inf
    box = np.zeros(3, dtype=np.int64)
    # down a random way, every bound is compared with the best choice in the box
    while box_kernels.class_to_divide(tables, box) >= 0:
        j = rng.choice(np.flatnonzero(tables.halves[np.arange(3), box, 0] >= 0))
        group = tables.halves[j, box[j], rng.integers(2)]
        box_kernels.open_box(tables, search.terms, state, box)
        state.box[:] = box
        bound = box_kernels.bound_half(tables, search.terms, state, 0, j, group, 1, is_sharp)
        box[j] = group
        groups = [tables.members[k, slice(*tables.spans[k, box[k]])] for k in range(3)]
        least = min(problem.evaluate(choice) for choice in itertools.product(*groups))
        assert bound <= least + 1e-9
    if is_sharp and not isinstance(goal, Constrained):
        assert bound == pytest.approx(least, abs=1e-9)  # of a single choice the bound is exact


def test_out_of_time_or_work_the_best_so_far_has_an_honest_bound():
    probabilities, y = random_rows(5, n_samples=300, n_classes=5, steps=1000)
    problem = build_problem(probabilities, y, ensemble(30), Objective())
    search = boxes_of(problem)
    optimum = search.run(descend(problem, n_starts=4).best).best.objective
    for limits in ({"time_limit": 0.0}, {"most_work": 0.0}, {"most_work": 3e5}):
        cut = search.run(**limits)
        assert cut.certificate.status == "heuristic"
        assert cut.certificate.limit == ("time" if "time_limit" in limits else "work")
        assert cut.certificate.lower_bound <= optimum <= cut.best.objective


@pytest.mark.parametrize("at_call", [1, 2])
def test_an_interrupt_keeps_what_was_found(at_call, monkeypatch):
    monkeypatch.setattr(box_search, "BATCH", 2)
    probabilities, y = random_rows(5, n_samples=120, n_classes=4, steps=1000)
    problem = build_problem(probabilities, y, ensemble(8), Objective())
    optimum = boxes_of(problem).run().best.objective
    calls = []

    def interrupt(share):
        calls.append(share)
        if len(calls) == at_call:
            raise KeyboardInterrupt

    found = boxes_of(problem).run(on_progress=interrupt)
    assert found.certificate.interrupted or found.certificate.status == "optimal"
    assert found.certificate.lower_bound <= optimum + 1e-12 <= found.best.objective + 2e-12


def test_the_work_and_the_answer_are_the_same_on_any_number_of_threads():
    probabilities, y = random_rows(11, n_samples=200, n_classes=5, steps=1000)
    problem = build_problem(probabilities, y, ensemble(12), Objective())
    one, two = boxes_of(problem).run(), boxes_of(problem).run(n_threads=3)
    assert one.best == two.best and one.certificate == two.certificate
    cut, again = (boxes_of(problem).run(most_work=2e6, n_threads=n) for n in (1, 3))
    assert cut.best == again.best and cut.certificate == again.certificate


@pytest.mark.parametrize("task", ["rte", "pubmedqa", "agnews", "sst5", "ddi", "trec"])
def test_the_proved_optima_are_found_again(task):
    optima = {"rte": 0.520902, "pubmedqa": 0.697283, "agnews": 0.289091}
    optima |= {"sst5": 0.650301, "ddi": 0.440392, "trec": 0.733055}
    problem = build_problem(*published(task, "opt"), ensemble(30), Objective())
    result = boxes_of(problem).run(descend(problem, n_starts=4).best)
    assert result.certificate.status == "optimal"
    assert result.best.objective == pytest.approx(optima[task], abs=5e-7)
