"""The plot of a frontier: a staircase of the best COBias at each accuracy, and the points that matter."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.console.notebooks.drawing import AFTER, BEFORE, GRID, INK, QUIET, blank
from debias.console.number_formats import counted
from debias.files.atomic_file import atomic_path
from debias.reports.tradeoffs import Tradeoffs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray: TypeAlias = npt.NDArray[np.float64]
_Style: TypeAlias = dict[str, object]
_Mark: TypeAlias = tuple[tuple[float, float], str, _Style]
"""Accuracy and COBias times 100, a label, and a style of the marker."""

PICKED = "#1a7f37"
DOTS_PER_INCH = 160
LABELS_WIDE, LABELS_HIGH = 44, 28
"""How many row numbers fit side by side and one above another."""


def frontier_plot(tradeoffs: Tradeoffs, picked: int | None = None) -> "Figure":
    """Plot COBias over accuracy for every row of a frontier.

    Parameters
    ----------
    tradeoffs : Tradeoffs
        The frontier.
    picked : int, optional
        A row to mark.

    Returns
    -------
    matplotlib.figure.Figure
        Accuracy in per cent, COBias in points; rows far less accurate than any that is marked are
        omitted, and their number is stated. All points of a test table are shown. Points have the
        numbers of their rows, as many as there is room for. Lines are labelled with what they show.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> from debias.reports.tradeoffs import tradeoffs_of
    >>> X = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])
    >>> figure = frontier_plot(tradeoffs_of(WeightDebiaser(n_weights=10).fit(X, [1, 0, 0, 1])))
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['frontier (every choice)', 'uncorrected model', 'choice of the default objective',
    'beats the uncorrected model most']
    """
    figure, axes = blank(7.2, 4.6)
    rows = tradeoffs.rows[["accuracy", "cobias"]].to_numpy() * 100
    # A step ends at each row: up to its accuracy, no less COBias can be had.
    axes.plot(*rows[::-1].T, ".-", drawstyle="steps-pre", color=INK, lw=1.4, ms=5, label=_name(tradeoffs))
    points = _marked(tradeoffs, picked)
    for (x, y), label, style in points:
        (marker,) = axes.plot(x, y, linestyle="none", label=label, zorder=4, clip_on=False)
        marker.set(**style)
    measured = np.empty((0, 2))
    if "test_accuracy" in tradeoffs.rows:
        measured = tradeoffs.rows[["test_accuracy", "test_cobias"]].to_numpy() * 100
        axes.plot(
            *measured.T, ".", color=QUIET, markersize=5, alpha=0.6, zorder=1, label="same choices, test table"
        )
    _show_range(axes, rows, np.array([point for point, _, _ in points]), measured)
    wanted = [row for row in (picked, tradeoffs.chosen_row, tradeoffs.dominating_row) if row is not None]
    if len(measured):  # those that are best on the test table are looked for most
        wanted += [int(measured[:, 0].argmax()), int(measured[:, 1].argmin())]
    wanted += tradeoffs.shown(wanted)
    _number(
        axes,
        [rows, *([measured] if len(measured) else [])],
        list(dict.fromkeys([*wanted, *range(len(rows))])),
    )
    axes.set_ylabel("COBias, points  (lower is better)")
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return figure


def write_frontier_plot(tradeoffs: Tradeoffs, path: Path, picked: int | None = None) -> None:
    """Write the plot on white, whole or not at all.

    Parameters
    ----------
    tradeoffs : Tradeoffs
        The frontier.
    path : Path
        Ends in .png or .svg.
    picked : int, optional
        A row to mark.
    """
    figure = frontier_plot(tradeoffs, picked)
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set(alpha=1, facecolor="white")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=DOTS_PER_INCH)


def _name(tradeoffs: Tradeoffs) -> str:
    return "frontier (every choice)" if tradeoffs.complete else "frontier (of the choices met)"


def _marked(tradeoffs: Tradeoffs, picked: int | None) -> list[_Mark]:
    """Return the points that matter, with their names and looks."""
    big: _Style = {"markersize": 9, "markeredgewidth": 2}
    points: list[tuple[pd.Series, str, _Style]] = [
        (tradeoffs.uncorrected, "uncorrected model", {"marker": "X", "color": BEFORE, "markersize": 10}),
        (
            tradeoffs.chosen,
            "choice of the default objective",
            {"marker": "o", "color": AFTER, "markerfacecolor": "none", **big},
        ),
    ]
    for row, label, style in (
        (tradeoffs.dominating_row, "beats the uncorrected model most", {"marker": "D", "color": AFTER}),
        (picked, f"picked, row {picked}", {"marker": "*", "color": PICKED, "markersize": 15}),
    ):
        if row is not None:
            points.append((tradeoffs.rows.iloc[row], label, {"markersize": 7, **style}))
    return [((100 * at["accuracy"], 100 * at["cobias"]), label, style) for at, label, style in points]


def _number(axes: "Axes", rows: Sequence[FloatArray], order: Sequence[int]) -> None:
    """Write the numbers of rows beside their points, where no other number is in the way."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    room = np.array([(right - left) / LABELS_WIDE, (high - low) / LABELS_HIGH])
    taken = np.empty((0, 2))
    for row in order:
        for places, colour in zip(rows, (INK, QUIET), strict=False):
            place = places[row]
            if not (left <= place[0] <= right and low <= place[1] <= high):
                continue
            for x, y in ((0.6, 0.6), (-0.6, 0.6), (0.6, -0.6), (-0.6, -0.6)):
                middle = place + room * (x, y)
                if middle[1] > low and not (np.abs(taken - middle) < room).all(axis=1).any():
                    taken = np.vstack([taken, middle])
                    x, y = middle.tolist()
                    axes.text(x, y, str(row), color=colour, fontsize=7, ha="center", va="center", zorder=5)
                    break


def _show_range(axes: "Axes", rows: FloatArray, points: FloatArray, measured: FloatArray) -> None:
    """Show all test points, and what is about as accurate as what is marked.

    A useless model has little COBias, too.
    """
    points = np.vstack([points, measured])
    right = max(rows[:, 0].max(), points[:, 0].max())
    margin = 0.15 * max(right - points[:, 0].min(), 1.0)
    left = points[:, 0].min() - margin
    inside = rows[rows[:, 0] >= left]
    top = max(inside[:, 1].max(), points[:, 1].max())
    axes.set_xlim(max(left, -1.0), min(right + margin / 2, 101.0))
    axes.set_ylim(0, 1.06 * max(top, 1.0))
    left_out = counted(len(rows) - len(inside), "row")
    note = "" if len(inside) == len(rows) else f"; {left_out} of lower accuracy omitted"
    axes.set_xlabel(f"accuracy, %  (further right is better{note})")
