"""Descent over log-biases, as a search of its own and as a polish of corrected values.

One class after another goes to its best log-bias, which a line search finds exactly; where that
ends, two classes move together.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from numbers import Integral

import numpy as np

from debias.errors import ParameterError
from debias.search.constraints import Goal
from debias.search.log_bias.log_bias_problem import FARTHEST, LogBiasProblem
from debias.search.objective import FloatArray, IndexArray
from debias.search.problem import TOLERANCE

SPREAD = 2.0
"""Standard deviation of random starts, in nats."""

MOST_TRIED = 32
"""Log-biases of one class that are tried while another is searched along."""

MOST_LINE_SEARCHES = 2000
"""Line searches that one pass over all pairs of classes may take."""


@dataclass(frozen=True)
class LogBiasResult:
    """The best log-biases that were met, and what it took.

    Attributes
    ----------
    biases : ndarray of shape (n_classes,)
        The largest is 0; all are, where nothing is better than that.
    objective : float
        z per sample, decided literally with the values times exp(biases).
    n_evaluations : int
        Values of z computed.
    seconds : float
        Wall-clock time.
    interrupted : bool
        Whether the search was stopped before its end.
    """

    biases: FloatArray
    objective: float
    n_evaluations: int
    seconds: float
    interrupted: bool = False


def descend_log_bias(
    values: FloatArray,
    fallback_probabilities: FloatArray,
    y: IndexArray,
    objective: Goal,
    n_starts: int = 32,
    random_state: int = 0,
    on_start_done: Callable[[], object] | None = None,
    pair_searches: int | None = None,
) -> LogBiasResult:
    """Search for the best log-bias per class.

    Algorithm
    ---------
    0. Begin with no bias; then with predictions as frequent as labels, roughly; then at random
       around these two.
    1. Bring one class after another, in random order, to its best log-bias, until none improves.
    2. Of the best of all starts, take pairs of classes: the first goes to a sample of its
       intervals, the second to its best log-bias given that. The first pair that improves is
       taken, and 1 follows; no pair, or no search left of ``pair_searches``, and it ends. With so many
       classes that one pass would take more than :data:`MOST_LINE_SEARCHES`, fewer intervals are
       tried, or none.

    Every move must make z strictly smaller when all samples are decided literally, so the descent
    ends and is never worse than no bias. With two classes one line search sees every log-bias
    there is, but for single points at which samples are tied.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_classes)
        Corrected values, none negative; the probabilities themselves for a search of its own.
    fallback_probabilities : ndarray of shape (n_samples, n_classes)
        Original probabilities, which decide rows of zeros.
    y : ndarray of int, shape (n_samples,)
        Labels, as column indices.
    objective : Objective or Constrained
        What is minimised.
    n_starts : int, default=32
        Starts; the first has no bias.
    random_state : int, default=0
        Seed.
    on_start_done : callable, optional
        Called after each start, for a progress bar.
    pair_searches : int, optional
        Line searches that step 2 may take in all; 0 omits it. There is no limit by default.

    Returns
    -------
    LogBiasResult
        The best; interrupted (Ctrl-C), the best that was met.

    Raises
    ------
    TableError
        Samples of fewer than two classes.
    ParameterError
        `pair_searches` is no number of searches.

    Examples
    --------
    >>> from debias.search.objective import Objective
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> result = descend_log_bias(P, P, np.array([1, 0, 0]), Objective(pmi=0))
    >>> result.biases.round(4), result.objective
    (array([-0.6264,  0.    ]), 0.0)
    """
    started = time.perf_counter()
    if pair_searches is not None and (
        isinstance(pair_searches, bool) or not isinstance(pair_searches, Integral) or pair_searches < 0
    ):
        raise ParameterError(
            parameter="pair_searches", allowed="a non-negative integer, or None", received=pair_searches
        )
    problem = LogBiasProblem(values, fallback_probabilities, y, objective)
    rng = np.random.default_rng(random_state)
    unchanged = np.zeros(problem.n_classes)
    best, z = unchanged, problem.evaluate(unchanged)
    interrupted = False
    try:
        for start in _starts(problem, n_starts, rng):
            found, value = _move_single(problem, start, rng)
            if value < z - TOLERANCE:
                best, z = found, value
            if on_start_done is not None:
                on_start_done()
        improved, searches_left = True, float("inf") if pair_searches is None else pair_searches
        while improved:
            moved, value, n_searches = _move_pair(problem, best, z, searches_left, rng)
            improved = value < z - TOLERANCE
            searches_left -= n_searches
            if improved:
                best, z = _move_single(problem, moved, rng)
    except KeyboardInterrupt:
        interrupted = True
    return LogBiasResult(best, z, problem.n_evaluations, time.perf_counter() - started, interrupted)


def polish(
    values: FloatArray,
    probabilities: FloatArray,
    y: IndexArray,
    objective: Goal,
    n_starts: int = 8,
    random_state: int = 0,
) -> FloatArray:
    """Return a factor per class that makes corrected values decide better, or ones.

    For use after a choice of corrections: multiply the corrected values of every class by its
    factor. Never worse than the choice on the same samples.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_classes)
        Corrected values.
    probabilities : ndarray of shape (n_samples, n_classes)
        Original probabilities.
    y : ndarray of int, shape (n_samples,)
        Labels, as column indices.
    objective : Objective or Constrained
        What is minimised.
    n_starts : int, default=8
        Starts; the first has no bias.
    random_state : int, default=0
        Seed.

    Returns
    -------
    ndarray of shape (n_classes,)
        In (0, 1], the largest 1; all are exactly 1 where nothing is better.

    Examples
    --------
    >>> from debias.search.objective import Objective
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> polish(P * [0.4, 1.0], P, np.array([1, 0, 0]), Objective(pmi=0)).round(3)
    array([1.   , 0.748])
    >>> polish(P * [0.5, 1.0], P, np.array([1, 0, 0]), Objective(pmi=0))  # all right as they are
    array([1., 1.])
    """
    return np.exp(descend_log_bias(values, probabilities, y, objective, n_starts, random_state).biases)


def _starts(problem: LogBiasProblem, n_starts: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield log-biases to begin with."""
    n_classes = problem.n_classes
    mean = problem.values.mean(axis=1)
    share = (problem.support + 1) / (problem.n_samples + n_classes)
    balanced = np.log(share) - np.log(np.where(mean > 0, mean, 1.0))
    for index in range(n_starts):
        middle = balanced if index % 2 else np.zeros(n_classes)
        yield middle if index < 2 else middle + rng.normal(0.0, SPREAD, n_classes)


