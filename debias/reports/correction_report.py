"""The report on a correction: what it did to labelled rows it was not fitted on, as figures and pages."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from debias.console.notebooks.drawing import axes_for
from debias.errors import ParameterError, TableError, param
from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.prediction import as_table, matched_probabilities, predict_table
from debias.files.atomic_file import atomic_path
from debias.reports.advice.plain_methods import compare_with_plain
from debias.reports.figures import CorrectionDetails, Figures
from debias.reports.html_page import render_html
from debias.reports.markdown_page import render_markdown
from debias.reports.plots import draw_accuracies
from debias.reports.provenance import (
    blockers_of,
    describe_model,
    describe_provenance,
    guarantee_of,
    notes_on_rows,
)
from debias.tables.table import ProbabilityTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WRITERS = {".html": "to_html", ".htm": "to_html", ".md": "to_markdown"}
"""Method that writes a report, by suffix."""


class Report(Figures):
    """Labels and two predictions for the same rows, before and after a correction.

    Parameters
    ----------
    y_true, y_before, y_after : array-like of shape (n_samples,)
        Labels, predictions without the correction, predictions with it.
    classes : sequence of str, optional
        Class names in the order wanted; default: all that occur, sorted.
    details : CorrectionDetails, optional
        Corrections, sentences on classes, probabilities, provenance and notes to show.
    title : str, default="Class accuracies before and after correction"
        Heading of the pages.
    level : float, default=0.95
        Confidence level of all intervals.
    n_resamples : int, default=1000
        Bootstrap resamples.
    seed : int, default=0
        Seed of the resampling.

    Raises
    ------
    ParameterError
        Lengths differ, there are no rows or fewer than two classes, or a name is not in `classes`.
    TableError
        A label is missing, or of another kind than the others.

    Examples
    --------
    >>> truth = ["yes"] * 50 + ["no"] * 50
    >>> report = Report(truth, ["yes"] * 90 + ["no"] * 10, ["yes"] * 50 + ["no"] * 50)
    >>> report.overall[["before", "after", "difference", "verdict"]].round(3)
                          before  after  difference verdict
    metric
    accuracy               0.600    1.0       0.400  better
    cobias                 0.800    0.0      -0.800  better
    worst_class_accuracy   0.200    1.0       0.800  better
    macro_f1               0.524    1.0       0.476  better
    >>> report.moves
    to    no  yes
    from
    no     0    0
    yes   40    0
    >>> print(report.headline)
    The classes are more even (COBias 80.0 to 0.0 points); accuracy rose (60.0 % to 100.0 %).
    """

    @classmethod
    def from_debiaser(
        cls,
        debiaser: BaseDebiaser,
        table: ProbabilityTable | tuple[Any, Any],
        *,
        fitted_on: ProbabilityTable | None = None,
        compare: bool = False,
        n_examples: int = 0,
        **options: Any,
    ) -> Self:
        """Report on a fitted correction over the labelled rows of a table.

        Parameters
        ----------
        debiaser : BaseDebiaser
            Fitted, or loaded from a file.
        table : ProbabilityTable or tuple of X and y
            Labelled rows that the correction was not fitted on.
        fitted_on : ProbabilityTable, optional
            The rows it was fitted on: the report then warns where both share rows. Without them
            it notices only a table that is the same as a whole.
        compare : bool, default=False
            Whether to fit plain methods on `fitted_on`, and measure them beside the correction.
        n_examples : int, default=0
            Texts of moved rows to show, of each outcome. None are shown unless this is asked for.
        **options
            Passed to :class:`Report`, such as title, level or seed.

        Returns
        -------
        Report
            With sentences, settings and warnings.

        Raises
        ------
        TableError
            The table has no labels, or other classes than the correction; or no texts to show.
        ParameterError
            `compare` without the rows that the correction was fitted on.

        Examples
        --------
        >>> from debias.estimators.debiasers import WeightDebiaser
        >>> table = ProbabilityTable([[0.6, 0.4], [0.9, 0.1]], ["no", "yes"], classes=["yes", "no"])
        >>> debiaser = WeightDebiaser().fit(table.probabilities, table.labels)
        >>> print(Report.from_debiaser(debiaser, table).findings[0].text)
        The correction was fitted on these very rows, so the figures flatter it. ...
        """
        if compare and fitted_on is None:
            raise ParameterError(
                "plain methods learn from the rows that the correction was fitted on: pass "
                f"{param('fitted_on')}",
                parameter="fitted_on",
                received=None,
            )
        table = as_table(debiaser, table)
        if n_examples and table.texts is None:
            raise TableError(
                "the table has no texts to show", parameter="n_examples", received=n_examples,
                fix=f"omit {param('n_examples')}",
            )  # fmt: skip
        labels = [table.classes[code] for code in table.label_indices]
        predicted = predict_table(debiaser, table)
        probabilities = matched_probabilities(debiaser, table)
        level = options.get("level", 0.95)
        allowed = isinstance(level, (int, float)) and 0 < level < 1  # else refused below, by its name
        guarantee = guarantee_of(debiaser, table, fitted_on, level) if allowed else None
        comparison = None
        if compare and fitted_on is not None:
            resampling = {name: options[name] for name in ("level", "n_resamples", "seed") if name in options}
            comparison = compare_with_plain(debiaser, fitted_on, table, **resampling)
        details = CorrectionDetails(
            corrections=debiaser.fitted_.by_column,
            sentences=debiaser.explain()["sentence"].tolist(),
            probabilities=debiaser.base_.posteriors(probabilities.to_numpy()),
            settings=describe_provenance(debiaser, table),
            notes=notes_on_rows(debiaser, table, fitted_on),
            model=describe_model(table),
            guarantee=guarantee,
            base=debiaser.base_,
            blockers=blockers_of(debiaser, table, guarantee),
            comparison=comparison,
            near_ties=debiaser.near_ties_,
            texts=table.texts if n_examples else None,
            n_examples=n_examples,
        )
        before, after = predicted["uncorrected"], predicted["prediction"]
        return cls(labels, before, after, probabilities.columns.tolist(), details=details, **options)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Plot the accuracy of each class before and after, with intervals.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw into; new ones by default.

        Returns
        -------
        matplotlib.axes.Axes
            Classes from top to bottom; x in per cent.

        Raises
        ------
        MissingDependencyError
            matplotlib is not installed.

        Examples
        --------
        >>> axes = Report(["a", "b"], ["a", "a"], ["a", "b"]).plot()
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['a', 'b']
        """
        axes = axes_for(ax, 6.4, 1.3 + 0.5 * len(self.classes))
        draw_accuracies(self.by_class, axes)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
        return axes

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the report as Markdown.

        Parameters
        ----------
        path : path-like, optional
            Where to write it as well.

        Returns
        -------
        str
            The page.
        """
        return _written(render_markdown(self), path)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the report as one self-contained HTML page.

        Parameters
        ----------
        path : path-like, optional
            Where to write it as well.

        Returns
        -------
        str
            The page; it loads nothing.
        """
        return _written(render_html(self), path)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the report in the format that the suffix names.

        Parameters
        ----------
        path : path-like
            Ends in .html or .md.

        Raises
        ------
        ParameterError
            Another suffix.
        OSError
            The file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in WRITERS:
            allowed = f"a path that ends in one of {', '.join(sorted(WRITERS))}"
            raise ParameterError(parameter="path", allowed=allowed, received=str(path))
        getattr(self, WRITERS[suffix])(path)


def _written(page: str, path: str | os.PathLike[str] | None) -> str:
    """Write a page, whole or not at all, and return it."""
    if path is not None:
        with atomic_path(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
    return page
