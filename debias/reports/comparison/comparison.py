"""Compares corrections with the baselines that a reader must see: one row per method, same test rows.

Every method says how many labels it used; supervised ones learn from the same rows.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin, clone

from debias.console.notebooks.card import card
from debias.console.number_formats import counted, percent
from debias.errors import InterruptedWarning, ParameterError
from debias.estimators.column_classifier import ColumnClassifier
from debias.metrics.resampling import check_resampling
from debias.reports.comparison.compared_methods import OURS, Method, MethodSettings, choose_methods
from debias.reports.comparison.comparison_figures import PairedFigures
from debias.reports.comparison.comparison_plot import comparison_plot
from debias.reports.comparison.measurement import Announce, MeasuredTable, check_pair, measure
from debias.reports.comparison.verdict import verdict
from debias.tables.table import ProbabilityTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Pairs = Sequence[tuple[ProbabilityTable, ProbabilityTable]]
FIXED = "this"
"""Key of a method that was fitted before and is not fitted again."""
Methods = Sequence[str] | Mapping[str, ColumnClassifier] | None


@dataclass(frozen=True)
class Comparison:
    """Methods on the same rows, of one pair of tables or of several.

    Attributes
    ----------
    tables : tuple of MeasuredTable
        What every method predicted.
    against : str
        The method that differences are from.
    settings : MethodSettings
        What the methods have in common.
    level : float
        Confidence level of the intervals.
    n_resamples, seed : int
        Of the bootstrap.
    missing : dict of str to list of str
        After Ctrl-C, the methods that were not measured, by table.
    """

    tables: tuple[MeasuredTable, ...]
    against: str
    settings: MethodSettings
    level: float
    n_resamples: int
    seed: int
    missing: dict[str, list[str]]

    @cached_property
    def _figures(self) -> PairedFigures:
        return PairedFigures(
            self.tables, self.against, self.settings.objective, self.level, self.n_resamples, self.seed
        )

    @cached_property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Figures of every table, by its name: see :func:`compare`."""
        return self._figures.frames()

    @cached_property
    def mean(self) -> pd.DataFrame | None:
        """Means over the tables with deviations, for more than one table; None for one."""
        return self._figures.mean() if len(self.tables) > 1 else None

    @cached_property
    def verdicts(self) -> dict[str, list[str]]:
        """The verdict on each table, by its name."""
        return {
            table.name: verdict(
                self.frames[table.name], table.class_accuracies(), self.against, same=self.same_as_chosen()
            )
            for table in self.tables
        }

    def same_as_chosen(self) -> list[str]:
        """Return the methods that give every row of every table the class of a correction fitted before."""
        found: list[list[str]] = []
        for table in self.tables:
            predicted = table.predictions()
            fixed = [one.method.name for one in table.measurements if one.method.key == FIXED]
            if fixed != [self.against] or self.against not in predicted:
                return []
            mine = predicted.pop(self.against)
            found.append([name for name, theirs in predicted.items() if np.array_equal(theirs, mine)])
        return [name for name in found[0] if all(name in names for names in found)] if found else []

    @cached_property
    def verdict(self) -> list[str]:
        """One to three sentences on who wins, by how much, and what to use."""
        if self.mean is None:
            return next(iter(self.verdicts.values()))
        both = pd.concat({table.name: table.class_accuracies() for table in self.tables}, axis=1)
        return verdict(self.mean, both, self.against, self.frames)

    @property
    def notes(self) -> list[str]:
        """What a reader must know beside the verdict."""
        measured = [frame["accuracy"].notna().sum() for frame in self.frames.values()]
        found = [
            f"The best of {counted(max(measured), 'row')} is the best on these test rows: expect its lead to "
            "shrink on new ones. Beaten in accuracy and COBias together: another row is at least as good "
            "in both and better in one."
        ]
        for name, frame in self.frames.items():
            of = f" on {name}" if len(self.tables) > 1 else ""
            reasons = frame.loc[frame["note"].str.startswith("failed"), "note"]
            found += [f"{method}{of}: {reason}." for method, reason in reasons.items()]
        for table in self.tables:
            support = pd.Series(table.truth).value_counts()
            absent = [one for place, one in enumerate(table.classes) if place not in support.index]
            if absent:
                found.append(f"No test rows of {', '.join(absent)} in {table.name}: no figure covers them.")
        if len({table.rows for table in self.tables}) < len(self.tables):
            found.append(
                "Tables with the same test rows are resampled together in the intervals of the mean."
            )
        return found

    def _repr_html_(self) -> str:
        """Return a card for notebooks: the verdict, and the main figures of each method."""
        figures = next(iter(self.frames.values())) if self.mean is None else self.mean
        shown = ["labels_used", "accuracy", "cobias", "worst_class_accuracy"]
        rows = [
            [str(name), *("–" if pd.isna(row[one]) else _cell(one, row[one]) for one in shown)]
            for name, row in figures.iterrows()
        ]
        of = next(iter(self.frames)) if self.mean is None else f"mean of {len(self.tables)} tables"
        title = f"Comparison on {of}, against {self.against}"
        header = ["method", "labels used", "accuracy, %", "COBias, points", "worst class, %"]
        return card(title, header=header, rows=rows, lines=self.verdict, most=len(rows))

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Plot accuracy and COBias of every method, with intervals.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw into; new ones by default.

        Returns
        -------
        matplotlib.axes.Axes
            A row for each method; lines mark the method that the others are compared with.

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.

        Examples
        --------
        >>> opt = ProbabilityTable([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]], [1, 1, 0, 0])
        >>> test = ProbabilityTable([[0.65, 0.35], [0.95, 0.05]], [1, 0])
        >>> axes = compare_tables([(opt, test)], ["uncorrected", "weight"], n_resamples=9).plot()
        >>> [text.get_text() for text in axes.get_yticklabels()]
        ['uncorrected', 'weight (DNIP)']
        """
        figures = next(iter(self.frames.values())) if self.mean is None else self.mean
        return comparison_plot(figures, self.against, ax)

    def to_frame(self) -> pd.DataFrame:
        """Return all figures in one frame, indexed by method, for a file; ``table`` says of which."""
        parts = [frame.assign(table=name) for name, frame in self.frames.items()]
        if self.mean is not None:
            parts.append(self.mean.assign(table="mean"))
        whole = pd.concat(parts)
        return whole[["table", *whole.columns.drop("table")]]


def _cell(column: str, value: float) -> str:
    """Write a count, or a fraction on a scale of 0 to 100."""
    return f"{int(value):,}" if column == "labels_used" else percent(float(value), unit=False)


def compare(
    opt: ProbabilityTable,
    test: ProbabilityTable,
    methods: Methods = None,
    *,
    against: str | None = None,
    settings: MethodSettings | None = None,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
    on_method: Announce | None = None,
) -> pd.DataFrame:
    """Fit every method on the opt rows and measure it on the test rows.

    Methods without labels see the opt rows' probabilities only, none of the test rows'.

    Parameters
    ----------
    opt, test : ProbabilityTable
        Labelled, with the same classes and no common row.
    methods, against, settings, level, n_resamples, seed, on_method
        As in :func:`compare_tables`.

    Returns
    -------
    DataFrame
        Indexed by method; labels_used, needs (nothing, texts, model, weights), then accuracy,
        balanced_accuracy, macro_f1, cobias, worst_class_accuracy and z, each with ``_low`` and ``_high``,
        never_predicted (classes), the difference of each metric from the chosen method, as
        ``accuracy_difference`` with ``_low`` and ``_high``, fit_seconds, group, and a note where a method was
        not measured. All but z are fractions.

    Raises
    ------
    OverlapError, TableError, ParameterError, KeyboardInterrupt
        As in :func:`compare_tables`.

    Examples
    --------
    >>> opt = ProbabilityTable([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]], [1, 1, 0, 0])
    >>> test = ProbabilityTable([[0.65, 0.35], [0.95, 0.05]], [1, 0])
    >>> compare(opt, test, ["uncorrected", "majority", "ensemble"])["accuracy"]
    method
    uncorrected       0.5
    majority class    0.5
    ensemble (DCS)    1.0
    Name: accuracy, dtype: float64
    """
    comparison = compare_tables(
        [(opt, test)],
        methods,
        against=against,
        settings=settings,
        level=level,
        n_resamples=n_resamples,
        seed=seed,
        on_method=on_method,
    )
    return next(iter(comparison.frames.values()))


def compare_tables(
    pairs: Pairs,
    methods: Methods = None,
    *,
    names: Sequence[str] | None = None,
    against: str | None = None,
    slow: bool = False,
    settings: MethodSettings | None = None,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
    on_method: Announce | None = None,
) -> Comparison:
    """Compare methods on several pairs of tables: other tasks, prompts or seeds.

    Parameters
    ----------
    pairs : sequence of (opt, test)
        Labelled tables; the two of a pair have the same classes and no common row.
    methods : sequence of str, or mapping of str to estimator, optional
        Keys or names out of :data:`debias.reports.comparison.METHODS`, or classifiers of your own over
        class probabilities. By default all rows but the slow ones whose needs are met.
    names : sequence of str, optional
        What the pairs are called; "table 1", ... by default.
    against : str, optional
        Key or name of the method that differences are from; by default what is recommended.
    slow : bool, default=False
        Whether slow rows are among the default ones.
    settings : MethodSettings, optional
        Objective, search, and the model for methods that ask it.
    level : float, default=0.95
        Confidence level of the intervals.
    n_resamples : int, default=1000
        Bootstrap resamples, within classes; differences are paired.
    seed : int, default=0
        Seed of the resampling.
    on_method : callable, optional
        Called with the name of each method before it is fitted.

    Returns
    -------
    Comparison

    Raises
    ------
    OverlapError
        The tables of a pair share rows.
    TableError
        A table has no labels or rows that do not sum to 1, or the classes of a pair differ.
    ParameterError
        A method is unknown or not among those chosen, there is no pair, names are not one each, or the
        level, `n_resamples` or `seed` is not allowed.
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
    >>> compared = compare_tables([(opt, test), (test, opt)], ["uncorrected", "ensemble"])
    >>> compared.mean["accuracy"].tolist()
    [0.5, 0.75]
    """
    check_resampling(level, n_resamples, seed)
    settings = MethodSettings() if settings is None else settings
    called = [f"table {number}" for number in range(1, len(pairs) + 1)] if names is None else list(names)
    if not pairs or len(called) != len(pairs) or len(set(called)) != len(called):
        raise ParameterError(
            parameter="names", allowed=f"{len(pairs)} different names, one or more", received=called
        )
    asked = _chosen(methods, slow)
    if methods is None:
        asked = [one for one in asked if all(one.can_run(opt, test, settings) for opt, test in pairs)]
    chosen = _against(against, asked)
    for opt, test in pairs:
        check_pair(opt, test)
    measured: list[MeasuredTable] = []
    for name, (opt, test) in zip(called, pairs, strict=True):
        announce = on_method
        if on_method is not None and len(pairs) > 1:
            announce = partial(_announced, on_method, name)
        measured.append(measure(name, opt, test, asked, settings, announce))
        if measured[-1].interrupted:
            break
    missing = {
        table.name: [one.method.name for one in table.measurements if one.reason.startswith("interrupted")]
        for table in measured
        if table.interrupted
    }
    missing |= {name: [one.name for one in asked] for name in called[len(measured) :]}
    if missing and not any(table.predictions() for table in measured):
        raise KeyboardInterrupt
    tables = tuple(table for table in measured if table.predictions() or not table.interrupted)
    compared = Comparison(tables, chosen, settings, level, n_resamples, seed, missing)
    if missing:
        warnings.warn(describe_missing(compared), InterruptedWarning, stacklevel=2)
    return compared


def _announced(on_method: Announce, table: str, method: str) -> None:
    on_method(f"{table}: {method}")


def _chosen(methods: Methods, slow: bool) -> list[Method]:
    """Return the methods that are compared."""
    if not isinstance(methods, Mapping):
        return choose_methods(methods, slow)
    return [Method(name, name, "given", _cloning(own)) for name, own in methods.items()]


def _cloning(own: ColumnClassifier) -> Callable[[MethodSettings, ProbabilityTable], ClassifierMixin]:
    """Return what makes a copy of an estimator of the caller, not fitted."""
    return lambda settings, opt: clone(own)


def _against(against: str | None, asked: Sequence[Method]) -> str:
    """Return the name of the method that differences are from."""
    if against is None:
        own = [one.name for one in asked if one.group == "ours"]
        return next((name for name in (*OURS, *own) if name in own), asked[0].name)
    for one in asked:
        if against in (one.key, one.name):
            return one.name
    raise ParameterError(
        parameter="against",
        allowed=f"one of the methods compared, {', '.join(one.key for one in asked)}",
        received=against,
    )


def describe_missing(comparison: Comparison) -> str:
    """Say which methods are missing after Ctrl-C; nothing where none is."""
    if not comparison.missing:
        return ""
    several = len({table.name for table in comparison.tables} | set(comparison.missing)) > 1
    parts = [
        f"{', '.join(names)}{f' on {table}' if several else ''}"
        for table, names in comparison.missing.items()
    ]
    return f"the comparison was interrupted; not measured: {'; '.join(parts)}."
