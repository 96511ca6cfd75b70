"""The referee: the same choice as an integer program, solved and bounded by HiGHS.

It shares no code with the fast searches, and takes linear constraints of your own. In a minute on
two cores it proves its answer for all 48 corrections on 200 rows of two classes, 100 of three or 40
of four to six; for 30 weights alone on 1,000 rows of two classes, 400 of three, 240 of four or 80 of
five (``experiments/milp_referee.py``). Twice as many rows may well take more than it can do.
"""

import time
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.corrections.correction import Correction
from debias.corrections.decision_rule import correct, decide
from debias.corrections.families import Family
from debias.errors import MissingDependencyError, ParameterError, SolverError, TableError
from debias.search.milp.program_model import Expression, Model, build_model, force_gaps, load_pyomo
from debias.search.milp.program_result import ProgramResult, Status
from debias.search.objective import Counts, Objective, confusion_counts
from debias.tables.checks import check_probabilities
from debias.tables.class_columns import match_classes

TOLERANCE = 1e-9
"""How exact the solver has to be: on rows, not shares, so that it is the same with many rows."""

Outcome = Literal["optimal", "time limit", "nothing", "infeasible"]
FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]


class IntegerProgram:
    """Choose one correction per class by mixed-integer linear programming.

    For small problems and for constraints that no search of ours knows: the searches are
    thousands of times faster. Objectives with PMI, macro F1 or costs are not linear and left to them.

    Parameters
    ----------
    probabilities : DataFrame or array of shape (n_samples, n_classes)
        Class probabilities; rows sum to one.
    y : array-like of shape (n_samples,)
        Labels: column indices, or the column names of a DataFrame.
    family : Family or sequence of Correction
        The corrections to choose from.
    objective : Objective
        What is minimised; its `pmi` and `macro_f1` must be 0, and its `costs` None.

    Attributes
    ----------
    model : pyomo.environ.ConcreteModel
        With, to write constraints in, ``model.accuracy``, ``model.class_accuracy[k]`` for
        every column k that has rows, ``model.cobias``, ``model.n_changed``, and
        ``model.chosen[k, r]``, 1 if class k takes correction r of the family.

    Raises
    ------
    TableError
        A row is not a distribution, a label has no column, or fewer than two classes have rows.
    ParameterError
        The objective is not linear, or an argument is of another kind.
    MissingDependencyError
        Pyomo is not installed.

    Examples
    --------
    The third row looks more like the first class than the second row does, which is of it, so
    one of the two is lost; for evenness the best choice gives up both:

    >>> from debias.corrections.families import weights
    >>> P = np.array([[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.3, 0.7]])
    >>> program = IntegerProgram(P, [0, 0, 1, 1], weights(5), Objective(pmi=0))
    >>> result = program.solve()
    >>> result.status, result.objective, result.class_accuracies
    ('optimal', 0.5, (0.5, 0.5))

    A floor under the accuracy of the first class:

    >>> program.add(program.model.class_accuracy[0] >= 0.9)
    >>> result = program.solve()
    >>> result.status, result.objective, result.class_accuracies
    ('optimal', 0.75, (1.0, 0.5))

    And one under that of the second is too much:

    >>> program.add(program.model.class_accuracy[1] >= 0.9)
    >>> print(program.solve())
    infeasible: no choice of corrections meets the constraints
    """

    def __init__(
        self,
        probabilities: npt.ArrayLike | pd.DataFrame,
        y: npt.ArrayLike,
        family: Family | list[Correction],
        objective: Objective,
    ):
        self.family = Family.of(family)
        self.objective = _linear(objective)
        table = probabilities if isinstance(probabilities, pd.DataFrame) else np.asarray(probabilities)
        names = table.columns.tolist() if isinstance(table, pd.DataFrame) else None
        self._probabilities = check_probabilities(np.array(table, dtype=np.float64), names, sum_to_one=True)
        self._y = _column_indices(table, y)
        self.model = build_model(self._probabilities, self._y, self.family, self.objective)

    def add(self, constraint: Expression) -> None:
        """Add a linear constraint.

        Parameters
        ----------
        constraint : Pyomo expression
            An equation or inequality of `model`'s expressions, with ``<=``, ``>=`` or ``==``.

        Raises
        ------
        ParameterError
            It is not a constraint, not linear, strict, or uses another model.
        """
        used = _check_constraint(constraint, self.model)
        gaps = {id(gap) for gap in self.model.gap.values()}
        if any(id(variable) in gaps for variable in used):
            force_gaps(self.model)
        self.model.own.add(constraint)

    def solve(self, time_limit: float | None = None, simplest: bool = True) -> ProgramResult:
        """Solve the program.

        Parameters
        ----------
        time_limit : float, optional
            Seconds; after that the best choice so far is returned, with its bound.
        simplest : bool, default=True
            Whether to solve once more, within the time left, for the best choice that
            changes the fewest classes.

        Returns
        -------
        ProgramResult
            Also when there is no choice: its `status` says so.

        Raises
        ------
        MissingDependencyError
            HiGHS is not installed.
        SolverError
            HiGHS failed, or its choice gives other counts when they are made literally.
        """
        if time_limit is not None and not time_limit > 0:
            raise ParameterError(
                parameter="time_limit", allowed="seconds above 0, or None", received=time_limit
            )
        started = time.perf_counter()
        status, bound = _run_highs(self.model, time_limit)
        if status == "infeasible":
            return ProgramResult("infeasible", time.perf_counter() - started)
        bound = max(0.0, bound / len(self._y))
        if status == "nothing":
            return ProgramResult("time limit", time.perf_counter() - started, bound)
        choice, proved = self._choice(), False
        if status == "optimal":
            _agree("the objective", load_pyomo().value(self.model.z), self._z(choice))
        if status == "optimal" and simplest:
            left = None if time_limit is None else time_limit - (time.perf_counter() - started)
            choice, proved = self._simplify(choice, left)
        seconds = time.perf_counter() - started
        return self._result(
            "optimal" if status == "optimal" else "time limit", seconds, bound, choice, proved
        )

    def _choice(self) -> tuple[int, ...]:
        """Read the choice off the solved model, and make sure that its counts are the real ones."""
        pyo = load_pyomo()
        n_classes = self._probabilities.shape[1]
        taken = np.array(
            [[pyo.value(self.model.chosen[k, r]) for r in range(len(self.family))] for k in range(n_classes)]
        )
        choice = tuple(int(r) for r in taken.argmax(axis=1))
        counts = self._counts(choice)
        for k in self.model.class_accuracy:
            real = counts.correct[k] / counts.support[k]
            _agree(f"the accuracy of class {k}", pyo.value(self.model.class_accuracy[k]), real)
        return choice

    def _simplify(self, choice: tuple[int, ...], time_limit: float | None) -> tuple[tuple[int, ...], bool]:
        """Return the equally good choice that changes fewest classes, and whether that is proved."""
        model, pyo = self.model, load_pyomo()
        n_changed = self._n_changed(choice)
        if n_changed == 0:
            return choice, True
        if time_limit is not None and time_limit <= 0:
            return choice, False
        z = self._z(choice)
        model.objective.deactivate()
        model.fewest = pyo.Objective(expr=model.n_changed)
        model.as_good = pyo.Constraint(expr=model.objective.expr <= len(self._y) * z + 100 * TOLERANCE)
        try:
            status, _ = _run_highs(model, time_limit)
            simpler = self._choice() if status in ("optimal", "time limit") else choice
        finally:
            model.del_component(model.fewest)
            model.del_component(model.as_good)
            model.objective.activate()
        # Another optimum that differs by less than the solver can see does not count.
        if self._z(simpler) > z + TOLERANCE / len(self._y):
            return choice, False
        return (simpler if self._n_changed(simpler) < n_changed else choice), status == "optimal"

    def _n_changed(self, choice: tuple[int, ...]) -> int:
        return sum(r != self.family.identity for r in choice)

    def _counts(self, choice: tuple[int, ...]) -> Counts:
        """Count literally what the choice does."""
        corrected = correct(self._probabilities, [self.family[r] for r in choice])
        return confusion_counts(self._y, decide(corrected, self._probabilities), len(choice))

    def _z(self, choice: tuple[int, ...]) -> float:
        return float(self.objective(*self._counts(choice)))

    def _result(
        self, status: Status, seconds: float, bound: float, choice: tuple[int, ...], simplest: bool
    ) -> ProgramResult:
        counts = self._counts(choice)
        z = self._z(choice)
        has_rows = counts.support > 0
        accuracies = np.where(has_rows, counts.correct / np.maximum(counts.support, 1), np.nan)
        return ProgramResult(
            status=status,
            seconds=seconds,
            lower_bound=min(bound, z),
            choice=choice,
            objective=z,
            n_changed=self._n_changed(choice),
            simplest=simplest,
            accuracy=float(counts.correct.sum() / counts.support.sum()),
            cobias=float(Objective.cobias_of(accuracies[has_rows], np.ones(has_rows.sum()))),
            class_accuracies=tuple(accuracies.tolist()),
        )


