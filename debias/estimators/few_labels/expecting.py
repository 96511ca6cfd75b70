"""What every debiaser can do about few labels: shrink its choice, and say what new rows will see."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from debias.corrections.families import Family
from debias.errors import ParameterError
from debias.estimators.few_labels.generalization import Expectation
from debias.estimators.few_labels.shrinkage import FewLabels, choose_from_few, cross_validate_choice, shrinks
from debias.search.constraints import Goal
from debias.search.problem import Problem, build_problem
from debias.search.result import SearchResult
from debias.tables.class_columns import FloatArray, IndexArray, fingerprint_of

if TYPE_CHECKING:
    from debias.estimators.column_classifier import ColumnClassifier as _Base
else:
    _Base = object


class LearnsFromFew(_Base):
    """A debiaser that shrinks where labels are few, and can be asked what to expect of new rows.

    Attributes
    ----------
    shrunk_ : bool
        Whether the choice was made as few labels ask for.
    shrinkage_path_ : DataFrame or None
        The path of choices that it was taken from, see
        :func:`~debias.estimators.few_labels.shrinkage.path_frame`.
    expectation_ : Expectation or None
        What to expect of new rows, if that was asked for or the choice was shrunk.
    """

    shrink: bool | str = False
    polish: bool = False
    search: str
    n_jobs: int | None = None
    random_state: Any
    verbose: int = 0

    shrunk_: bool
    shrinkage_path_: pd.DataFrame | None
    expectation_: Expectation | None
    data_fingerprint_: str
    objective_: Goal

    def _family(self) -> Family:
        raise TypeError(f"{type(self).__name__} must define _family().")

    def expect(self, X: Any, y: Any) -> Expectation:
        """Cross-validate on the rows it was fitted on, to say what to expect of new ones.

        A fit that shrinks does so by itself. What it takes grows with the rows: about twenty
        searches, quicker ones than that of a fit.

        Parameters
        ----------
        X, y
            The rows it was fitted on.

        Returns
        -------
        Expectation
            Accuracy and COBias before and after, with intervals; kept as ``expectation_`` too, so
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
        On new rows, cross-validated with 120 labels: accuracy +6 points (-2 to +14), COBias -39 (-52 to
        -24). Whether accuracy rises is uncertain.
        """
        check_is_fitted(self)
        match, probabilities = self._match(X, y)
        if fingerprint_of(probabilities, match.y) != self.data_fingerprint_:
            raise ParameterError("expect: X and y must be the rows that it was fitted on.")
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self.expectation_ = self._expect(probabilities, match.y, seed)
        return self.expectation_

    def _expect(self, probabilities: FloatArray, y: IndexArray, seed: int) -> Expectation:
        family = self._family()
        problem = build_problem(probabilities, y, family, self.objective_)
        return cross_validate_choice(self, problem, probabilities, y, family, self.shrunk_, seed)

    def _shrink(
        self,
        problem: Problem,
        probabilities: FloatArray,
        y: IndexArray,
        family: Family,
        result: SearchResult,
        seed: int,
    ) -> tuple[SearchResult, FewLabels | None]:
        """Shrink what a search found, where that is asked for; the result says if it was interrupted."""
        if result.interrupted or not shrinks(self.shrink, self.search, self.polish, len(y)):
            return result, None
        identity = problem.candidate(problem.identity_choice)
        best = result.best if result.best.beats(identity) else identity
        try:
            return result, choose_from_few(self, problem, probabilities, y, family, best, seed)
        except KeyboardInterrupt:
            return replace(result, interrupted=True), None
