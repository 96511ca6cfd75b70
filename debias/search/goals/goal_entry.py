"""The objective in the file of a correction: how it is written, and how it is read and checked."""

from typing import Any

from debias.errors import CorrectionFileError
from debias.search.constraints import Constrained, Goal
from debias.search.objective import Objective

_GUARD = ("no_class_worse_than", "margin", "references")


def objective_entry(objective: Goal) -> dict[str, Any]:
    """Describe what was minimised; bounds as numbers, the objective within them in full.

    What came later than the published weights and bounds is written only where it is used.
    """
    if isinstance(objective, Constrained):
        bounds = objective.get_params(deep=False) | {"objective": objective_entry(objective.inner)}
        if objective.no_class_worse_than is not None:
            return bounds
        return {name: value for name, value in bounds.items() if name not in _GUARD}
    return objective.used_params()


def read_objective(description: dict[str, Any], n_classes: int) -> Goal:
    """Read an objective, with bounds where it has another one within."""
    bounds = dict(description.items())
    weights = dict(bounds.pop("objective", description).items())
    costs = weights.pop("costs", None)
    numbers = {name: float(value) for name, value in weights.items()}
    rows = None if costs is None else tuple(map(_numbers, costs))
    objective = Objective(**numbers, costs=rows).validate()
    objective.cost_matrix(n_classes)
    if "objective" not in description:
        return objective
    than = bounds.pop("no_class_worse_than", None)
    guard: dict[str, Any] = {}
    if than is not None:
        guard["no_class_worse_than"] = than if isinstance(than, str) else _numbers(than)
        guard["references"] = _numbers(bounds.pop("references"))
        if len(guard["references"]) != n_classes:
            allowed = f"{n_classes} numbers, one per class"
            raise CorrectionFileError(parameter="references", allowed=allowed, received=guard["references"])
    known: dict[str, Any] = {name: None if value is None else float(value) for name, value in bounds.items()}
    return Constrained(**known, **guard, objective=objective).validate()


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
