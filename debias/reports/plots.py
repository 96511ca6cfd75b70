"""The plots of a report as matplotlib figures: class accuracies, and the effect of a correction.

Figures are made without pyplot, so that nothing global is touched and no display is needed.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.console.notebooks.drawing import (
    AFTER,
    BEFORE,
    GRID,
    INK,
    PHONE_TEXT,
    PHONE_WIDTH,
    QUIET,
    blank,
    name_ticks,
)
from debias.console.number_formats import fixed
from debias.corrections.correction import Correction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_N_GRID = 401
_N_BINS = 40
_HISTOGRAM_HEIGHT = 0.3
_MOST_WITH_HUNDREDTHS = 6


def accuracy_plot(by_class: pd.DataFrame) -> "Figure":
    """Plot the accuracy of each class before and after, for a page: see :func:`draw_accuracies`.

    Parameters
    ----------
    by_class : DataFrame
        As :attr:`debias.reports.correction_report.Report.by_class`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.

    Examples
    --------
    >>> from debias.reports.correction_report import Report
    >>> figure = accuracy_plot(Report(["a", "b"], ["a", "a"], ["a", "b"]).by_class)
    >>> [line.get_label() for line in figure.axes[0].lines if line.get_label()[0] != "_"]
    ['before', 'after']
    """
    figure, axes = blank(PHONE_WIDTH, 1.1 + 0.6 * len(by_class), PHONE_TEXT)
    draw_accuracies(by_class, axes)
    figure.legend(
        loc="outside upper right",
        ncols=2,
        frameon=False,
        handletextpad=0.2,
        labelcolor=INK,
        fontsize=PHONE_TEXT,
    )
    return figure


def draw_accuracies(by_class: pd.DataFrame, axes: "Axes") -> None:
    """Draw the accuracy of each class before and after, with intervals: a dumbbell per class.

    Parameters
    ----------
    by_class : DataFrame
        As :attr:`debias.reports.correction_report.Report.by_class`.
    axes : matplotlib.axes.Axes
        Classes come from top to bottom in the order of the rows; x is in per cent. The data are in lines
        with the labels "before" and "after".
    """
    y = np.arange(len(by_class))
    sides = {side: 100 * by_class[side].to_numpy(dtype=np.float64) for side in ("before", "after")}
    axes.hlines(y, sides["before"], sides["after"], color=GRID, linewidth=5, zorder=1)
    for side, colour, offset, fill in (("before", BEFORE, -0.14, "none"), ("after", AFTER, 0.14, AFTER)):
        low, high = (100 * by_class[f"{side}_{end}"].to_numpy(dtype=np.float64) for end in ("low", "high"))
        axes.hlines(y + offset, low, high, color=colour, linewidth=1.5, zorder=2)
        (markers,) = axes.plot(sides[side], y + offset, "o", label=side, zorder=3)
        markers.set(color=colour, markerfacecolor=fill, markeredgewidth=1.8, markersize=7)
    _name_classes(axes, [str(name) for name in by_class.index])
    axes.set_xlim(-2, 102)
    axes.set_xlabel("classified correctly, %")
    axes.grid(axis="x", color=GRID, linewidth=0.8, zorder=0)


def correction_plot(
    correction: Correction,
    own: npt.ArrayLike | None = None,
    others: npt.ArrayLike | None = None,
) -> "Figure":
    """Plot the corrected value over the probability, and how often which probability occurs.

    Parameters
    ----------
    correction : Correction
        The correction of one class.
    own, others : array-like of shape (n_samples,), optional
        Uncorrected probabilities of the class on its own rows, and on the rows of others, as
        histograms, each scaled to its highest bin.

    Returns
    -------
    matplotlib.figure.Figure
        The line labelled "corrected" over the dashed one labelled "unchanged".

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.

    Examples
    --------
    >>> from debias.corrections.correction import Weight
    >>> figure = correction_plot(Weight(15, 30), own=[0.2, 0.9], others=[0.1])
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['unchanged', 'corrected']
    """
    figure, axes = blank(2.8, 2.4)
    for values, colour in ((others, QUIET), (own, AFTER)):
        if values is not None and np.size(values):
            _histogram(axes, values, colour)
    grid = np.union1d(np.linspace(0, 1, _N_GRID), np.arange(17) / 16)  # corners of triangles are among them
    axes.plot(grid, grid, "--", color=QUIET, linewidth=1.2, label="unchanged")
    axes.plot(grid, correction(grid), color=INK, linewidth=2.2, label="corrected")
    axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="probability from the model", ylabel="corrected")
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    return figure


def matrix_plot(matrix: npt.NDArray[np.float64], names: Sequence[str]) -> "Figure":
    """Plot how evidence for each class is moved: a matrix of numbers and colours.

    Parameters
    ----------
    matrix : ndarray of shape (n_classes, n_classes)
        Row k: what evidence for each class adds to the log-odds of class k.
    names : sequence of str
        Class names.

    Returns
    -------
    matplotlib.figure.Figure
        Blue raises, orange lowers; each cell has its number, to a tenth where there are many classes.

    Examples
    --------
    >>> figure = matrix_plot(np.eye(2), ["a", "b"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1.00', '0.00', '0.00', '1.00']
    """
    n_classes = len(names)
    figure, axes = blank(PHONE_WIDTH, 1.2 + 0.5 * n_classes, PHONE_TEXT)
    largest = max(float(np.abs(matrix).max()), 1e-9)
    for k, row in enumerate(matrix):
        for source, value in enumerate(row):
            colour = AFTER if value > 0 else BEFORE
            strength = 0.5 * abs(float(value)) / largest
            axes.fill_between(
                [source - 0.5, source + 0.5], k - 0.5, k + 0.5, color=colour, alpha=strength, lw=0
            )
            number = fixed(float(value), 2)
            if n_classes > _MOST_WITH_HUNDREDTHS:  # all of it must be readable on a phone
                number = re.sub(r"\b0\.", ".", fixed(float(value), 1)) if abs(value) >= 0.05 else "0"
            axes.text(source, k, number, ha="center", va="center", color=INK, size=PHONE_TEXT)
    _name_classes(axes, [str(name) for name in names])
    name_ticks(axes.xaxis, [str(name) for name in names], longest=12)
    for label in axes.get_xticklabels():
        label.set(rotation=45, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, n_classes - 0.5)
    axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def _histogram(axes: "Axes", values: npt.ArrayLike, colour: str) -> None:
    """Draw how often which probability occurs, along the foot of the plot."""
    counts, edges = np.histogram(np.clip(np.asarray(values, dtype=np.float64), 0, 1), _N_BINS, (0, 1))
    heights = _HISTOGRAM_HEIGHT * counts / max(int(counts.max()), 1)
    axes.stairs(heights, edges, fill=True, color=colour, alpha=0.35, linewidth=0)


def _name_classes(axes: "Axes", names: list[str]) -> None:
    """Put class names on the y axis, the first on top."""
    name_ticks(axes.yaxis, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
