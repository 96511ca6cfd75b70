"""The estimator that learns a base, a map of log-probabilities, and then searches corrections of it.

One function per class cannot move evidence from one class to another; a map of all can. The search
then sets the balance between the classes, on posteriors of rows that the map was not fitted on.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from debias.corrections.correction import Correction
from debias.corrections.families import FAMILY_NAMES, IDENTITY, Family, family_of
from debias.errors import InfeasibleWarning, InterruptedWarning, ParameterError
from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.baselines.baseline import check_class_weight
from debias.estimators.bases.cross_fitting import CrossFit, check_base, cross_fit
from debias.estimators.bases.map_fitting import LabelledRows
from debias.estimators.column_classifier import Labels, RandomState, Rows, seed_of
from debias.estimators.debiasers import EnsembleDebiaser
from debias.estimators.few_labels.generalization import Predictor
from debias.estimators.few_labels.whole_fit import WholeFit
from debias.estimators.fitted.fitted_correction import NO_CORRECTION, FittedCorrection
from debias.estimators.fitted.label_free import LabelFree
from debias.estimators.fitted.summary import warn_of_outcome
from debias.estimators.fitted.weighted_rows import weighted_rows
from debias.estimators.log_bias import LogBiasDebiaser
from debias.metrics.sample_weights import check_weights
from debias.search.constraints import Constrained, Goal
from debias.search.goals.class_order import goal_by_class, goal_by_column
from debias.search.problem import goal_of
from debias.search.search_settings import SearchSettings
from debias.tables.class_columns import ClassColumns, FloatArray, IndexArray

PAIR_SEARCHES = 1000
"""Line searches for moves of two classes: what more of them gain on out-of-fold posteriors is chance."""

LOG_BIAS, OWN = "log-bias", "own"


class SemiSupervisedDebiaser(BaseDebiaser):
    """A debiaser that rows without labels can help."""

    def fit(
        self,
        X: Rows,
        y: Labels,
        sample_weight: npt.ArrayLike | None = None,
        X_unlabelled: Rows | None = None,
    ) -> Self:
        """Learn what to do from labelled rows, and from rows without labels where there are any.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`~debias.estimators.debiasers.EnsembleDebiaser.fit`.
        X_unlabelled : DataFrame or array of shape (n_rows, n_classes), optional
            Class probabilities of rows without labels: they join batch calibration, towards which
            the base is pulled, with weight 1 each.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        TableError
            As in :meth:`~debias.estimators.debiasers.EnsembleDebiaser.fit`, also for `X_unlabelled`.
        ParameterError
            A parameter has a value that is not allowed.
        """
        with self._whole_or_not():
            match, probabilities = self._match(X, y)
            counted = weighted_rows(match, probabilities, sample_weight)
            unlabelled = counted.probabilities
            if X_unlabelled is not None:
                once = np.repeat(self._validated(X_unlabelled), counted.parts, axis=0)
                unlabelled = np.concatenate([unlabelled, once])
            fitted = self.learn(match, probabilities, sample_weight, unlabelled)
            if X_unlabelled is not None and fitted.label_free is not None:
                free = LabelFree.of(counted.match.y, counted.probabilities, unlabelled)
                fitted = replace(fitted, label_free=free)
            self.fitted_ = fitted
        return self


@dataclass(kw_only=True, eq=False, repr=False)
class CalibratedDebiaser(SemiSupervisedDebiaser):
    """A learnt base under the search: a map of log-probabilities, then a correction per class.

    With few labels the base is batch calibration, which needs none; with many it is the full map. How
    far it goes is chosen by the cross-validated log-likelihood.

    Parameters
    ----------
    base : {"quadratic", "affine", "vector", "batch", "identity", "trees"}, default="quadratic"
        ``"affine"``: a matrix and a bias per class; ``"quadratic"``: that, and products of two
        log-probabilities where held-out labels are more likely with them, by more than a standard error;
        ``"vector"``: a slope and a bias per class (vector scaling); ``"batch"``: batch calibration;
        ``"trees"``: boosted trees, not readable.
    family : str or sequence of Correction, default="log-bias"
        What is searched on the posteriors of the base: a continuous factor per class, or
        ``"weights"``, ``"memberships"``, ``"ensemble"``, ``"wide"``, corrections of one's own, or
        ``"none"``.
    n_weights : int, default=30
        Steps of the weight scale, where the family has one.
    class_weight : {None, "balanced"}, default=None
        Whether the base gives all classes the same weight, as in scikit-learn.
    objective : Objective or Constrained, optional
        What the search minimises, on out-of-fold posteriors; ``Objective()`` by default. Bounds on the
        uncorrected model are bounds on the model before the base.
    n_starts : int, default=8
        Starts of the descent; on posteriors of a map 32 lower z by .002 at most, on six tables.
    search, time_limit, tolerance, n_jobs, verbose
        As in :class:`~debias.estimators.debiasers.EnsembleDebiaser`.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.
    random_state : int, RandomState or None, default=0
        Seed of folds and random starts.

    Attributes
    ----------
    base_ : Base
        The fitted map; ``base_.matrix`` and ``base_.bias`` where it is linear, and of a quadratic one
        about the mean row.
    certificate_ : Certificate or None
        What is proved of the corrections, given the base; None for a log-bias.
    objective_value_ : float
        z per sample of out-of-fold posteriors with the corrections.

    The other attributes are those of :class:`~debias.estimators.debiasers.EnsembleDebiaser`.

    Notes
    -----
    Affine map: logits W (x - mean) + c of log-probabilities x, pulled towards batch calibration (Zhou et
    al. 2023) by strength (|W - I|^2 + |c - b|^2). Quadratic map: + Q q, with q the products of standardised
    log-probabilities, cut off at 3 standard deviations, pulled towards the affine map by a strength of its
    own times |Q|^2. Vector scaling: Guo et al. 2017.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1, 2], 60)
    >>> evidence = rng.normal(size=(180, 3)) + 2 * np.eye(3)[y]
    >>> logits = evidence @ [[1, 0, 0], [0, 1, 1], [0, 0, 1]]  # the model takes class 1 for class 2
    >>> X = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    >>> debiaser = CalibratedDebiaser().fit(X, y)
    >>> (X.argmax(axis=1) == y).mean().round(2), round(debiaser.score(X, y), 2)
    (np.float64(0.73), 0.83)
    """

    base: str = "quadratic"
    family: str | Sequence[Correction] = LOG_BIAS
    n_weights: int = 30
    class_weight: str | None = None
    objective: Goal | None = None
    search: str = "auto"
    n_starts: int = 8
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
        n_rows = len(match.y)
        counted, of_rows, *_ = weighted_rows(match, probabilities, sample_weight)
        given = goal_by_column(goal_of(self.objective), match.classes.tolist(), match.columns)
        goal = _on_the_model(given, counted.y, of_rows)
        corrector = self._corrector(goal_by_class(goal, match.columns), seed_of(self.random_state))
        weights = np.ones(n_rows) if sample_weight is None else check_weights(sample_weight, n_rows)
        with threadpool_limits(1):  # small matrices: threads would wait for each other, and sums change order
            free = of_rows if unlabelled is None else unlabelled
            found = self._cross_fit(match.y, probabilities, weights, free, seed_of(self.random_state))
        with warnings.catch_warnings():
            for kind in (InfeasibleWarning, InterruptedWarning):  # said below, of the model
                warnings.simplefilter("ignore", kind)
            fitted = corrector.learn(match, found.posteriors, sample_weight)
        name = self.family if isinstance(self.family, str) else OWN
        posteriors = weighted_rows(match, found.posteriors, sample_weight).probabilities
        fitted = fitted.after(found.base, name, counted, of_rows, posteriors)
        if name == NO_CORRECTION:  # nothing was searched, so nothing is proved
            fitted = replace(fitted, certificate=None, frontier=None, near_ties=None, n_evaluations=1)
        if isinstance(given, Constrained) and isinstance(fitted.objective, Constrained):
            named = fitted.objective.get_params(deep=False)
            named["no_class_worse_than"] = goal_by_class(given, match.columns).no_class_worse_than
            fitted = replace(fitted, objective=Constrained(**named))
        fitted = replace(fitted, method=type(self).__name__)
        if fitted.interrupted or not fitted.feasible:
            warn_of_outcome(fitted)
        return fitted

    def quick_predictor(  # noqa: D102
        self,
        probabilities: FloatArray,
        y: IndexArray,
        seed: int,
        unlabelled: FloatArray | None = None,
        whole: WholeFit | None = None,
    ) -> Predictor:
        weights = np.full(len(y), 1.0 if whole is None else 1 / whole.parts)
        found = self._cross_fit(y, probabilities, weights, unlabelled, seed, quick=True)
        if self.family == NO_CORRECTION:
            return lambda rows: np.argmax(found.base.posteriors(rows), axis=1)
        goal = _on_the_model(goal_of(self.objective), y, probabilities)
        decided = self._corrector(goal, seed).quick_predictor(found.posteriors, y, seed, whole=whole)
        return lambda rows: decided(found.base.posteriors(rows))

    def _cross_fit(
        self,
        y: IndexArray,
        probabilities: FloatArray,
        row_weights: FloatArray,
        unlabelled: FloatArray | None,
        seed: int,
        quick: bool = False,
    ) -> CrossFit:
        """Learn the base, and map each row by a base without it."""
        check_class_weight(self.class_weight)
        weights = row_weights if self.class_weight is None else _balanced(y, row_weights)
        rows = LabelledRows(probabilities, y, weights)
        return cross_fit(self.base, rows, probabilities if unlabelled is None else unlabelled, seed, quick)

    def _corrector(self, goal: Goal, seed: int) -> BaseDebiaser:
        """Return the debiaser that searches on the posteriors."""
        check_base(self.base)
        settings = ("search", "n_starts", "time_limit", "n_jobs", "tolerance")
        SearchSettings(**{name: getattr(self, name) for name in settings})  # refuses what is not allowed
        if self.family == LOG_BIAS:
            return LogBiasDebiaser(
                objective=goal,
                n_starts=self.n_starts,
                pair_searches=PAIR_SEARCHES,
                tolerance=self.tolerance,
                random_state=seed,
            )
        return EnsembleDebiaser(
            family=self._family(),
            objective=goal,
            search=self.search,
            n_starts=self.n_starts,
            time_limit=self.time_limit,
            tolerance=self.tolerance,
            shrink=False,
            n_jobs=self.n_jobs,
            random_state=seed,
            verbose=self.verbose,
        )

    def _family(self) -> Family:
        """Return the corrections to choose from."""
        if self.family == NO_CORRECTION:
            return Family([IDENTITY])
        if isinstance(self.family, str) and self.family not in FAMILY_NAMES:
            names = (LOG_BIAS, *FAMILY_NAMES, NO_CORRECTION)
            allowed = f"one of {names}, or corrections"
            raise ParameterError(parameter="family", allowed=allowed, received=self.family)
        return family_of(self.family, self.n_weights)


def _balanced(y: IndexArray, row_weights: FloatArray) -> FloatArray:
    """Return weights of rows that sum to the same for every class, and in all to what they did."""
    of_class = np.bincount(y, row_weights)
    counted = of_class > 0
    return row_weights * (row_weights.sum() / (counted.sum() * np.where(counted, of_class, 1.0)))[y]


def _on_the_model(goal: Goal, y: IndexArray, probabilities: FloatArray) -> Goal:
    """Return a goal by column whose bounds on the uncorrected model, or on batch calibration, are numbers.

    A search on posteriors would take the base for the model.
    """
    goal = goal.validate()
    if not isinstance(goal, Constrained):
        return goal
    goal = goal.resolve_on(y, probabilities.argmax(axis=1), probabilities)
    return Constrained(**(goal.get_params(deep=False) | {"no_class_worse_than": goal.references}))
