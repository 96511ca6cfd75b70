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

_ANGLES = np.pi * (np.arange(16) / 8 + 1 / 4)
_OFFSETS = np.vstack([r * np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)]) for r in np.arange(1.1, 9)])
"""Where a number may stand from its point, the nearest places first."""


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
    """Write the numbers of rows beside their points, with a line from those that are farther off.

    No number stands on a point or on another number. Where hundreds of points lie together, some get none.
    """
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    room = np.array([(right - left) / LABELS_WIDE, (high - low) / LABELS_HIGH])
    corner = np.array([left, low])
    # From here on places are in numbers' widths and heights.
    points = [(places - corner) / room for places in rows]
    taken = np.vstack(points)
    most = (np.array([right, high]) - corner) / room
    for row in order:
        for places, colour in zip(points, (INK, QUIET), strict=False):
            place = places[row]
            if not (0 <= place[0] <= most[0] and 0 <= place[1] <= most[1]):
                continue
            near = place + _OFFSETS
            fits = (near > 0.5).all(axis=1) & (near < most - 0.5).all(axis=1)
            gaps = np.abs(near[:, None] - taken[None])
            fits &= ~((gaps[..., 0] < 0.9) & (gaps[..., 1] < 0.9)).any(axis=1)
            if not fits.any():
                continue
            middle = near[np.argmax(fits)]
            taken = np.vstack([taken, middle])
            (x, y), ends = corner + middle * room, corner + np.array([place, middle]) * room
            if np.abs(middle - place).max() > 1.5:
                axes.plot(*ends.T, color=colour, lw=0.4, alpha=0.6, zorder=1.5, label="_line of a number")
            axes.text(x, y, str(row), color=colour, fontsize=7, ha="center", va="center", zorder=5,
                      bbox={"boxstyle": "square,pad=0.05", "fc": "white", "ec": "none"})  # fmt: skip


def _show_range(axes: "Axes", rows: FloatArray, points: FloatArray, measured: FloatArray) -> None:
    """Show what is about as accurate as what is marked, and all test points of these rows.

    A useless model has little COBias, too.
    """
    margin = 0.15 * max(rows[:, 0].max() - points[:, 0].min(), 1.0)
    is_inside = rows[:, 0] >= points[:, 0].min() - margin
    shown = np.vstack([points, rows[is_inside], measured[is_inside] if len(measured) else measured])
    left, right = shown[:, 0].min() - margin / 3, shown[:, 0].max() + margin / 2
    axes.set_xlim(max(left, -1.0), min(right, 101.0))
    top = max(1.08 * shown[:, 1].max(), 1.0)
    axes.set_ylim(-0.03 * top, top)
    left_out = counted(int((~is_inside).sum()), "row")
    note = "" if is_inside.all() else f"; {left_out} of lower accuracy omitted"
    axes.set_xlabel(f"accuracy, %  (further right is better{note})")
