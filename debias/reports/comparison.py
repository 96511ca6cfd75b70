"""Corrections compared with the baselines that a reader must see: one row per method, same test rows.

Every method says how many labels it used; supervised ones learn from the same rows.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from debias.console.number_formats import HIGHER_IS_BETTER, METRIC_NAMES
from debias.console.progress import dropped_at_ctrl_c
from debias.errors import InterruptedWarning, TableError
from debias.estimators.baselines import (
    BatchCalibration,
    LogisticRegressionBaseline,
    MajorityClass,
    Uncorrected,
)
from debias.estimators.column_classifier import ColumnClassifier
from debias.estimators.debiasers import EnsembleDebiaser, FuzzyDebiaser, WeightDebiaser
from debias.metrics.scores import intervals
from debias.reports.findings import describe_interval
from debias.search.constraints import Goal
from debias.tables.overlap import check_disjoint
from debias.tables.table import ProbabilityTable

SUPERVISED = "logistic regression"
"""The honest reference: where it is better in both accuracy and COBias, it should be used."""

CORRECTIONS = ("weight (DNIP)", "fuzzy (FuRud)", "ensemble (DCS)", "ensemble, published annealing")
"""Names of the methods of this project."""


def default_methods(
    objective: Goal | None = None,
    n_weights: int = 30,
    n_starts: int = 32,
    n_jobs: int | None = None,
    seed: int = 0,
) -> dict[str, ColumnClassifier]:
    """Return the methods that every comparison carries, not fitted.

    Parameters
    ----------
    objective : Objective or Constrained, optional
        What the corrections minimise.
    n_weights, n_starts, n_jobs, seed
        As in :class:`debias.estimators.debiasers.EnsembleDebiaser`.

    Returns
    -------
    dict
        Estimators by name.

    Examples
    --------
    >>> list(default_methods())[:3]
    ['uncorrected', 'majority class', 'batch calibration']
    """
    weight, fuzzy = WeightDebiaser(n_weights=n_weights), FuzzyDebiaser()
    both, published = (EnsembleDebiaser(n_weights=n_weights) for _ in range(2))
    for debiaser in (weight, fuzzy, both):
        debiaser.set_params(n_starts=n_starts, n_jobs=n_jobs)
    corrections = (weight, fuzzy, both, published.set_params(search="annealing-3/6"))
    for debiaser in corrections:
        debiaser.set_params(objective=objective, random_state=seed)
    return {
        "uncorrected": Uncorrected(),
        "majority class": MajorityClass(),
        "batch calibration": BatchCalibration(),
        SUPERVISED: LogisticRegressionBaseline(),
        **dict(zip(CORRECTIONS, corrections, strict=True)),
    }


def compare(
    opt: ProbabilityTable,
    test: ProbabilityTable,
    methods: Mapping[str, ColumnClassifier] | None = None,
    *,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
    on_method: Callable[[str], object] | None = None,
) -> pd.DataFrame:
    """Fit every method on the opt rows and measure it on the test rows.

    Methods without labels see the opt rows' probabilities only, none of the test rows'.

    Parameters
    ----------
    opt, test : ProbabilityTable
        Labelled, with the same classes and no common row.
    methods : mapping of str to estimator, optional
        scikit-learn classifiers over class probabilities; :func:`default_methods` if not given.
    level : float, default=0.95
        Confidence level of the intervals.
    n_resamples : int, default=1000
        Bootstrap resamples.
    seed : int, default=0
        Seed of the resampling.
    on_method : callable, optional
        Called with the name of each method before it is fitted.

    Returns
    -------
    DataFrame
        Indexed by method; labels_used, then accuracy, cobias, worst_class_accuracy and macro_f1,
        each with ``_low`` and ``_high``, all fractions, then fit_seconds. After Ctrl-C the methods that
        were not measured are in ``attrs["missing"]``.

    Raises
    ------
    OverlapError
        The tables share rows.
    TableError
        A table has no labels, or the classes differ.
    KeyboardInterrupt
        Ctrl-C came before a method was measured.

    Warns
    -----
    InterruptedWarning
        Ctrl-C came later: the methods measured so far are returned.

    Examples
    --------
    >>> opt = ProbabilityTable([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]], [1, 1, 0, 0])
    >>> test = ProbabilityTable([[0.65, 0.35], [0.95, 0.05]], [1, 0])
    >>> compare(opt, test)["accuracy"][["uncorrected", "majority class", "ensemble (DCS)"]]
    method
    uncorrected       0.5
    majority class    0.5
    ensemble (DCS)    1.0
    Name: accuracy, dtype: float64
    """
    check_disjoint(opt, test)
    if set(opt.classes) != set(test.classes):
        raise TableError(
            parameter="the classes of the test table",
            allowed=f"those of the opt table, {list(opt.classes)}",
            received=list(test.classes),
        )
    names = list(opt.classes)
    for table in (opt, test):
        _ = table.label_indices  # an unlabelled table is refused with what to do about it
    X_test, y_test = test.probabilities[names], np.array(test.classes)[test.label_indices]
    asked, rows = dict(default_methods() if methods is None else methods), {}
    try:
        for name, method in asked.items():
            if on_method is not None:
                on_method(name)
            started = time.perf_counter()
            _fit_to_the_end(method, opt)
            seconds = time.perf_counter() - started
            measured = intervals(y_test, method.predict(X_test), names, level, n_resamples, seed)
            rows[name] = (
                {"labels_used": labels_used(method, len(opt))} | _flat(measured) | {"fit_seconds": seconds}
            )
    except KeyboardInterrupt:
        if not rows:
            raise
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
    frame.attrs["missing"] = [name for name in asked if name not in rows]
    if frame.attrs["missing"]:
        warnings.warn(describe_missing(frame), InterruptedWarning, stacklevel=2)
    return frame


def _fit_to_the_end(method: ColumnClassifier, opt: ProbabilityTable) -> None:
    """Fit a method; a search that Ctrl-C ended early is not measured, whatever it kept."""
    with warnings.catch_warnings(), dropped_at_ctrl_c():
        warnings.simplefilter("ignore", InterruptedWarning)
        method.fit(opt.probabilities, opt.labels)
    if getattr(method, "interrupted_", False):
        raise KeyboardInterrupt


def describe_missing(comparison: pd.DataFrame) -> str:
    """Say which methods are missing after Ctrl-C; nothing where none is.

    Examples
    --------
    >>> frame = pd.DataFrame()
    >>> frame.attrs["missing"] = ["fuzzy (FuRud)"]
    >>> describe_missing(frame)
    'the comparison was interrupted; not measured: fuzzy (FuRud).'
    """
    missing = comparison.attrs.get("missing", [])
    return f"the comparison was interrupted; not measured: {', '.join(missing)}." if missing else ""


def with_missing(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return a comparison for a file: a row without figures, and a note, for each method that is missing.

    Parameters
    ----------
    comparison : DataFrame
        What :func:`compare` returned.

    Returns
    -------
    DataFrame
        The same where none is missing.
    """
    missing = comparison.attrs.get("missing", [])
    if not missing:
        return comparison
    whole = comparison.reindex([*comparison.index, *missing]).rename_axis("method")
    whole["labels_used"] = whole["labels_used"].astype("Int64")
    return whole.assign(note=["interrupted: not measured" if name in missing else "" for name in whole.index])


