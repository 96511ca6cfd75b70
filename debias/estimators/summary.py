"""What came of a fit, in one or two sentences: for `summary()`, the screen, files and reports.

Everything is said from learned attributes, so that a correction read from its file says the same.
"""

from typing import TYPE_CHECKING

import numpy as np

from debias.estimators.few_labels.shrinkage import FEW_LABELS
from debias.metrics.class_support import describe_few_rows
from debias.search.constraints import INFEASIBLE, Constrained, is_feasible
from debias.search.objective import Counts, Objective
from debias.search.problem import TOLERANCE

if TYPE_CHECKING:
    from debias.estimators.debiaser import Debiaser

_COBIAS = Objective(error=0.0, cobias=1.0, pmi=0.0)


def fitted_counts(debiaser: "Debiaser", corrected: bool = True) -> Counts:
    """Return the confusion counts on the rows that a debiaser was fitted on.

    Parameters
    ----------
    debiaser : Debiaser
        Fitted.
    corrected : bool, default=True
        Those with the corrections, or those of the uncorrected model.

    Returns
    -------
    Counts
        In the order of ``classes_``.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> debiaser = WeightDebiaser().fit([[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]], [1, 0, 0])
    >>> fitted_counts(debiaser).correct, fitted_counts(debiaser, corrected=False).correct
    (array([2, 1]), array([2, 0]))
    """
    side = "after" if corrected else "before"
    names = (f"correct_{side}", f"predicted_{side}", "support")
    return Counts(*(np.array([getattr(facts, name) for facts in debiaser.facts_]) for name in names))


def describe_outcome(debiaser: "Debiaser") -> str:
    """Say what the corrections do, or that none was found that helps, and whether bounds are kept.

    Parameters
    ----------
    debiaser : Debiaser
        Fitted.

    Returns
    -------
    str
        A sentence or two.

    Examples
    --------
    >>> from debias.search.constraints import Constrained
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> rows = [[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]], [1, 0, 0]
    >>> print(describe_outcome(WeightDebiaser(objective=Constrained(max_cobias=0.2)).fit(*rows)))
    1 of 2 classes are corrected: on 3 labelled rows accuracy goes from 66.7 to 100.0 %, COBias from
    100.0 to 0.0 points (... choices evaluated; proved optimal). It keeps COBias at most 20 points; the
    uncorrected model does not. On new rows, cross-validated with 3 labels: accuracy -20 points (-71 to
    +32), COBias -23 (-83 to +51). With so few labels the gain is uncertain. 0 has 2 labelled rows, 1 has
    1: their class accuracies cannot be known.
    """
    picked = debiaser.picked_row_
    if debiaser.improved_:
        n_changed = sum(not correction.is_identity for correction in debiaser.corrections_)
        said = f"{n_changed} of {len(debiaser.classes_)} classes are corrected: on {_change(debiaser)}."
    elif picked is not None:
        said = "Nothing is changed: this row is the uncorrected model."
    elif _is_shrunk_away(debiaser):
        said = (
            f"Nothing was changed: of {debiaser.n_evaluations_:,} choices evaluated some beat the "
            f"uncorrected model on these {debiaser.n_labels_:,} labelled rows, but not by more than chance, "
            "or not on rows held out."
        )
    else:
        said = (
            f"Nothing was changed: of {debiaser.n_evaluations_:,} choices evaluated on "
            f"{debiaser.n_labels_:,} labelled rows, none {_what_was_asked(debiaser)}{_proved(debiaser)}."
        )
    by_hand = "" if picked is None else f"Picked from the frontier by hand (row {picked}). "
    return f"{by_hand}{said}{_bounds_kept(debiaser)}{_caution(debiaser)}"


def describe_infeasible(debiaser: "Debiaser") -> str:
    """Say which bounds no choice keeps, as far as proved, and what the closest one reaches.

    Parameters
    ----------
    debiaser : Debiaser
        Fitted with an objective that is constrained, and not feasible.

    Returns
    -------
    str
        For a warning.

    Examples
    --------
    >>> import warnings
    >>> from debias.search.constraints import Constrained
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> debiaser = WeightDebiaser(objective=Constrained(min_accuracy=0.8))
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     debiaser = debiaser.fit([[0.6, 0.4], [0.6, 0.4], [0.6, 0.4]], [1, 0, 0])
    >>> print(describe_infeasible(debiaser))
    no choice of corrections keeps all bounds on these 3 rows, as is proved: accuracy at least 80 % (66.7
    is reached). The closest has accuracy 66.7 %, COBias 100.0 points and worst class accuracy 0.0 %;
    loosen the bound, or choose from more corrections.
    """
    counts = fitted_counts(debiaser)
    assert isinstance(debiaser.objective_, Constrained)
    unmet = debiaser.objective_.unmet(counts.correct, counts.support)
    rows = f"all bounds on these {debiaser.n_labels_:,} rows"
    none = f"no choice of corrections was found that keeps {rows}"
    if _none_in_bounds(debiaser):
        none = f"no choice of corrections keeps {rows}, as is proved"
    return (
        f"{none}: {'; '.join(unmet)}. The closest has accuracy {_accuracy(counts):.1f} %, COBias "
        f"{_gap(counts):.1f} points and worst class accuracy {_worst(counts):.1f} %; loosen the "
        f"bound{'s' if len(unmet) > 1 else ''}, or choose from more corrections."
    )


