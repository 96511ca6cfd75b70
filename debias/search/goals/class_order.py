"""The order of classes in an objective: by label for a user, by column for a search.

Costs and accuracies per class are given by label or in the order of the sorted labels. A search sees
columns, which may have another order, so they are rearranged before it, and back for what is kept.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError
from debias.search.constraints import Constrained, Goal
from debias.search.objective import FloatArray, IndexArray, Objective


def goal_by_column(goal: Goal, classes: Sequence[object], columns: IndexArray) -> Goal:
    """Return a goal whose costs and accuracies per class are in the order of the columns.

    Parameters
    ----------
    goal : Objective or Constrained
        As a user gives it.
    classes : sequence of length n_classes
        Class labels, sorted.
    columns : ndarray of shape (n_classes,)
        Column of each of these classes.

    Returns
    -------
    Objective or Constrained
        The same, where nothing depends on the order of classes.

    Raises
    ------
    ParameterError
        A label is no class, a class has no accuracy, or there are more or fewer numbers than classes.

    Examples
    --------
    >>> goal = Objective(costs={"spam": {"ham": 1}, "ham": {"spam": 20}})
    >>> goal_by_column(goal, ["ham", "spam"], np.array([1, 0])).costs
    ((0.0, 1.0), (20.0, 0.0))
    """
    return _arranged(_without_labels(goal.validate(), list(classes)), np.argsort(columns))


def goal_by_class(goal: Goal, columns: IndexArray) -> Goal:
    """Return a goal that is by column as it is in the order of the sorted labels.

    Examples
    --------
    >>> goal_by_class(Objective(costs=((0.0, 1.0), (20.0, 0.0))), np.array([1, 0])).costs
    ((0.0, 20.0), (1.0, 0.0))
    """
    return _arranged(goal, columns)


def _arranged(goal: Goal, order: IndexArray) -> Goal:
    """Return a goal with what it says of classes taken in another order."""
    if isinstance(goal, Constrained):
        changed: dict[str, object] = {}
        for name in ("no_class_worse_than", "references"):
            values = getattr(goal, name)
            if values is not None and not isinstance(values, str):
                taken = _of_length(name, values, len(order))[order]
                changed[name] = tuple(taken.tolist())
        if goal.objective is not None and goal.objective.costs is not None:
            changed["objective"] = _arranged(goal.objective, order)
        return Constrained(**(goal.get_params(deep=False) | changed)) if changed else goal
    costs = goal.cost_matrix(len(order))
    if costs is None:
        return goal
    rows = tuple(tuple(row) for row in costs[np.ix_(order, order)].tolist())
    return Objective(**(goal.get_params(deep=False) | {"costs": rows}))


def _of_length(name: str, values: npt.ArrayLike, n_classes: int) -> FloatArray:
    """Return numbers, one per class."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (n_classes,):
        allowed = f"{n_classes} numbers, one per class in the order of the sorted labels, or a dict by label"
        raise ParameterError(parameter=name, allowed=allowed, received=values)
    return numbers


def _without_labels(goal: Goal, classes: list[object]) -> Goal:
    """Return a goal with matrices and sequences, sorted by class, in place of dicts by label."""
    if isinstance(goal, Constrained):
        changed: dict[str, object] = {}
        given = goal.no_class_worse_than
        if isinstance(given, Mapping):
            accuracies = np.full(len(classes), np.nan)
            for label, accuracy in given.items():
                accuracies[_position("no_class_worse_than", label, classes)] = accuracy
            if np.isnan(accuracies).any():
                missing = classes[int(np.argmax(np.isnan(accuracies)))]
                allowed = f"an accuracy for every class; {missing!r} has none"
                raise ParameterError(parameter="no_class_worse_than", allowed=allowed, received=dict(given))
            changed["no_class_worse_than"] = tuple(accuracies.tolist())
        if goal.objective is not None:
            changed["objective"] = _without_labels(goal.objective, classes)
        return Constrained(**(goal.get_params(deep=False) | changed)) if changed else goal
    if not isinstance(goal.costs, Mapping):
        return goal
    costs = np.zeros((len(classes), len(classes)))
    for true, row in goal.costs.items():
        for predicted, cost in row.items():
            costs[_position("costs", true, classes), _position("costs", predicted, classes)] = cost
    rows = tuple(tuple(row) for row in costs.tolist())
    return Objective(**(goal.get_params(deep=False) | {"costs": rows}))


def _position(name: str, label: object, classes: list[object]) -> int:
    """Return the position of a label; a file has all labels as text."""
    by_label = {str(one): k for k, one in enumerate(classes)} | {one: k for k, one in enumerate(classes)}
    if label not in by_label:
        raise ParameterError(
            f"{label!r} in {name} is not a class", parameter=name, received=label, allowed=f"one of {classes}"
        )
    return by_label[label]
