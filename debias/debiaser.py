"""The estimator behind the three debiasers: fit, predict, transform and explain.

Thin over :mod:`debias.search`; what it can choose from is its family.
"""

import hashlib
import warnings
from typing import Any, Self

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from debias.class_probabilities import ClassColumns, FloatArray, IndexArray
from debias.column_classifier import ColumnClassifier
from debias.constrained import Constrained, Goal, is_feasible
from debias.correction_file import write_correction
from debias.corrections import Correction, correct, decide
from debias.errors import ParameterError
from debias.explanations import ClassFacts, explain_class
from debias.families import Family
from debias.objective import Objective
from debias.outcome import describe_infeasible, describe_outcome
from debias.search.annealing import SCHEDULES, anneal
from debias.search.descent import descend
from debias.search.problem import Problem, build_problem
from debias.search.result import SearchResult

SEARCHES = ("descent", *SCHEDULES)
"""Names that ``search`` may have."""


class Debiaser(ColumnClassifier):
    """Base of the three debiasers: everything but the family to choose from.

    It takes class probabilities, learns one correction per class from labelled rows and
    predicts. Use :class:`~debias.estimators.EnsembleDebiaser` or one of its siblings.
    """

    objective: Goal | None
    search: str
    n_starts: int
    n_jobs: int | None
    random_state: Any
    verbose: int

    def _family(self) -> Family:
        raise TypeError(f"{type(self).__name__} must define _family().")

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
        if self.search not in SEARCHES:
            raise ParameterError(f"search must be one of {SEARCHES}; got {self.search!r}.")
        if not isinstance(self.n_starts, (int, np.integer)) or self.n_starts < 1:
            raise ParameterError(f"n_starts must be an integer of at least 1; got {self.n_starts!r}.")
        objective = Objective() if self.objective is None else self.objective
        if not isinstance(objective, (Objective, Constrained)):
            raise ParameterError(
                f"objective must be an Objective(...) or Constrained(...); got {self.objective!r}."
            )
        if self.n_jobs == 0:
            raise ParameterError("n_jobs must be None, a number of threads from 1 on, or -1 for all; got 0.")
        family = self._family()
        match, probabilities = self._match(X, y)
        problem = build_problem(probabilities, match.y, family, objective)
        _warn_of_missing_classes(match, problem)
        result = self._search(problem)
        if result.interrupted:
            warnings.warn(
                "the search was interrupted: this is the best choice met so far.", UserWarning, stacklevel=2
            )
        self._keep(match, probabilities, problem, result, family)
        if not self.feasible_:
            warnings.warn(describe_infeasible(self), UserWarning, stacklevel=2)
        return self

    def _search(self, problem: Problem) -> SearchResult:
        """Run the search that was asked for."""
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        if self.search != "descent":
            return anneal(problem, SCHEDULES[self.search], seed)
        n_threads = joblib.effective_n_jobs(self.n_jobs)
        if not self.verbose:
            return descend(problem, self.n_starts, seed, n_threads)
        from rich.progress import Progress

        with Progress() as progress:
            task = progress.add_task("descents", total=self.n_starts)
            return descend(
                problem, self.n_starts, seed, n_threads, on_start_done=lambda: progress.advance(task)
            )

    def _keep(
        self,
        match: ClassColumns,
        probabilities: FloatArray,
        problem: Problem,
        result: SearchResult,
        family: Family,
    ) -> None:
        """Set the learned attributes."""
        identity = problem.candidate(problem.identity_choice)
        best = result.best if result.best.beats(identity) else identity
        by_column = [family[index] for index in best.choice]
        self.corrections_ = [by_column[column] for column in match.columns]
        self.choice_ = np.array([correction.id for correction in self.corrections_], dtype=np.int64)
        self.objective_ = problem.objective
        self.objective_value_ = problem.evaluate(best.choice)
        self.baseline_objective_value_ = identity.objective
        self.improved_ = bool(best.n_changed)
        self.feasible_ = is_feasible(problem.objective, best.objective)
        self.n_evaluations_ = result.n_evaluations
        self.search_seconds_ = result.seconds
        self.n_labels_ = len(match.y)
        self.data_fingerprint_ = fingerprint_of(probabilities, match.y)
        before, after = problem.counts(problem.identity_choice), problem.counts(best.choice)
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


def fingerprint_of(probabilities: FloatArray, y: IndexArray) -> str:
    """Identify labelled rows, in order, so that a file can say what it was fitted on.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    y : ndarray of int64, shape (n_samples,)
        Labels as column indices.

    Returns
    -------
    str
        A SHA-256 digest.

    Examples
    --------
    >>> fingerprint_of(np.eye(2), np.array([0, 1]))[:8]
    '7c43fc4a'
    """
    digest = hashlib.sha256(np.ascontiguousarray(probabilities).tobytes())
    digest.update(y.tobytes())
    return digest.hexdigest()


def _warn_of_missing_classes(match: ClassColumns, problem: Problem) -> None:
    """Name the classes without rows: nothing is known of their accuracy."""
    missing = [str(match.by_column[k]) for k in np.flatnonzero(problem.support == 0)]
    if missing:
        warnings.warn(
            f"no labelled row of {', '.join(missing)}: left out of COBias, and its correction is a guess.",
            UserWarning,
            stacklevel=3,
        )
