"""The estimator that chooses a continuous factor per class: a log-bias, not tied to a scale of weights.

Adding a log-bias to the logarithm of a probability multiplies the probability by a factor. Only
ratios of factors matter, so the largest is 1 and every corrected value stays in [0, 1].
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from debias.corrections.families import IDENTITY, Family
from debias.corrections.shapes import Scaled, scale
from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.column_classifier import RandomState, seed_of
from debias.estimators.few_labels.generalization import Predictor, predictor
from debias.estimators.few_labels.whole_fit import WholeFit
from debias.estimators.fitted.fitted_correction import FittedCorrection
from debias.estimators.fitted.summary import warn_of_outcome
from debias.estimators.fitted.weighted_rows import weighted_rows
from debias.metrics.class_support import FEW_ROWS, warn_of_few_rows
from debias.search.constraints import Goal
from debias.search.goals.class_order import goal_by_column
from debias.search.goals.goal_scaling import scaled_goal
from debias.search.log_bias.log_bias_descent import descend_log_bias
from debias.search.log_bias.near_biases import near_biases
from debias.search.problem import build_problem, goal_of
from debias.search.proof.near_ties import NearTies, extremes, highest_of, tie_of
from debias.search.result import SearchResult
from debias.search.search_settings import SearchSettings
from debias.tables.class_columns import ClassColumns, FloatArray, IndexArray

_FOLD_STARTS = 3


@dataclass(kw_only=True, eq=False, repr=False)
class LogBiasDebiaser(BaseDebiaser):
    """A continuous factor per class, searched for by exact line searches over its logarithm.

    Where :class:`~debias.estimators.debiasers.WeightDebiaser` takes one of 30 steps, this takes any factor
    in (0, 1]: enough for classes that the model names a hundred times too often.

    Parameters
    ----------
    objective : Objective or Constrained, optional
        What is minimised, with or without bounds; ``Objective()`` by default.
    n_starts : int, default=32
        Starts of the descent.
    pair_searches : int, optional
        Line searches for moves of two classes at once, which take most of the time; no limit by default.
    classes : sequence of length n_classes, optional
        Class labels in the order of the columns, for arrays whose labels are names.
    random_state : int, RandomState or None, default=0
        Seed of the random starts.
    tolerance : float, default=0.0
        As in :class:`~debias.estimators.debiasers.EnsembleDebiaser`, of the log-biases that were met.

    Attributes
    ----------
    corrections_ : tuple of Correction
        The identity, or :class:`~debias.corrections.shapes.Scaled`, with the factor, for every class.
    choice_ : ndarray of shape (n_classes,)
        17 where the probability is unchanged, else a number of at least 1000: a continuous factor
        has no published id.
    n_evaluations_ : int
        Values of the objective computed.

    The other attributes are those of :class:`~debias.estimators.debiasers.EnsembleDebiaser`.

    Examples
    --------
    >>> from debias.search.objective import Objective
    >>> X = np.array([[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]])
    >>> debiaser = LogBiasDebiaser(objective=Objective(pmi=0.0)).fit(X, [1, 0, 0])
    >>> debiaser.explain()["correction"].tolist()
    ['factor 0.513', 'identity']
    >>> debiaser.predict(X)
    array([1, 0, 0])
    """

    objective: Goal | None = None
    n_starts: int = 32
    pair_searches: int | None = None
    classes: Sequence[object] | None = None
    random_state: RandomState = 0
    tolerance: float = 0.0

    def learn(  # noqa: D102
        self,
        match: ClassColumns,
        probabilities: FloatArray,
        sample_weight: npt.ArrayLike | None = None,
        unlabelled: FloatArray | None = None,
    ) -> FittedCorrection:
        SearchSettings(n_starts=self.n_starts, tolerance=self.tolerance)
        objective = goal_of(self.objective)
        objective = goal_by_column(objective, match.classes.tolist(), match.columns)
        given = match.y
        match, probabilities, counted, parts, _ = weighted_rows(match, probabilities, sample_weight)
        objective = scaled_goal(objective, parts)
        started = time.perf_counter()
        found = descend_log_bias(
            probabilities,
            probabilities,
            match.y,
            objective,
            self.n_starts,
            seed_of(self.random_state),
            pair_searches=self.pair_searches,
        )
        highest = highest_of(objective, found.objective, self.tolerance)
        near, n_more, interrupted = [found.biases], 0, found.interrupted
        if not interrupted and objective.is_feasible(found.objective):
            try:
                near, n_more = near_biases(
                    probabilities, probabilities, match.y, objective, found.biases, highest
                )
            except KeyboardInterrupt:  # what the descent found is kept
                interrupted = True
        seconds = time.perf_counter() - started
        family, choices = _family_of(near)
        problem = build_problem(probabilities, match.y, family, objective)
        support = np.bincount(given[counted], minlength=problem.n_classes)
        if support.min() < FEW_ROWS:
            warn_of_few_rows(match.by_column, support)
        identity, best = (problem.candidate(choice) for choice in (problem.identity_choice, choices[0]))
        if not best.beats(identity):
            best = identity
        ties: NearTies | None = None
        if not interrupted and problem.objective.is_feasible(best.objective):
            tied = dict.fromkeys([best.choice, *map(tuple, choices[1:].tolist())])
            ties = extremes([tie_of(problem, choice) for choice in tied], highest, self.tolerance)
            best = problem.candidate(ties.rows[0].choice)
        result = SearchResult(best, found.n_evaluations + n_more, seconds, interrupted, near=ties)
        by_column = [family[index] for index in best.choice]
        fitted = FittedCorrection.of(
            match,
            probabilities,
            problem,
            by_column,
            result,
            family,
            method=type(self).__name__,
            search="log-bias descent",
            n_labels=int(counted.sum()),
            is_finite=False,
        )
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
        goal = goal_of(self.objective)
        found = descend_log_bias(probabilities, probabilities, y, goal, _FOLD_STARTS, seed, pair_searches=0)
        return predictor(scale([IDENTITY] * probabilities.shape[1], np.exp(found.biases)))


def _family_of(biases: Sequence[FloatArray]) -> tuple[Family, IndexArray]:
    """Return a family of the identity and every factor that was found, and the choices in it."""
    factors = np.exp(np.array(biases))
    places = {1.0: 0} | {
        factor: at for at, factor in enumerate(dict.fromkeys(factors[factors < 1].tolist()), 1)
    }
    family = Family([IDENTITY, *(Scaled(IDENTITY, factor) for factor in list(places)[1:])])
    return family, np.array([[places[min(factor, 1.0)] for factor in row] for row in factors.tolist()])
