"""The estimator behind the three debiasers: fit, predict, transform and explain.

Thin over :mod:`debias.search`; what it can choose from is its family.
"""

import copy
import warnings
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from debias.console.progress import progress_on_stderr
from debias.corrections.correction import Correction, correct, decide
from debias.corrections.explanations import ClassFacts, explain_class
from debias.corrections.families import Family
from debias.corrections.shapes import scale
from debias.errors import ParameterError
from debias.estimators.column_classifier import ColumnClassifier
from debias.estimators.correction_file import write_correction
from debias.estimators.few_labels.expecting import LearnsFromFew
from debias.estimators.few_labels.shrinkage import FewLabels, check_shrink, path_frame
from debias.estimators.frontier_table import Frontier, frontier_of
from debias.estimators.summary import describe_infeasible, describe_outcome
from debias.metrics.class_support import warn_of_few_rows
from debias.search.constraints import Constrained, Goal, is_feasible
from debias.search.log_bias.log_bias_descent import polish
from debias.search.objective import Objective, confusion_counts
from debias.search.problem import Problem, build_problem
from debias.search.result import SearchResult
from debias.search.search_settings import SearchSettings
from debias.search.solve import solve
from debias.tables.class_columns import ClassColumns, FloatArray, fingerprint_of


class Debiaser(LearnsFromFew, ColumnClassifier):
    """Base of the three debiasers: everything but the family to choose from.

    It takes class probabilities, learns one correction per class from labelled rows and
    predicts. Use :class:`~debias.estimators.debiasers.EnsembleDebiaser` or one of its siblings.
    """

    objective: Goal | None
    n_starts: int
    time_limit: float | None

    def fit(self, X: Any, y: Any) -> Self:
        """Choose one correction per class.

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
            A row is not a distribution, a label has no column, or only one class has rows.
        ParameterError
            A parameter has a value that is not allowed.
        """
        settings = SearchSettings(self.search, self.n_starts, self.time_limit, self.n_jobs)
        check_shrink(self.shrink, self.search, self.polish)
        objective = Objective() if self.objective is None else self.objective
        if not isinstance(objective, (Objective, Constrained)):
            raise ParameterError(
                f"objective must be an Objective(...) or Constrained(...); got {self.objective!r}."
            )
        family = self._family()
        match, probabilities = self._match(X, y)
        problem = build_problem(probabilities, match.y, family, objective)
        warn_of_few_rows(match.by_column, problem.support)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        with progress_on_stderr(self.verbose) as progress:
            result = solve(problem, settings, seed, progress)
        result, few = self._shrink(problem, probabilities, match.y, family, result, seed)
        if result.interrupted:
            warnings.warn(
                "the search was interrupted: this is the best choice met so far.", UserWarning, stacklevel=2
            )
        self._keep(match, probabilities, problem, result, family, seed, few)
        if not self.feasible_:
            warnings.warn(describe_infeasible(self), UserWarning, stacklevel=2)
        return self

    def _keep(
        self,
        match: ClassColumns,
        probabilities: FloatArray,
        problem: Problem,
        result: SearchResult,
        family: Family,
        seed: int = 0,
        few: FewLabels | None = None,
    ) -> None:
        """Set the learned attributes."""
        identity = problem.candidate(problem.identity_choice)
        best = result.best if few is None else few.choice
        best = best if best.beats(identity) else identity
        by_column = [family[index] for index in best.choice]
        if self.polish:
            values = correct(probabilities, by_column)
            by_column = scale(
                by_column, polish(values, probabilities, match.y, problem.objective, random_state=seed)
            )
        decided = decide(correct(probabilities, by_column), probabilities)
        after = confusion_counts(match.y, decided, problem.n_classes)
        self.corrections_ = [by_column[column] for column in match.columns]
        self.choice_ = np.array([correction.id for correction in self.corrections_], dtype=np.int64)
        self.objective_ = problem.objective
        self.objective_value_ = float(problem.objective(*after))
        self.baseline_objective_value_ = identity.objective
        self.improved_ = any(not correction.is_identity for correction in by_column)
        self.feasible_ = is_feasible(problem.objective, self.objective_value_)
        self.n_evaluations_ = result.n_evaluations
        self.search_seconds_ = result.seconds
        self.n_labels_ = len(match.y)
        self.data_fingerprint_ = fingerprint_of(probabilities, match.y)
        self.certificate_ = result.certificate
        self.shrunk_ = few is not None
        self.expectation_ = None if few is None else few.expectation
        self.shrinkage_path_ = (
            None if few is None else path_frame(few, family, match.columns, self.classes_.tolist())
        )
        self.picked_row_: int | None = None
        self.frontier_rows_ = (
            None if result.pareto is None else frontier_of(problem, result.pareto, result.frontier_complete)
        )
        before = problem.counts(problem.identity_choice)
        self.facts_ = [
            ClassFacts(
                support=int(problem.support[column]),
                correct_before=int(before.correct[column]),
                correct_after=int(after.correct[column]),
                predicted_before=int(before.predicted[column]),
                predicted_after=int(after.predicted[column]),
                quartiles=_quartiles(probabilities[match.y == column, column]),
            )
            for column in match.columns
        ]

    @property
    def frontier_(self) -> pd.DataFrame:
        """The pairs of accuracy and COBias that no other choice met beats in both.

        A DataFrame by falling accuracy, with the worst class accuracy and the choice of each;
        ``frontier_.attrs["complete"]`` is True where every choice was evaluated, so that no
        pair is missing (``search="enumerate"``, or ``"auto"`` where that was quick).
        """
        frontier = self._frontier_rows()
        return frontier.to_frame(self._family(), self.classes_.tolist(), self.columns_)

    def _frontier_rows(self) -> Frontier:
        frontier: Frontier | None = getattr(self, "frontier_rows_", None)
        if frontier is None:
            raise AttributeError(
                f"this {type(self).__name__} has no frontier: it is not fitted, was read from a file, or "
                f"its search {self.search!r} keeps none. Fit it with search='auto' or 'enumerate'."
            )
        return frontier

    def pick(self, row: int) -> Self:
        """Return the same debiaser with the choice of another row of the frontier.

        Parameters
        ----------
        row : int
            Position in ``frontier_``.

        Returns
        -------
        Debiaser
            Fitted; its ``certificate_`` is None, since it was chosen by hand, and its
            ``picked_row_`` is the row.

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
        frontier = self._frontier_rows()
        n_rows = len(frontier.choice)
        if not -n_rows <= row < n_rows:
            raise ParameterError(f"the frontier has rows 0 to {n_rows - 1}; got {row!r}.")
        picked = copy.copy(self)
        family = self._family()
        picked.corrections_ = [family[frontier.choice[row, column]] for column in self.columns_]
        picked.choice_ = np.array([correction.id for correction in picked.corrections_], dtype=np.int64)
        correct, predicted = frontier.correct[row], frontier.predicted[row]
        picked.objective_value_ = float(self.objective_(correct, predicted, frontier.support))
        picked.improved_ = any(not correction.is_identity for correction in picked.corrections_)
        picked.feasible_ = is_feasible(self.objective_, picked.objective_value_)
        picked.certificate_ = picked.expectation_ = picked.shrinkage_path_ = None
        picked.shrunk_ = False
        picked.picked_row_ = row % n_rows
        picked.facts_ = [
            replace(facts, correct_after=int(correct[column]), predicted_after=int(predicted[column]))
            for facts, column in zip(self.facts_, self.columns_, strict=True)
        ]
        return picked

    def _corrected(self, probabilities: FloatArray) -> FloatArray:
        """Apply the corrections, columns as they came."""
        by_column: list[Correction] = [self.corrections_[k] for k in np.argsort(self.columns_)]
        return correct(probabilities, by_column)

    def transform(self, X: Any) -> FloatArray:
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
        return self._corrected(self._validated(X))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the class with the largest corrected value.

        Among equal values the first column wins; where all are zero, the original
        probabilities decide.

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
        return np.asarray(self._by_column()[decide(self._corrected(probabilities), probabilities)])

    def predict_proba(self, X: Any) -> FloatArray:
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
        corrected = self._corrected(probabilities)
        empty = ~corrected.any(axis=1, keepdims=True)
        corrected = np.where(empty, probabilities, corrected)[:, self.columns_]
        return np.asarray(corrected / corrected.sum(axis=1, keepdims=True))

    def explain(self) -> pd.DataFrame:
        """Say what was done to each class and why.

        Returns
        -------
        DataFrame
            One row per class, in the order of the columns: correction, kind, id, support,
            accuracy and predicted rows before and after on the rows it was fitted on, and
            a sentence.
        """
        check_is_fitted(self)
        rows = [
            {
                "class": self.classes_[k],
                "correction": self.corrections_[k].name,
                "kind": "identity" if self.corrections_[k].is_identity else self.corrections_[k].kind,
                "id": int(self.choice_[k]),
                "support": self.facts_[k].support,
                "accuracy_before": self.facts_[k].accuracy_before,
                "accuracy_after": self.facts_[k].accuracy_after,
                "predicted_before": self.facts_[k].predicted_before,
                "predicted_after": self.facts_[k].predicted_after,
                "sentence": explain_class(str(self.classes_[k]), self.corrections_[k], self.facts_[k]),
            }
            for k in np.argsort(self.columns_)
        ]
        return pd.DataFrame(rows).set_index("class")

    def summary(self) -> str:
        """Say in one sentence what the corrections do, or that none was found that helps."""
        check_is_fitted(self)
        return describe_outcome(self)

    def save(self, path: Any) -> None:
        """Write the correction as readable JSON; read it back with :func:`debias.load`.

        Parameters
        ----------
        path : str or path-like
            Where to; the file appears whole or not at all.
        """
        check_is_fitted(self)
        write_correction(self, path)


def _quartiles(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    if not len(values):
        return (0.0, 0.0, 0.0)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)
