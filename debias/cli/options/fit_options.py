"""The options that say what is minimised, within which bounds, and how it is searched for."""

import json
import sys
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.errors import ParameterError, param
from debias.search.search_settings import SEARCHES, SearchSettings
from debias.settings import Settings, setting

if TYPE_CHECKING:
    from debias.estimators.base_debiaser import BaseDebiaser
    from debias.search.constraints import Goal

N_WEIGHTS = 30


class FamilyMethod(StrEnum):
    """What a correction may be."""

    ensemble = "ensemble"
    weight = "weight"
    fuzzy = "fuzzy"
    wide = "wide"


class Method(StrEnum):
    """What a fit may be asked for: the simplest of the best, or a method by name."""

    auto = "auto"
    uncorrected = "uncorrected"
    batch = "batch"
    weight = "weight"
    fuzzy = "fuzzy"
    ensemble = "ensemble"
    wide = "wide"
    log_bias = "log-bias"
    vector = "vector"
    calibrated = "calibrated"


FamilyMethodOption = Annotated[
    FamilyMethod,
    typer.Option(
        help="weight: weights (DNIP); fuzzy: fuzzy memberships (FuRud); ensemble: either of them for each "
        "class (DCS); wide: weights from 1 to 1/1000 with slopes, and memberships that never decrease."
    ),
]
MethodOption = Annotated[
    Method,
    typer.Option(
        help="auto: the simplest method within one standard error of the best on held-out rows; batch: "
        "calibration without labels; weight (DNIP), fuzzy (FuRud), ensemble (DCS) or wide: a function "
        "per class; log-bias: a factor per class; vector or calibrated: a learnt map of "
        "log-probabilities, then a factor per class."
    ),
]
WeightSteps = Annotated[int, typer.Option(help="Number of steps in the weight scale.")]


@dataclass(frozen=True)
class SearchOptions(SearchSettings):
    """How a search runs that a command starts: on all cores by default."""

    search: str = setting(
        "auto",
        "auto: a descent, then the best proof that a fixed amount of work allows; exact: search until the "
        "optimum is proved; enumerate: evaluate every choice; descent: no proof; or a published schedule as "
        "a baseline: annealing-3/6, annealing-150/300.",
        metavar="NAME",
        one_of=SEARCHES,
    )
    n_jobs: int | None = setting(
        -1, "Number of threads; -1 uses all cores. The result does not depend on it.", option="--jobs"
    )


@dataclass(frozen=True)
class FitSearchOptions(SearchOptions):
    """The same, where the method decides how many starts its descent has."""

    n_starts: int | None = setting(  # type: ignore[assignment]
        None,
        "Number of random starts of the descent; 32 by default, 8 after a learnt map (vector, calibrated).",
        least=1,
    )


