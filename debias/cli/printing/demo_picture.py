"""The picture of the demonstration: accuracy of each class before and after, with three figures."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from debias.console.notebooks.drawing import AFTER, BEFORE, GRID, INK, blank
from debias.files.atomic_file import atomic_path

if TYPE_CHECKING:
    from debias.reports.correction_report import Report

PAGE = "#ffffff"
"""Opaque, so that the picture is as legible on a dark page."""

_FIGURES = (("accuracy", "Accuracy"), ("cobias", "COBias"), ("worst_class_accuracy", "Worst class"))
_TITLE = "{n_texts:,} held-out news texts: classified correctly, %"


def write_picture(report: "Report", path: Path) -> None:
    """Write the picture of a report as PNG.

    Parameters
    ----------
    report : Report
        On held-out rows.
    path : Path
        The file.
    """
    by_class = report.by_class
    figure, axes = blank(7.2, 1.3 + 0.62 * len(by_class), 12)
    figure.patch.set(facecolor=PAGE, alpha=1)
    rows = np.arange(len(by_class))
    for side, colour, shift in (("before", BEFORE, -0.19), ("after", AFTER, 0.19)):
        shares = 100 * by_class[side].to_numpy(dtype=np.float64)
        axes.barh(rows + shift, shares, height=0.34, color=colour, label=side, zorder=2)
        for row, share in zip(rows, shares, strict=True):
            axes.text(share + 1.2, row + shift, f"{share:.0f}", va="center", color=INK, size=11)
    axes.set_yticks(rows, [str(name) for name in by_class.index])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 106)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines[["bottom"]].set_visible(False)
    axes.spines[["left"]].set_color(GRID)
    n_texts = int(by_class["support"].sum())
    axes.set_title(_TITLE.format(n_texts=n_texts), loc="left", color=INK, size=12.5)
    axes.legend(loc="lower right", frameon=False, labelcolor=INK, fontsize=11)
    before, after = (
        100 * report.overall.loc[[key for key, _ in _FIGURES], side].to_numpy(dtype=np.float64)
        for side in ("before", "after")
    )
    changes = zip(_FIGURES, before, after, strict=True)
    shown = [f"{name} {old:.0f} → {new:.0f}" for (_, name), old, new in changes]
    axes.set_xlabel("      ".join(shown), color=INK, size=12, loc="left", labelpad=8)
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12)  # type: ignore[union-attr, call-arg]
    with atomic_path(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=160, facecolor=PAGE, metadata={"Software": None})
