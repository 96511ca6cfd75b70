"""The estimator that chooses its own settings on labelled rows, by cross-validation in one search."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, cast

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from debias.console.progress import progress_on_stderr
from debias.errors import InterruptedWarning
from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.column_classifier import Labels, RandomState, Rows, seed_of
from debias.estimators.debiasers import EnsembleDebiaser, FamilyDebiaser, FuzzyDebiaser, WeightDebiaser
from debias.estimators.few_labels.fold_dealing import groups_of
from debias.estimators.fitted.summary import describe_outcome
from debias.estimators.tuning.cross_validation import CrossValidation, cross_validate
from debias.estimators.tuning.folds import Fold, Splitter, make_folds
from debias.estimators.tuning.selection_rules import Rule, check_rule, order_by
from debias.estimators.tuning.tuning_settings import (
    PUBLISHED_N_WEIGHTS,
    Setting,
    combine,
    published_objectives,
)
from debias.metrics.sample_weights import check_weights, whole_counts
from debias.search.goals.class_order import goal_by_column
from debias.search.goals.goal_scaling import scaled_goal
from debias.search.objective import Objective
from debias.search.search_settings import SearchSettings
from debias.search.solve import announce_compilation
from debias.tables.class_columns import FloatArray, IndexArray


@dataclass(kw_only=True, eq=False, repr=False)
class EnsembleDebiaserCV(BaseDebiaser):
    """A debiaser that also chooses what it minimises and what it chooses from.

    Every setting is judged by cross-validation on the labelled rows; the best by the rule is
    fitted on all of them. All settings of a fold share one search, since the counts of a choice
    serve every objective. Every label that it gets counts as used, see `n_labels_`: judge it on
    other rows. `sample_weight` counts in the folds as in the fit; no row is in two folds.

    Parameters
    ----------
    settings : sequence of Objective, optional
        What may be minimised; by default the 76 published objectives, see
        :func:`~debias.estimators.tuning.tuning_settings.published_objectives`.
    n_weights : int or sequence of int, default=(30, 50, 70, 90)
        Steps of the scale of weights.
    families : str or sequence of str, default=("ensemble",)
        What may be chosen from: ``"ensemble"``, ``"weights"``, ``"memberships"``. The default
        makes the published grid of 304 settings; the other two are parts of the ensemble.
    cv : int, "holdout", splitter or iterable, default=5
        Stratified, shuffled folds; ``"holdout"`` for the published 95 / 5 split, which is not
        stratified; both keep copies of a row together. Or what scikit-learn takes.
    rule : str or callable, default="accuracy-minus-cobias"
        How the best is chosen by the means over dev rows. ``"accuracy-cobias"`` is the published
        one: highest accuracy, then lowest COBias; others are ``"worst-class-accuracy"``,
        ``"balanced-accuracy"`` and ``"one-standard-error"``, the fewest changed classes within a
        standard error of the highest accuracy minus COBias. A function takes ``cv_results_`` and
        returns a number per row, the higher the better. Compared in
        ``experiments/results/setting_choice.md``.
    search : str, default="auto"
        Of the fit on all rows, as in :class:`~debias.estimators.debiasers.EnsembleDebiaser`.
    n_starts : int, default=32
        Starts of every search.
    time_limit : float, optional
        Seconds for a proof about the fit on all rows.
    tolerance : float, default=0.0
        Of the fit on all rows, as in :class:`~debias.estimators.debiasers.EnsembleDebiaser`.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.
    n_jobs : int, optional
        Threads, as in scikit-learn. The answer is the same.
    random_state : int, RandomState or None, default=0
        Seed of folds and starts.
    verbose : int, default=0
        Show a progress bar.

    Attributes
    ----------
    best_setting_ : Setting
        Family, steps of the scale, and objective.
    cv_results_ : DataFrame
        A row per setting: ``family``, ``n_weights``, ``error_weight``, ``cobias_weight``,
        ``pmi_weight``, ``smoothing``; ``mean_`` and ``std_`` over the folds of ``accuracy``,
        ``cobias``, ``accuracy_minus_cobias``, ``worst_class_accuracy`` and
        ``balanced_accuracy`` on dev rows; ``mean_n_changed`` classes; ``proved_radius``, see
        Notes; and ``rank`` by the rule.
    fold_choices_ : ndarray of shape (n_folds, n_settings, n_classes)
        What each fold chose: ids of corrections, in the order of the columns.
    n_cv_evaluations_ : int
        Choices that the folds counted, each for all objectives of its family.
    n_labels_ : int
        Labelled rows that it used: all that it was given, dev rows among them.
    best_debiaser_ : EnsembleDebiaser, WeightDebiaser or FuzzyDebiaser
        The plain debiaser of the best setting, fitted. :meth:`save` writes the same correction.

    The other attributes are those of :class:`~debias.estimators.debiasers.EnsembleDebiaser`, of the fit on
    all rows.

    Notes
    -----
    Where a fold has few enough choices, all are evaluated, and it finds the optimum of every
    setting: ``proved_radius`` is then the number of classes. Elsewhere each is a local
    optimum: no change of up to ``proved_radius`` classes is better. ``certificate_`` says what is
    proved of the fit on all rows.

    ``expect`` cross-validates the chosen setting, so it is slightly optimistic: the best of many
    settings looks better on the rows that chose it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1, 2], 40)
    >>> logits = rng.normal(size=(120, 3)) + 2 * np.eye(3)[y] + [0, 0, 2]
    >>> X = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    >>> debiaser = EnsembleDebiaserCV(settings=[Objective(1, 0, 0), Objective(1, 1, 0)], n_weights=10)
    >>> debiaser = debiaser.fit(X, y)
    >>> debiaser.cv_results_[["cobias_weight", "mean_accuracy", "mean_cobias", "rank"]].round(3)
       cobias_weight  mean_accuracy  mean_cobias  rank
    0            0.0          0.875        0.183     1
    1            1.0          0.825        0.217     2
    >>> print(debiaser.best_setting_, debiaser.n_labels_)
    ensemble with 10 weights, error 1, COBias 0, PMI 0 120
    """

    settings: Sequence[Objective] | None = None
    n_weights: int | Sequence[int] = PUBLISHED_N_WEIGHTS
    families: str | Sequence[str] = ("ensemble",)
    cv: Splitter = 5
    rule: Rule = "accuracy-minus-cobias"
    search: str = "auto"
    n_starts: int = 32
    time_limit: float | None = None
    tolerance: float = 0.0
    classes: Sequence[object] | None = None
    n_jobs: int | None = None
    random_state: RandomState = 0
    verbose: int = 0

    def fit(  # noqa: D102
        self, X: Rows, y: Labels, sample_weight: npt.ArrayLike | None = None
    ) -> Self:
        SearchSettings(
            search=self.search,
            n_starts=self.n_starts,
            time_limit=self.time_limit,
            n_jobs=self.n_jobs,
            tolerance=self.tolerance,
        )
        check_rule(self.rule)
        objectives = published_objectives() if self.settings is None else self.settings
        settings = combine(objectives, self.n_weights, self.families)
        with self._whole_or_not():
            match, probabilities = self._match(X, y)
            seed = seed_of(self.random_state)
            n_rows = len(match.y)
            weights = np.ones(n_rows) if sample_weight is None else check_weights(sample_weight, n_rows)
            times, parts = whole_counts(weights)
            copies, _ = groups_of(probabilities, match.y)
            folds = make_folds(match.y, match.by_column.tolist(), self.cv, seed, times, copies)
            classes = match.classes.tolist()
            counted = [
                replace(
                    one,
                    objective=cast(
                        Objective, goal_by_column(scaled_goal(one.objective, parts), classes, match.columns)
                    ),
                )
                for one in settings
            ]
            found = self._cross_validate(probabilities, match.y, counted, folds, seed)
            results = found.results.assign(smoothing=[float(one.objective.smoothing) for one in settings])
            order = order_by(self.rule, results)
            self.cv_results_ = results.assign(rank=np.argsort(order) + 1)
            self.best_setting_ = settings[order[0]]
            self.fold_choices_ = found.choices
            self.n_cv_evaluations_ = found.n_evaluations
            if found.interrupted:
                n_folds = found.results.attrs["n_folds"]
                sentence = f"the search was interrupted; {n_folds} of {len(folds)} folds chose the setting."
                warnings.warn(sentence, InterruptedWarning, stacklevel=2)
            fitted = self._of_best_setting(seed).fit(X, y, sample_weight).fitted_
            families = {(one.family, one.n_weights): one.corrections() for one in settings}
            self.fitted_ = replace(
                fitted,
                interrupted=fitted.interrupted or found.interrupted,
                family_size=sum(map(len, families.values())),  # at least as many as their union has
                settings_tried=len(settings),
            )
        return self

    fit.__doc__ = BaseDebiaser.fit.__doc__

    def _plain(self) -> FamilyDebiaser:
        return self._of_best_setting(0)

    def _cross_validate(
        self, probabilities: FloatArray, y: IndexArray, settings: list[Setting], folds: list[Fold], seed: int
    ) -> CrossValidation:
        """Judge every setting, when interrupted by the finished folds."""
        n_threads = joblib.effective_n_jobs(self.n_jobs)
        with progress_on_stderr(self.verbose) as progress:
            announce_compilation(progress)
            return cross_validate(
                probabilities, y, settings, folds, self.n_starts, seed, n_threads, progress.show
            )

    def _of_best_setting(self, random_state: RandomState) -> FamilyDebiaser:
        """Return the debiaser of the best setting, not fitted."""
        setting = self.best_setting_
        kinds = {"weights": WeightDebiaser, "memberships": FuzzyDebiaser}
        plain = kinds.get(setting.family, EnsembleDebiaser)(
            objective=setting.objective,
            search=self.search,
            n_starts=self.n_starts,
            time_limit=self.time_limit,
            tolerance=self.tolerance,
            classes=self.classes,
            n_jobs=self.n_jobs,
            random_state=random_state,
            verbose=self.verbose,
        )
        if setting.family == "wide":
            plain.set_params(family="wide")
        return plain if setting.n_weights is None else plain.set_params(n_weights=setting.n_weights)

    @property
    def best_debiaser_(self) -> FamilyDebiaser:
        """The plain debiaser of the best setting, fitted on all rows."""
        check_is_fitted(self)
        best = self._of_best_setting(0)._restore(self.fitted_, named=hasattr(self, "feature_names_in_"))
        names = ("feature_names_in_", "column_names_in_")  # of columns, where `classes` states other names
        best.__dict__.update({name: self.__dict__[name] for name in names if name in self.__dict__})
        return best

    def summary(self) -> str:
        """Say what was chosen and how, what the corrections do, and how many labels that took."""
        check_is_fitted(self)
        n_folds = self.cv_results_.attrs["n_folds"]
        rule = self.rule if isinstance(self.rule, str) else getattr(self.rule, "__name__", "a function")
        folds = "one held-out split" if n_folds == 1 else f"{n_folds} folds"
        return (
            f"Of {len(self.cv_results_):,} settings the best on {folds} by the rule {rule} is: "
            f"{self.best_setting_}. {describe_outcome(self.fitted_)} Choosing and fitting used all "
            f"{self.n_labels_:,} labels: evaluate the correction on other rows."
        )
