"""The choice of corrections as a mixed-integer linear program, in Pyomo.

One correction per class; a row is right exactly if its class's correction reaches the hurdle of
every rival's. All coefficients of these rules are 1: no big constants.
"""

from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from debias.corrections.families import Family
from debias.errors import MissingDependencyError
from debias.search.milp.row_conditions import (
    Flags,
    FloatArray,
    IndexArray,
    RowCondition,
    alike,
    build_conditions,
)
from debias.search.objective import Objective

Model: TypeAlias = Any
Expression: TypeAlias = Any
"""Models and expressions of Pyomo have no types."""


def load_pyomo() -> Any:
    """Return ``pyomo.environ``, imported only here since that takes a while.

    Raises
    ------
    MissingDependencyError
        Pyomo is not installed.
    """
    try:
        import pyomo.environ
    except ImportError as error:
        raise MissingDependencyError(
            f"the integer program needs Pyomo ({error})", fix="run: pip install pyomo highspy"
        ) from error
    return pyomo.environ


def build_model(probabilities: FloatArray, y: IndexArray, family: Family, objective: Objective) -> Model:
    """Write the choice problem down as a Pyomo model.

    Formulation
    -----------
    ``chosen[k, r]`` is 1 if class k takes correction r, and ``right[s]`` if the rows of
    condition s are predicted as their class a. Let X(k, ...) be the sum of ``chosen[k, r]`` over
    some r, and d any threshold that occurs:

    - each class takes one correction: X(k, all) = 1;
    - not enough for a rival l: right[s] + X(a, reach < d) + X(l, hurdle >= d) <= 2;
    - enough for every rival: right[s] >= X(a, reach >= d) - sum over l of X(l, hurdle > d);
    - gap[i, j] >= |class_accuracy[i] - class_accuracy[j]|, for COBias.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    y : ndarray of shape (n_samples,)
        Labels, as column indices, of two classes or more.
    family : Family
        The corrections to choose from.
    objective : Objective
        What is minimised; its PMI, macro F1 and costs, which are not linear in what is right, are ignored.

    Returns
    -------
    pyomo.environ.ConcreteModel
        With the expressions ``accuracy``, ``class_accuracy[k]``, ``cobias``, ``n_changed``
        and ``z``. What is minimised is ``z`` times the number of rows, so that the
        tolerances of a solver weigh no more with many rows.
    """
    pyo = load_pyomo()
    n_classes = probabilities.shape[1]
    conditions = build_conditions(probabilities, y, family)
    model = pyo.ConcreteModel("one correction per class")
    model.chosen = pyo.Var(range(n_classes), range(len(family)), domain=pyo.Binary)
    model.one_each = pyo.Constraint(
        range(n_classes), rule=lambda m, k: pyo.quicksum(m.chosen[k, r] for r in range(len(family))) == 1
    )
    model.right = pyo.Var(range(len(conditions)), domain=pyo.Binary)
    _tie_right_to_chosen(model, conditions, alike(conditions, family.identity))
    _express_accuracies(model, conditions)
    model.n_changed = pyo.Expression(
        expr=pyo.quicksum(model.chosen[k, r] for k, r in model.chosen if r != family.identity)
    )
    model.z = pyo.Expression(
        expr=objective.error * (1 - model.accuracy)
        + objective.cobias * model.cobias
        + objective.worst_class * (1 - model.least_class_accuracy)
        + objective.balanced_error * (1 - model.balanced_accuracy)
    )
    model.objective = pyo.Objective(expr=len(y) * model.z)
    model.own = pyo.ConstraintList(doc="added by a user")
    return model


def force_gaps(model: Model) -> None:
    """Make every gap exactly the absolute difference, not only at least that.

    The objective presses the gaps down on its own; a constraint of a user's may not.

    Parameters
    ----------
    model : pyomo.environ.ConcreteModel
        Of :func:`build_model`; changed in place, the first time.
    """
    if model.component("higher") is not None:
        return
    pyo = load_pyomo()
    model.higher = pyo.Var(list(model.gap), domain=pyo.Binary, doc="whether the first class is")
    model.gap_at_most = pyo.ConstraintList()
    for i, j in model.gap:
        difference = model.class_accuracy[i] - model.class_accuracy[j]
        model.gap_at_most.add(model.gap[i, j] <= difference + 2 * (1 - model.higher[i, j]))
        model.gap_at_most.add(model.gap[i, j] <= -difference + 2 * model.higher[i, j])


