"""The base of every debiaser: predict, transform and explain by what a fit learned.

How corrections are found is left to the classes derived from it.
"""

import copy
from dataclasses import replace
from os import PathLike
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from debias.corrections.explanations import explain_class
from debias.errors import ParameterError
from debias.estimators.column_classifier import (
    ColumnClassifier,
    LabelArray,
    Labels,
    RandomState,
    Rows,
    seed_of,
)
from debias.estimators.few_labels.generalization import Expectation, Predictor, expect_change
from debias.estimators.few_labels.whole_fit import WholeFit
from debias.estimators.fitted.correction_file import write_correction
from debias.estimators.fitted.fitted_correction import NO_CORRECTION, FittedCorrection
from debias.estimators.fitted.learned import Learned, LearnedWhole
from debias.estimators.fitted.notebook_view import NotebookView
from debias.estimators.fitted.summary import describe_outcome
from debias.search.constraints import Goal
from debias.search.goals.class_order import goal_by_column
from debias.search.objective import Objective
from debias.tables.class_columns import ClassColumns, FloatArray, IndexArray, fingerprint_of
from debias.tables.information import check_information, check_labels


class BaseDebiaser(NotebookView, ColumnClassifier):
    """Base of the debiasers: class probabilities in, corrected classes out.

    Use :class:`~debias.estimators.debiasers.EnsembleDebiaser` or one of its siblings.

    Attributes
    ----------
    fitted_ : FittedCorrection
        All that was learned; the other attributes are parts of it.
    """

    objective: Goal | None
    random_state: RandomState
    fitted_ = LearnedWhole()

    corrections_ = Learned(lambda fitted: fitted.corrections)
    choice_ = Learned(lambda fitted: fitted.choice)
    facts_ = Learned(lambda fitted: fitted.facts)
    objective_ = Learned(lambda fitted: fitted.objective)
    objective_value_ = Learned(lambda fitted: fitted.objective_value)
    baseline_objective_value_ = Learned(lambda fitted: fitted.baseline_objective_value)
    improved_ = Learned(lambda fitted: fitted.improved)
    feasible_ = Learned(lambda fitted: fitted.feasible)
    interrupted_ = Learned(lambda fitted: fitted.interrupted)
    certificate_ = Learned(lambda fitted: fitted.certificate)
    n_evaluations_ = Learned(lambda fitted: fitted.n_evaluations)
    search_seconds_ = Learned(lambda fitted: fitted.search_seconds)
    n_labels_ = Learned(lambda fitted: fitted.n_labels)
    data_fingerprint_ = Learned(lambda fitted: fitted.data_fingerprint)
    shrunk_ = Learned(lambda fitted: fitted.shrunk)
    shrinkage_path_ = Learned(lambda fitted: fitted.shrinkage_path)
    expectation_ = Learned(lambda fitted: fitted.expectation)
    picked_row_ = Learned(lambda fitted: fitted.picked_row)
    base_ = Learned(lambda fitted: fitted.base)
    guarantee_ = Learned(lambda fitted: fitted.guarantee)
    near_ties_ = Learned(lambda fitted: None if fitted.near_ties is None else fitted.near_ties.to_frame())

    def fit(self, X: Rows, y: Labels, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Choose one correction per class.

        ``fit(clf.predict_proba(X), y)`` works as it stands: the columns of an array are the sorted labels, if
        there are as many as columns. A DataFrame has one column per class, named after it, in any order.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_classes)
            Class probabilities; rows sum to one. With fewer different labels than columns, an array needs
            integers from 0, which are positions of columns, or `classes`.
        y : array-like of shape (n_samples,)
            Labels: text, integers or truth values.
        sample_weight : array-like of shape (n_samples,), optional
            How much each row counts: a row of weight 3 is as good as three rows. Weights are never rounded:
            they must be whole numbers, or fractions with a small common denominator, in parts of which rows
            are then counted. With other weights than 1 nothing is shrunk.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        TableError
            A row is not a distribution, a label is missing, has no column or could stand for two, there
            are too few rows, all rows are the same, or the columns of an array are surely in another
            order than the sorted labels: `classes` states one.
        ParameterError
            A parameter has a value that is not allowed, or weights cannot be counted exactly.

        Warns
        -----
        ColumnOrderWarning
            Another order of the columns fits the labels far better, but was stated, or is not sure.
        FewRowsWarning, InterruptedWarning, InfeasibleWarning
            A class has few rows; Ctrl-C ended the search; no choice met keeps the bounds.
        UserWarning
            Many rows, or a column, say nothing of the classes.
        """
        with self._whole_or_not():
            self.fitted_ = self.learn(*self._match(X, y), sample_weight)
        return self

    def learn(
        self,
        match: ClassColumns,
        probabilities: FloatArray,
        sample_weight: npt.ArrayLike | None = None,
        unlabelled: FloatArray | None = None,
    ) -> FittedCorrection:
        """Return what a fit learns of rows matched to the classes; `unlabelled` helps some methods."""
        raise TypeError(f"{type(self).__name__} must define learn(match, probabilities, sample_weight).")

    def _match(self, X: Rows, y: Labels | None) -> tuple[ClassColumns, FloatArray]:
        match, probabilities = super()._match(X, y)
        support = np.bincount(match.y, minlength=len(match.classes))
        check_labels(support, match.by_column)
        check_information(probabilities, match.by_column, support)
        return match, probabilities

    def quick_predictor(
        self,
        probabilities: FloatArray,
        y: IndexArray,
        seed: int,
        unlabelled: FloatArray | None = None,
        whole: WholeFit | None = None,
    ) -> Predictor:
        """Return what a quicker fit of some rows predicts for others, for cross-validation.

        Parameters
        ----------
        probabilities, unlabelled : ndarray of shape (n_samples, n_classes)
            Class probabilities, and those of rows without labels.
        y, seed
            Labels as column indices, and the seed of this fit.
        whole : WholeFit, optional
            The fit that it is a fold of; by default a fit of its own.

        Returns
        -------
        callable
            Takes class probabilities, returns predicted columns.
        """
        raise TypeError(f"{type(self).__name__} must define quick_predictor(probabilities, y, seed).")

    def set_params(self, **params: object) -> Self:
        """Set parameters as in scikit-learn, those of the default objective too (``objective__cobias``).

        Returns
        -------
        self

        Examples
        --------
        >>> from debias.estimators.debiasers import EnsembleDebiaser
        >>> EnsembleDebiaser().set_params(objective__cobias=2.0).objective
        Objective(cobias=2.0)
        """
        inner = any(name.startswith("objective__") for name in params)
        if inner and params.get("objective", getattr(self, "objective", False)) is None:
            params = {**params, "objective": Objective()}
        super().set_params(**params)
        return self

    def _restore(self, fitted: FittedCorrection, named: bool) -> Self:
        """Take over what another debiaser learned, its columns included."""
        self.fitted_ = fitted
        self.classes_, self.columns_ = fitted.classes, fitted.columns
        self.n_features_in_ = len(fitted.classes)
        if named:
            self.feature_names_in_ = self.get_feature_names_out()  # text, as scikit-learn compares
        return self

    def expect(self, X: Rows, y: Labels) -> Expectation:
        """Cross-validate on the fitted rows, to say what to expect of new ones.

        A fit that shrinks does so by itself. It takes about twenty searches, each quicker than that of a fit.

        Parameters
        ----------
        X, y
            The rows it was fitted on.

        Returns
        -------
        Expectation
            Accuracy and COBias before and after, with intervals; also kept as ``expectation_``, so
            that :meth:`summary` says it.

        Raises
        ------
        ParameterError
            These are other rows.

        Examples
        --------
        >>> from debias.estimators.debiasers import WeightDebiaser
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat([0, 1], 60)
        >>> first = 1 / (1 + np.exp(rng.normal(size=120) - 2 + 2 * y))
        >>> X = np.column_stack([first, 1 - first])
        >>> expectation = WeightDebiaser().fit(X, y).expect(X, y)
        >>> print(expectation.describe())
        On new rows, cross-validated with 120 labels: accuracy +6 points (-2 to +15), COBias -39 (-53 to
        -23). Whether accuracy rises is uncertain.
        """
        match, probabilities = self._fitted_rows(X, y)
        goal = goal_by_column(self.fitted_.objective, self.classes_.tolist(), self.columns_)
        same = self._plain().set_params(objective=goal)
        whole = WholeFit(len(match.y))

        def choose(rows: IndexArray, seed: int) -> Predictor:
            return same.quick_predictor(probabilities[rows], match.y[rows], seed, whole=whole)

        seed, n_jobs = seed_of(self.random_state), getattr(self, "n_jobs", None)
        refused = self.fitted_.shrunk and not self.fitted_.improved  # the refused choice is what is meant
        fitted = None if refused else self.fitted_.decide
        expectation = expect_change(probabilities, match.y, choose, goal, seed, n_jobs, fitted=fitted)
        self.fitted_ = replace(self.fitted_, expectation=expectation)
        return expectation

    def _fitted_rows(self, X: Rows, y: Labels) -> tuple[ClassColumns, FloatArray]:
        """Return the rows of the fit when they are given once more; what the fit learned is untouched."""
        check_is_fitted(self)
        match, probabilities = copy.copy(self)._match(X, y)
        same_classes = match.by_column.tolist() == self._by_column().tolist()
        if not same_classes or fingerprint_of(probabilities, match.y) != self.data_fingerprint_:
            raise ParameterError(parameter="X and y", allowed="the fitted rows and labels, without weights")
        return match, probabilities

    def _plain(self) -> "BaseDebiaser":
        """Return an unfitted debiaser that fits as this one did."""
        return clone(self)

    @property
    def frontier_(self) -> pd.DataFrame:
        """The pairs of accuracy and COBias that no other choice met beats in both.

        A DataFrame by falling accuracy, with the worst class accuracy and the choice of each;
        ``frontier_.attrs["complete"]`` is True where every choice was evaluated, so that no
        pair is missing (``search="enumerate"``, or ``"auto"`` where that was quick).
        """
        if self.fitted_.family == NO_CORRECTION:
            raise AttributeError(f"this {type(self).__name__} has no frontier: no correction was searched.")
        if self.fitted_.frontier is None:
            raise AttributeError(
                f"this {type(self).__name__} has no frontier: it was read from a file, or its search "
                f"{self.fitted_.search!r} keeps none; fit it with search='auto' or 'enumerate'."
            )
        return self.fitted_.frontier.to_frame(self.classes_.tolist(), self.columns_)

    def pick(self, row: int) -> Self:
        """Return the same debiaser with the choice of another row of the frontier.

        Parameters
        ----------
        row : int
            Position in ``frontier_``.

        Returns
        -------
        BaseDebiaser
            Fitted; its ``certificate_`` is None, and its ``picked_row_`` is the row.

        Raises
        ------
        ParameterError
            There is no such row.

        Examples
        --------
        >>> from debias.estimators.debiasers import WeightDebiaser
        >>> X = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])
        >>> debiaser = WeightDebiaser(n_weights=10).fit(X, [1, 0, 0, 1])
        >>> debiaser.pick(0).predict(X), debiaser.pick(-1).predict(X)
        (array([1, 0, 0, 0]), array([1, 1, 0, 0]))
        """
        _ = self.frontier_  # refuses a debiaser without one
        picked = copy.copy(self)
        picked._sklearn_output_config = dict(getattr(self, "_sklearn_output_config", {}))
        picked.fitted_ = self.fitted_.picked(row)
        return picked

    def transform(self, X: Rows) -> FloatArray:
        """Return the corrected values.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_classes)
            Class probabilities.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Corrected values in the order of the columns of `X`, not renormalised; a
            DataFrame after ``set_output(transform="pandas")``.
        """
        probabilities = self._validated(X)
        return self.fitted_.rule.values(probabilities)

    def predict(self, X: Rows) -> LabelArray:
        """Return the class with the largest corrected value.

        Among equal values the first column wins; where all are zero, the original probabilities decide.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_classes)
            Class probabilities.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predicted labels.
        """
        probabilities = self._validated(X)
        return np.asarray(self._by_column()[self.fitted_.decide(probabilities)])

    def predict_proba(self, X: Rows) -> FloatArray:
        """Return the corrected values as probabilities.

        Parameters
        ----------
        X : DataFrame or array of shape (n_samples, n_classes)
            Class probabilities.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Corrected values divided by their sum, in the order of ``classes_``; the
            original probabilities where all are zero.
        """
        probabilities = self._validated(X)
        return self.fitted_.rule.shares(probabilities)[:, self.columns_]

    def explain(self) -> pd.DataFrame:
        """Say what was done to each class and why.

        Returns
        -------
        DataFrame
            One row per class, in the order of the columns: correction, kind, id, support,
            accuracy and predicted rows before and after on the fitted rows, and a sentence.
        """
        check_is_fitted(self)
        rows = []
        for k in np.argsort(self.columns_):
            name, correction, facts = self.classes_[k], self.corrections_[k], self.facts_[k]
            rows.append(
                {
                    "class": name,
                    "correction": correction.name,
                    "kind": "identity" if correction.is_identity else correction.kind,
                    "id": correction.id,
                    "support": facts.support,
                    "accuracy_before": facts.accuracy_before,
                    "accuracy_after": facts.accuracy_after,
                    "predicted_before": facts.predicted_before,
                    "predicted_after": facts.predicted_after,
                    "sentence": explain_class(str(name), correction, facts),
                }
            )
        return pd.DataFrame(rows).set_index("class")

    def summary(self) -> str:
        """Say in a sentence or two what the corrections do, or that none helps."""
        check_is_fitted(self)
        return describe_outcome(self.fitted_)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the correction as readable JSON; read it back with :func:`debias.load`.

        Parameters
        ----------
        path : str or path-like
            The file; it appears whole or not at all.
        """
        check_is_fitted(self)
        write_correction(self.fitted_, path, named_columns=hasattr(self, "feature_names_in_"))
