"""The same answer on any number of threads and under any load: budgets count work, not seconds."""

import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from debias.corrections.families import ensemble
from debias.search import solve as solving
from debias.search.objective import Objective
from debias.search.problem import build_problem
from debias.search.proof.boxes import box_search
from debias.search.search_settings import SearchSettings
from debias.search.solve import solve
from tests.support.small_problems import random_rows


@contextmanager
def both_cores_busy():
    """Let other processes compute for as long as the context lasts."""
    code = "while True: pass"
    others = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def assert_same(one, two):
    assert one.best == two.best
    assert one.certificate == two.certificate  # seconds are no part of it
    assert one.certificate.to_dict() == two.certificate.to_dict()
    assert one.n_evaluations == two.n_evaluations
    assert one.frontier_complete == two.frontier_complete
    np.testing.assert_array_equal(one.pareto.cobias, two.pareto.cobias)
    np.testing.assert_array_equal(one.pareto.choice, two.pareto.choice)


LIMITS = {
    "enumerated": {"ENUMERATION_WORK": 1e15},
    "pruned": {"ENUMERATION_WORK": 0, "LAST_ENUMERATION_WORK": 0, "PROOF_WORK": 1e15},
    "evaluated at last": {"ENUMERATION_WORK": 0, "PROOF_WORK": 0},
    "cut off": {"ENUMERATION_WORK": 0, "LAST_ENUMERATION_WORK": 0, "PROOF_WORK": 1e5, "RADIUS_WORK": 1e8},
    "radius": {"ENUMERATION_WORK": 0, "LAST_ENUMERATION_WORK": 0, "PROOF_WORK": 0, "RADIUS_WORK": 1e8},
}


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
def test_the_answer_does_not_depend_on_load_or_threads(limits, monkeypatch):
    monkeypatch.setattr(solving, "FRONTIER_CHOICES", 20_000)
    for name, value in limits.items():
        monkeypatch.setattr(solving, name, value)
    for name, value in (("PARTS", 4), ("TRIAL_SHARE", 1.0)):  # begun, and ended by its own count of work
        monkeypatch.setattr(box_search, name, value)
    probabilities, y = random_rows(11, n_samples=200, n_classes=5, steps=1000)
    problem = build_problem(probabilities, y, ensemble(6), Objective())
    alone = solve(problem, SearchSettings(n_starts=4, n_jobs=1))
    with both_cores_busy():
        for n_jobs in (1, 2, 8):
            assert_same(alone, solve(problem, SearchSettings(n_starts=4, n_jobs=n_jobs)))
    proved = "RADIUS_WORK" not in limits
    assert alone.certificate.status == ("optimal" if proved else "radius")
    assert alone.certificate.limit == ("" if proved else "work")
    assert alone.certificate.lower_bound <= alone.best.objective
