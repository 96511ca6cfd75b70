"""Compares one fitted correction with plain methods: learned from the same rows, judged on the same others.

A plain method reads nothing but the probabilities: calibrations, scalings, logistic regression, trees.
"""

import pandas as pd
from sklearn.frozen import FrozenEstimator

from debias.console.number_formats import percent, signed, signed_span
from debias.errors import ParameterError
from debias.estimators.base_debiaser import BaseDebiaser
from debias.reports.advice.recommendation import Rival
from debias.reports.comparison.compared_methods import METHODS, Method, MethodSettings
from debias.reports.comparison.comparison import FIXED, Comparison
from debias.reports.comparison.measurement import check_pair, measure
from debias.reports.comparison.verdict import beaten_by
from debias.reports.provenance import is_fitted_on
from debias.tables.table import ProbabilityTable

THIS = "this correction"
HEADER = ("method", "labels used", "accuracy, %", "COBias, points", "worst class, %")
"""Columns of :func:`comparison_rows`."""
_GROUPS = ("reference", "label-free", "plain")
_SHOWN = ("accuracy", "cobias", "worst_class_accuracy")
_LEAST = 1e-12


def compare_with_plain(
    debiaser: BaseDebiaser,
    opt: ProbabilityTable,
    test: ProbabilityTable,
    *,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Fit every plain method on the rows a correction was fitted on, and measure all on other rows.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted, on `opt`; it is not fitted again.
    opt, test : ProbabilityTable
        Labelled, with the same classes and no common row.
    level, n_resamples, seed
        Of the intervals.

    Returns
    -------
    Comparison
        Against ``"this correction"``.

    Raises
    ------
    ParameterError
        The correction was fitted on other rows, so that others would learn from more or fewer labels.
    OverlapError, TableError
        The tables share rows, have other classes, or one has no labels.
    KeyboardInterrupt
        Ctrl-C came before all methods were measured.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> opt = ProbabilityTable([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]], [1, 1, 0, 0])
    >>> test = ProbabilityTable([[0.65, 0.35], [0.95, 0.05]], [1, 0])
    >>> debiaser = WeightDebiaser().fit(opt.probabilities, opt.labels)
    >>> compared = compare_with_plain(debiaser, opt, test, n_resamples=20)
    >>> compared.against, len(compared.frames["this table"]) > 9
    ('this correction', True)
    """
    check_pair(opt, test)
    if not is_fitted_on(debiaser, opt):
        raise ParameterError(
            parameter="fitted_on",
            allowed="the rows that the correction was fitted on, so that all methods learn from the same",
            received=f"a table of {len(opt):,} rows",
        )
    settings = MethodSettings(objective=debiaser.objective_, seed=seed)
    own = Method(FIXED, THIS, "ours", lambda settings, opt: FrozenEstimator(debiaser))
    plain = [one for one in METHODS if one.group in _GROUPS and one.needs == "nothing" and not one.is_slow]
    measured = measure("this table", opt, test, [*plain, own], settings)
    if measured.interrupted:
        raise KeyboardInterrupt
    return Comparison((measured,), THIS, settings, level, n_resamples, seed, {})


def rival_of(comparison: Comparison) -> Rival | None:
    """Return the plain method that is better than the correction, if one is; else one that does the same.

    Clearly better is one that gets every class at least as right, or that is at least as good in accuracy
    and COBias, and in one of them by more than chance. One that gives every row the same class is not
    better: it may be what the correction consists of.

    Parameters
    ----------
    comparison : Comparison
        Of :func:`compare_with_plain`.
    """
    frame = next(iter(comparison.frames.values()))
    frame = frame[frame["accuracy"].notna()]
    accuracies = comparison.tables[0].class_accuracies()
    mine = accuracies.loc[comparison.against].dropna()
    others = [name for name in frame.index if name != comparison.against]
    same = [name for name in comparison.same_as_chosen() if name in others]
    unlike = [name for name in others if name not in same]
    as_right = [name for name in unlike if (accuracies.loc[name, mine.index] >= mine - _LEAST).all()]
    if as_right:
        best = str(accuracies.loc[as_right].mean(axis=1).idxmax())
        return Rival(best, "is at least as accurate for every class")
    better = beaten_by(frame, comparison.against)
    rows = {name: frame.loc[name].to_dict() for name in better}
    clear = [
        name
        for name, row in rows.items()
        if row["accuracy_difference_low"] > 0 or row["cobias_difference_high"] < 0
    ]
    if not better:
        return Rival(same[0], "gives every row the same class", is_same=True) if same else None
    name = (clear or better)[0]
    accuracy, cobias = (percent(rows[name][metric], unit=False) for metric in ("accuracy", "cobias"))
    figures = f"accuracy {accuracy} %, COBias {cobias} points"
    return Rival(name, f"is at least as good in accuracy and in COBias ({figures})", bool(clear))


def comparison_rows(comparison: Comparison) -> list[list[str]]:
    """Return a row per method as text: each figure, and its difference from the correction with interval.

    Parameters
    ----------
    comparison : Comparison
        Of :func:`compare_with_plain`.
    """
    frame = next(iter(comparison.frames.values()))
    return [[str(name), _labels(row), *(_cell(row, m) for m in _SHOWN)] for name, row in frame.iterrows()]


def _labels(row: pd.Series) -> str:
    return "–" if pd.isna(row["labels_used"]) else f"{int(row['labels_used']):,}"


def _cell(row: pd.Series, metric: str) -> str:
    value, away, low, high = (
        row[f"{metric}{end}"] for end in ("", "_difference", "_difference_low", "_difference_high")
    )
    if pd.isna(value):
        return "–"
    if low == high == 0:
        return percent(value, unit=False)
    return f"{percent(value, unit=False)} ({signed(away)}: {signed_span(low, high)})"