def _shifted(biases: FloatArray) -> FloatArray:
    """Return the same differences with 0 as the largest."""
    return np.maximum(biases - biases.max(), -FARTHEST)


def _move_single(
    problem: LogBiasProblem, biases: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, float]:
    """Move one class at a time until none improves."""
    biases = _shifted(biases)
    z = problem.evaluate(biases)
    improved = True
    while improved:
        improved = False
        for j in rng.permutation(problem.n_classes):
            moved = _with(biases, j, problem.line_search(biases, j).bias)
            value = problem.evaluate(moved)
            if value < z - TOLERANCE:
                biases, z, improved = moved, value, True
    return biases, z


def _move_pair(
    problem: LogBiasProblem, biases: FloatArray, z: float, most_searches: float, rng: np.random.Generator
) -> tuple[FloatArray, float, int]:
    """Return the first move of two classes that improves, or what was given, and its line searches."""
    pairs = list(permutations(range(problem.n_classes), 2))
    n_tried = min(MOST_TRIED, MOST_LINE_SEARCHES // len(pairs))
    n_searches = 0
    if problem.n_classes == 2 or not n_tried:
        return biases, z, n_searches
    for at in rng.permutation(len(pairs)):
        i, j = pairs[at]
        for bias in _sampled(*problem.profile(biases, i), n_tried):
            if n_searches >= most_searches:
                return biases, z, n_searches
            tried = _with(biases, i, bias)
            moved = _with(tried, j, problem.line_search(tried, j).bias)
            value, n_searches = problem.evaluate(moved), n_searches + 1
            if value < z - TOLERANCE:
                return moved, value, n_searches
    return biases, z, n_searches


def _with(biases: FloatArray, j: int, bias: float) -> FloatArray:
    """Return log-biases with that of one class changed."""
    changed = biases.copy()
    changed[j] = bias
    return _shifted(changed)


def _sampled(bounds: FloatArray, z: FloatArray, n_tried: int) -> FloatArray:
    """Return middles of intervals: half of them the best ones, half spread over all."""
    wide = np.flatnonzero(np.isfinite(z))
    if not len(wide):
        return np.zeros(0)
    best = wide[np.argsort(z[wide], kind="stable")[: n_tried - n_tried // 2]]
    spread = wide[np.linspace(0, len(wide) - 1, n_tried // 2).astype(np.int64)]
    at = np.union1d(best, spread)
    return (bounds[at] + bounds[at + 1]) / 2