def _change(debiaser: "Debiaser") -> str:
    """Say what accuracy, COBias and objective were and are."""
    before, after = (fitted_counts(debiaser, corrected) for corrected in (False, True))
    values = (debiaser.baseline_objective_value_, debiaser.objective_value_)
    objective = f", the objective from {values[0]:.4f} to {values[1]:.4f}"
    if isinstance(debiaser.objective_, Constrained):
        objective = ""
    return (
        f"{debiaser.n_labels_:,} labelled rows accuracy goes from {_accuracy(before):.1f} to "
        f"{_accuracy(after):.1f} %, COBias from {_gap(before):.1f} to {_gap(after):.1f} points{objective} "
        f"({debiaser.n_evaluations_:,} choices evaluated{_proved(debiaser)})"
    )


def _proved(debiaser: "Debiaser") -> str:
    """Say in a clause what is proved of the choice; nothing where nobody asked for a proof."""
    certificate = debiaser.certificate_
    if certificate is None:
        return ""
    later = came_later(debiaser)
    in_bounds = certificate.objective < INFEASIBLE
    if certificate.status == "optimal":
        return f"; proved {'optimal' if in_bounds else 'to be the closest'}{later}"
    if certificate.status == "radius":
        classes = "one class" if certificate.radius == 1 else f"up to {certificate.radius} classes"
        return f"; none that differs in {classes} is {'better' if in_bounds else 'closer'}{later}"
    return "; not proved to be the best"


def came_later(debiaser: "Debiaser") -> str:
    """Say what came after the choice that the certificate is of: a polish, or shrinking.

    Parameters
    ----------
    debiaser : Debiaser
        Fitted.

    Returns
    -------
    str
        ``", before the polish"``, ``", before shrinking"``, or nothing.
    """
    if debiaser.certificate_ is None:
        return ""
    lower_by = debiaser.certificate_.objective - debiaser.objective_value_
    if debiaser.shrunk_:
        return ", before shrinking" if abs(lower_by) > TOLERANCE else ""
    return ", before the polish" if lower_by > TOLERANCE else ""


def _is_shrunk_away(debiaser: "Debiaser") -> bool:
    """Tell whether shrinking took another choice than the best on the rows."""
    certificate = debiaser.certificate_
    if not debiaser.shrunk_ or certificate is None:
        return False
    return debiaser.objective_value_ > certificate.objective + TOLERANCE


def _caution(debiaser: "Debiaser") -> str:
    """Say what to expect of new rows, where labels are few or it was asked for; and name small classes."""
    support = [facts.support for facts in debiaser.facts_]
    said = []
    if debiaser.expectation_ is not None and (debiaser.improved_ or _is_shrunk_away(debiaser)):
        said.append(debiaser.expectation_.describe(made=debiaser.improved_))
    elif debiaser.improved_ and debiaser.n_labels_ < FEW_LABELS:
        said.append(
            f"With {debiaser.n_labels_:,} labels expect less of new rows than of these: expect(X, y) says "
            "how much."
        )
    said.append(describe_few_rows(debiaser.classes_, support))
    return "".join(f" {sentence}" for sentence in said if sentence)


def _none_in_bounds(debiaser: "Debiaser") -> bool:
    """Tell whether it is proved that no choice keeps the bounds."""
    return debiaser.certificate_ is not None and debiaser.certificate_.none_in_bounds


def _what_was_asked(debiaser: "Debiaser") -> str:
    """Say at what no choice was better than the uncorrected model."""
    if not isinstance(debiaser.objective_, Constrained):
        return f"beats the uncorrected model (objective {debiaser.objective_value_:.4f})"
    counts = fitted_counts(debiaser)
    model = f"the uncorrected model (accuracy {_accuracy(counts):.1f} %, COBias {_gap(counts):.1f} points)"
    return f"{'within the bounds beats' if debiaser.feasible_ else 'comes closer to the bounds than'} {model}"


def _bounds_kept(debiaser: "Debiaser") -> str:
    """Say whether bounds are kept, where there are any."""
    objective = debiaser.objective_
    if not isinstance(objective, Constrained):
        return ""
    if not debiaser.feasible_:
        counts = fitted_counts(debiaser)
        unmet = "; ".join(objective.unmet(counts.correct, counts.support))
        if debiaser.picked_row_ is not None:
            return f" It is OUT OF BOUNDS: {unmet}."
        none = "; no choice keeps all bounds, as is proved" if _none_in_bounds(debiaser) else ""
        return f" It is the closest choice found, but OUT OF BOUNDS: {unmet}{none}."
    said = f" It keeps {objective.describe()}"
    if not debiaser.improved_:
        return f"{said}."
    before = is_feasible(objective, debiaser.baseline_objective_value_)
    return f"{said}; the uncorrected model does {'too' if before else 'not'}."


def _accuracy(counts: Counts) -> float:
    """Return the accuracy in per cent."""
    return float(100 * counts.correct.sum() / counts.support.sum())


def _gap(counts: Counts) -> float:
    """Return COBias in points."""
    return float(100 * np.asarray(_COBIAS(*counts)))


def _worst(counts: Counts) -> float:
    """Return the least class accuracy in per cent."""
    present = counts.support > 0
    return float(100 * (counts.correct[present] / counts.support[present]).min())
