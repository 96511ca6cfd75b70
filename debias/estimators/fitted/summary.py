"""The outcome of a fit in one or two sentences: for `summary()`, the screen, files and reports."""

import warnings
from typing import NamedTuple

from debias.console.number_formats import counted, fixed
from debias.corrections.bases.base import Identity
from debias.errors import InfeasibleWarning, InterruptedWarning
from debias.estimators.bases.base_words import NAMES
from debias.estimators.few_labels.generalization import FEW_LABELS
from debias.estimators.fitted.fitted_correction import NO_CORRECTION, FittedCorrection
from debias.metrics.class_mix import describe_never_predicted
from debias.metrics.class_support import describe_few_rows
from debias.metrics.confusion import cobias_of_accuracies
from debias.search.constraints import Constrained
from debias.search.objective import Counts
from debias.search.problem import TOLERANCE


def describe_outcome(fitted: FittedCorrection) -> str:
    """Say what the corrections do, or that none helps, and whether bounds are kept.

    Parameters
    ----------
    fitted : FittedCorrection
        What a fit learned.

    Returns
    -------
    str
        A few sentences.

    Examples
    --------
    >>> from debias.search.constraints import Constrained
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> rows = [[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]], [1, 0, 0]
    >>> debiaser = WeightDebiaser(objective=Constrained(max_cobias=0.2)).fit(*rows)
    >>> print(describe_outcome(debiaser.fitted_))
    1 of 2 classes is corrected: on 3 labelled rows accuracy goes from 66.7 to 100.0 %, COBias from
    100.0 to 0.0 points (... choices evaluated; proved optimal). It keeps COBias at most 20 points; the
    uncorrected model does not. On new rows, cross-validated with 3 labels: accuracy -20 points (-78 to
    +38), COBias -23 (-100 to +81). With so few labels the gain is uncertain. Batch calibration, which
    uses no labels, has accuracy 66.7 % and COBias 50.0 points on the same rows. 0 has 2 labelled rows, 1
    has 1: their class accuracies cannot be known.
    """
    n_changed = sum(not correction.is_identity for correction in fitted.corrections)
    has_base = not isinstance(fitted.base, Identity)
    evaluated = f"Nothing was changed: of {counted(fitted.n_evaluations, 'choice')} evaluated"
    if n_changed:
        corrected = "is corrected" if n_changed == 1 else "are corrected"
        said = f"{n_changed} of {len(fitted.classes)} classes {corrected}: on {_change(fitted)}."
    elif has_base:
        said = f"No class is corrected: on {_change(fitted)}."
    elif fitted.picked_row is not None:
        said = "Nothing is changed: this row is the uncorrected model."
    elif fitted.n_evaluations == 1:
        said = "Nothing was changed: no correction was searched for."
    elif _is_shrunk_away(fitted):
        said = (
            f"{evaluated}, some beat the uncorrected model on these {fitted.n_labels:,} labelled rows, but "
            "not by more than chance, or not on held-out rows."
        )
    else:
        said = (
            f"{evaluated} on {fitted.n_labels:,} labelled rows, none {_what_was_asked(fitted)}"
            f"{_proved(fitted)}."
        )
    by_hand = (
        "" if fitted.picked_row is None else f"Picked from the frontier by hand (row {fitted.picked_row}). "
    )
    first = f"The base is {NAMES[fitted.base.kind]}. " if has_base else ""
    why = "" if fitted.selection is None else f"{fitted.selection.describe(fitted.feasible)} "
    return f"{why}{by_hand}{first}{said}{_never_predicted(fitted)}{_bounds_kept(fitted)}{_caution(fitted)}"


