"""The plot of a comparison: COBias over accuracy for every method, with intervals."""

from typing import TYPE_CHECKING

import pandas as pd

from debias.console.notebooks.drawing import AFTER, BEFORE, GRID, INK, axes_for
from debias.errors import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOKS = {True: (AFTER, "o", "this project"), False: (BEFORE, "s", "others")}


def comparison_plot(figures: pd.DataFrame, ax: "Axes | None" = None) -> "Axes":
    """Plot the figures of a comparison.

    Parameters
    ----------
    figures : DataFrame
        Indexed by method: accuracy and cobias, optionally with ``_low`` and ``_high``, and group. Methods
        that were not measured are omitted.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    axes = axes_for(ax, 7.2, 5.0)
    measured = figures[figures["accuracy"].notna()]
    for is_own, rows in measured.groupby(measured["group"] == "ours"):
        colour, marker, label = _LOOKS[bool(is_own)]
        x, y = (100 * rows[name].to_numpy(dtype="float64") for name in ("accuracy", "cobias"))
        if "accuracy_low" in rows and "cobias_low" in rows:
            ends = {
                f"{name}_{end}": 100 * rows[f"{name}_{end}"].to_numpy(dtype="float64")
                for name in ("accuracy", "cobias")
                for end in ("low", "high")
            }
            axes.hlines(y, ends["accuracy_low"], ends["accuracy_high"], color=colour, lw=0.8, alpha=0.45)
            axes.vlines(x, ends["cobias_low"], ends["cobias_high"], color=colour, lw=0.8, alpha=0.45)
        axes.plot(x, y, marker, color=colour, label=label, markersize=6)
    for name, row in measured.iterrows():
        place = (100 * float(row["accuracy"]), 100 * float(row["cobias"]))
        shift = {"xytext": (4, 4), "textcoords": "offset points"}
        text = axes.annotate(visible(str(name)), place, color=INK, fontsize=8, **shift)  # type: ignore[arg-type]
        text.set_parse_math(False)
    axes.set(xlabel="accuracy, %  (further right is better)", ylabel="COBias, points  (lower is better)")
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, labelcolor=INK)
    return axes
