"""The estimator that chooses the method itself: the simplest that is as good as the best on held-out rows."""

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import joblib
import numpy as np
import numpy.typing as npt

from debias.console.progress import progress_on_stderr
from debias.errors import InfeasibleWarning, InterruptedWarning, ParameterError
from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.bases.cross_fitting import MANY_LABELS, N_FOLDS, deal
from debias.estimators.bases.map_fitting import LabelledRows
from debias.estimators.calibrated import CalibratedDebiaser, SemiSupervisedDebiaser
from debias.estimators.column_classifier import RandomState, seed_of
from debias.estimators.few_labels.generalization import FEW_LABELS, N_REPEATS, Predictor
from debias.estimators.few_labels.one_standard_error import MethodSelection, select_method
from debias.estimators.fitted.fitted_correction import FittedCorrection
from debias.estimators.fitted.summary import warn_of_outcome
from debias.estimators.tuning.methods import METHODS, NOT_MONOTONE, make_method
from debias.metrics.sample_weights import check_weights, whole_counts
from debias.search.constraints import Constrained, Goal
from debias.search.goals.class_order import goal_by_column
from debias.search.problem import goal_of
from debias.search.search_settings import SearchSettings
from debias.search.solve import announce_compilation
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
        Whether ``"auto"`` omits the methods in which a class may lose by a higher probability.
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
    >>> y = np.repeat([0, 1, 2], 60)
    >>> logits = (rng.normal(size=(180, 3)) + 2 * np.eye(3)[y]) @ [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    >>> X = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    >>> debiaser = Debiaser().fit(X, y)
    >>> debiaser.method_
    'batch'
    >>> debiaser.selection_.to_frame()["objective"].round(2).to_dict()
    {'uncorrected': 0.49, 'batch': 0.25, 'weight': 0.2, 'wide': 0.22, 'calibrated': 0.2}
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
            n_starts=SearchSettings.n_starts if self.n_starts is None else self.n_starts,
            time_limit=self.time_limit,
            n_jobs=self.n_jobs,
            tolerance=self.tolerance,
        )
        rows = match, probabilities, sample_weight, unlabelled
        if self.method == AUTO:
            fitted = self._choose(*rows)
            warn_of_outcome(fitted)
            return fitted
        if self.method not in METHODS:
            allowed = "one of " + ", ".join(map(repr, (AUTO, *METHODS)))
            raise ParameterError(parameter="method", allowed=allowed, received=self.method)
        self.method_ = self.method
        return self._fit_one(self.method, *rows)

    def _choose(
        self,
        match: ClassColumns,
        probabilities: FloatArray,
        sample_weight: npt.ArrayLike | None,
        unlabelled: FloatArray | None,
    ) -> FittedCorrection:
        """Fit the method that was chosen; where it keeps no bounds, the best that does, if any."""
        rows = match, probabilities, sample_weight, unlabelled
        selection = self._select(*rows)
        others = sorted(selection.judged, key=lambda one: one.objective)
        found: FittedCorrection | None = None
        with warnings.catch_warnings():
            for kind in (InfeasibleWarning, InterruptedWarning):  # said at the end, of what is kept
                warnings.simplefilter("ignore", kind)
            for name in dict.fromkeys([selection.chosen, *(one.method for one in others)]):
                fitted = self._fit_one(name, *rows)
                if found is None or fitted.objective_value < found.objective_value:
                    found, self.method_ = fitted, name
                if fitted.feasible or fitted.interrupted:
                    break
        assert found is not None
        if self.method_ != selection.chosen:
            selection = replace(selection, chosen=self.method_, for_bounds=True)
        return replace(found, selection=selection, settings_tried=len(selection.judged))

    def _fit_one(
        self,
        name: str,
        match: ClassColumns,
        probabilities: FloatArray,
        sample_weight: npt.ArrayLike | None,
        unlabelled: FloatArray | None,
    ) -> FittedCorrection:
        """Fit a method by its name."""
        method = self._make(name)
        if isinstance(method, SemiSupervisedDebiaser):
            return method.learn(match, probabilities, sample_weight, unlabelled)
        return method.learn(match, probabilities, sample_weight)

    @property
    def selection_(self) -> MethodSelection | None:
        """What every method was worth on held-out rows."""
        return self.fitted_.selection

    def quick_predictor(self, probabilities: FloatArray, y: IndexArray, seed: int) -> Predictor:  # noqa: D102
        name = self.method
        if name == AUTO:
            once = np.ones(len(y), dtype=np.int64)
            name = self._judge(goal_of(self.objective), probabilities, y, once, probabilities, seed).chosen
        return self._make(name).quick_predictor(probabilities, y, seed)

    def _make(self, name: str) -> BaseDebiaser:
        """Return a method with the settings of this one, not fitted."""
        return make_method(name, self.get_params(deep=False) | {"classes": None})

    def _plain(self) -> BaseDebiaser:
        return self._make(self.method_)

    def _select(
        self,
        match: ClassColumns,
        probabilities: FloatArray,
        sample_weight: npt.ArrayLike | None,
        unlabelled: FloatArray | None,
    ) -> MethodSelection:
        """Judge all methods, and choose one."""
        n_rows = len(match.y)
        times = np.ones(n_rows, dtype=np.int64)
        if sample_weight is not None:
            times = whole_counts(check_weights(sample_weight, n_rows)).times
        free = probabilities if unlabelled is None else unlabelled
        goal = goal_by_column(goal_of(self.objective), match.classes.tolist(), match.columns)
        seed = seed_of(self.random_state)
        with progress_on_stderr(self.verbose) as progress:
            announce_compilation(progress)
            return self._judge(goal, probabilities, match.y, times, free, seed, progress.show)

    def _judge(
        self,
        goal: Goal,
        probabilities: FloatArray,
        y: IndexArray,
        times: IndexArray,
        unlabelled: FloatArray,
        seed: int,
        on_progress: Callable[[str, float], object] | None = None,
    ) -> MethodSelection:
        """Cross-validate every method that may be chosen; the goal is by column."""
        omitted = {*(NOT_MONOTONE if self.monotone else ()), *(_NEED_LABELS if len(y) < FEW_LABELS else ())}
        names = [name for name in CANDIDATES if name not in omitted]
        n_repeats = 1 if len(y) >= MANY_LABELS else max(1, min(N_REPEATS, MANY_LABELS // len(y)))
        n_folds = min(N_FOLDS, len(y))
        folds = np.stack([deal(y, n_folds, [seed, repeat]) for repeat in range(n_repeats)])
        predicted = {name: np.empty((n_repeats, len(y)), dtype=np.int64) for name in names}
        tasks = [
            (name, repeat, fold) for name in names for repeat in range(n_repeats) for fold in range(n_folds)
        ]
        n_done = 0

        def judge(name: str, repeat: int, fold: int) -> None:
            nonlocal n_done
            held_out = folds[repeat] == fold
            train = np.repeat(np.flatnonzero(~held_out), times[~held_out])
            part = LabelledRows(probabilities[train], y[train], np.ones(len(train)))
            decided = self._fold_predictor(name, goal, part, unlabelled, seed + repeat)
            predicted[name][repeat, held_out] = decided(probabilities[held_out])
            n_done += 1
            if on_progress is not None:
                on_progress("cross-validation", n_done / len(tasks))

        pool = ThreadPoolExecutor(joblib.effective_n_jobs(self.n_jobs))
        try:
            for part in [pool.submit(judge, *task) for task in tasks]:
                part.result()
        finally:
            pool.shutdown(cancel_futures=True)
        if isinstance(goal, Constrained):
            rows = np.repeat(np.arange(len(y)), times)
            goal = goal.resolve_on(y[rows], probabilities[rows].argmax(axis=1), probabilities[rows])
        return select_method(predicted, y, goal, probabilities.shape[1], n_folds, times)

    def _fold_predictor(
        self, name: str, goal: Goal, rows: LabelledRows, unlabelled: FloatArray, seed: int
    ) -> Predictor:
        """Return what a method predicts that is fitted on the rows of a fold."""
        if len(np.unique(rows.y)) < 2:  # nothing can be chosen
            return lambda probabilities: np.argmax(probabilities, axis=1)
        method = self._make(name)
        method.set_params(objective=goal)
        if isinstance(method, CalibratedDebiaser):
            return method.quick_predictor(rows.probabilities, rows.y, seed, unlabelled)
        return method.quick_predictor(rows.probabilities, rows.y, seed)