def describe_infeasible(fitted: FittedCorrection) -> str:
    """Say which bounds no choice keeps, as far as proved, and what the closest one reaches.

    Parameters
    ----------
    fitted : FittedCorrection
        What a fit learned: out of bounds.

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
    ...     debiaser = debiaser.fit([[0.6, 0.4], [0.6, 0.4], [0.7, 0.3]], [1, 0, 0])
    >>> print(describe_infeasible(debiaser.fitted_))
    it is proved that no choice of corrections satisfies all bounds on these 3 rows: accuracy at least 80 %
    (66.7 is reached). The closest has accuracy 66.7 %, COBias 100.0 points and worst class accuracy
    0.0 %; loosen the bound, or choose from more corrections.
    """
    none = "no choice of corrections was found that satisfies"
    if _none_in_bounds(fitted):
        none = "it is proved that no choice of corrections satisfies"
    unmet, figures = _unmet(fitted), _figures(fitted.counts())
    return (
        f"{none} all bounds on these {fitted.n_labels:,} rows: {'; '.join(unmet)}. The closest has accuracy "
        f"{figures.accuracy:.1f} %, COBias {figures.cobias:.1f} points and worst class accuracy "
        f"{figures.worst:.1f} %; loosen the bound{'s' if len(unmet) > 1 else ''}, or choose from more "
        "corrections."
    )


def warn_of_outcome(fitted: FittedCorrection) -> None:
    """Warn where a fit was interrupted, or keeps no bounds.

    Warns
    -----
    InterruptedWarning, InfeasibleWarning
        What was kept instead.
    """
    if fitted.interrupted:
        sentence = "the search was interrupted; the best choice found so far is kept."
        warnings.warn(sentence, InterruptedWarning, stacklevel=3)
    if not fitted.feasible:
        warnings.warn(describe_infeasible(fitted), InfeasibleWarning, stacklevel=3)


def came_later(fitted: FittedCorrection) -> str:
    """Say what followed the choice that the certificate is about: a polish, or shrinking.

    Parameters
    ----------
    fitted : FittedCorrection
        What a fit learned.

    Returns
    -------
    str
        ``", before the polish"``, ``", before shrinking"``, or nothing.
    """
    if fitted.certificate is None:
        return ""
    certificate = fitted.certificate
    lower_by = certificate.objective + certificate.given_up - fitted.objective_value
    if fitted.shrunk:
        return ", before shrinking" if abs(lower_by) > TOLERANCE else ""
    return ", before the polish" if lower_by > TOLERANCE else ""


class _Figures(NamedTuple):
    """Accuracy and worst class accuracy in per cent, COBias in points."""

    accuracy: float
    cobias: float
    worst: float


def _figures(counts: Counts) -> _Figures:
    present = counts.support > 0
    accuracies = counts.correct[present] / counts.support[present]
    figures = counts.correct.sum() / counts.support.sum(), cobias_of_accuracies(accuracies), accuracies.min()
    return _Figures(*(100 * float(figure) for figure in figures))


def _change(fitted: FittedCorrection) -> str:
    """Say what accuracy, COBias and objective were and are."""
    before, after = (_figures(fitted.counts(corrected)) for corrected in (False, True))
    objective = ""
    if not isinstance(fitted.objective, Constrained):
        values = f"{fixed(fitted.baseline_objective_value, 4)} to {fixed(fitted.objective_value, 4)}"
        objective = f", the objective from {values}"
    return (
        f"{fitted.n_labels:,} labelled rows{_judged_by(fitted)} accuracy goes from {before.accuracy:.1f} to "
        f"{after.accuracy:.1f} %, COBias from {before.cobias:.1f} to {after.cobias:.1f} points{objective} "
        f"({counted(fitted.n_evaluations, 'choice')} evaluated{_proved(fitted)})"
    )


def _judged_by(fitted: FittedCorrection) -> str:
    """Say that a learnt base never judged the rows it was fitted on."""
    learnt = not isinstance(fitted.base, Identity) and fitted.base.kind != "batch"
    return ", each mapped by a base that was fitted without it," if learnt else ""


def _never_predicted(fitted: FittedCorrection) -> str:
    """Name the classes that no fitted row is predicted as, and say what would count them more."""
    before, after = (fitted.counts(corrected) for corrected in (False, True))
    said = describe_never_predicted([str(name) for name in fitted.classes], before.predicted, after.predicted)
    if not said:
        return ""
    goal = fitted.objective
    weighed = isinstance(goal, Constrained) or goal.balanced_error or goal.worst_class or goal.macro_f1
    if not weighed and ((after.predicted == 0) & (after.support > 0)).any():
        said += (
            " If classes that are not predicted matter, give all classes the same weight: "
            "Objective(balanced_error=1), or --balanced-error 1."
        )
    return f" {said}"


