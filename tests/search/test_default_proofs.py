"""The default search proves the optimum of every published table; where bounds fail, it evaluates choices."""

import numpy as np
import pytest

from debias.corrections.families import ensemble
from debias.search import solve as solving
from debias.search.objective import Objective
from debias.search.problem import build_problem
from debias.search.search_settings import SearchSettings
from debias.search.solve import solve
from tests.support.published_tables import published
from tests.support.small_problems import random_rows

OPTIMA = {  # by pmi weight: experiments/results/proved_optima.md
    "rte": (0.520902, 0.523159),
    "pubmedqa": (0.697283, 0.698360),
    "agnews": (0.289091, 0.369449),
    "sst5": (0.650301, 0.729951),
    "ddi": (0.440392, 0.573143),
    "trec": (0.733055, 0.776957),
}


@pytest.mark.parametrize("pmi", [0.2, 0.0])
@pytest.mark.parametrize("task", OPTIMA)
def test_the_default_proves_every_published_table(task, pmi):
    problem = build_problem(*published(task, "opt"), ensemble(30), Objective(pmi=pmi))
    found = solve(problem, SearchSettings(n_jobs=2))
    assert found.certificate.status == "optimal"
    assert found.best.objective == pytest.approx(OPTIMA[task][pmi == 0.0], abs=5e-7)


@pytest.mark.parametrize("search", ["auto", "exact"])
def test_where_bounds_prove_nothing_every_choice_is_evaluated(search, monkeypatch):
    """How many choices that may be is tested in test_determinism.py."""
    probabilities, y = random_rows(3, n_samples=120, n_classes=4)
    problem = build_problem(probabilities, y, ensemble(6), Objective())
    whole = solve(problem, SearchSettings(search="enumerate"))
    for name, value in (("ENUMERATION_WORK", 0.0), ("PROOF_WORK", 0.0), ("_PER_WORD", np.inf)):
        monkeypatch.setattr(solving, name, value)
    found = solve(problem, SearchSettings(search=search))
    assert found.certificate.status == "optimal"
    assert found.frontier_complete  # as it is only where every choice was evaluated
    assert found.best.objective == pytest.approx(whole.best.objective, abs=1e-12)
