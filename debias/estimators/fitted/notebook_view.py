"""A debiaser in a notebook: scikit-learn's diagram, and once fitted a card of the correction."""

from typing import TYPE_CHECKING, Any

import pandas as pd
from sklearn.utils import estimator_html_repr

from debias.console.notebooks.card import card
from debias.console.notebooks.drawing import AFTER, BEFORE, INK, axes_for
from debias.console.notebooks.frontier_drawing import Mark, draw_frontier
from debias.errors import visible
from debias.estimators.fitted.correction_card import HEADER, card_of
from debias.estimators.fitted.fitted_correction import FittedCorrection
from debias.metrics.confusion import cobias_of_accuracies

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class NotebookView:
    """Adds a card to the diagram of a fitted estimator, where scikit-learn shows one, and a plot."""

    fitted_: FittedCorrection

    if TYPE_CHECKING:

        @property
        def frontier_(self) -> pd.DataFrame: ...  # noqa: D102

    def _repr_html_inner(self) -> str:
        """Return what scikit-learn's ``_repr_html_`` gives a notebook."""
        shown = visible(estimator_html_repr(self))  # parameters may hold class names
        fitted = getattr(self, "fitted_", None)
        if fitted is None:
            return shown
        known = card_of(fitted)
        held = [known.guaranteed] if fitted.guarantee is None else fitted.guarantee.sentences()[:2]
        lines = [f"Proved for the fitted rows: {known.proved}.", f"On new rows: {' '.join(held)}"]
        return shown + card(known.summary, header=HEADER, rows=known.classes, lines=lines)

    def plot_frontier(self, ax: "Axes | None" = None) -> "Axes":
        """Plot the trade-offs of ``frontier_``: COBias over accuracy on the fitted rows.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw into; new ones by default.

        Returns
        -------
        matplotlib.axes.Axes
            Points have the numbers of their rows, for :meth:`pick`.

        Raises
        ------
        AttributeError
            There is no frontier, as in a correction from a file.
        MissingDependencyError
            matplotlib is not installed.

        Examples
        --------
        >>> from debias.estimators.debiasers import WeightDebiaser
        >>> X = [[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]]
        >>> axes = WeightDebiaser(n_weights=10).fit(X, [1, 0, 0, 1]).plot_frontier()
        >>> [line.get_label() for line in axes.lines]
        ['frontier', 'uncorrected model', 'this choice']
        """
        frontier = self.frontier_[["accuracy", "cobias"]].to_numpy() * 100
        marks = []
        for corrected, label, style in (
            (False, "uncorrected model", {"marker": "X", "color": BEFORE, "markersize": 10}),
            (True, "this choice", {"marker": "D", "color": AFTER, "markersize": 7}),
        ):
            counts = self.fitted_.counts(corrected)
            present = counts.support > 0
            cobias = cobias_of_accuracies(counts.correct[present] / counts.support[present])
            accuracy = counts.correct.sum() / counts.support.sum()
            marks.append(Mark((100 * float(accuracy), 100 * float(cobias)), label, style))
        axes = axes_for(ax, 7.2, 4.6)
        draw_frontier(axes, frontier, marks, label="frontier")
        axes.legend(frameon=False, labelcolor=INK)
        return axes

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        """Return the same for notebooks that ask for all forms at once."""
        forms: dict[str, str] = super()._repr_mimebundle_(**options)  # type: ignore[misc]
        return forms | ({"text/html": self._repr_html_inner()} if "text/html" in forms else {})
