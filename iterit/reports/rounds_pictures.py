"""Pictures of a run of rounds: losses, how far scores moved, lengths of picks, overlap between rounds."""

from collections.abc import Mapping, Sequence
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
from debias.console.notebooks.inline_svg import inline_svg
from debias.console.number_formats import percent
from iterit.reports.gains import HEADING, gains_picture
from iterit.reports.section_page import Picture

if TYPE_CHECKING:
    from iterit.reports.rounds_tables import RoundsTables

Floats = npt.NDArray[np.float64]
MOST_ROWS, MOST_CELLS = 12, 7
"""Rounds that a picture of spreads, and one of pairs of rounds, has room for; others are omitted."""
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def pictures_of(report: "RoundsTables") -> dict[str, list[Picture]]:
    """Return the pictures of a report by the heading of the section that they stand in.

    Parameters
    ----------
    report : RoundsTables

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    found: dict[str, list[Picture]] = {"Rounds": []}
    if (loss := _loss_picture(report.rounds)) is not None:
        found["Rounds"].append(loss)
    if len(report.numbers) > 1:
        found["Rounds"].append(_overlap_picture(report.shared))
    moves = report.moves.assign(change=lambda table: table["after"] - table["before"]).dropna()
    changes = {f"round {n}": own["change"].to_numpy(np.float64) for n, own in moves.groupby("round")}
    if changes:
        caption = "Change of the IFD through the training of a round; 0 means no change."
        said = "Change of IFD by round"
        found["Changes of scores"] = [_spread_picture(changes, "moves", "change of IFD", said, caption)]
    words = report.kept.records["words"]
    groups = {"all": report.kept.state.rows} | {f"round {n}": report.rows_of(n) for n in report.numbers}
    lengths = {name: words.iloc[rows].to_numpy(np.float64) for name, rows in groups.items()}
    caption = "Words of picked answers, by round, under those of all answers."
    said = "Words of an answer, of all records and of the picks"
    found["Length of answers"] = [_spread_picture(lengths, "lengths", "words in the answer", said, caption)]
    if report.gains is not None:
        found[HEADING] = [gains_picture(report.gains)]
    return found


def _loss_picture(rounds: pd.DataFrame) -> Picture | None:
    """Return the losses of the rounds as lines."""
    sides = {
        name: rounds[column].to_numpy(np.float64)
        for name, column in (("training", "loss"), ("held out", "held_out_loss"))
        if column in rounds and rounds[column].notna().any()
    }
    if not sides:
        return None
    figure, axes = blank(PHONE_WIDTH, 2.8, PHONE_TEXT)
    numbers = rounds.index.to_numpy()
    for (name, losses), colour, fill in zip(sides.items(), (BEFORE, AFTER), ("none", AFTER), strict=False):
        (line,) = axes.plot(numbers, losses, "o-", label=name, linewidth=2)
        line.set(color=colour, markerfacecolor=fill, markersize=7, markeredgewidth=1.8)
    axes.set(xlabel="round", ylabel="loss, nats per token")
    axes.set_xticks(_thinned(numbers.tolist(), MOST_CELLS))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper right", ncols=2, frameon=False, labelcolor=INK, fontsize=PHONE_TEXT)
    said = "; ".join(
        f"{name}: " + ", ".join("none" if np.isnan(loss) else f"{loss:.3f}" for loss in losses)
        for name, losses in sides.items()
    )
    held_out = " and of held-out records" if "held out" in sides else "; no held-out loss was logged"
    caption = f"Loss of the training steps of each round{held_out}."
    return Picture(inline_svg(figure, "loss", f"Loss by round. {said}."), caption)


def _spread_picture(
    groups: Mapping[str, Floats], name: str, label: str, description: str, caption: str
) -> Picture:
    """Return the spread of values in each group: median, quartiles, 10th and 90th percentile."""
    shown = [list(groups)[at] for at in _thinned(list(range(len(groups))), MOST_ROWS)]
    figure, axes = blank(PHONE_WIDTH, 1.0 + 0.42 * len(shown), PHONE_TEXT)
    medians = []
    for at, group in enumerate(shown):
        low, first, middle, third, high = np.quantile(groups[group], _QUANTILES)
        colour = QUIET if group == "all" else AFTER
        axes.hlines(at, low, high, color=colour, linewidth=1.5)
        axes.hlines(at, first, third, color=colour, linewidth=7, alpha=0.55)
        axes.plot([middle], [at], "o", color=INK, markersize=6)
        medians.append(f"{group} {middle:.3g}")
    name_ticks(axes.yaxis, shown)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=5)
    svg = inline_svg(figure, name, f"{description}; medians: {', '.join(medians)}.")
    omitted = "" if len(shown) == len(groups) else f" {len(groups) - len(shown)} rounds are omitted."
    spread = " Dot: median; bar: middle half; line: from the 10th to the 90th percentile."
    return Picture(svg, f"{caption}{spread}{omitted}")


def _overlap_picture(shared: pd.DataFrame) -> Picture:
    """Return the share of each round's picks that another round has, too, as a matrix of numbers."""
    places = _thinned(list(range(len(shared))), MOST_CELLS)
    matrix = shared.to_numpy(np.float64)[np.ix_(places, places)]
    names = [str(shared.index[at]) for at in places]
    figure, axes = blank(PHONE_WIDTH, 0.9 + 0.5 * len(names), PHONE_TEXT)
    for row, values in enumerate(matrix):
        for column, share in enumerate(values.tolist()):
            edges = [column - 0.5, column + 0.5]
            axes.fill_between(edges, row - 0.5, row + 0.5, color=AFTER, alpha=0.5 * share, lw=0)
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=INK, size=PHONE_TEXT)
    for axis in (axes.xaxis, axes.yaxis):
        name_ticks(axis, names)
    axes.set(xlabel="also in round", ylabel="picks of round", xlim=(-0.5, len(names) - 0.5))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.spines[["left", "bottom"]].set_visible(False)
    said = "; ".join(
        f"round {names[at]} and the one before: {percent(matrix[at, at - 1])}" for at in range(1, len(names))
    )
    svg = inline_svg(figure, "overlap", f"Share of picks that rounds have in common. {said}.")
    omitted = len(shared) - len(names)
    more = f" {omitted} rounds are omitted." if omitted else ""
    return Picture(svg, f"Overlap: the share of a round's picks, in %, that another round also picked.{more}")


def _thinned(values: Sequence[int], most: int) -> list[int]:
    """Return evenly spread ones of many, both ends among them.

    Examples
    --------
    >>> _thinned(range(10), 4), _thinned([3, 4], 4)
    ([0, 3, 6, 9], [3, 4])
    """
    places = np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int)
    return [values[place] for place in places.tolist()]
