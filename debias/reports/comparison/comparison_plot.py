"""The plot of a comparison: accuracy and COBias of every method on one scale, with intervals."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from debias.console.notebooks.drawing import AFTER, BEFORE, GRID, INK, axes_for, name_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOKS = {
    "accuracy": ("accuracy, %", AFTER, "o", -0.12),
    "cobias": ("COBias, points (lower is better)", BEFORE, "s", 0.12),
}


def comparison_plot(figures: pd.DataFrame, against: str, ax: "Axes | None" = None) -> "Axes":
    """Plot the figures of a comparison, a row for each method.

    Parameters
    ----------
    figures : DataFrame
        Indexed by method: accuracy and cobias, optionally with ``_low`` and ``_high``. Methods that were
        not measured are omitted.
    against : str
        The method whose figures are marked by lines, so that others are seen beside it.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    measured = figures[figures["accuracy"].notna()]
    axes = axes_for(ax, 7.2, 1.4 + 0.32 * len(measured))
    y = np.arange(len(measured))
    for metric, (label, colour, marker, offset) in _LOOKS.items():
        values = 100 * measured[metric].to_numpy(dtype="float64")
        if f"{metric}_low" in measured:
            low, high = (
                100 * measured[f"{metric}_{end}"].to_numpy(dtype="float64") for end in ("low", "high")
            )
            axes.hlines(y + offset, low, high, color=colour, linewidth=1.2, alpha=0.7)
        (markers,) = axes.plot(values, y + offset, marker, color=colour, label=label, markersize=5, zorder=3)
        markers.set_clip_on(False)
        if against in measured.index:
            axes.axvline(
                float(values[measured.index.tolist().index(against)]),
                color=colour,
                linewidth=0.8,
                linestyle="--",
                alpha=0.7,
            )
    name_ticks(axes.yaxis, [str(name) for name in measured.index], longest=32)
    axes.set_ylim(len(measured) - 0.5, -0.5)
    axes.set_xlim(-2, 102)
    axes.set_xlabel(f"0 to 100; dashed: {against}", parse_math=False)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, labelcolor=INK)
    return axes