def _tie_right_to_chosen(model: Model, conditions: list[RowCondition], groups: list[list[list[int]]]) -> None:
    """Force every condition to be right or wrong as the choice says, in both directions."""
    from pyomo.core.expr import LinearExpression

    pyo = load_pyomo()
    taken = _taken(model, groups)

    def X(k: int, flags: Flags) -> Expression:
        which = np.flatnonzero(flags)
        return LinearExpression(linear_coefs=[1] * len(which), linear_vars=[taken[k][g] for g in which])

    model.wrong_if = pyo.ConstraintList()
    model.right_if = pyo.ConstraintList()
    for s, condition in enumerate(conditions):
        a, right = condition.label, model.right[s]
        heights = [condition.standing[k][[group[0] for group in of_k]] for k, of_k in enumerate(groups)]
        if (heights[a] == 0).any():
            model.wrong_if.add(right + X(a, heights[a] == 0) <= 1)
        for rival in condition.rivals:
            for d in np.unique(heights[rival][heights[rival] > 1]):
                model.wrong_if.add(right + X(a, heights[a] < d) + X(rival, heights[rival] >= d) <= 2)
        for d in np.unique(heights[a][heights[a] > 0]):
            higher = pyo.quicksum(X(rival, heights[rival] > d) for rival in condition.rivals)
            model.right_if.add(right >= X(a, heights[a] >= d) - higher)


def _taken(model: Model, groups: list[list[list[int]]]) -> list[list[Expression]]:
    """Return for every class the variables that say which group its correction is of.

    A group of one is that correction's own variable. Those of larger groups stay free to be
    constrained by a user, though no row can tell them apart.
    """
    pyo = load_pyomo()
    larger = [(k, g) for k, of_k in enumerate(groups) for g, group in enumerate(of_k) if len(group) > 1]
    model.alike = pyo.Var(larger, domain=pyo.Binary, doc="any of several corrections that act alike")
    model.any_of = pyo.Constraint(
        larger, rule=lambda m, k, g: m.alike[k, g] == pyo.quicksum(m.chosen[k, r] for r in groups[k][g])
    )
    return [
        [model.alike[k, g] if len(group) > 1 else model.chosen[k, group[0]] for g, group in enumerate(of_k)]
        for k, of_k in enumerate(groups)
    ]


def _express_accuracies(model: Model, conditions: list[RowCondition]) -> None:
    """Name the accuracies, and COBias with one gap for every pair of classes with rows."""
    pyo = load_pyomo()
    rows: dict[int, int] = {}
    right: dict[int, list[Expression]] = {}
    for s, condition in enumerate(conditions):
        rows[condition.label] = rows.get(condition.label, 0) + condition.n_samples
        right.setdefault(condition.label, []).append(condition.n_samples * model.right[s])
    present = sorted(rows)
    pairs = list(combinations(present, 2))
    model.class_accuracy = pyo.Expression(present, rule=lambda m, k: pyo.quicksum(right[k]) / rows[k])
    model.accuracy = pyo.Expression(
        expr=pyo.quicksum(rows[k] * model.class_accuracy[k] for k in present) / sum(rows.values())
    )
    model.balanced_accuracy = pyo.Expression(expr=pyo.quicksum(model.class_accuracy.values()) / len(present))
    model.least_class_accuracy = pyo.Var(bounds=(0, 1), doc="at most that of every class")
    model.least_at_most = pyo.Constraint(
        present, rule=lambda m, k: m.least_class_accuracy <= m.class_accuracy[k]
    )
    model.gap = pyo.Var(pairs, bounds=(0, 1))
    model.gap_at_least = pyo.ConstraintList()
    for i, j in pairs:
        difference = model.class_accuracy[i] - model.class_accuracy[j]
        model.gap_at_least.add(model.gap[i, j] >= difference)
        model.gap_at_least.add(model.gap[i, j] >= -difference)
    model.cobias = pyo.Expression(expr=pyo.quicksum(model.gap[pair] for pair in pairs) / len(pairs))
