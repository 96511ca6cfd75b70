"""The estimator that chooses its own settings on labelled rows, by cross-validation in one search."""

import copy
import warnings
from collections.abc import Sequence
from typing import Any, Self

import joblib
import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from debias.console.progress import progress_on_stderr
from debias.corrections.families import Family
from debias.estimators.debiaser import Debiaser
from debias.estimators.debiasers import EnsembleDebiaser, FuzzyDebiaser, WeightDebiaser
from debias.estimators.summary import describe_outcome
from debias.estimators.tuning.cross_validation import CrossValidation, cross_validate
from debias.estimators.tuning.folds import make_folds
from debias.estimators.tuning.selection_rules import Rule, check_rule, order_by
from debias.estimators.tuning.settings import PUBLISHED_N_WEIGHTS, Setting, combine, published_objectives
from debias.search.objective import Objective
from debias.search.search_settings import SearchSettings
from debias.search.solve import announce_compilation
from debias.tables.class_columns import FloatArray, IndexArray


class EnsembleDebiaserCV(Debiaser):
    """A debiaser that also chooses what it minimises and what it chooses from.

    Every setting is judged by cross-validation on the labelled rows; the best by the rule is
    fitted on all of them. All settings of a fold share one search, since a choice once counted
    is good for every objective. Every label that it is given counts as used, see `n_labels_`:
    judge it on other rows.

    Parameters
    ----------
    settings : sequence of Objective, optional
        What may be minimised; the 76 published objectives if not given, see
        :func:`~debias.estimators.tuning.settings.published_objectives`.
    n_weights : int or sequence of int, default=(30, 50, 70, 90)
        Steps of the scale of weights.
    families : str or sequence of str, default=("ensemble",)
        What may be chosen from: ``"ensemble"``, ``"weights"``, ``"memberships"``. The default
        makes the published grid of 304 settings; the other two are parts of the ensemble.
    cv : int, "holdout", splitter or iterable, default=5
        Stratified, shuffled folds; ``"holdout"`` for the published 95 / 5 split, which is not
        stratified; or what scikit-learn takes.
    rule : str or callable, default="accuracy-minus-cobias"
        How the best is told by the means over dev rows. ``"accuracy-cobias"`` is the published
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
        The plain debiaser of the best setting, fitted; what :meth:`save` writes.

    The other attributes are those of :class:`~debias.estimators.debiasers.EnsembleDebiaser`, of the fit on
    all rows.

    Notes
    -----
    Where a fold's choices are few enough all are evaluated, and what it finds is the optimum of
    every setting: ``proved_radius`` is then the number of classes. Elsewhere each is a local
    optimum: no change of up to ``proved_radius`` classes is better. ``certificate_`` says what is
    proved of the fit on all rows.

    What ``expect`` says is cross-validated for the setting as chosen, so a little hopeful: the
    best of many settings looks better on the rows that chose it.

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

    def __init__(
        self,
        *,
        settings: Sequence[Objective] | None = None,
        n_weights: int | Sequence[int] = PUBLISHED_N_WEIGHTS,
        families: str | Sequence[str] = ("ensemble",),
        cv: Any = 5,
        rule: Rule = "accuracy-minus-cobias",
        search: str = "auto",
        n_starts: int = 32,
        time_limit: float | None = None,
        classes: Sequence[Any] | None = None,
        n_jobs: int | None = None,
        random_state: Any = 0,
        verbose: int = 0,
    ):
        self.settings = settings
        self.n_weights = n_weights
        self.families = families
        self.cv = cv
        self.rule = rule
        self.search = search
        self.n_starts = n_starts
        self.time_limit = time_limit
        self.classes = classes
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _family(self) -> Family:
        return self.best_setting_.corrections()

    def fit(self, X: Any, y: Any) -> Self:
        """Choose a setting by cross-validation, then one correction per class.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_classes)
            Class probabilities; rows sum to one. Columns of a DataFrame are named after
            the classes; columns of an array are classes 0 .. n_classes - 1, or `classes`.
        y : array-like of shape (n_samples,)
            Labels.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        TableError
            A row is not a distribution, a label has no column, or there are too few rows.
        ParameterError
            A parameter has a value that is not allowed.
        """
        SearchSettings(self.search, self.n_starts, self.time_limit, self.n_jobs)  # checks them
        check_rule(self.rule)
        objectives = published_objectives() if self.settings is None else list(self.settings)
        settings = combine(objectives, self.n_weights, self.families)
        match, probabilities = self._match(X, y)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        found = self._cross_validate(probabilities, match.y, settings, match.by_column.tolist(), seed)
        order = order_by(self.rule, found.results)
        self.cv_results_ = found.results.assign(rank=np.argsort(order) + 1)
        self.best_setting_ = settings[order[0]]
        self.fold_choices_ = found.choices
        self.n_cv_evaluations_ = found.n_evaluations
        plain = self._plain(seed).fit(X, y)
        for name, value in vars(plain).items():
            if name.endswith("_") and not name.startswith("_"):
                setattr(self, name, value)
        return self

    def _cross_validate(
        self, probabilities: FloatArray, y: IndexArray, settings: list[Setting], labels: list[Any], seed: int
    ) -> CrossValidation:
        """Judge every setting; interrupted, by the folds that are done."""
        folds = make_folds(y, labels, self.cv, seed)
        n_threads = joblib.effective_n_jobs(self.n_jobs)
        with progress_on_stderr(self.verbose) as progress:
            announce_compilation(progress)
            found = cross_validate(
                probabilities, y, settings, folds, self.n_starts, seed, n_threads, progress.show
            )
        if found.interrupted:
            warnings.warn(
                f"the search was interrupted: the setting is chosen by {found.results.attrs['n_folds']} of "
                f"{len(folds)} folds.",
                UserWarning,
                stacklevel=3,
            )
        return found

    def _plain(self, seed: int) -> Debiaser:
        """Return the debiaser of the best setting, not fitted."""
        common: dict[str, Any] = {
            "objective": self.best_setting_.objective,
            "search": self.search,
            "n_starts": self.n_starts,
            "time_limit": self.time_limit,
            "classes": self.classes,
            "n_jobs": self.n_jobs,
            "random_state": seed,
            "verbose": self.verbose,
        }
        if self.best_setting_.n_weights is None:
            return FuzzyDebiaser(**common)
        kind = WeightDebiaser if self.best_setting_.family == "weights" else EnsembleDebiaser
        return kind(n_weights=self.best_setting_.n_weights, **common)

    @property
    def best_debiaser_(self) -> Debiaser:
        """The plain debiaser of the best setting, fitted on all rows."""
        check_is_fitted(self)
        plain = self._plain(0)
        for name, value in vars(self).items():
            if name.endswith("_") and name not in _OF_THE_CHOICE:
                setattr(plain, name, copy.copy(value))
        return plain

    def summary(self) -> str:
        """Say what was chosen and how, what the corrections do, and how many labels that took."""
        check_is_fitted(self)
        n_folds = self.cv_results_.attrs["n_folds"]
        rule = self.rule if isinstance(self.rule, str) else getattr(self.rule, "__name__", "a function")
        folds = "one held-out split" if n_folds == 1 else f"{n_folds} folds"
        return (
            f"Of {len(self.cv_results_):,} settings the best on {folds} by the rule {rule} is: "
            f"{self.best_setting_}. {describe_outcome(self)} Choosing and fitting used all "
            f"{self.n_labels_:,} labels: judge it on other rows."
        )

    def save(self, path: Any) -> None:
        """Write the correction of the best setting as readable JSON; read it with :func:`debias.load`.

        Parameters
        ----------
        path : str or path-like
            Where to; the file appears whole or not at all. It holds the setting and the number
            of labels used, not ``cv_results_``.
        """
        self.best_debiaser_.save(path)


_OF_THE_CHOICE = ("best_setting_", "cv_results_", "fold_choices_", "n_cv_evaluations_")
