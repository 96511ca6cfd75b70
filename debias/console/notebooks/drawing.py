"""Plots without pyplot: colours, empty axes in the style of the reports, and axes that a caller gives.

Nothing global is touched and no display is needed. Without matplotlib only plotting fails.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from debias.errors import MissingDependencyError, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK = "#1f2328"
QUIET = "#6e7781"
GRID = "#d8dee4"
BEFORE = "#b35900"
AFTER = "#0b5cad"
"""Colours on a light page; orange and blue stay apart for readers who see few colours."""

PHONE_WIDTH, PHONE_TEXT = 4.4, 12
"""Inches, and points: shrunk to the width of a phone, text is no smaller than 11 pixels."""


def blank(width: float, height: float, size: float = 9) -> tuple["Figure", "Axes"]:
    """Return an empty plot in the style of the report, transparent.

    Parameters
    ----------
    width, height : float
        Inches.
    size : float, default=9
        Of the text, in points.

    Returns
    -------
    Figure, Axes
        To draw into.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.

    Examples
    --------
    >>> figure, axes = blank(4, 3)
    >>> figure.axes == [axes]
    True
    """
    figure = _figure_class()(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    for patch in (figure.patch, axes.patch):
        patch.set_alpha(0)
    axes.tick_params(colors=INK, labelsize=size)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, size=size)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    return figure, axes


def axes_for(ax: "Axes | None", width: float, height: float) -> "Axes":
    """Return the axes that a caller gave, or those of a new plot on white.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
    width, height : float
        Of a new plot, in inches.

    Returns
    -------
    Axes

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.

    Examples
    --------
    >>> axes = axes_for(None, 4, 3)
    >>> axes_for(axes, 9, 9) is axes
    True
    """
    if ax is not None:
        return ax
    figure, axes = blank(width, height, 10)
    for patch in (figure.patch, axes.patch):
        patch.set(alpha=1, facecolor="white")
    return axes


def name_ticks(axis: "Axis", names: Sequence[str], longest: int = 20) -> None:
    """Put names on an axis, one at each whole number; a name is text, never a formula.

    Parameters
    ----------
    axis : matplotlib.axis.Axis
    names : sequence of str
    longest : int, default=20
        Characters of a name that are shown: its beginning, or beginning and end where names that begin
        alike would look the same.

    Examples
    --------
    >>> figure, axes = blank(4, 3)
    >>> name_ticks(axes.yaxis, ["$x$", "a" * 30, "card payment not recognised", "card payment not refunded"])
    >>> [label.get_text() for label in axes.get_yticklabels()]
    ['$x$', 'aaaaaaaaaaaaaaaaaaa…', 'card payme…ecognised', 'card payme… refunded']
    """
    shown = _shortened([visible(name) for name in names], longest)
    axis.set_ticks(range(len(shown)), shown)
    for label in axis.get_ticklabels():
        label.set_parse_math(False)
    axis.set_tick_params(length=0)


def _shortened(names: Sequence[str], longest: int) -> list[str]:
    """Return names of a length, told apart by their ends where their beginnings are the same."""
    begun = [name if len(name) <= longest else f"{name[: longest - 1]}…" for name in names]
    end = (longest - 1) // 2
    return [
        short if short == name or begun.count(short) == 1 else f"{name[: longest - 1 - end]}…{name[-end:]}"
        for name, short in zip(names, begun, strict=True)
    ]


def _figure_class() -> type["Figure"]:
    """Return matplotlib's Figure, or say what to install."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            f"plots need matplotlib, which cannot be imported ({error})",
            fix="run: pip install matplotlib, or write the report as .md, which contains no plots",
        ) from error
    return Figure
