"""All that a fit learned, in one frozen object: summaries, files, reports and predictions read it.

Nothing is changed in place: a choice picked by hand, or an expectation that was asked for later,
is a new object (`dataclasses.replace`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.corrections.bases.base import Base, Identity
from debias.corrections.correction import Correction
from debias.corrections.decision_rule import DecisionRule, correct, decide
from debias.corrections.explanations import ClassFacts, count_moves
from debias.corrections.families import Family
from debias.errors import ParameterError
from debias.estimators.few_labels.generalization import FEW_LABELS, Expectation
from debias.estimators.few_labels.one_standard_error import MethodSelection
from debias.estimators.fitted.fitted_frontier import Frontier
from debias.estimators.fitted.label_free import LabelFree
from debias.guarantees.guarantee import Guarantee
from debias.guarantees.watching.reference import Reference
from debias.search.certificate import Certificate
from debias.search.constraints import Goal
from debias.search.goals.class_order import goal_by_class, goal_by_column
from debias.search.objective import Counts
from debias.search.problem import Problem
from debias.search.proof.near_ties import NearTies
from debias.search.result import SearchResult
from debias.tables.class_columns import ClassColumns, FloatArray, IndexArray, fingerprint_of
from debias.tables.row_digests import RowDigests

NO_CORRECTION = "none"
"""Name of the family of the identity alone: nothing is searched for, the base decides."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedCorrection:
    """All that a fit learned.

    Attributes
    ----------
    method, search : str
        Class name of the debiaser, and the search that it ran.
    base : Base
        The map that comes before the corrections.
    selection : MethodSelection or None
        What every method was worth on held-out rows, where the method was chosen.
    n_weights : int or None
        Steps of the scale of weights, where the method has one.
    classes : ndarray of shape (n_classes,)
        Class labels, sorted; corrections and facts have their order.
    columns : ndarray of shape (n_classes,)
        Column of each class.
    corrections : tuple of Correction
        One per class.
    facts : tuple of ClassFacts
        Counts of each class on the fitted rows.
    objective : Objective or Constrained
        What was minimised.
    objective_value, baseline_objective_value : float
        The objective per sample, with the corrections and without.
    n_evaluations : int
        Choices that the search evaluated.
    search_seconds : float
        Wall-clock time of the search.
    n_labels : int
        Labelled rows used.
    data_fingerprint : str
        SHA-256 of these rows.
    interrupted : bool
        Whether Ctrl-C ended the search.
    certificate : Certificate or None
        What is proved of the choice; None for a published schedule and for a picked row.
    shrunk : bool
        Whether the choice was shrunk, as few labels require.
    shrinkage_path : DataFrame or None
        The choices that were compared when it was shrunk.
    expectation : Expectation or None
        Cross-validated figures of new rows.
    picked_row : int or None
        Row of the frontier that a person picked.
    near_ties : NearTies or None
        Choices that are nearly as good; None where few labels shrank the choice, or a person picked it.
    frontier : Frontier or None
        Trade-offs that the search met; not saved.
    family : str or None
        Name of the family that was chosen from, where it was asked for by name.
    label_free : LabelFree or None
        What batch calibration reaches on the same rows, where labels are few.
    family_size : int
        Corrections that each class could have, whatever the rows; 0 where they are not finitely many, or
        unknown.
    settings_tried : int
        Settings, such as objectives and families, of which the rows chose one.
    row_digests : RowDigests or None
        Digests of the fitted rows, to tell whether other rows were among them.
    guarantee : Guarantee or None
        What :func:`~debias.guarantees.certification.certify` found on held-out rows, if it is kept.
    reference : Reference or None
        How the fitted rows were distributed, to tell whether new rows are like them.
    edited : bool
        Whether its file was edited: figures and proofs are then those of the correction before.
    """

    method: str
    search: str
    n_weights: int | None
    classes: npt.NDArray[np.generic]
    columns: IndexArray
    corrections: tuple[Correction, ...]
    facts: tuple[ClassFacts, ...]
    objective: Goal
    objective_value: float
    baseline_objective_value: float
    n_evaluations: int
    search_seconds: float
    n_labels: int
    data_fingerprint: str
    interrupted: bool = False
    certificate: Certificate | None = None
    shrunk: bool = False
    shrinkage_path: pd.DataFrame | None = None
    expectation: Expectation | None = None
    picked_row: int | None = None
    near_ties: NearTies | None = None
    frontier: Frontier | None = None
    base: Base = Identity()
    family: str | None = None
    selection: MethodSelection | None = None
    label_free: LabelFree | None = None
    family_size: int = 0
    settings_tried: int = 1
    row_digests: RowDigests | None = None
    guarantee: Guarantee | None = None
    reference: Reference | None = None
    edited: bool = False

    @classmethod
    def of(
        cls,
        match: ClassColumns,
        probabilities: FloatArray,
        problem: Problem,
        by_column: Sequence[Correction],
        result: SearchResult,
        family: Family,
        *,
        method: str,
        search: str,
        n_labels: int,
        n_weights: int | None = None,
        is_finite: bool = True,
    ) -> Self:
        """Return what a search found, with its counts on the labelled rows.

        Parameters
        ----------
        match : ClassColumns
            The labels as columns.
        probabilities : ndarray of shape (n_samples, n_classes)
            Class probabilities.
        problem : Problem
            The same rows, as they were searched.
        by_column : sequence of Correction
            What was chosen, by column.
        result : SearchResult
            What it took, and what is proved.
        family : Family
            The corrections that were chosen from.
        method, search, n_labels, n_weights
            See the attributes.
        is_finite : bool, default=True
            Whether the family was fixed before the rows were seen, and nothing else was fitted.
        """
        values = correct(probabilities, by_column)
        decided = decide(values, probabilities)
        before = problem.counts(problem.identity_choice)
        after = problem.objective.counts(match.y, decided, problem.n_classes)
        moves = count_moves(probabilities, values, probabilities)
        facts = tuple(
            ClassFacts(
                support=int(problem.support[k]),
                correct_before=int(before.correct[k]),
                correct_after=int(after.correct[k]),
                predicted_before=int(before.predicted[k]),
                predicted_after=int(after.predicted[k]),
                quartiles=_quartiles(probabilities[match.y == k, k]),
                **{name: int(counts[k]) for name, counts in moves._asdict().items()},
            )
            for k in match.columns
        )
        pareto = result.pareto
        return cls(
            method=method,
            search=search,
            n_weights=n_weights,
            classes=match.classes,
            columns=match.columns,
            corrections=tuple(by_column[k] for k in match.columns),
            facts=facts,
            objective=goal_by_class(problem.objective, match.columns),
            objective_value=float(problem.objective(*after)),
            baseline_objective_value=problem.evaluate(problem.identity_choice),
            n_evaluations=result.n_evaluations,
            search_seconds=result.seconds,
            n_labels=n_labels,
            data_fingerprint=fingerprint_of(probabilities, match.y),
            label_free=LabelFree.of(match.y, probabilities) if n_labels < FEW_LABELS else None,
            family_size=len(family) if is_finite else 0,
            row_digests=_digests(probabilities, n_labels),
            reference=_reference(probabilities, match.y, n_labels),
            interrupted=result.interrupted,
            certificate=result.certificate,
            near_ties=None if result.near is None else result.near.named(family.ids, match.columns),
            frontier=(
                None if pareto is None else Frontier.of(problem, pareto, result.frontier_complete, family)
            ),
        )

    @property
    def choice(self) -> IndexArray:
        """Id of the correction of each class."""
        return np.array([correction.id for correction in self.corrections], dtype=np.int64)

    @property
    def by_column(self) -> list[Correction]:
        """The corrections in the order of the columns."""
        return [self.corrections[k] for k in np.argsort(self.columns)]

    @cached_property
    def rule(self) -> DecisionRule:
        """Base and corrections, as they are applied to rows."""
        return DecisionRule(tuple(self.by_column), self.base)

    @property
    def improved(self) -> bool:
        """Whether anything is changed: by the base, or by the correction of any class."""
        return not isinstance(self.base, Identity) or any(
            not correction.is_identity for correction in self.corrections
        )

    @property
    def feasible(self) -> bool:
        """Whether all bounds of a Constrained objective are kept."""
        return self.objective.is_feasible(self.objective_value)

    def decide(self, probabilities: FloatArray) -> IndexArray:
        """Return the column that is predicted for each row of class probabilities."""
        return self.rule.decide(probabilities)

    def counts(self, corrected: bool = True) -> Counts:
        """Return the confusion counts on the fitted rows, by class, with the corrections or without.

        Examples
        --------
        >>> from debias.estimators.debiasers import WeightDebiaser
        >>> debiaser = WeightDebiaser().fit([[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]], [1, 0, 0])
        >>> debiaser.fitted_.counts().correct, debiaser.fitted_.counts(corrected=False).correct
        (array([2, 1]), array([2, 0]))
        """
        side = "after" if corrected else "before"
        names = (f"correct_{side}", f"predicted_{side}", "support")
        return Counts(*(np.array([getattr(facts, name) for facts in self.facts]) for name in names))

    def picked(self, row: int) -> Self:
        """Return the correction of another row of the frontier.

        Raises
        ------
        ParameterError
            There is no such row.
        """
        frontier = self.frontier
        n_rows = 0 if frontier is None else len(frontier.choice)
        is_number = isinstance(row, (int, np.integer)) and not isinstance(row, bool)
        if frontier is None or not is_number or not -n_rows <= row < n_rows:
            raise ParameterError(
                parameter="row", allowed=f"a row of the frontier, from 0 to {n_rows - 1}", received=row
            )
        correct, predicted = frontier.correct[row], frontier.predicted[row]
        cost = None if frontier.cost is None else float(frontier.cost[row])
        k = self.columns  # the order of classes, which is that of the objective
        facts = tuple(
            replace(
                one,
                correct_after=int(correct[column]),
                predicted_after=int(predicted[column]),
                raised=0,
                cut=0,
                unmoved=0,
            )
            for one, column in zip(self.facts, self.columns, strict=True)
        )
        return replace(
            self,
            corrections=tuple(frontier.family[frontier.choice[row, column]] for column in self.columns),
            facts=facts,
            objective_value=float(self.objective(correct[k], predicted[k], frontier.support[k], cost)),
            certificate=None,
            expectation=None,
            shrunk=False,
            shrinkage_path=None,
            picked_row=int(row) % n_rows,
            guarantee=None,
            near_ties=None,
        )

    def after(
        self, base: Base, name: str, match: ClassColumns, probabilities: FloatArray, posteriors: FloatArray
    ) -> Self:
        """Return the same corrections behind a base, beside the uncorrected model.

        Parameters
        ----------
        base : Base
            What maps probabilities to the posteriors that were searched.
        name : str
            The family that was chosen from.
        match, probabilities, posteriors
            The rows of the fit before the base, and after it, as often as they count.

        Returns
        -------
        FittedCorrection
            Its counts without correction, and the value they have, are those of the model. Those with
            correction are of out-of-fold posteriors.
        """
        goal = goal_by_column(self.objective, match.classes.tolist(), match.columns)
        counts = goal.counts(match.y, decide(probabilities, probabilities), probabilities.shape[1])
        moves = count_moves(probabilities, correct(posteriors, self.by_column), posteriors)
        facts = tuple(
            replace(
                one,
                correct_before=int(counts.correct[k]),
                predicted_before=int(counts.predicted[k]),
                quartiles=_quartiles(probabilities[match.y == k, k]),
                **{name: int(counted[k]) for name, counted in moves._asdict().items()},
            )
            for one, k in zip(self.facts, match.columns, strict=True)
        )
        return replace(
            self,
            base=base,
            family=name,
            facts=facts,
            baseline_objective_value=float(goal(*counts)),
            data_fingerprint=fingerprint_of(probabilities, match.y),
            label_free=LabelFree.of(match.y, probabilities) if self.n_labels < FEW_LABELS else None,
            family_size=self.family_size if isinstance(base, Identity) else 0,
            row_digests=_digests(probabilities, self.n_labels),
            reference=_reference(probabilities, match.y, self.n_labels),
        )


def _digests(probabilities: FloatArray, n_labels: int) -> RowDigests:
    """Return the digests of the rows of a fit, each once where weights repeat rows."""
    repeated = n_labels != len(probabilities)
    return RowDigests.of(np.unique(probabilities, axis=0) if repeated else probabilities)


def _reference(probabilities: FloatArray, y: IndexArray, n_labels: int) -> Reference:
    """Return the distribution of the rows of a fit, each once where weights repeat rows."""
    if n_labels != len(probabilities):
        _, once = np.unique(np.column_stack([probabilities, y]), axis=0, return_index=True)
        probabilities, y = probabilities[np.sort(once)], y[np.sort(once)]
    return Reference.of(probabilities, y)


def _quartiles(values: FloatArray) -> tuple[float, float, float]:
    """Return the quartiles; zeros where there are no values."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]) if len(values) else (0.0, 0.0, 0.0)
    return float(low), float(middle), float(high)
