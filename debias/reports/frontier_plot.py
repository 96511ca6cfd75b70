"""The plot of a frontier as a figure of its own, and as a file."""

from pathlib import Path
from typing import TYPE_CHECKING

from debias.console.notebooks.drawing import INK, blank
from debias.files.atomic_file import atomic_path
from debias.reports.tradeoffs import Tradeoffs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 160


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
    >>> import numpy as np
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> from debias.reports.tradeoffs import tradeoffs_of
    >>> X = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])
    >>> figure = frontier_plot(tradeoffs_of(WeightDebiaser(n_weights=10).fit(X, [1, 0, 0, 1])))
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['frontier (every choice)', 'uncorrected model', 'choice of the default objective',
    'beats the uncorrected model most']
    """
    figure, axes = blank(7.2, 4.6)
    tradeoffs.draw(axes, picked)
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
