"""Generalization: what to expect of new rows, cross-validated on the labelled ones, with intervals.

Figures on fitted rows flatter. Cross-validation shows by how much, and that is taken off (the
optimism of Efron: Estimating the error rate of a prediction rule, JASA 1983). The interval widens
with what few rows of a class cannot tell, and where the choice depends on which rows are labelled.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import NamedTuple, TypeAlias

import joblib
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from debias.console.progress import progress_on_stderr
from debias.corrections.correction import Correction
from debias.corrections.decision_rule import correct, decide
from debias.estimators.few_labels.fold_dealing import deal_rows
from debias.metrics.confusion import cobias_of_accuracies
from debias.search.constraints import Constrained, Goal
from debias.search.objective import FloatArray, IndexArray
from debias.search.solve import announce_compilation
from debias.tables.information import common_rows

Predictor: TypeAlias = Callable[[FloatArray], IndexArray]
"""Takes probabilities of shape (n_samples, n_classes), returns predicted columns of shape (n_samples,)."""

N_FOLDS, N_REPEATS = 5, 4
LEVEL = 0.95
FEW_LABELS = 100
"""Labelled rows below which a fit shrinks by default. It helps from some 20 rows; with 10 it does
not, see experiments/results/few_labels.md."""
_N_DRAWS = 2000
SHARE_OF_FITS = 0.75
"""Share of the variance between the fits of the folds that the variance of a difference grows by. It was
set on simulated tables, see experiments/results/few_label_intervals.md."""
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


def predictor(corrections: Sequence[Correction]) -> Predictor:
    """Return the function that predicts by some corrections, one per column.

    Examples
    --------
    >>> from debias.corrections.correction import Weight
    >>> predictor([Weight(1, 2), Weight(2, 2)])(np.array([[0.6, 0.4], [0.9, 0.1]]))
    array([1, 0])
    """
    return lambda probabilities: decide(correct(probabilities, corrections), probabilities)


def as_they_are(probabilities: FloatArray) -> IndexArray:
    """Return the columns that are predicted without any correction."""
    return decide(probabilities, probabilities)


def expect_change(
    probabilities: FloatArray,
    y: IndexArray,
    choose: Callable[[IndexArray, int], Predictor],
    objective: Goal,
    random_state: int = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
    fitted: Predictor | None = None,
) -> Expectation:
    """Cross-validate a way to choose corrections, and say what remains uncertain.

    Algorithm
    ---------
    1. Rows are dealt out to folds class by class, several times; something is chosen without each
       fold, and predicts all rows.
    2. How much more often a row is right by choices that saw it than by those that did not is the
       optimism of the row; it is taken off what was fitted on all rows.
    3. The rows of a class then show how often it is right before and after, before alone, after
       alone, and neither. The uncertainty of these four shares is drawn from a Dirichlet
       distribution: the counts, and a quarter of a row more for each. Class shares are drawn
       likewise. Unlike a bootstrap, this has some spread even where a class has one row, or all
       rows are right.
    4. The interval is widened as if three quarters of the variance between the choices of the folds
       were added: where they differ much, so does what is fitted from what they tell.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    y : ndarray of shape (n_samples,)
        Labels, as column indices.
    choose : callable
        Takes positions of rows and a seed, returns what predicts columns from probabilities: see
        :func:`predictor` for corrections.
    objective : Objective or Constrained
        What was minimised.
    random_state : int
        Seed of folds and draws.
    n_jobs : int, optional
        Threads, as in scikit-learn; each takes whole folds. The answer is the same.
    verbose : int
        Show a progress bar.
    fitted : callable, optional
        Predicts by what was fitted on all rows, which the figures are about; default: what `choose`
        returns for all rows.

    Returns
    -------
    Expectation
        Classes without rows are omitted.

    Notes
    -----
    COBias is the mean of absolute gaps, which chance widens: with fewer than about 20 rows, or
    classes of a row or two, it is too high before and after. How often the intervals hold on real
    tables is in ``experiments/results/few_label_intervals.md``.

    Examples
    --------
    >>> from debias.corrections.correction import Weight
    >>> from debias.search.objective import Objective
    >>> P = np.array([[0.6, 0.4], [0.65, 0.35], [0.9, 0.1], [0.8, 0.2]] * 10)
    >>> half = predictor([Weight(1, 2), Weight(2, 2)])
    >>> found = expect_change(P, np.array([1, 1, 0, 0] * 10), lambda rows, seed: half, Objective())
    >>> found.to_frame().round(2)
              before  after  difference   low  high
    metric
    accuracy    0.50   0.98        0.47  0.31  0.63
    cobias      0.95   0.03       -0.92 -0.99 -0.74
    """
    held = hold_out(probabilities, y, choose, random_state, n_jobs, verbose, fitted)
    before, n_classes = as_they_are(probabilities), probabilities.shape[1]
    return expectation_of(before, y, held, objective, n_classes, random_state)


class HeldOut(NamedTuple):
    """Predictions of all rows by what was chosen on the rows outside each fold.

    Attributes
    ----------
    fold : ndarray of shape (n_repeats, n_samples)
        The fold of each row.
    predicted : ndarray of shape (n_repeats, n_folds, n_samples)
        Columns predicted by what was chosen without a fold: for its rows, and for all others.
    fitted : ndarray of shape (n_samples,)
        Columns predicted by what was fitted on all rows.
    """

    fold: IndexArray
    predicted: IndexArray
    fitted: IndexArray

    @property
    def without(self) -> IndexArray:
        """The column predicted for each row without it, shape (n_repeats, n_samples)."""
        return np.take_along_axis(self.predicted, self.fold[:, None, :], axis=1)[:, 0]


def hold_out(
    probabilities: FloatArray,
    y: IndexArray,
    choose: Callable[[IndexArray, int], Predictor],
    random_state: int = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
    fitted: Predictor | None = None,
    n_repeats: int = N_REPEATS,
) -> HeldOut:
    """Choose without each fold in turn, and predict all rows; other parameters as in `expect_change`."""
    n_folds = min(N_FOLDS, len(y))
    folds = np.stack(
        [deal_rows(probabilities, y, n_folds, [random_state, repeat]) for repeat in range(n_repeats)]
    )
    predicted = np.empty((n_repeats, n_folds, len(y)), dtype=np.int64)
    n_done = 0

    def judge(repeat: int, fold: int) -> None:
        nonlocal n_done
        train = np.flatnonzero(folds[repeat] != fold)
        if len(np.unique(y[train])) > 1:
            predicted[repeat, fold] = choose(train, random_state + repeat)(probabilities)
        else:  # nothing can be chosen
            predicted[repeat, fold] = as_they_are(probabilities)
        n_done += 1
        progress.show("cross-validation", n_done / (n_repeats * n_folds))

    # The limit is on the whole process, so it is set here, not by each of the threads.
    with progress_on_stderr(verbose) as progress, threadpool_limits(1):
        announce_compilation(progress)
        pool = ThreadPoolExecutor(joblib.effective_n_jobs(n_jobs))
        try:
            parts = [pool.submit(judge, *part) for part in np.ndindex(n_repeats, n_folds)]
            for part in parts:
                part.result()
        finally:
            pool.shutdown(cancel_futures=True)
        if fitted is None:
            fitted = choose(np.arange(len(y)), random_state)
    _agree_on_common_rows(probabilities, folds, predicted)
    return HeldOut(folds, predicted, fitted(probabilities))


def _agree_on_common_rows(probabilities: FloatArray, folds: IndexArray, predicted: IndexArray) -> None:
    """Give rows that are the same the column that most of them get without them.

    A correction gives all of them one class. Each fold might give another, and together they would look as
    if they were divided evenly between the classes.
    """
    for rows in common_rows(probabilities):
        for repeat, fold in enumerate(folds[:, rows]):
            predicted[repeat, fold, rows] = np.bincount(predicted[repeat, fold, rows]).argmax()


def expectation_of(
    before: IndexArray,
    y: IndexArray,
    held: HeldOut,
    objective: Goal,
    n_classes: int,
    random_state: int = 0,
    share_of_fits: float = SHARE_OF_FITS,
) -> Expectation:
    """Return what held-out predictions let expect, given the uncorrected ones; see `expect_change`."""
    without = held.without
    rng = np.random.default_rng(random_state)
    sides = _draws((before == y).astype(np.float64), _less_optimism(y, held), y, rng)
    between = [share_of_fits * variance for variance in _variance_between_fits(before, y, held)]
    inner = objective.inner if isinstance(objective, Constrained) else objective
    return Expectation(
        n_labels=len(y),
        n_folds=held.predicted.shape[1],
        n_repeats=len(without),
        level=LEVEL,
        accuracy=_change(between[0], *map(_accuracy, sides)),
        cobias=_change(between[1], *(cobias_of_accuracies(side.class_accuracies) for side in sides)),
        objective_before=float(inner(*inner.counts(y, before, n_classes))),
        objective_after=float(np.mean([inner(*inner.counts(y, one, n_classes)) for one in without])),
    )


class _Side(NamedTuple):
    """Class accuracies and class shares, both of shape (n, n_classes with rows)."""

    class_accuracies: FloatArray
    shares: FloatArray


def _accuracy(side: _Side) -> FloatArray:
    return np.asarray((side.class_accuracies * side.shares).sum(axis=1))


def _less_optimism(y: IndexArray, held: HeldOut) -> FloatArray:
    """Return how right each row is by what was fitted, less the optimism; of a class, never below 0."""
    n_repeats, n_folds, _ = held.predicted.shape
    right = held.predicted == y
    own = np.arange(n_folds)[:, None] == held.fold[:, None, :]
    outside = (right & own).sum(axis=(0, 1)) / n_repeats
    inside = (right & ~own).sum(axis=(0, 1)) / (n_repeats * (n_folds - 1))
    return np.asarray((held.fitted == y) - inside + outside)


def _variance_between_fits(before: IndexArray, y: IndexArray, held: HeldOut) -> tuple[float, float]:
    """Return how the differences of accuracy and COBias on all rows vary between the fits of folds."""
    present, support = np.unique(y, return_counts=True)
    fits = held.predicted.reshape(-1, len(y))
    accuracies = np.stack([(fits[:, y == k] == k).mean(axis=1) for k in present], axis=1)
    side = _Side(accuracies, np.tile(support / len(y), (len(fits), 1)))
    return float(_accuracy(side).var()), float(cobias_of_accuracies(accuracies).var())


def _draws(before: FloatArray, after: FloatArray, y: IndexArray, rng: np.random.Generator) -> list[_Side]:
    """Draw what the class accuracies may be, before and after together.

    `before` and `after` say of each row how right it is; `after` may be any fraction, and its sums are
    clipped to the rows there are.
    """
    present, support = np.unique(y, return_counts=True)
    accuracies = np.empty((2, _N_DRAWS, len(present)))
    for position, k in enumerate(present):
        was, is_now = before[y == k], after[y == k]
        n_right = was.sum()
        n_wrong = len(was) - n_right
        kept, won = np.clip(was @ is_now, 0, n_right), np.clip((1 - was) @ is_now, 0, n_wrong)
        drawn = rng.dirichlet(np.array([kept, n_right - kept, won, n_wrong - won]) + _PRIOR, size=_N_DRAWS)
        accuracies[:, :, position] = drawn[:, 0] + drawn[:, 1], drawn[:, 0] + drawn[:, 2]
    shares = rng.dirichlet(support + _PRIOR, size=_N_DRAWS)
    return [_Side(side, shares) for side in accuracies]


def _change(more_variance: float, before: FloatArray, after: FloatArray) -> Change:
    """Sum up draws of a metric, and widen the interval to that of a larger variance."""
    means, drawn = (float(before.mean()), float(after.mean())), after - before
    difference = means[1] - means[0]
    wider = float(np.sqrt(1 + more_variance / drawn.var()))
    low, high = difference + wider * (np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) - difference)
    return Change(*means, difference, max(float(low), -1.0), min(float(high), 1.0))
