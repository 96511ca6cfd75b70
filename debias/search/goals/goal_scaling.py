"""The same goal on counts that are all so many times as large: for parts of rows, and for copies of them."""

from debias.search.constraints import Constrained, Goal
from debias.search.objective import Objective


def scaled_goal(objective: Goal, factor: int) -> Goal:
    """Return the objective that is on so many times the counts what this one is on the counts.

    Parameters
    ----------
    objective : Objective or Constrained
        What is minimised.
    factor : int
        By how much all counts grow: smoothing grows as they do, all else does not depend on it.

    Examples
    --------
    >>> scaled_goal(Objective(smoothing=1.0), 16).smoothing
    16.0
    """
    if factor == 1:
        return objective
    if isinstance(objective, Constrained):
        inner = scaled_goal(objective.inner, factor)
        assert isinstance(inner, Objective)
        return objective.with_objective(inner)
    return Objective(**(objective.get_params(deep=False) | {"smoothing": objective.smoothing * factor}))
