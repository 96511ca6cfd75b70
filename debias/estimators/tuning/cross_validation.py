"""Cross-validation of many settings at once: one search per fold and family, for all objectives.

What a fold chooses is found on its train rows alone, see :mod:`debias.search.descent.multi_objective`, and
judged on its dev rows, which no search of that fold has seen.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from debias.corrections.decision_rule import correct, decide
from debias.corrections.families import Family
from debias.estimators.tuning.folds import Fold
from debias.estimators.tuning.tuning_settings import Setting
from debias.search.descent.multi_objective import search_together
from debias.search.objective import FloatArray, IndexArray, Objective, confusion_counts
from debias.search.problem import build_problem


class _Judged(NamedTuple):
    """The choices of one fold and family, a row per objective, and what they are worth on the dev rows."""

    choices: IndexArray
    n_changed: IndexArray
    correct: IndexArray
    support: IndexArray
    radius: int
    n_evaluations: int


def _accuracy(judged: _Judged) -> FloatArray:
    return np.asarray(judged.correct.sum(axis=1) / judged.support.sum())


def _cobias(judged: _Judged) -> FloatArray:
    return np.asarray(Objective(0.0, 1.0, 0.0)(judged.correct, judged.correct, judged.support))


def _class_accuracies(judged: _Judged) -> FloatArray:
    """Return the accuracies of the classes that have dev rows, by choice."""
    present = judged.support > 0
    return np.asarray(judged.correct[:, present] / judged.support[present])


METRICS: dict[str, Callable[[_Judged], FloatArray]] = {
    "accuracy": _accuracy,
    "cobias": _cobias,
    "accuracy_minus_cobias": lambda judged: _accuracy(judged) - _cobias(judged),
    "worst_class_accuracy": lambda judged: np.asarray(_class_accuracies(judged).min(axis=1)),
    "balanced_accuracy": lambda judged: np.asarray(_class_accuracies(judged).mean(axis=1)),
}
"""What a choice is worth on dev rows, by name; classes without dev rows are omitted."""


@dataclass(frozen=True)
class CrossValidation:
    """What settings were worth on rows that had not been searched.

    Attributes
    ----------
    results : DataFrame
        A row per setting: ``family``, ``n_weights``, the weights of the objective, ``mean_`` and
        ``std_`` over the folds of each of :data:`METRICS` on the dev rows, ``mean_n_changed``
        classes, and ``proved_radius``, the least of all folds; ``attrs["n_folds"]``.
    choices : ndarray of shape (n_folds, n_settings, n_classes)
        What each fold chose, as ids of corrections by column.
    n_evaluations : int
        Choices that were counted, each for all objectives of its fold and family.
    interrupted : bool
        Whether Ctrl-C ended it; only finished folds count.
    """

    results: pd.DataFrame
    choices: IndexArray
    n_evaluations: int
    interrupted: bool


def cross_validate(
    probabilities: FloatArray,
    y: IndexArray,
    settings: Sequence[Setting],
    folds: Sequence[Fold],
    n_starts: int = 32,
    random_state: int = 0,
    n_threads: int = 1,
    on_progress: Callable[[str, float], object] | None = None,
) -> CrossValidation:
    """Judge every setting on every fold.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    y : ndarray of shape (n_samples,)
        Labels, as column indices.
    settings : sequence of Setting
        Those of one family and scale share their search.
    folds : sequence of (ndarray, ndarray)
        Positions of train and dev rows.
    n_starts, random_state : int
        Of each search, see :func:`~debias.search.descent.multi_objective.search_together`.
    n_threads : int, default=1
        Searches at a time; the answer does not depend on them.
    on_progress : callable, optional
        Called with what is being done and the share that is done.

    Returns
    -------
    CrossValidation
        Interrupted (Ctrl-C), that of the folds that were done.

    Raises
    ------
    KeyboardInterrupt
        Before any fold was done.

    Examples
    --------
    >>> from debias.estimators.tuning.tuning_settings import combine
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.62, 0.38]])
    >>> settings = combine([Objective(pmi=0.0)], 10, "weights")
    >>> folds = [(np.array([0, 2]), np.array([1, 3]))]
    >>> found = cross_validate(P, np.array([1, 0, 0, 1]), settings, folds)
    >>> found.results[["mean_accuracy", "mean_cobias"]]
       mean_accuracy  mean_cobias
    0            1.0          0.0
    """
    groups: dict[tuple[str, int | None], list[int]] = {}
    for index, setting in enumerate(settings):
        groups.setdefault((setting.family, setting.n_weights), []).append(index)
    tasks = list(product(folds, groups.values()))
    seeds = np.random.SeedSequence(random_state).generate_state(len(tasks))
    stop = threading.Event()

    def run(task: int) -> _Judged:
        (train, dev), members = tasks[task]
        return _judge(
            (probabilities[train], y[train]),
            (probabilities[dev], y[dev]),
            settings[members[0]].corrections(),
            [settings[index].objective for index in members],
            n_starts,
            int(seeds[task]),
            stop,
        )

    judged = _run_all(run, len(tasks), n_threads, stop, on_progress)
    by_fold = [judged[at : at + len(groups)] for at in range(0, len(tasks), len(groups))]
    whole = [[one for one in fold if one is not None] for fold in by_fold if None not in fold]
    if not whole:
        raise KeyboardInterrupt("no fold was done")
    return _gather(settings, list(groups.values()), whole, stop.is_set())


def _run_all(
    run: Callable[[int], _Judged],
    n_tasks: int,
    n_threads: int,
    stop: threading.Event,
    on_progress: Callable[[str, float], object] | None,
) -> list[_Judged | None]:
    """Run tasks in threads; after Ctrl-C, those that were not done by then are None."""
    with ThreadPoolExecutor(n_threads) as pool:
        futures = [pool.submit(run, task) for task in range(n_tasks)]
        try:
            for n_done, future in enumerate(as_completed(futures), start=1):
                future.result()  # an error ends it all at once
                if on_progress is not None:
                    on_progress("cross-validation", n_done / n_tasks)
            return [future.result() for future in futures]
        except BaseException as error:
            done = [future.done() for future in futures]  # before those that run are cut short
            stop.set()
            pool.shutdown(cancel_futures=True)
            if not isinstance(error, KeyboardInterrupt):
                raise
            return [future.result() if ok else None for future, ok in zip(futures, done, strict=True)]


def _judge(
    train: tuple[FloatArray, IndexArray],
    dev: tuple[FloatArray, IndexArray],
    family: Family,
    objectives: Sequence[Objective],
    n_starts: int,
    seed: int,
    stop: threading.Event,
) -> _Judged:
    """Search on the train rows under all objectives together, then judge each choice on the dev rows."""
    problem = build_problem(*train, family, objectives[0])
    found = search_together(problem, objectives, n_starts, seed, stop)
    probabilities, y = dev
    right: dict[tuple[int, ...], IndexArray] = {}
    for choice in dict.fromkeys(best.choice for best in found.best):
        predicted = decide(correct(probabilities, [family[index] for index in choice]), probabilities)
        right[choice] = confusion_counts(y, predicted, problem.n_classes).correct
    return _Judged(
        choices=family.ids[np.array([best.choice for best in found.best])],
        n_changed=np.array([best.n_changed for best in found.best]),
        correct=np.array([right[best.choice] for best in found.best]),
        support=np.bincount(y, minlength=problem.n_classes),
        radius=found.radius,
        n_evaluations=found.n_evaluations,
    )


def _gather(
    settings: Sequence[Setting], groups: list[list[int]], folds: list[list[_Judged]], interrupted: bool
) -> CrossValidation:
    """Bring together what the folds have found for the settings of each family and scale."""
    frame = pd.DataFrame(
        {
            "family": [setting.family for setting in settings],
            "n_weights": pd.array([setting.n_weights for setting in settings], dtype="Int64"),
            "error_weight": [float(setting.objective.error) for setting in settings],
            "cobias_weight": [float(setting.objective.cobias) for setting in settings],
            "pmi_weight": [float(setting.objective.pmi) for setting in settings],
            "smoothing": [float(setting.objective.smoothing) for setting in settings],
        }
    )
    order = np.argsort(np.concatenate(groups))

    def by_fold(part: Callable[[_Judged], IndexArray | FloatArray]) -> IndexArray:
        """Return a part of all that was judged, shape (n_folds, n_settings, ...)."""
        return np.array([np.concatenate([part(one) for one in fold])[order] for fold in folds])

    for name, metric in METRICS.items():
        values = by_fold(metric)
        frame[f"mean_{name}"] = values.mean(axis=0)
        frame[f"std_{name}"] = values.std(axis=0)
    frame["mean_n_changed"] = by_fold(lambda one: one.n_changed).mean(axis=0)
    frame["proved_radius"] = by_fold(lambda one: np.full(len(one.choices), one.radius)).min(axis=0)
    frame.attrs["n_folds"] = len(folds)
    n_evaluations = sum(one.n_evaluations for fold in folds for one in fold)
    return CrossValidation(frame, by_fold(lambda one: one.choices), n_evaluations, interrupted)
