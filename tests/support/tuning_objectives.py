"""Objectives that cross-validation chooses from in tests."""

from debias.search.objective import Objective

OBJECTIVES = [
    Objective(1, 1, 0),
    Objective(1, 0, 0),
    Objective(0, 1, 0),
    Objective(0.5, 2.7, 1),
    Objective(2, 1, 5),
]
