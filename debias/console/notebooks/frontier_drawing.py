"""Draws a frontier: a staircase of the best COBias at each accuracy, numbered rows, points that matter."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from debias.console.notebooks.drawing import GRID, INK, QUIET
from debias.console.number_formats import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray: TypeAlias = npt.NDArray[np.float64]

LABELS_WIDE, LABELS_HIGH = 44, 28
"""How many row numbers fit side by side and one above another."""


class Mark(NamedTuple):
    """A point that matters.

    Attributes
    ----------
    place : tuple of float
        Accuracy and COBias times 100.
    label : str
    style : mapping
        Of the marker.
    """

    place: tuple[float, float]
    label: str
    style: Mapping[str, object]


def draw_frontier(
    axes: "Axes",
    rows: FloatArray,
    marks: Sequence[Mark],
    *,
    label: str,
    first: Sequence[int] = (),
    measured: FloatArray | None = None,
) -> None:
    """Draw COBias over accuracy for every row of a frontier, without a legend.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    rows : ndarray of shape (n_rows, 2)
        Accuracy and COBias times 100, by falling accuracy.
    marks : sequence of Mark
    label : str
        Of the staircase.
    first : sequence of int
        Rows that get their numbers before others do.
    measured : ndarray of shape (n_rows, 2), optional
        The same rows on a test table.

    Examples
    --------
    >>> from debias.console.notebooks.drawing import blank
    >>> figure, axes = blank(4, 3)
    >>> marks = [Mark((60.0, 40.0), "uncorrected model", {"marker": "X"})]
    >>> draw_frontier(axes, np.array([[75.0, 50.0], [50.0, 0.0]]), marks, label="frontier")
    >>> [line.get_label() for line in axes.lines]
    ['frontier', 'uncorrected model']
    """
    # A step ends at each row: up to its accuracy, no less COBias can be had.
    axes.plot(*rows[::-1].T, ".-", drawstyle="steps-pre", color=INK, lw=1.4, ms=5, label=label)
    for (x, y), name, style in marks:
        (marker,) = axes.plot(x, y, linestyle="none", label=name, zorder=4, clip_on=False)
        marker.set(**style)
    others = np.empty((0, 2)) if measured is None else measured
    if len(others):
        axes.plot(
            *others.T, ".", color=QUIET, markersize=5, alpha=0.6, zorder=1, label="same choices, test table"
        )
    _show_range(axes, rows, np.array([mark.place for mark in marks]).reshape(-1, 2), others)
    order = list(dict.fromkeys([*first, *range(len(rows))]))
    _number(axes, [rows, *([others] if len(others) else [])], order)
    axes.set_ylabel("COBias, points  (lower is better)")
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


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
