"""The figures of a report: labels and two predictions for the same rows, as DataFrames and findings.

Class accuracy is the share of a class's rows that is classified correctly; COBias is the mean gap
between two of them. All values in the frames are fractions; pages and plots show them times 100.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import precision_recall_fscore_support

from debias.corrections.bases.base import Base, Identity
from debias.corrections.correction import Correction
from debias.errors import ParameterError, TableError
from debias.estimators.bases.base_words import describe_base
from debias.guarantees.guarantee import Guarantee
from debias.metrics.confusion import FloatArray, confusion
from debias.metrics.paired_bootstrap import paired_intervals
from debias.reports.advice.moved_examples import moved_examples
from debias.reports.advice.plain_methods import rival_of
from debias.reports.advice.recommendation import Recommendation, recommend
from debias.reports.comparison.comparison import Comparison
from debias.reports.findings import Finding, describe_results, describe_rows, headline, verdict
from debias.tables.labels.label_reading import label_text, plain_labels

WIDEST_MATRIX = 14
"""Classes up to which pages show a matrix of classes."""


@dataclass(frozen=True)
class CorrectionDetails:
    """Details of a correction that a report can show.

    Attributes
    ----------
    corrections : sequence of Correction of length n_classes, optional
        The correction of each class, in the order of the classes of the report.
    sentences : sequence of str of length n_classes, optional
        A sentence on each class.
    probabilities : ndarray of shape (n_samples, n_classes), optional
        Uncorrected class probabilities, to show which part of a correction matters.
    settings : mapping of str to mapping
        Provenance: sections of names and values.
    notes : sequence of Finding
        Notes and warnings on the rows and the correction.
    model : str, optional
        The model that gave the probabilities: its name and revision.
    guarantee : Guarantee, optional
        What holds on new rows.
    base : Base, optional
        The map that comes before the corrections; the probabilities are then its posteriors.
    blockers : sequence of str
        Clauses on why the figures cannot speak for the correction, such as rows that were fitted on.
    comparison : Comparison, optional
        Of :func:`debias.reports.advice.plain_methods.compare_with_plain`.
    near_ties : DataFrame, optional
        Choices that are nearly as good on the fitted rows.
    texts : Series of str, optional
        Texts of the rows: where they are given, pages show examples of moved rows.
    n_examples : int, default=0
        Examples of each outcome.
    """

    corrections: Sequence[Correction] | None = None
    sentences: Sequence[str] | None = None
    probabilities: npt.ArrayLike | None = None
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    notes: Sequence[Finding] = ()
    model: str | None = None
    guarantee: Guarantee | None = None
    base: Base = Identity()
    blockers: Sequence[str] = ()
    comparison: Comparison | None = None
    near_ties: pd.DataFrame | None = None
    texts: "pd.Series[str] | None" = None
    n_examples: int = 0


def _as_text(label: object) -> str:
    """Return a text as it is, and a number as other labels are compared with it."""
    return str(label) if isinstance(label, str) else label_text(label)


def _as_texts(columns: Mapping[str, npt.ArrayLike]) -> list[list[str]]:
    """Return labels and predictions as texts: 1, 1.0 and True are the same beside numbers.

    Examples
    --------
    >>> _as_texts({"y_true": [1, 0], "y_before": [1.0, 0.0], "y_after": [True, False]})
    [['1', '0'], ['1', '0'], ['1', '0']]
    """
    read = []
    for name, given in columns.items():
        try:
            labels = plain_labels(given)
        except TableError as error:
            raise error.at(column=name) from None
        if labels.ndim != 1:
            raise ParameterError(
                parameter=name, allowed="one label for each row", received=f"of shape {labels.shape}"
            )
        read.append(labels)
    if any(labels.dtype.kind == "i" for labels in read):
        read = [labels.astype(np.int64) if labels.dtype == bool else labels for labels in read]
    return [[_as_text(label) for label in labels.tolist()] for labels in read]


class Figures:
    """The part of a :class:`~debias.reports.correction_report.Report` that pages are written from."""

    def __init__(
        self,
        y_true: npt.ArrayLike,
        y_before: npt.ArrayLike,
        y_after: npt.ArrayLike,
        classes: Sequence[str] | None = None,
        *,
        details: CorrectionDetails | None = None,
        title: str = "Class accuracies before and after correction",
        level: float = 0.95,
        n_resamples: int = 1000,
        seed: int = 0,
    ) -> None:
        if not isinstance(title, str) or not title.strip():
            raise ParameterError(parameter="title", allowed="a text that is not empty", received=title)
        columns = ("label", "before", "after")
        texts = _as_texts({"y_true": y_true, "y_before": y_before, "y_after": y_after})
        values = dict(zip(columns, texts, strict=True))
        sizes = {name: len(column) for name, column in values.items()}
        if len(set(sizes.values())) > 1 or not sizes["label"]:
            raise ParameterError(
                parameter="y_true, y_before and y_after", allowed="of one length, not empty", received=sizes
            )
        self.rows = pd.DataFrame(values, dtype=object)  # which may hold half a character
        present = sorted(set(self.rows.to_numpy().ravel()))
        self.classes = tuple(present if classes is None else map(_as_text, classes))
        n_different = len(set(self.classes))
        if not set(present) <= set(self.classes) or n_different < max(2, len(self.classes)):
            raise ParameterError(
                parameter="classes",
                allowed=f"two or more different names, {present} among them",
                received=list(self.classes),
            )
        details = CorrectionDetails() if details is None else details
        n_classes = len(self.classes)
        for name in ("corrections", "sentences"):
            given = getattr(details, name)
            if given is not None and len(given) != n_classes:
                allowed = f"one per class, {n_classes}"
                raise ParameterError(parameter=name, allowed=allowed, received=len(given))
        nothing = [None] * n_classes
        self.corrections: list[Correction | None] = list(details.corrections or nothing)
        self.sentences: list[str | None] = list(details.sentences or nothing)
        self.probabilities = None
        if details.probabilities is not None:
            self.probabilities = np.asarray(details.probabilities, dtype=np.float64)
            shape = (len(self.rows), n_classes)
            if self.probabilities.shape != shape:
                raise ParameterError(
                    parameter="probabilities", allowed=f"of shape {shape}", received=self.probabilities.shape
                )
        self.settings = {section: dict(entries) for section, entries in details.settings.items()}
        self.notes, self.model = tuple(details.notes), details.model
        self.guarantee, self.base, self.comparison = details.guarantee, details.base, details.comparison
        self.near_ties, self._details = details.near_ties, details
        self.title = title
        self.level, self.n_resamples, self.seed = level, n_resamples, seed
        label, before, after = (self.rows[name] for name in columns)
        self._intervals = paired_intervals(label, before, after, list(self.classes), level, n_resamples, seed)

    @property
    def base_sentences(self) -> list[str]:
        """What the base does, in sentences; none where there is none."""
        return describe_base(self.base, self.classes)

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
        those of them that were rows of this class, so that the correct rows after are the correct
        rows before plus gained minus lost.
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

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Precision, recall and F1 of each class, before and after, in [0, 1]; NaN where undefined.

        Indexed by class; the columns have two levels: precision, recall or f1, and before or after.
        """
        names = ("precision", "recall", "f1")
        columns: dict[tuple[str, str], FloatArray] = {}
        for side in ("before", "after"):
            found = precision_recall_fscore_support(
                self.rows["label"], self.rows[side], labels=list(self.classes), zero_division=np.nan
            )
            columns |= {(name, side): values for name, values in zip(names, found[:3], strict=True)}
        frame = pd.DataFrame(columns, index=pd.Index(self.classes, name="class"))
        return frame[[(name, side) for name in names for side in ("before", "after")]]

    @cached_property
    def confusions(self) -> dict[str, pd.DataFrame]:
        """Confusion matrices before and after: rows by label (index) and prediction (columns)."""
        found = {}
        for side in ("before", "after"):
            counts = confusion(self.rows["label"], self.rows[side], list(self.classes))
            found[side] = counts[list(self.classes)].rename_axis(index="label", columns="predicted")
        return found

    @cached_property
    def recommendation(self) -> Recommendation:
        """Whether to use the correction, and why, for who decides."""
        rival = None if self.comparison is None else rival_of(self.comparison)
        return recommend(
            self.overall,
            self.by_class,
            blockers=self._details.blockers,
            guarantee=self.guarantee,
            rival=rival,
        )

    @cached_property
    def examples(self) -> pd.DataFrame | None:
        """Rows whose prediction moved, with texts, drawn at random; None where texts are not to be shown."""
        if self._details.texts is None or not self._details.n_examples:
            return None
        return moved_examples(self.rows, self._details.texts, self._details.n_examples, self.seed)

    @property
    def examples_of_each(self) -> int:
        """How many examples of each outcome there may be."""
        return self._details.n_examples

    @property
    def remarks(self) -> list[Finding]:
        """The findings that the overall figures do not tell already."""
        return [finding for finding in self.findings if finding.metric is None]

    @property
    def headline(self) -> str:
        """One sentence on evenness and accuracy."""
        return headline(self.overall)

    @cached_property
    def findings(self) -> list[Finding]:
        """The report in words: warnings first, then worse, unclear and better."""
        found = [*self.notes, *describe_rows(self.by_class, self.overall)]
        results = describe_results(self.overall, self.by_class, self.level)
        warnings = [finding for finding in found if finding.kind == "warning"]
        return [*warnings, *results, *(finding for finding in found if finding.kind != "warning")]