@dataclass(frozen=True)
class WeightOptions(Settings):
    """The weights of the objective; None for its default."""

    error: float | None = setting(None, "Weight of the error rate in the objective; 1 by default.")
    cobias: float | None = setting(
        None, "Weight of COBias, the mean gap between two class accuracies; 1 by default."
    )
    pmi: float | None = setting(
        None, "Weight of the mutual information between prediction and label; 0.2 by default."
    )
    smoothing: float | None = setting(
        None, "Smoothing of the counts in the mutual information; 4000 by default."
    )

    worst_class: float | None = setting(
        None, "Weight of the error of the worst class (1 minus its accuracy); 0 by default."
    )
    balanced_error: float | None = setting(
        None, "Weight of the mean error of the classes (1 minus the balanced accuracy); 0 by default."
    )
    macro_f1: float | None = setting(None, "Weight of 1 minus the macro F1; 0 by default.")
    costs: Path | None = setting(
        None,
        'Costs of mistakes, added per row: JSON by label, {"true": {"predicted": cost}}; mistakes not '
        "listed cost 0.",
        metavar="FILE",
    )

    def given(self) -> dict[str, object]:
        """Return the weights that were given, costs as they are in their file."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return given if self.costs is None else given | {"costs": read_costs(self.costs)}


@dataclass(frozen=True)
class BoundOptions(Settings):
    """Bounds beside the objective."""

    max_cobias: float | None = setting(
        None,
        "Bound: COBias is at most this (0.1 is 10 points). If no weights are given, the error is minimised.",
        metavar="SHARE",
    )
    min_accuracy: str | None = setting(
        None,
        'Bound: accuracy is at least this, or at least that of the "uncorrected" model. If it is the only '
        "bound and no weights are given, COBias is minimised.",
        metavar="SHARE",
    )
    min_class_accuracy: float | None = setting(
        None, "Bound: the accuracy of every class is at least this.", metavar="SHARE"
    )

    no_class_worse_than: str | None = setting(
        None,
        'Bound: no class is less accurate than with the "uncorrected" model, or with "batch" calibration.',
        metavar="MODEL",
    )
    margin: float | None = setting(
        None, "Tolerance of --no-class-worse-than: how much less accurate a class may be.", metavar="SHARE"
    )

    def given(self) -> dict[str, float | str]:
        """Return the bounds that were given."""
        return {name: _number(value) for name, value in asdict(self).items() if value is not None}


def read_costs(path: Path) -> dict[str, dict[str, float]]:
    """Read what mistakes cost, by true and by predicted label.

    Raises
    ------
    ParameterError
        The file cannot be read, is no JSON, or holds something else.
    """
    try:
        costs = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        problem = f"the costs cannot be read: {error}"
        raise ParameterError(problem, parameter="costs", received=str(path), file=path) from error
    if not isinstance(costs, dict):
        allowed = 'a JSON object, {"true": {"predicted": cost}}'
        raise ParameterError(parameter="costs", allowed=allowed, received=costs, file=path)
    return costs


def _number(value: float | str) -> float | str:
    """Return a number where there is one; a word is judged by what it is given to."""
    try:
        return float(value)
    except ValueError:
        return value


def make_goal(weights: WeightOptions, bounds: BoundOptions | None = None) -> "Goal":
    """Return what is minimised; within bounds, weights count only if one is given.

    Parameters
    ----------
    weights : WeightOptions
    bounds : BoundOptions, optional

    Returns
    -------
    Objective or Constrained

    Raises
    ------
    ParameterError
        A bound or a weight is not allowed.

    Examples
    --------
    >>> make_goal(WeightOptions(cobias=2))
    Objective(cobias=2)
    >>> make_goal(WeightOptions(), BoundOptions(max_cobias=0.1, min_accuracy="0.5"))
    Constrained(max_cobias=0.1, min_accuracy=0.5)
    """
    from debias.search.constraints import Constrained
    from debias.search.objective import Objective

    given, within = weights.given(), {} if bounds is None else bounds.given()
    objective = Objective(**given)  # type: ignore[arg-type]
    if not within:
        return objective
    return Constrained(**within, objective=objective if given else None).validate()  # type: ignore[arg-type]


def make_debiaser(
    method: Method | FamilyMethod,
    goal: "Goal",
    search: SearchSettings,
    n_weights: int | None = None,
    seed: int = 0,
    polish: bool = False,
) -> "BaseDebiaser":
    """Return the estimator that the options ask for, not fitted.

    Parameters
    ----------
    method : Method or FamilyMethod
        Which method.
    goal : Objective or Constrained
        What is minimised.
    search : SearchSettings
        How.
    n_weights : int, optional
        Steps of the weight scale; 30 by default.
    seed : int, default=0
    polish : bool, default=False
        See :class:`debias.estimators.debiasers.EnsembleDebiaser`.

    Returns
    -------
    BaseDebiaser
        With a progress bar where stderr is a terminal.

    Raises
    ------
    ParameterError
        A polish or a published schedule was asked for, and the method is no function per class.
    """
    from debias.estimators.tuning.debiaser import Debiaser
    from debias.estimators.tuning.methods import make_method
    from debias.search.descent.annealing import SCHEDULES

    settings = search_parameters(search) | {"objective": goal, "random_state": seed, "n_weights": n_weights}
    if method.value in list(FamilyMethod):
        return make_method(method.value, settings | {"polish": polish})
    schedule = search.search if search.search in SCHEDULES else None
    for parameter, received in (("polish", polish or None), ("search", schedule)):
        if received is not None:
            raise ParameterError(
                f"{param(parameter, received)} needs a function per class",
                parameter=parameter,
                received=received,
                fix=f"set {param('method', 'ensemble')}, or omit {param(parameter)}",
            )
    given = {name: value for name, value in settings.items() if value is not None}
    return Debiaser(method=method.value).set_params(**given)


def search_parameters(search: SearchSettings) -> dict[str, object]:
    """Return the parameters of an estimator that say how it searches."""
    own = {} if search.n_starts is None else {"n_starts": search.n_starts}  # else each method has its own
    return own | {
        "search": search.search,
        "time_limit": search.time_limit,
        "n_jobs": search.n_jobs,
        "tolerance": search.tolerance,
        "verbose": int(sys.stderr.isatty()),
    }