def _proved(fitted: FittedCorrection) -> str:
    """Say in a clause what is proved of the choice; nothing without a certificate."""
    certificate = fitted.certificate
    if certificate is None:
        return ""
    if certificate.given_up:
        best = "proved optimum" if certificate.status == "optimal" else "best met"
        return f"; within {fixed(certificate.given_up, 4)} of the {best}{came_later(fitted)}"
    if certificate.status == "optimal":
        return (
            f"; proved {'to be the closest' if certificate.out_of_bounds else 'optimal'}{came_later(fitted)}"
        )
    if certificate.status == "radius":
        classes = "one class" if certificate.radius == 1 else f"up to {certificate.radius} classes"
        better = "closer" if certificate.out_of_bounds else "better"
        return f"; none that differs in {classes} is {better}{came_later(fitted)}"
    return "; not proved to be the best"


def _is_shrunk_away(fitted: FittedCorrection) -> bool:
    """Tell whether shrinking took another choice than the best on the rows."""
    certificate = fitted.certificate
    if not fitted.shrunk or certificate is None:
        return False
    return fitted.objective_value > certificate.objective + certificate.given_up + TOLERANCE


def _caution(fitted: FittedCorrection) -> str:
    """Say what to expect of new rows, where labels are few or it was asked for; and name small classes."""
    said, no_labels_used = [], fitted.base.kind == "batch" and fitted.family == NO_CORRECTION
    if fitted.expectation is not None and (fitted.improved or _is_shrunk_away(fitted)):
        said.append(fitted.expectation.describe(made=fitted.improved))
    elif fitted.improved and fitted.n_labels < FEW_LABELS and not no_labels_used:
        said.append(
            f"With {fitted.n_labels:,} labels, expect a smaller gain on new rows: expect(X, y) estimates it."
        )
    said.append("" if no_labels_used else _label_free(fitted))
    said.append(describe_few_rows(fitted.classes, [facts.support for facts in fitted.facts]))
    return "".join(f" {sentence}" for sentence in said if sentence)


def _label_free(fitted: FittedCorrection) -> str:
    """Say what batch calibration reaches without labels, where labels are few."""
    free = fitted.label_free
    if free is None:
        return ""
    return (
        f"Batch calibration, which uses no labels, has accuracy {100 * free.accuracy:.1f} % and COBias "
        f"{100 * free.cobias:.1f} points on the same rows."
    )


def _none_in_bounds(fitted: FittedCorrection) -> bool:
    """Tell whether it is proved that no choice keeps the bounds."""
    return fitted.certificate is not None and fitted.certificate.none_in_bounds


def _unmet(fitted: FittedCorrection) -> list[str]:
    """Return the bounds that are not kept."""
    counts = fitted.counts()
    assert isinstance(fitted.objective, Constrained)
    return list(fitted.objective.unmet(counts.correct, counts.support))


def _what_was_asked(fitted: FittedCorrection) -> str:
    """Say in what no choice was better than the uncorrected model."""
    if not isinstance(fitted.objective, Constrained):
        return f"beats the uncorrected model (objective {fixed(fitted.objective_value, 4)})"
    figures = _figures(fitted.counts())
    model = f"the uncorrected model (accuracy {figures.accuracy:.1f} %, COBias {figures.cobias:.1f} points)"
    return f"{'within the bounds beats' if fitted.feasible else 'comes closer to the bounds than'} {model}"


def _bounds_kept(fitted: FittedCorrection) -> str:
    """Say whether bounds are kept, where there are any."""
    if not isinstance(fitted.objective, Constrained):
        return ""
    if not fitted.feasible:
        unmet = "; ".join(_unmet(fitted))
        if fitted.picked_row is not None:
            return f" It is OUT OF BOUNDS: {unmet}."
        proof = "; it is proved that no choice keeps all bounds" if _none_in_bounds(fitted) else ""
        return f" It is the closest choice found, but OUT OF BOUNDS: {unmet}{proof}."
    said = f" It keeps {fitted.objective.describe()}"
    if not fitted.improved:
        return f"{said}."
    before = fitted.objective.is_feasible(fitted.baseline_objective_value)
    return f"{said}; the uncorrected model does {'too' if before else 'not'}."
