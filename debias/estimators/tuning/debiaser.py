"""The estimator that chooses the method itself: the simplest that is as good as the best on held-out rows."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import joblib
import numpy as np
import numpy.typing as npt

from debias.console.progress import progress_on_stderr
from debias.errors import ParameterError
from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.bases.cross_fitting import MANY_LABELS, N_FOLDS, deal
from debias.estimators.bases.map_fitting import LabelledRows
from debias.estimators.calibrated import CalibratedDebiaser, SemiSupervisedDebiaser
from debias.estimators.column_classifier import RandomState, seed_of
from debias.estimators.few_labels.generalization import N_REPEATS, Predictor
from debias.estimators.few_labels.one_standard_error import MethodSelection, select_method
from debias.estimators.fitted.fitted_correction import FittedCorrection
from debias.estimators.tuning.methods import METHODS, NOT_MONOTONE, make_method
from debias.metrics.sample_weights import check_weights, whole_counts
from debias.search.constraints import Constrained, Goal
from debias.search.goals.class_order import goal_by_column
from debias.search.problem import goal_of
from debias.search.solve import announce_compilation
from debias.tables.class_columns import ClassColumns, FloatArray, IndexArray

AUTO = "auto"
CANDIDATES = ("uncorrected", "batch", "weight", "fuzzy", "ensemble", "wide", "calibrated")
"""What ``"auto"`` chooses from, from the simplest to the most complex."""


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
    objective, n_weights, search, n_starts, time_limit, tolerance, classes, n_jobs, random_state, verbose
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
    >>> debiaser.selection_.to_frame()[["objective", "standard_error", "chosen"]].round(2)
                 objective  standard_error  chosen
    method
    uncorrected       0.49            0.07   False
    batch             0.25            0.05    True
    weight            0.20            0.04   False
    calibrated        0.20            0.00   False
    """

    method: str = AUTO
    monotone: bool = True
    objective: Goal | None = None
    n_weights: int = 30
    search: str = "auto"
    n_starts: int = 32
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
        selection = None
        self.method_ = self.method
        if self.method == AUTO:
            selection = self._select(match, probabilities, sample_weight, unlabelled)
            self.method_ = selection.chosen
        elif self.method not in METHODS:
            allowed = "one of " + ", ".join(map(repr, (AUTO, *METHODS)))
            raise ParameterError(parameter="method", allowed=allowed, received=self.method)
        chosen = self._make(self.method_)
        if isinstance(chosen, SemiSupervisedDebiaser):
            fitted = chosen.learn(match, probabilities, sample_weight, unlabelled)
        else:
            fitted = chosen.learn(match, probabilities, sample_weight)
        tried = 1 if selection is None else len(selection.judged)
        return replace(fitted, selection=selection, settings_tried=tried)

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
        names = [name for name in CANDIDATES if not (self.monotone and name in NOT_MONOTONE)]
        n_repeats = 1 if len(y) >= MANY_LABELS else N_REPEATS
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
        method = self._make(name if len(np.unique(rows.y)) > 1 else "uncorrected")
        method.set_params(objective=goal)
        if isinstance(method, CalibratedDebiaser):
            return method.quick_predictor(rows.probabilities, rows.y, seed, unlabelled)
        return method.quick_predictor(rows.probabilities, rows.y, seed)
