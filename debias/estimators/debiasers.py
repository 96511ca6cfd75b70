"""The three debiasers as scikit-learn estimators, and how to read one back from its file.

They differ in what they choose from: weights (DNIP), memberships (FuRud) or both (DCS).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from debias.console.progress import progress_on_stderr
from debias.corrections.correction import Correction
from debias.corrections.decision_rule import correct
from debias.corrections.families import Family, family_of, memberships, weights
from debias.corrections.shapes import scale
from debias.errors import ParameterError, param
from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.column_classifier import RandomState, seed_of
from debias.estimators.few_labels.generalization import FEW_LABELS, Predictor
from debias.estimators.few_labels.shrinkage import Choosing, quick_predictor, shrink_choice
from debias.estimators.few_labels.whole_fit import WholeFit
from debias.estimators.fitted.fitted_correction import FittedCorrection
from debias.estimators.fitted.summary import warn_of_outcome
from debias.estimators.fitted.weighted_rows import weighted_rows
from debias.metrics.class_support import FEW_ROWS, warn_of_few_rows
from debias.search.constraints import Goal
from debias.search.descent.annealing import SCHEDULES
from debias.search.goals.class_order import goal_by_column
from debias.search.goals.goal_scaling import scaled_goal
from debias.search.log_bias.log_bias_descent import polish
from debias.search.problem import build_problem, goal_of
from debias.search.search_settings import SearchSettings
from debias.search.solve import solve
from debias.tables.class_columns import ClassColumns, FloatArray, IndexArray


@dataclass(kw_only=True, eq=False, repr=False)
class FamilyDebiaser(BaseDebiaser):
    """A debiaser that chooses one correction per class out of a family; see :class:`EnsembleDebiaser`.

    The parameters are declared as a dataclass, which writes the one ``__init__`` of all three.
    """

    objective: Goal | None = None
    search: str = "auto"
    n_starts: int = 32
    time_limit: float | None = None
    tolerance: float = 0.0
    polish: bool = False
    shrink: bool | str = "auto"
    classes: Sequence[object] | None = None
    n_jobs: int | None = None
    random_state: RandomState = 0
    verbose: int = 0

    def _family(self) -> Family:
        """Return the corrections to choose from."""
        raise TypeError(f"{type(self).__name__} must define _family().")

    def learn(  # noqa: D102
        self,
        match: ClassColumns,
        probabilities: FloatArray,
        sample_weight: npt.ArrayLike | None = None,
        unlabelled: FloatArray | None = None,
    ) -> FittedCorrection:
        settings = SearchSettings(
            search=self.search,
            n_starts=self.n_starts,
            time_limit=self.time_limit,
            n_jobs=self.n_jobs,
            tolerance=self.tolerance,
        )
        self._check_shrink()
        objective, family = goal_of(self.objective), self._family()
        objective = goal_by_column(objective, match.classes.tolist(), match.columns)
        given = match.y
        match, probabilities, counted, parts, weighted = weighted_rows(match, probabilities, sample_weight)
        if weighted and self.shrink != "auto" and self.shrink:
            raise ParameterError(
                f"{param('shrink', True)} cannot be combined with {param('sample_weight')}",
                parameter="shrink",
                received=self.shrink,
                fix="omit one of them",
            )
        problem = build_problem(probabilities, match.y, family, scaled_goal(objective, parts))
        support = np.bincount(given[counted], minlength=problem.n_classes)
        if support.min() < FEW_ROWS:
            warn_of_few_rows(match.by_column, support)
        seed = seed_of(self.random_state)
        with progress_on_stderr(self.verbose) as progress:
            result = solve(problem, settings, seed, progress, with_near_ties=True)
        identity = problem.candidate(problem.identity_choice)
        best = result.best if self.tolerance or result.best.beats(identity) else identity
        few = None
        if not weighted and self._shrinks(len(match.y)) and not result.interrupted:
            choosing = self._choosing(family, objective, seed)
            try:
                few = shrink_choice(choosing, problem, probabilities, match.y, best)
            except KeyboardInterrupt:
                result = replace(result, interrupted=True)
        by_column = [family[index] for index in (best if few is None else few.choice).choice]
        if self.polish:
            values = correct(probabilities, by_column)
            factors = polish(values, probabilities, match.y, problem.objective, random_state=seed)
            by_column = scale(by_column, factors)
        fitted = FittedCorrection.of(
            match,
            probabilities,
            problem,
            by_column,
            result,
            family,
            method=type(self).__name__,
            search=self.search,
            n_labels=int(counted.sum()),
            n_weights=getattr(self, "n_weights", None),
            is_finite=not self.polish,
        )
        named_family = getattr(self, "family", None)
        if isinstance(named_family, str):
            fitted = replace(fitted, family=named_family)
        if few is not None:
            path = few.path_frame(family, match.columns, match.classes.tolist())
            fitted = replace(
                fitted, shrunk=True, expectation=few.expectation, shrinkage_path=path, near_ties=None
            )
        if fitted.interrupted or not fitted.feasible:
            warn_of_outcome(fitted)
        return fitted

    def _choosing(self, family: Family, objective: Goal, seed: int) -> Choosing:
        """Return how corrections are chosen, on the rows of a fit and on those of its folds."""
        return Choosing(family, objective, self.search, self.polish, seed, self.n_jobs, self.verbose)

    def _check_shrink(self) -> None:
        """Refuse a value of `shrink` that is not allowed, or parameters that contradict each other."""
        if self.tolerance and self.search in SCHEDULES:
            raise ParameterError(
                f"{param('tolerance')} cannot be combined with search={self.search!r}, a published schedule",
                parameter="tolerance",
                received=self.tolerance,
                fix="use search='auto', or omit tolerance",
            )
        if not isinstance(self.polish, (bool, np.bool_)):
            raise ParameterError(parameter="polish", allowed="True or False", received=self.polish)
        if not isinstance(self.shrink, (bool, np.bool_)) and self.shrink != "auto":
            raise ParameterError(parameter="shrink", allowed="'auto', True or False", received=self.shrink)
        if self.shrink == "auto" or not self.shrink:
            return
        if self.search in SCHEDULES:
            raise ParameterError(
                f"shrink=True cannot be combined with search={self.search!r}, a published schedule",
                parameter="shrink",
                received=self.shrink,
                fix="use search='auto', or omit shrink",
            )
        if self.polish:
            raise ParameterError(
                "shrink=True cannot be combined with polish=True, which fits the few rows more closely",
                parameter="shrink",
                received=self.shrink,
                fix="omit one of them",
            )

    def _shrinks(self, n_labels: int) -> bool:
        """Tell whether this fit shrinks its choice."""
        if self.shrink == "auto":
            return n_labels < FEW_LABELS and self.search not in SCHEDULES and not self.polish
        return bool(self.shrink)

    def quick_predictor(  # noqa: D102
        self,
        probabilities: FloatArray,
        y: IndexArray,
        seed: int,
        unlabelled: FloatArray | None = None,
        whole: WholeFit | None = None,
    ) -> Predictor:
        choosing = self._choosing(self._family(), goal_of(self.objective), seed)
        whole = WholeFit() if whole is None else whole
        shrunk = not whole.weighted and self._shrinks(whole.n_labels or len(y))
        return quick_predictor(choosing, probabilities, y, shrunk, seed)


@dataclass(kw_only=True, eq=False, repr=False)
class EnsembleDebiaser(FamilyDebiaser):
    """A weight or a membership function per class (DCS, arXiv 2503.05157).

    Parameters
    ----------
    n_weights : int, default=30
        Steps of the weight scale; published values are 30, 50, 70 and 90.
    family : str, Family or sequence of Correction, optional
        Other corrections to choose from: ``"wide"`` (weights on a geometric scale with slopes, and
        memberships that never fall), ``"weights"``, ``"memberships"``, or corrections of your own;
        ``"ensemble"`` by default.
    objective : Objective or Constrained, optional
        What is minimised, with or without bounds; ``Objective()`` by default.
    search : {"auto", "exact", "enumerate", "descent", "annealing-3/6", "annealing-150/300"}, default="auto"
        ``"auto"`` descends, then proves the optimum if that takes no more than a fixed amount of
        work, else that no choice within a radius is better. ``"exact"`` proves the optimum;
        ``"enumerate"`` evaluates every choice, which completes the frontier; ``"descent"`` proves nothing. A
        published annealing schedule is a baseline.
    n_starts : int, default=32
        Starts of the descent.
    time_limit : float, optional
        Seconds for a proof. By default ``"auto"`` counts work, not seconds, and ``"exact"`` and
        ``"enumerate"`` have no limit, so the answer is the same on any machine, under any load. At
        the time limit the best choice so far is kept, with what is proved of it.
    tolerance : float, default=0.0
        Of the choices whose objective is no more above the best that was met, the one with the highest
        balanced accuracy is taken, and the certificate says how far it is from the best.
    polish : bool, default=False
        Then multiply each corrected value by a continuous factor in (0, 1], found by exact
        line searches: a lower objective than steps allow. The certificate stays that of the
        choice before it.
    shrink : bool or "auto", default="auto"
        Whether to choose as few labels require: on smoothed rows, the fewest changed classes within
        one standard error of the best, and none where cross-validation finds no gain over the
        uncorrected model. The certificate stays that of the best choice on the rows. ``"auto"``:
        with fewer than 100 labelled rows, unless `polish` or a published schedule is used.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.
    n_jobs : int, optional
        Threads, as in scikit-learn: None for one, -1 for all. The answer is the same.
    random_state : int, RandomState or None, default=0
        Seed of the random starts.
    verbose : int, default=0
        Show a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    choice_ : ndarray of shape (n_classes,)
        Published id of the correction of each class.
    corrections_ : tuple of Correction
        The corrections themselves.
    objective_value_, baseline_objective_value_ : float
        z per sample, with the corrections and without.
    improved_ : bool
        Whether any choice beat the uncorrected model.
    feasible_ : bool
        Whether all bounds of a Constrained objective are kept. Out of bounds, z is at least
        ``debias.search.constraints.INFEASIBLE``.
    interrupted_ : bool
        Whether Ctrl-C ended the search; the best choice met so far is kept.
    certificate_ : Certificate or None
        What is proved of the choice; None for a published schedule and after ``pick``.
    shrunk_ : bool
        Whether the choice was shrunk, as few labels require.
    shrinkage_path_ : DataFrame or None
        If so, choices with fewer and fewer changed classes, and which of them was taken.
    expectation_ : Expectation or None
        If so, or after ``expect``: cross-validated figures of new rows, with intervals.
    near_ties_ : DataFrame or None
        The choice that is taken, and the extremes of those whose objective is within 0.002 of the best (or
        within `tolerance`): ``objective``, ``accuracy``, ``balanced_accuracy``, ``cobias``,
        ``worst_class_accuracy``, ``n_changed``, ``choice``; ``attrs["complete"]`` says whether all such
        choices were considered. None after ``pick``, for a published schedule and where it was shrunk.
    picked_row_ : int or None
        Row of the frontier that the choice was picked from by hand.
    frontier_ : DataFrame
        The pairs of accuracy and COBias that no other choice met beats in both.
    n_evaluations_ : int
        Choices that the search evaluated.
    n_labels_ : int
        Labelled rows that it used.
    fitted_ : FittedCorrection
        All of these in one frozen object.

    Examples
    --------
    >>> import pandas as pd
    >>> from debias.search.objective import Objective
    >>> X = pd.DataFrame({"bad": [0.9, 0.8, 0.7, 0.6], "good": [0.1, 0.2, 0.3, 0.4]})
    >>> y = ["bad", "bad", "good", "good"]
    >>> debiaser = EnsembleDebiaser(objective=Objective(pmi=0.0)).fit(X, y)
    >>> debiaser.predict(X)
    array(['bad', 'bad', 'good', 'good'], dtype='<U4')
    >>> debiaser.objective_value_, debiaser.baseline_objective_value_
    (0.0, 1.5)
    """

    n_weights: int = 30
    family: str | Sequence[Correction] | None = None

    def _family(self) -> Family:
        return family_of("ensemble" if self.family is None else self.family, self.n_weights)


@dataclass(kw_only=True, eq=False, repr=False)
class WeightDebiaser(FamilyDebiaser):
    """A weight per class (DNIP, arXiv 2405.07623).

    Parameters
    ----------
    n_weights : int, default=30
        Steps of the weight scale; published values are 30, 50, 70 and 90.
    objective, search, n_starts, time_limit, tolerance, polish, shrink, classes, n_jobs, random_state, verbose
        As in :class:`EnsembleDebiaser`, as are the attributes.

    Examples
    --------
    >>> import numpy as np
    >>> from debias.search.objective import Objective
    >>> X = np.array([[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]])
    >>> debiaser = WeightDebiaser(objective=Objective(pmi=0.0), shrink=False).fit(X, [1, 0, 0])
    >>> debiaser.explain()["correction"].tolist()
    ['weight 18/30', 'identity']
    """

    n_weights: int = 30

    def _family(self) -> Family:
        return weights(self.n_weights)


@dataclass(kw_only=True, eq=False, repr=False)
class FuzzyDebiaser(FamilyDebiaser):
    """A membership function per class (FuRud, arXiv 2412.19018).

    Parameters
    ----------
    objective, search, n_starts, time_limit, tolerance, polish, shrink, classes, n_jobs, random_state, verbose
        As in :class:`EnsembleDebiaser`, as are the attributes.

    Examples
    --------
    >>> import numpy as np
    >>> from debias.search.objective import Objective
    >>> X = np.array([[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]])
    >>> debiaser = FuzzyDebiaser(objective=Objective(pmi=0.0)).fit(X, [1, 0, 0])
    >>> debiaser.score(X, [1, 0, 0])
    1.0
    """

    def _family(self) -> Family:
        return memberships()
