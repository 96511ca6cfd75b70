"""The estimator that chooses the method itself: the simplest that is as good as the best on held-out rows."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.corrections.families import weights, wide
from debias.errors import InfeasibleWarning, InterruptedWarning, ParameterError
from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.bases.cross_fitting import MANY_LABELS
from debias.estimators.calibrated import SemiSupervisedDebiaser
from debias.estimators.column_classifier import RandomState, seed_of
from debias.estimators.debiasers import FamilyDebiaser
from debias.estimators.few_labels.generalization import (
    FEW_LABELS,
    N_FOLDS,
    N_REPEATS,
    Predictor,
    as_they_are,
    hold_out,
)
from debias.estimators.few_labels.one_standard_error import MethodSelection, select_method
from debias.estimators.few_labels.whole_fit import WholeFit
from debias.estimators.fitted.fitted_correction import FittedCorrection
from debias.estimators.fitted.summary import warn_of_outcome
from debias.estimators.tuning.methods import METHODS, NOT_MONOTONE, make_method
from debias.metrics.sample_weights import check_weights, whole_counts
from debias.search.constraints import Constrained, Goal
from debias.search.goals.class_order import goal_by_column
from debias.search.goals.goal_scaling import scaled_goal
from debias.search.problem import goal_of
from debias.search.search_settings import SearchSettings
from debias.tables.class_columns import ClassColumns, FloatArray, IndexArray

AUTO = "auto"
CANDIDATES = ("uncorrected", "batch", "weight", "fuzzy", "ensemble", "wide", "calibrated")
"""What ``"auto"`` chooses from, from the simplest to the most complex."""

_NEED_LABELS = ("wide",)
"""Candidates with so many corrections that fewer than :data:`FEW_LABELS` labels cannot tell them apart."""


@dataclass(kw_only=True, eq=False, repr=False)
class Debiaser(SemiSupervisedDebiaser):
    """Any method by its name; by default the simplest that is as good as the best on held-out rows.

    Every method is cross-validated on the labelled rows. Of those within one standard error of the best
    the simplest is fitted: nothing, batch calibration, a function per class, a map of all classes
    with a factor per class. So readability is given up only for a gain, and ``summary()`` says for which.

    Parameters
    ----------
    method : str, default="auto"
        ``"auto"``, or one of ``"uncorrected"``, ``"batch"`` (calibration without labels), ``"weight"``
        (DNIP), ``"fuzzy"`` (FuRud), ``"ensemble"`` (DCS), ``"wide"``, ``"log-bias"``, ``"vector"`` and
        ``"calibrated"``.
    monotone : bool, default=True
        Whether corrections with which a class may lose by a higher probability are omitted: ``"auto"`` then
        omits ``"fuzzy"`` and ``"ensemble"``, and ``"wide"`` has 93 corrections instead of 108.
    n_starts : int, optional
        Starts of a descent; by default as many as the method takes by itself.
    objective, n_weights, search, time_limit, tolerance, classes, n_jobs, random_state, verbose
        As in :class:`~debias.estimators.debiasers.EnsembleDebiaser`, for the methods that have them.

    Attributes
    ----------
    method_ : str
        The method that was fitted.
    selection_ : MethodSelection or None
        What every method was worth on held-out rows (``selection_.to_frame()``); None where the method
        was given.

    The other attributes are those of :class:`~debias.estimators.debiasers.EnsembleDebiaser`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1, 2], 100)
    >>> logits = rng.normal(size=(300, 3)) + 2 * np.eye(3)[y] + [0, 0, 2]
    >>> X = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    >>> debiaser = Debiaser().fit(X, y)
    >>> debiaser.method_
    'weight'
    >>> debiaser.selection_.to_frame()["objective"].round(1).to_dict()
    {'uncorrected': 0.7, 'batch': 0.3, 'weight': 0.1, 'wide': 0.1, 'calibrated': 0.1}
    """

    method: str = AUTO
    monotone: bool = True
    objective: Goal | None = None
    n_weights: int = 30
    search: str = "auto"
    n_starts: int | None = None
    time_limit: float | None = None
    tolerance: float = 0.0
    classes: Sequence[object] | None = None
    n_jobs: int | None = None
    random_state: RandomState = 0
    verbose: int = 0

    def learn(  # noqa: D102
        self,
        match: ClassColumns,
        probabilities: FloatArray,
        sample_weight: npt.ArrayLike | None = None,
        unlabelled: FloatArray | None = None,
    ) -> FittedCorrection:
        SearchSettings(
            search=self.search,
            n_starts=SearchSettings.n_starts if self.n_starts is None else self.n_starts,
            time_limit=self.time_limit,
            n_jobs=self.n_jobs,
            tolerance=self.tolerance,
        )
        if not isinstance(self.monotone, (bool, np.bool_)):
            raise ParameterError(parameter="monotone", allowed="True or False", received=self.monotone)
        rows = _FitRows(match, probabilities, sample_weight, unlabelled)
        if isinstance(self.method, str) and self.method == AUTO:
            fitted = self._choose(rows)
            warn_of_outcome(fitted)
            return fitted
        if not isinstance(self.method, str) or self.method not in METHODS:
            allowed = "one of " + ", ".join(map(repr, (AUTO, *METHODS)))
            raise ParameterError(parameter="method", allowed=allowed, received=self.method)
        self.method_ = self.method
        return self._make(self.method).learn(*rows)

    def _choose(self, rows: "_FitRows") -> FittedCorrection:
        """Fit the method that was chosen; where it keeps no bounds, the best that does, if any."""
        selection = self._select(rows)
        others = sorted(selection.judged, key=lambda one: one.objective)
        found: FittedCorrection | None = None
        with warnings.catch_warnings():
            for kind in (InfeasibleWarning, InterruptedWarning):  # said at the end, of what is kept
                warnings.simplefilter("ignore", kind)
            for name in dict.fromkeys([selection.chosen, *(one.method for one in others)]):
                fitted = self._make(name).learn(*rows)
                if found is None or fitted.objective_value < found.objective_value:
                    found, self.method_ = fitted, name
                if fitted.feasible or fitted.interrupted:
                    break
        assert found is not None
        if self.method_ != selection.chosen:
            selection = replace(selection, chosen=self.method_, for_bounds=True)
        return replace(
            found,
            selection=selection,
            settings_tried=len(selection.judged),
            family_size=self._all_corrections(selection) if found.family_size else 0,
        )

    def _all_corrections(self, selection: MethodSelection) -> int:
        """Return how many corrections a class could have, as the rows chose among the families, too."""
        made = [self._make(one.method) for one in selection.judged]
        return sum(len(method._family()) for method in made if isinstance(method, FamilyDebiaser))

    def _select(self, rows: "_FitRows") -> MethodSelection:
        """Judge all methods on the rows of a fit, and choose one."""
        match, probabilities, sample_weight, unlabelled = rows
        weights = np.ones(len(match.y))
        if sample_weight is not None:
            weights = check_weights(sample_weight, len(weights))
        goal = goal_by_column(goal_of(self.objective), match.classes.tolist(), match.columns)
        times, parts = whole_counts(weights)
        counted, weighted = np.flatnonzero(times), bool((times != 1).any())
        whole = WholeFit(None, parts if weighted else 1, weighted)
        counting = probabilities[counted], match.y[counted], times[counted]
        return self._judge(goal, *counting, whole, unlabelled, seed_of(self.random_state))

    def _judge(
        self,
        goal: Goal,
        probabilities: FloatArray,
        y: IndexArray,
        times: IndexArray,
        whole: WholeFit,
        unlabelled: FloatArray | None,
        seed: int,
    ) -> MethodSelection:
        """Cross-validate every method that may be chosen; the goal is by column, and every row counts."""
        if isinstance(goal, Constrained):
            rows = np.repeat(np.arange(len(y)), times)
            resolved: Goal = goal.resolve_on(y[rows], as_they_are(probabilities[rows]), probabilities[rows])
        else:
            resolved = goal.validate()
        weights(self.n_weights)  # refuses what is no number of them
        omitted = {*(NOT_MONOTONE if self.monotone else ()), *(_NEED_LABELS if len(y) < FEW_LABELS else ())}
        n_repeats = max(1, min(N_REPEATS, MANY_LABELS // len(y)))
        free = probabilities if unlabelled is None else unlabelled
        predicted: dict[str, IndexArray] = {}
        for name in [name for name in CANDIDATES if name not in omitted]:
            method = self._make(name).set_params(objective=scaled_goal(goal, whole.parts))

            def choose(train: IndexArray, fold_seed: int, method: BaseDebiaser = method) -> Predictor:
                rows = np.repeat(train, times[train])
                return method.quick_predictor(probabilities[rows], y[rows], fold_seed, free, whole)

            held = hold_out(probabilities, y, choose, seed, self.n_jobs, self.verbose, as_they_are, n_repeats)
            predicted[name] = held.without
        n_folds = min(N_FOLDS, len(y))
        return select_method(predicted, y, resolved, probabilities.shape[1], n_folds, times, whole.parts)

    def quick_predictor(  # noqa: D102
        self,
        probabilities: FloatArray,
        y: IndexArray,
        seed: int,
        unlabelled: FloatArray | None = None,
        whole: WholeFit | None = None,
    ) -> Predictor:
        name = self.method
        if name == AUTO:
            once, alone = np.ones(len(y), dtype=np.int64), WholeFit()
            goal = goal_of(self.objective)
            name = self._judge(goal, probabilities, y, once, alone, unlabelled, seed).chosen
        return self._make(name).quick_predictor(probabilities, y, seed, unlabelled, whole)

    @property
    def selection_(self) -> MethodSelection | None:
        """What every method was worth on held-out rows."""
        return self.fitted_.selection

    def _make(self, name: str) -> BaseDebiaser:
        """Return a method with the settings of this one, not fitted."""
        settings = self.get_params(deep=False) | {"classes": None}
        if name == "wide" and not self.monotone:
            settings["family"] = wide(self.n_weights, monotone=False)
        return make_method(name, settings)

    def _plain(self) -> BaseDebiaser:
        return self._make(self.method_)


class _FitRows(NamedTuple):
    """The rows of a fit, as ``learn`` takes them."""

    match: ClassColumns
    probabilities: FloatArray
    sample_weight: npt.ArrayLike | None
    unlabelled: FloatArray | None
