"""The card of a correction: where it comes from, what each class gets, what is proved, what is guaranteed.

"Proved" is said of the rows that it was fitted on, "guaranteed" of new rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from debias.console.number_formats import at_least, counted, percent
from debias.corrections.bases.base import Identity
from debias.estimators.bases.base_words import NAMES
from debias.estimators.few_labels.generalization import FEW_LABELS
from debias.estimators.fitted.fitted_correction import NO_CORRECTION, FittedCorrection
from debias.estimators.fitted.summary import came_later, describe_outcome
from debias.search.constraints import Constrained

HEADER = ("class", "correction", "fitted rows", "correct before, %", "after, %", "guaranteed, %")
"""Columns of :attr:`CorrectionCard.classes`."""
NOT_RECORDED = "not recorded: the fitted table did not name it"
_SHOWN = 16


@dataclass(frozen=True)
class CorrectionCard:
    """What is known of a correction, in words.

    Attributes
    ----------
    summary : str
    facts : tuple of (str, str)
        Names and values: where it comes from, and how it was made.
    classes : tuple of tuple of str
        A row per class, see :data:`HEADER`.
    proved, guaranteed : str
        Of the fitted rows, and of new rows.
    near_ties : str
        How much choices differ that are nearly as good; empty where they were not kept.
    refit : tuple of str
        When to fit it again.
    data : mapping
        The same for machines.
    """

    summary: str
    facts: tuple[tuple[str, str], ...]
    classes: tuple[tuple[str, ...], ...]
    proved: str
    guaranteed: str
    near_ties: str
    refit: tuple[str, ...]
    data: Mapping[str, Any]


def card_of(fitted: FittedCorrection) -> CorrectionCard:
    """Return the card of a correction.

    Parameters
    ----------
    fitted : FittedCorrection
        From a fit, or from a file of any release.

    Returns
    -------
    CorrectionCard

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> X = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])
    >>> card = card_of(WeightDebiaser(n_weights=10).fit(X, [1, 0, 0, 1]).fitted_)
    >>> card.classes[0][:3], card.guaranteed
    (('0', 'weight 4/10', '2'), 'nothing yet: certify it on labelled rows on which nothing was fitted or
    chosen')
    """
    origin = {} if fitted.reference is None else dict(fitted.reference.origin)
    return CorrectionCard(
        summary=describe_outcome(fitted),
        facts=tuple(_facts(fitted, origin)),
        classes=tuple(_class_rows(fitted)),
        proved=what_is_proved(fitted),
        guaranteed=_guaranteed(fitted),
        near_ties="" if fitted.near_ties is None else fitted.near_ties.describe(),
        refit=tuple(_when_to_refit(fitted)),
        data=_data(fitted, origin),
    )


def _facts(fitted: FittedCorrection, origin: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return where a correction comes from, and how it was made."""
    model = origin.get("model", NOT_RECORDED)
    versions = [f"{name} {origin[name]}" for name in ("revision", "weights", "dtype") if name in origin]
    prompt = [
        f"{name} {origin[name]}" for name in ("template", "demonstrations", "tokenizer") if name in origin
    ]
    found = [
        ("model", f"{model} ({', '.join(versions)})" if versions else model),
        ("prompt", "; ".join(prompt) or NOT_RECORDED),
        ("fitted rows", f"{fitted.n_labels:,} labelled, fingerprint {fitted.data_fingerprint[:_SHOWN]}"),
        ("method", _method(fitted)),
    ]
    goal = fitted.objective
    if isinstance(goal, Constrained):
        found.append(("bounds", goal.describe()))
    return found


def _method(fitted: FittedCorrection) -> str:
    """Say by what the correction was chosen."""
    said = fitted.method
    if fitted.family is not None:
        said += f", family {fitted.family}"
    if not isinstance(fitted.base, Identity):
        said += f", after {NAMES[fitted.base.kind]}"
    if fitted.family != NO_CORRECTION:
        said += f", search {fitted.search}"
    if fitted.picked_row is not None:
        said += f"; row {fitted.picked_row} of the frontier, picked by hand"
    return said + ("; shrunk, because there were few labels" if fitted.shrunk else "")


def _class_rows(fitted: FittedCorrection) -> list[tuple[str, ...]]:
    """Return what each class gets, in the order of the columns."""
    low = (
        {}
        if fitted.guarantee is None
        else dict(zip(fitted.guarantee.classes, fitted.guarantee.low, strict=True))
    )
    rows = []
    for k in np.argsort(fitted.columns):
        name, facts = str(fitted.classes[k]), fitted.facts[k]
        least = f"≥ {at_least(low[name])}" if name in low else "–"
        shares = [percent(x, unit=False) for x in (facts.accuracy_before, facts.accuracy_after)]
        rows.append((name, fitted.corrections[k].name, f"{facts.support:,}", *shares, least))
    return rows


def what_is_proved(fitted: FittedCorrection) -> str:
    """Say what is proved of the choice on the fitted rows, or why nothing is."""
    if fitted.certificate is not None:
        return f"{fitted.certificate.proved}{came_later(fitted)}"
    if fitted.picked_row is not None:
        return "nothing: the choice was picked from the frontier by hand"
    if fitted.family == NO_CORRECTION:
        base = "" if isinstance(fitted.base, Identity) else "only the base is used, and "
        return f"nothing: {base}no correction was searched for"
    return f"nothing: the search {fitted.search!r} proves nothing"


def _guaranteed(fitted: FittedCorrection) -> str:
    """Say what holds on new rows."""
    if fitted.guarantee is None:
        return "nothing yet: certify it on labelled rows on which nothing was fitted or chosen"
    return " ".join(fitted.guarantee.sentences())


def _when_to_refit(fitted: FittedCorrection) -> list[str]:
    """Say when the correction should be fitted again."""
    said = [
        "when the model, its weights, the tokenizer, the template or the demonstrations change",
        "when a class is added, removed or renamed in the prompt",
        "when debias watch says expired: new rows are no longer like the fitted ones",
    ]
    if fitted.interrupted:
        said.append("when there is more time: Ctrl-C ended the search")
    elif fitted.certificate is not None and fitted.certificate.limit == "time":
        said.append("with more time: the limit ended the proof before the optimum was proved")
    if not fitted.feasible:
        said.append("with looser bounds, or from more corrections: the bounds are not satisfied")
    if fitted.n_labels < FEW_LABELS:
        said.append(f"when more rows are labelled: {counted(fitted.n_labels, 'label')} are few")
    return said


def _data(fitted: FittedCorrection, origin: Mapping[str, str]) -> dict[str, Any]:
    """Return the card as plain data: NaN is null."""
    low = None if fitted.guarantee is None else fitted.guarantee.low.tolist()
    classes = []
    for k in np.argsort(fitted.columns).tolist():
        label, facts = fitted.classes[k], fitted.facts[k]
        at = None if low is None or fitted.guarantee is None else fitted.guarantee.classes.index(str(label))
        classes.append(
            {
                "class": label.item() if isinstance(label, np.generic) else label,
                "correction": fitted.corrections[k].to_dict(),
                "rows": facts.support,
                "accuracy_before": _number(facts.accuracy_before),
                "accuracy_after": _number(facts.accuracy_after),
                "guaranteed_at_least": None if low is None or at is None else low[at],
            }
        )
    near = fitted.near_ties
    return {
        "origin": dict(origin),
        "method": fitted.method,
        "family": fitted.family,
        "base": fitted.base.kind,
        "search": fitted.search,
        "picked_row": fitted.picked_row,
        "shrunk": fitted.shrunk,
        "bounds": fitted.objective.describe() if isinstance(fitted.objective, Constrained) else None,
        "bounds_kept": fitted.feasible if isinstance(fitted.objective, Constrained) else None,
        "n_labels": fitted.n_labels,
        "data_fingerprint": fitted.data_fingerprint,
        "classes": classes,
        "certificate": None if fitted.certificate is None else fitted.certificate.to_dict(),
        "guarantee": None if fitted.guarantee is None else fitted.guarantee.to_dict(),
        "near_ties": None
        if near is None
        else {"within": near.within, "complete": near.complete, "n": len(near.rows)},
        "refit": _when_to_refit(fitted),
        "summary": describe_outcome(fitted),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