def _run_highs(model: Model, time_limit: float | None) -> tuple[Outcome, float]:
    """Solve the model as it stands; its variables take the best values that were found.

    Returns
    -------
    outcome : {"optimal", "time limit", "nothing", "infeasible"}
        "nothing" if the time was over before any values were found.
    bound : float
        Lower bound of what is minimised.
    """
    from pyomo.contrib.solver.common.results import TerminationCondition as Condition
    from pyomo.contrib.solver.solvers.highs import Highs

    solver = Highs()
    if not solver.available():
        raise MissingDependencyError("the integer program needs HiGHS", fix="run: pip install highspy")
    config = solver.config
    config.time_limit, config.rel_gap, config.abs_gap = time_limit, 0.0, TOLERANCE
    config.solver_options = {
        "mip_feasibility_tolerance": TOLERANCE,
        "primal_feasibility_tolerance": TOLERANCE,
    }
    config.load_solutions = config.raise_exception_on_nonoptimal_result = False
    results = solver.solve(model)
    condition, found = results.termination_condition, results.incumbent_objective is not None
    if condition in (Condition.provenInfeasible, Condition.infeasibleOrUnbounded):
        return "infeasible", np.inf  # nothing here is unbounded
    if condition not in (Condition.convergenceCriteriaSatisfied, Condition.maxTimeLimit):
        raise SolverError("HiGHS stopped without an answer", received=condition.name)
    bound = -np.inf if results.objective_bound is None else results.objective_bound
    if not found:
        return "nothing", bound
    results.solution_loader.load_vars()
    return ("optimal" if condition is Condition.convergenceCriteriaSatisfied else "time limit"), bound