def labels_used(method: object, n_samples: int) -> int:
    """Return how many labels a fitted method used: what it says, else all that it was given.

    Examples
    --------
    >>> labels_used(Uncorrected().fit([[0.7, 0.3]]), 1)
    0
    """
    return int(getattr(method, "n_labels_", n_samples))


def _flat(measured: pd.DataFrame) -> dict[str, float]:
    """Put the overall metrics and their intervals into one row."""
    flat: dict[str, float] = {}
    for metric in METRIC_NAMES:
        row = measured.loc[[(metric, "")]].iloc[0]
        flat |= {metric: row["value"], f"{metric}_low": row["low"], f"{metric}_high": row["high"]}
    return flat


def formatted(comparison: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return header and cells of a comparison for people, on a scale of 0 to 100, without macro F1.

    Parameters
    ----------
    comparison : DataFrame
        What :func:`compare` returned.

    Returns
    -------
    header : list of str
        Column names.
    rows : list of list of str
        Values with intervals.
    """
    shown = {metric: name for metric, name in METRIC_NAMES.items() if metric != "macro_f1"}
    rows = []
    for name, row in comparison.iterrows():
        cells = []
        for metric in shown:
            side = row[[metric, f"{metric}_low", f"{metric}_high"]].set_axis(
                ["after", "after_low", "after_high"]
            )
            cells.append(describe_interval(side, "after"))
        rows.append([str(name), f"{int(row['labels_used']):,}", *cells])
    return ["method", "labels used", *shown.values()], rows


def remarks(comparison: pd.DataFrame) -> list[str]:
    """Say which methods no other beats in both accuracy and COBias, and whether plain learning wins.

    Parameters
    ----------
    comparison : DataFrame
        What :func:`compare` returned.

    Returns
    -------
    list of str
        Sentences.

    Examples
    --------
    >>> frame = pd.DataFrame(
    ...     {"accuracy": [0.6, 0.7, 0.8], "cobias": [0.3, 0.2, 0.1]},
    ...     index=["uncorrected", "ensemble (DCS)", "logistic regression"],
    ... )
    >>> for remark in remarks(frame):
    ...     print(remark)
    Not beaten in accuracy and COBias together by any other method here: logistic regression.
    Logistic regression on the same labels beats every correction here in both: consider it instead.
    """
    best = ", ".join(name for name in comparison.index if not _beaten_by(comparison, name, comparison.index))
    found = [f"Not beaten in accuracy and COBias together by any other method here: {best}."]
    corrections = [name for name in CORRECTIONS if name in comparison.index]
    comparable = SUPERVISED in comparison.index and bool(corrections)
    if comparable and all(_beaten_by(comparison, name, [SUPERVISED]) for name in corrections):
        found.append(
            "Logistic regression on the same labels beats every correction here in both: consider it instead."
        )
    return found


def _beaten_by(comparison: pd.DataFrame, name: str, others: Iterable[object]) -> bool:
    """Whether one of the others is at least as good in both figures and better in one."""
    sign = np.array([1 if HIGHER_IS_BETTER[metric] else -1 for metric in ("accuracy", "cobias")])
    values = comparison[["accuracy", "cobias"]].to_numpy(dtype=np.float64) * sign
    mine = values[comparison.index.get_loc(name)]
    theirs = values[[comparison.index.get_loc(other) for other in others]]
    return bool(((theirs >= mine).all(axis=1) & (theirs > mine).any(axis=1)).any())
