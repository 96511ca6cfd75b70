"""Generalization: what to expect of new rows, cross-validated on the labelled ones, with intervals.

Figures on fitted rows flatter. Here each labelled row is judged by corrections that were chosen
without it, and the interval widens with what few rows of a class cannot tell.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import NamedTuple

import joblib
import numpy as np
import pandas as pd

from debias.console.progress import progress_on_stderr
from debias.corrections.correction import Correction, correct, decide
from debias.metrics.confusion import cobias_of_accuracies
from debias.search.constraints import Constrained, Goal
from debias.search.objective import FloatArray, IndexArray
from debias.search.solve import announce_compilation

N_FOLDS, N_REPEATS = 5, 4
LEVEL = 0.95
_N_DRAWS = 2000
_PRIOR = 0.25
"""Rows added to each of four cells (right or wrong, before and after): one row per class in all."""


@dataclass(frozen=True)
class Change:
    """A metric before and after, its difference, and the interval of the difference; fractions."""

    before: float
    after: float
    difference: float
    low: float
    high: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Expectation:
    """What the corrections do to rows that they were not fitted on, as far as few labels can tell.

    Attributes
    ----------
    n_labels, n_folds, n_repeats : int
        Labelled rows, folds, and how often the rows were divided into folds.
    level : float
        Of the intervals.
    accuracy, cobias : Change
        Means and intervals.
    objective_before, objective_after : float
        The mean objective of held-out predictions, bounds ignored.
    """

    n_labels: int
    n_folds: int
    n_repeats: int
    level: float
    accuracy: Change
    cobias: Change
    objective_before: float
    objective_after: float

    @property
    def improves(self) -> bool:
        """Whether the corrected predictions have the lower objective."""
        return self.objective_after < self.objective_before - 1e-12

    def to_frame(self) -> pd.DataFrame:
        """Return a row per metric: before, after, difference, low, high."""
        rows = {name: asdict(getattr(self, name)) for name in ("accuracy", "cobias")}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")

    def describe(self, made: bool = True) -> str:
        """Say in a sentence what to expect.

        Parameters
        ----------
        made : bool, default=True
            Whether corrections were made; if not, the sentence says what they would have done.

        Examples
        --------
        >>> accuracy = Change(0.5, 0.52, 0.02, -0.05, 0.09)
        >>> cobias = Change(0.5, 0.38, -0.12, -0.25, -0.03)
        >>> print(Expectation(40, 5, 4, 0.95, accuracy, cobias, 1.0, 0.9).describe())
        On new rows, cross-validated with 40 labels: accuracy +2 points (-5 to +9), COBias -12 (-25 to
        -3). Whether accuracy rises is uncertain.
        """
        rows = f"new rows, cross-validated with {self.n_labels:,} labels"
        subject = f"On {rows}" if made else f"What such corrections would do to {rows}"
        said = f"{subject}: accuracy {_points(self.accuracy)}, COBias {_points(self.cobias, '')}."
        changes = {"accuracy rises": self.accuracy, "COBias falls": self.cobias}
        open_ones = [what for what, change in changes.items() if not change.is_certain]
        if not open_ones or not made:
            return said
        if len(open_ones) == 2:
            return f"{said} With so few labels the gain is uncertain."
        return f"{said} Whether {open_ones[0]} is uncertain."


def _points(change: Change, unit: str = " points") -> str:
    """Write a difference and its interval in points."""
    middle, low, high = (round(100 * x) + 0 for x in (change.difference, change.low, change.high))
    return f"{middle:+d}{unit} ({low:+d} to {high:+d})"


def expect_change(
    probabilities: FloatArray,
    y: IndexArray,
    choose: Callable[[IndexArray, int], list[Correction]],
    objective: Goal,
    random_state: int = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Expectation:
    """Cross-validate corrections, and say what remains uncertain.

    Rows are dealt out to folds class by class, several times; each is predicted by corrections
    that were chosen on the other folds. The rows of a class then show how often it is right before
    and after, before alone, after alone, and neither. The uncertainty of these four shares is
    drawn from a Dirichlet distribution: the counts, and a quarter of a row more for each. Class
    shares are drawn likewise. Unlike a bootstrap, this has some spread even where a class has one
    row, or all rows are right.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    y : ndarray of shape (n_samples,)
        Labels, as column indices.
    choose : callable
        Takes positions of rows and a seed, returns a correction per column.
    objective : Objective or Constrained
        What was minimised.
    random_state : int
        Seed of folds and draws.
    n_jobs : int, optional
        Threads, as in scikit-learn; each takes whole folds. The answer is the same.
    verbose : int
        Show a progress bar.

    Returns
    -------
    Expectation
        Classes without rows are omitted.

    Notes
    -----
    The corrections of a fold come from fewer rows than there are, so accuracies are too low rather
    than too high. COBias is the mean of absolute gaps, which chance widens: with fewer
    than about 20 rows, or classes of a row or two, it is too high before and after. How often the
    intervals hold on real tables is in ``experiments/results/few_labels.md``.

    Examples
    --------
    >>> from debias.corrections.correction import Weight
    >>> from debias.search.objective import Objective
    >>> P = np.array([[0.6, 0.4], [0.65, 0.35], [0.9, 0.1], [0.8, 0.2]] * 10)
    >>> half = [Weight(1, 2), Weight(2, 2)]
    >>> found = expect_change(P, np.array([1, 1, 0, 0] * 10), lambda rows, seed: half, Objective())
    >>> found.to_frame().round(2)
              before  after  difference   low  high
    metric
    accuracy    0.50   0.98        0.47  0.31  0.63
    cobias      0.95   0.03       -0.92 -0.99 -0.74
    """
    n_folds = min(N_FOLDS, len(y))
    with progress_on_stderr(verbose) as progress:
        announce_compilation(progress)

        def show(share: float) -> None:
            progress.show("cross-validation", share)

        n_threads = joblib.effective_n_jobs(n_jobs)
        predicted = _held_out(probabilities, y, choose, n_folds, random_state, n_threads, show)
    before = decide(probabilities, probabilities)
    after = (predicted == y).mean(axis=0)
    sides = _draws((before == y).astype(np.float64), after, y, np.random.default_rng(random_state))
    inner = objective.inner if isinstance(objective, Constrained) else objective
    n_classes = probabilities.shape[1]
    return Expectation(
        n_labels=len(y),
        n_folds=n_folds,
        n_repeats=N_REPEATS,
        level=LEVEL,
        accuracy=_change(*((side.class_accuracies * side.shares).sum(axis=1) for side in sides)),
        cobias=_change(*(cobias_of_accuracies(side.class_accuracies) for side in sides)),
        objective_before=float(inner(*inner.counts(y, before, n_classes))),
        objective_after=float(np.mean([inner(*inner.counts(y, one, n_classes)) for one in predicted])),
    )


def _held_out(
    probabilities: FloatArray,
    y: IndexArray,
    choose: Callable[[IndexArray, int], list[Correction]],
    n_folds: int,
    random_state: int,
    n_threads: int,
    on_fold_done: Callable[[float], object],
) -> IndexArray:
    """Return the column predicted for each row without it, shape (n_repeats, n_samples)."""
    predicted = np.empty((N_REPEATS, len(y)), dtype=np.int64)
    folds = np.stack([_deal(y, n_folds, [random_state, repeat]) for repeat in range(N_REPEATS)])
    n_done = 0

    def judge(repeat: int, fold: int) -> None:
        nonlocal n_done
        train, dev = (np.flatnonzero(own) for own in (folds[repeat] != fold, folds[repeat] == fold))
        values = probabilities[dev]
        if len(np.unique(y[train])) > 1:  # else nothing can be chosen
            values = correct(values, choose(train, random_state + repeat))
        predicted[repeat, dev] = decide(values, probabilities[dev])
        n_done += 1
        on_fold_done(n_done / (N_REPEATS * n_folds))

    pool = ThreadPoolExecutor(n_threads)
    try:
        parts = [pool.submit(judge, repeat, fold) for repeat in range(N_REPEATS) for fold in range(n_folds)]
        for part in parts:
            part.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return predicted


def _deal(y: IndexArray, n_folds: int, seed: list[int]) -> IndexArray:
    """Deal out the rows, shuffled and class by class, however few a class has."""
    shuffled = np.random.default_rng(seed).permutation(len(y))
    ordered = shuffled[np.argsort(y[shuffled], kind="stable")]
    fold = np.empty(len(y), dtype=np.int64)
    fold[ordered] = np.arange(len(y)) % n_folds
    return fold


class _Side(NamedTuple):
    """Draws of class accuracies and of class shares, of shape (n_draws, n_classes with rows)."""

    class_accuracies: FloatArray
    shares: FloatArray


def _draws(before: FloatArray, after: FloatArray, y: IndexArray, rng: np.random.Generator) -> list[_Side]:
    """Draw what the class accuracies may be, before and after together.

    `before` and `after` say of each row how right it is; `after` may be a fraction.
    """
    present, support = np.unique(y, return_counts=True)
    accuracies = np.empty((2, _N_DRAWS, len(present)))
    for position, k in enumerate(present):
        was, is_now = before[y == k], after[y == k]
        cells = [was * is_now, was * (1 - is_now), (1 - was) * is_now, (1 - was) * (1 - is_now)]
        drawn = rng.dirichlet(np.sum(cells, axis=1) + _PRIOR, size=_N_DRAWS)
        accuracies[:, :, position] = drawn[:, 0] + drawn[:, 1], drawn[:, 0] + drawn[:, 2]
    shares = rng.dirichlet(support + _PRIOR, size=_N_DRAWS)
    return [_Side(side, shares) for side in accuracies]


def _change(before: FloatArray, after: FloatArray) -> Change:
    """Sum up draws of a metric."""
    low, high = np.quantile(after - before, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    means = float(before.mean()), float(after.mean())
    return Change(*means, means[1] - means[0], float(low), float(high))
