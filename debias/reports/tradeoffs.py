"""The trade-offs of a frontier for a reader: the rows that matter, and their figures on other rows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.console.notebooks.drawing import AFTER, BEFORE, INK, axes_for
from debias.console.notebooks.frontier_drawing import Mark, draw_frontier
from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.prediction import predict_table
from debias.metrics.scores import class_accuracy, cobias_from_accuracies
from debias.search.problem import TOLERANCE
from debias.tables.overlap import check_disjoint
from debias.tables.table import ProbabilityTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICKED = "#1a7f37"
_RING = {
    "marker": "o", "color": AFTER, "markerfacecolor": "none", "markersize": 9, "markeredgewidth": 2,
}  # fmt: skip
METRICS = ("accuracy", "cobias", "worst_class_accuracy")


@dataclass(frozen=True)
class Tradeoffs:
    """A frontier, and the choices in it that a reader looks for.

    Attributes
    ----------
    rows : DataFrame
        A row per choice by falling accuracy: :data:`METRICS` on the fitted rows, ``n_changed``, and
        ``test_`` metrics where a test table was given.
    corrections : DataFrame
        A column per class: the name of its correction in each row.
    uncorrected, chosen : Series
        The same figures of the uncorrected model and of the best choice by the objective.
    chosen_row : int or None
        Row of that choice; None where it is not on the frontier, since the objective also weighs
        the information of predictions.
    dominating_row : int or None
        Of the rows that beat the uncorrected model in accuracy and COBias at once, the one whose
        two gains have the largest product: that does not depend on what a point of either is
        worth. None where no row beats it.
    chance : float
        Accuracy of guessing: a choice below it is even because it is wrong everywhere.
    complete : bool
        Whether every choice was evaluated: no trade-off that exists is missing.
    """

    rows: pd.DataFrame
    corrections: pd.DataFrame
    uncorrected: pd.Series
    chosen: pd.Series
    chosen_row: int | None
    dominating_row: int | None
    chance: float
    complete: bool

    @property
    def marks(self) -> dict[int, str]:
        """The marks of the rows that have any."""
        found: dict[int, list[str]] = {}
        for row, mark in (
            (self.uncorrected_row, "uncorrected"),
            (self.chosen_row, "default"),
            (self.dominating_row, "dominates most"),
        ):
            if row is not None:
                found.setdefault(row, []).append(mark)
        return {row: ", ".join(said) for row, said in found.items()}

    @property
    def uncorrected_row(self) -> int | None:
        """Row of the uncorrected model, where nothing beats it."""
        return _row_of(self.rows, self.uncorrected)

    def shown(self, wanted: list[int]) -> list[int]:
        """Return the rows to show on a screen: some of those better than chance, and those wanted."""
        n_useful = int((self.rows["accuracy"] >= self.chance).sum())
        return thinned(n_useful, sorted({*self.marks, *wanted}))

    def plot(self, ax: "Axes | None" = None, picked: int | None = None) -> "Axes":
        """Plot COBias over accuracy for every row.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw into; new ones by default.
        picked : int, optional
            A row to mark.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.
        """
        axes = axes_for(ax, 7.2, 4.6)
        self.draw(axes, picked)
        axes.legend(frameon=False, labelcolor=INK)
        return axes

    def draw(self, axes: "Axes", picked: int | None = None) -> None:
        """Draw the same into axes, without a legend.

        Parameters
        ----------
        axes : matplotlib.axes.Axes
        picked : int, optional
            A row to mark.
        """
        rows = self.rows[["accuracy", "cobias"]].to_numpy() * 100
        wanted = [row for row in (picked, self.chosen_row, self.dominating_row) if row is not None]
        measured = None
        if "test_accuracy" in self.rows:  # those that are best on the test table are looked for most
            measured = self.rows[["test_accuracy", "test_cobias"]].to_numpy() * 100
            wanted += [int(measured[:, 0].argmax()), int(measured[:, 1].argmin())]
        label = "frontier (every choice)" if self.complete else "frontier (of the choices found)"
        first = [*wanted, *self.shown(wanted)]
        draw_frontier(axes, rows, self._marked(picked), label=label, first=first, measured=measured)

    def _marked(self, picked: int | None) -> list[Mark]:
        """Return the points that matter, with their names and looks."""
        points: list[tuple[pd.Series, str, dict[str, object]]] = [
            (self.uncorrected, "uncorrected model", {"marker": "X", "color": BEFORE, "markersize": 10}),
            (self.chosen, "choice of the default objective", _RING),
        ]
        for row, label, style in (
            (self.dominating_row, "beats the uncorrected model most", {"marker": "D", "color": AFTER}),
            (picked, f"picked, row {picked}", {"marker": "*", "color": PICKED, "markersize": 15}),
        ):
            if row is not None:
                points.append((self.rows.iloc[row], label, {"markersize": 7, **style}))
        return [Mark((100 * at["accuracy"], 100 * at["cobias"]), label, style) for at, label, style in points]

    def to_frame(self) -> pd.DataFrame:
        """Return everything in one table: row, metrics, what is said of it, a column per class."""
        frame = self.rows.reset_index(names="row")
        frame["mark"] = [self.marks.get(row, "") for row in frame["row"]]
        return frame.join(self.corrections.add_prefix("correction_"))


def tradeoffs_of(debiaser: BaseDebiaser, test: ProbabilityTable | None = None) -> Tradeoffs:
    """Return the trade-offs that a search has met.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted, with a frontier.
    test : ProbabilityTable, optional
        Other labelled rows to measure every choice on.

    Returns
    -------
    Tradeoffs
        Rows as in ``debiaser.frontier_``.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> X = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])
    >>> found = tradeoffs_of(WeightDebiaser(n_weights=10).fit(X, [1, 0, 0, 1]))
    >>> found.to_frame()[["row", "accuracy", "cobias", "mark"]]
       row  accuracy  cobias            mark
    0    0      0.75     0.5  dominates most
    1    1      0.50     0.0         default
    """
    frontier = debiaser.frontier_
    picks = [debiaser.pick(row) for row in range(len(frontier))]
    before = debiaser.fitted_.counts(corrected=False)
    uncorrected = _figures(before.correct, before.support)
    best = min([debiaser, *picks], key=lambda one: one.objective_value_)  # a frontier may know a better one
    after = best.fitted_.counts()
    chosen = _figures(after.correct, after.support)
    rows = frontier[[*METRICS, "n_changed"]].copy()
    if test is not None:
        predicted = predict_table(debiaser, test)
        truth, classes = predicted["label"], list(test.classes)
        measured = [_measure(truth, predict_table(pick, test)["prediction"], classes) for pick in picks]
        rows = rows.join(pd.DataFrame(measured, index=rows.index).add_prefix("test_"))
        for figures, guesses in (
            (uncorrected, predicted["uncorrected"]),
            (chosen, predict_table(best, test)["prediction"]),
        ):
            for name, value in _measure(truth, guesses, classes).items():
                figures[f"test_{name}"] = value
    names = [[correction.name for correction in pick.corrections_] for pick in picks]
    return Tradeoffs(
        rows=rows,
        corrections=pd.DataFrame(names, columns=[str(label) for label in debiaser.classes_]),
        uncorrected=uncorrected,
        chosen=chosen,
        chosen_row=_row_of(rows, chosen),
        dominating_row=_dominating_most(rows, uncorrected),
        chance=1 / int((before.support > 0).sum()),
        complete=bool(frontier.attrs["complete"]),
    )


def check_test(opt: ProbabilityTable, test: ProbabilityTable) -> None:
    """Refuse a test table that shares rows with the fitted one, or has no labels.

    Parameters
    ----------
    opt, test : ProbabilityTable
        What is fitted on, and what is tested on.

    Raises
    ------
    OverlapError
        They share rows.
    TableError
        The test table has no labels.
    """
    _ = test.label_indices
    check_disjoint(opt, test)


def thinned(n_rows: int, wanted: list[int], most: int = 20) -> list[int]:
    """Return which rows of a long table to show: evenly spread ones, both ends and those wanted.

    Parameters
    ----------
    n_rows : int
        Rows that there are.
    wanted : list of int
        Rows that must be among them.
    most : int, default=20
        Rows to show beside those wanted.

    Returns
    -------
    list of int
        Ascending.

    Examples
    --------
    >>> thinned(100, [7, 50], most=5), thinned(3, [])
    ([0, 7, 25, 50, 74, 99], [0, 1, 2])
    """
    spread = np.linspace(0, max(n_rows - 1, 0), min(n_rows, most)).round().astype(int)
    return sorted({*spread.tolist(), *wanted})


def _figures(correct: npt.NDArray[np.int64], support: npt.NDArray[np.int64]) -> pd.Series:
    """Return the metrics of confusion counts."""
    present = support > 0
    accuracies = correct[present] / support[present]
    values = (correct.sum() / support.sum(), cobias_from_accuracies(accuracies), accuracies.min())
    return pd.Series(dict(zip(METRICS, map(float, values), strict=True)))


def _measure(truth: pd.Series, predicted: pd.Series, classes: list[str]) -> dict[str, float]:
    """Return the metrics of predictions."""
    accuracies = class_accuracy(truth, predicted, classes).dropna().to_numpy()
    values = ((truth == predicted).mean(), cobias_from_accuracies(accuracies), accuracies.min())
    return dict(zip(METRICS, map(float, values), strict=True))


def _row_of(rows: pd.DataFrame, figures: pd.Series) -> int | None:
    """Return the row with the same accuracy and COBias, if there is one."""
    gaps = (rows[["accuracy", "cobias"]] - figures[["accuracy", "cobias"]]).abs().max(axis=1).to_numpy()
    return int(gaps.argmin()) if gaps.min() <= TOLERANCE else None


def _dominating_most(rows: pd.DataFrame, uncorrected: pd.Series) -> int | None:
    """Return the row that beats the uncorrected model in both by the largest product of gains."""
    more_right = (rows["accuracy"] - uncorrected["accuracy"]).to_numpy()
    more_even = (uncorrected["cobias"] - rows["cobias"]).to_numpy()
    both = (more_right > TOLERANCE) & (more_even > TOLERANCE)
    return int(np.where(both, more_right * more_even, -1).argmax()) if both.any() else None
