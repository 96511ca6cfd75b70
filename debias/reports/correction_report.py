"""What a correction did to a set of labelled rows, as DataFrames: the report without its looks.

Class accuracy is the share of a class's rows that is right; COBias the mean gap between two of
them. All values in the frames are fractions; pages and plots show them times 100.
"""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from debias.atomic_file import atomic_path
from debias.corrections.correction import Correction
from debias.errors import ParameterError
from debias.estimators.debiaser import Debiaser
from debias.estimators.prediction import matched_probabilities, predict_table
from debias.metrics.paired_bootstrap import paired_intervals
from debias.reports.findings import Finding, describe_results, describe_rows, headline, verdict
from debias.reports.provenance import describe_provenance, notes_on_rows
from debias.tables.table import ProbabilityTable

WRITERS = {".html": "to_html", ".htm": "to_html", ".md": "to_markdown"}
"""Method that writes a report, by suffix."""


class Report:
    """Labels and two predictions for the same rows, before and after a correction.

    Parameters
    ----------
    y_true, y_before, y_after : array-like of shape (n_samples,)
        Labels, predictions without the correction, predictions with it.
    classes : sequence of str, optional
        Class names in the order wanted; default: all that occur, sorted.
    corrections : sequence of Correction of length n_classes, optional
        What was done to each class, in the order of `classes`.
    sentences : sequence of str of length n_classes, optional
        A sentence on each class.
    probabilities : array-like of shape (n_samples, n_classes), optional
        Uncorrected class probabilities, to show which part of a correction matters.
    settings : mapping of str to mapping, optional
        Provenance: sections of names and values.
    notes : sequence of Finding, optional
        What else a reader must know.
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

    def __init__(
        self,
        y_true: Any,
        y_before: Any,
        y_after: Any,
        classes: Sequence[str] | None = None,
        *,
        corrections: Sequence[Correction] | None = None,
        sentences: Sequence[str] | None = None,
        probabilities: Any = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        notes: Sequence[Finding] = (),
        title: str = "Class accuracies before and after correction",
        level: float = 0.95,
        n_resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        columns = {"label": y_true, "before": y_before, "after": y_after}
        sizes = {name: len(values) for name, values in columns.items()}
        if len(set(sizes.values())) > 1 or not sizes["label"]:
            raise ParameterError(f"a report needs the same rows, one or more, three times; got {sizes}.")
        rows = pd.DataFrame({name: [str(v) for v in values] for name, values in columns.items()})
        present = sorted(set(rows.to_numpy().ravel()))
        self.classes = tuple(present if classes is None else map(str, classes))
        unknown = [name for name in present if name not in self.classes]
        if unknown or len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ParameterError(
                f"classes must be two or more different names, all that occur in labels and predictions; "
                f"got {list(self.classes)}" + (f" without {unknown[0]!r}." if unknown else ".")
            )
        self.rows = rows
        self.corrections = self._per_class("corrections", corrections)
        self.sentences = self._per_class("sentences", sentences)
        self.probabilities = self._checked_probabilities(probabilities)
        self.settings = {section: dict(entries) for section, entries in (settings or {}).items()}
        self.notes = tuple(notes)
        self.title = title
        self.level, self.n_resamples, self.seed = level, n_resamples, seed
        self._intervals = paired_intervals(
            rows["label"], rows["before"], rows["after"], list(self.classes), level, n_resamples, seed
        )

    @classmethod
    def from_debiaser(
        cls,
        debiaser: Debiaser,
        table: ProbabilityTable,
        *,
        fitted_on: ProbabilityTable | None = None,
        **options: Any,
    ) -> "Report":
        """Report on a fitted correction over the labelled rows of a table.

        Parameters
        ----------
        debiaser : Debiaser
            Fitted, or loaded from a file.
        table : ProbabilityTable
            Labelled rows that the correction was not fitted on.
        fitted_on : ProbabilityTable, optional
            The rows it was fitted on: the report then warns where both share rows. Without them
            only a table that is the same as a whole is noticed.
        **options
            Passed to :class:`Report`, such as title, level or seed.

        Returns
        -------
        Report
            With sentences, settings and warnings.

        Raises
        ------
        TableError
            The table has no labels, or other classes than the correction.

        Examples
        --------
        >>> from debias.estimators.debiasers import WeightDebiaser
        >>> table = ProbabilityTable([[0.6, 0.4], [0.9, 0.1]], ["no", "yes"], classes=["yes", "no"])
        >>> debiaser = WeightDebiaser().fit(table.probabilities, table.labels)
        >>> print(Report.from_debiaser(debiaser, table).findings[0].text)
        These are the very rows that the correction was fitted on: ...
        """
        labels = [table.classes[code] for code in table.label_indices]
        predicted = predict_table(debiaser, table)
        probabilities = matched_probabilities(debiaser, table)
        return cls(
            labels,
            predicted["uncorrected"],
            predicted["prediction"],
            probabilities.columns.tolist(),
            corrections=[debiaser.corrections_[k] for k in np.argsort(debiaser.columns_)],
            sentences=debiaser.explain()["sentence"].tolist(),
            probabilities=probabilities.to_numpy(),
            settings=describe_provenance(debiaser, table),
            notes=notes_on_rows(debiaser, table, fitted_on),
            **options,
        )

    @cached_property
    def overall(self) -> pd.DataFrame:
        """Accuracy, COBias, worst class accuracy and macro F1, before and after.

        Indexed by metric; columns before, after and difference, each with ``_low`` and ``_high``,
        in [0, 1], and verdict: better, worse, or unclear where the interval covers zero.
        """
        whole = self._intervals.index.get_level_values("metric") != "class_accuracy"
        frame = self._intervals[whole].droplevel("class").drop(columns="n_samples")
        frame["verdict"] = [verdict(str(metric), row) for metric, row in frame.iterrows()]
        return frame

    @cached_property
    def by_class(self) -> pd.DataFrame:
        """One row per class: support, correction, accuracies and rows moved.

        Columns: support, correction, before, after and difference of the class accuracy, each
        with ``_low`` and ``_high``; verdict; predicted_before and predicted_after; moved_in and
        moved_out, rows whose prediction became or ceased to be this class; gained and lost,
        those of them that were rows of this class, so that the right rows after are the right
        rows before plus gained less lost.
        """
        single = self._intervals.index.get_level_values("metric") == "class_accuracy"
        frame = self._intervals[single].droplevel("metric")
        frame.insert(0, "support", frame.pop("n_samples"))
        names = [None if c is None else c.name for c in self.corrections]
        frame.insert(1, "correction", pd.Series(names, index=frame.index, dtype=object))
        frame["verdict"] = [verdict("class_accuracy", row) for _, row in frame.iterrows()]
        label, before, after = (self.rows[name] for name in ("label", "before", "after"))
        moved = before != after
        counts = {
            "predicted_before": before,
            "predicted_after": after,
            "moved_in": after[moved],
            "gained": after[moved & (after == label)],
            "moved_out": before[moved],
            "lost": before[moved & (before == label)],
        }
        for name, values in counts.items():
            frame[name] = values.value_counts().reindex(frame.index, fill_value=0).astype(np.int64)
        return frame

    @cached_property
    def moves(self) -> pd.DataFrame:
        """Rows whose prediction went from one class (index) to another (columns); square, of int."""
        moved = self.rows[self.rows["before"] != self.rows["after"]]
        counts = pd.crosstab(moved["before"], moved["after"])
        counts = counts.reindex(index=self.classes, columns=self.classes, fill_value=0)
        return counts.rename_axis(index="from", columns="to").astype(np.int64)

    @cached_property
    def move_outcomes(self) -> pd.DataFrame:
        """The moves that occur, most frequent first: how many rows became right, wrong, or neither.

        Indexed by from and to; columns rows, became_right, became_wrong, stayed_wrong.
        """
        moved = self.rows[self.rows["before"] != self.rows["after"]]
        outcomes = pd.DataFrame(
            {
                "from": moved["before"],
                "to": moved["after"],
                "rows": 1,
                "became_right": (moved["after"] == moved["label"]).astype(np.int64),
                "became_wrong": (moved["before"] == moved["label"]).astype(np.int64),
            }
        )
        counts = outcomes.groupby(["from", "to"]).sum().astype(np.int64)
        counts["stayed_wrong"] = counts["rows"] - counts["became_right"] - counts["became_wrong"]
        return counts.sort_values("rows", ascending=False, kind="stable")

    @property
    def headline(self) -> str:
        """One sentence on evenness and accuracy."""
        return headline(self.overall)

    @cached_property
    def findings(self) -> list[Finding]:
        """What the report says in words: warnings first, then worse, unclear and better."""
        found = [*self.notes, *describe_rows(self.by_class, self.overall)]
        results = describe_results(self.overall, self.by_class, self.level)
        warnings = [finding for finding in found if finding.kind == "warning"]
        return [*warnings, *results, *(finding for finding in found if finding.kind != "warning")]

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
        from debias.reports.markdown_page import render_markdown

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
        from debias.reports.html_page import render_html

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
            raise ParameterError(f"{path}: a report is written as one of {sorted(WRITERS)}; got {suffix!r}.")
        getattr(self, WRITERS[suffix])(path)

    def _per_class(self, name: str, values: Sequence[Any] | None) -> list[Any]:
        """Return one value per class, None where none are known."""
        if values is None:
            return [None] * len(self.classes)
        if len(values) != len(self.classes):
            raise ParameterError(f"{name} must have one per class, {len(self.classes)}; got {len(values)}.")
        return list(values)

    def _checked_probabilities(self, probabilities: Any) -> Any:
        """Return the probabilities as an array that fits rows and classes."""
        if probabilities is None:
            return None
        values = np.asarray(probabilities, dtype=np.float64)
        if values.shape != (len(self.rows), len(self.classes)):
            raise ParameterError(
                f"probabilities must have a row per label and a column per class, "
                f"{(len(self.rows), len(self.classes))}; got {values.shape}."
            )
        return values


def _written(page: str, path: str | os.PathLike[str] | None) -> str:
    """Write a page, whole or not at all, and return it."""
    if path is not None:
        with atomic_path(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
    return page