def _agree(what: str, said: float, real: float) -> None:
    """Compare what the solver says of its choice with what a prediction does."""
    if abs(said - real) > 1e-6:
        raise SolverError(
            f"according to HiGHS {what} of its choice is {said:.9f}, but it is {real:.9f} when the rows are "
            "predicted and counted: the answer cannot be trusted",
            received=said,
            allowed=str(real),
            fix="please report this with the data",
        )


def _linear(objective: Objective) -> Objective:
    """Return the objective, or say why it cannot be a linear program."""
    if not isinstance(objective, Objective):
        raise ParameterError(
            parameter="objective",
            allowed="an Objective(...)",
            received=objective,
            fix="add bounds as constraints, such as program.add(program.model.cobias <= 0.1)",
        )
    if objective.validate().pmi > 0:
        raise ParameterError(
            parameter="pmi",
            allowed="0, since the integer program is linear and the PMI term is not",
            received=objective.pmi,
            fix="use Objective(pmi=0), or the exact search, which handles PMI",
        )
    if objective.macro_f1 > 0:
        raise ParameterError(
            parameter="macro_f1",
            allowed="0, since the integer program is linear and F1 is a ratio",
            received=objective.macro_f1,
            fix="use the exact search",
        )
    if objective.costs is not None:
        raise ParameterError(
            parameter="costs",
            allowed="None: the integer program knows which rows are right, not which class the wrong ones "
            "are assigned to",
            received=objective.costs,
            fix="use the exact search",
        )
    return objective


def _column_indices(table: FloatArray | pd.DataFrame, y: npt.ArrayLike) -> IndexArray:
    """Return the labels as column indices, of two classes or more."""
    labels = np.asarray(y)
    if labels.shape != (len(table),):
        raise TableError(
            parameter="y", allowed=f"of the shape ({len(table)},), a label per row", received=labels.shape
        )
    indices = match_classes(table, labels).y
    if len(np.unique(indices)) < 2:
        raise TableError(
            parameter="y", allowed="of at least two classes", received=np.unique(labels).tolist()
        )
    return indices


def _check_constraint(constraint: Expression, model: Model) -> list[Expression]:
    """Return the variables that a constraint uses, or say why it cannot be one."""
    from pyomo.core.expr.relational_expr import RelationalExpression
    from pyomo.core.expr.visitor import identify_variables

    if not isinstance(constraint, RelationalExpression):
        allowed = "an equation or inequality, such as program.model.class_accuracy[0] >= 0.5"
        raise ParameterError(parameter="constraint", allowed=allowed, received=constraint)
    if np.any(getattr(constraint, "strict", False)):
        raise ParameterError(
            parameter="constraint", allowed="written with <= or >=", received=str(constraint)
        )
    if constraint.polynomial_degree() not in (0, 1):
        raise ParameterError(
            parameter="constraint", allowed="linear: no products, powers or abs()", received=str(constraint)
        )
    used = list(identify_variables(constraint))
    if any(variable.model() is not model for variable in used):
        raise ParameterError(
            parameter="constraint", allowed="made of the expressions of this program's model",
            received=str(constraint),
        )  # fmt: skip
    return used
