"""Guarantees from the fitted rows alone: weak, as the rows had a say in the choice, but valid.

They hold for all choices of the family at once, so for the one that was made, however it was made.
A family that the rows had a say in, or a continuous one, has no such bound and is refused.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from debias.console.number_formats import at_least, at_most, counted, exact_percent
from debias.errors import ParameterError
from debias.guarantees.accuracy_bounds import (
    FloatArray,
    IndexArray,
    check_confidence,
    divergence_bounds,
    most_cobias,
    nats_of_choice,
)

COVERED = {"error", "cobias", "pmi", "smoothing"}
"""Parameters of an objective whose loss on new rows can be bounded; others must be 0 or None."""


class FittedChoice(Protocol):
    """The parts of a fitted correction that say what was chosen from what, on which rows."""

    @property
    def classes(self) -> Any:
        """Class labels."""

    @property
    def choice(self) -> IndexArray:
        """Id of the correction of each class."""

    @property
    def corrections(self) -> Any:
        """The corrections themselves."""

    @property
    def family_size(self) -> int:
        """Corrections that each class could have; 0 where they are not finitely many, or unknown."""

    @property
    def settings_tried(self) -> int:
        """Settings of which the rows chose one."""

    @property
    def n_labels(self) -> int:
        """Labelled rows used."""

    @property
    def objective(self) -> Any:
        """Which sum was minimised."""

    @property
    def objective_value(self) -> float:
        """The objective of the choice on the fitted rows."""

    @property
    def certificate(self) -> Any:
        """Proved quality of the choice, if anything is proved."""

    def counts(self) -> Any:
        """Return correct, predicted and true rows of each class, first of all."""


@dataclass(frozen=True)
class SeenGuarantee:
    """What holds on new rows, from the fitted rows alone.

    Attributes
    ----------
    classes : tuple of str
        As in the correction.
    n, correct : tuple of int
        Fitted rows of each class, and those of them that the correction gets right.
    confidence : float
        Of all statements together.
    nats : float
        ln(1/P) of the choice.

    Notes
    -----
    For one choice c that was fixed beforehand, Chernoff bounds the two tails of each class accuracy:
    ``kl(a_j, A_j) > e / n_j`` has a probability of at most ``2 exp(-e)``. With ``e = ln(1/P(c)) +
    ln(2N/d)`` that is ``P(c) d / N``, where P is a distribution over all choices that was fixed before
    any row was seen. Over all N classes and all choices these add up to d, so with a probability of at
    least 1 - d the bounds hold for every choice at once, and so for the one that the rows chose.
    P puts half of its mass on the identity, class by class, and spreads the rest evenly.
    """

    classes: tuple[str, ...]
    n: tuple[int, ...]
    correct: tuple[int, ...]
    confidence: float
    nats: float

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bounds of the class accuracies."""
        nats = self.nats + math.log(2 * len(self.n) / (1 - self.confidence))
        return divergence_bounds(self.correct, self.n, nats)

    @property
    def worst_class_at_least(self) -> float:
        """What every class accuracy reaches."""
        return float(self.bounds[0].min())

    @property
    def cobias_at_most(self) -> float:
        """What COBias does not exceed."""
        return most_cobias(*self.bounds)

    def to_frame(self) -> pd.DataFrame:
        """Return a row per class: n, correct, low, high."""
        low, high = self.bounds
        columns = {"n": self.n, "correct": self.correct, "low": low, "high": high}
        return pd.DataFrame(columns, index=pd.Index(self.classes, name="class"))

    def sentences(self) -> list[str]:
        """Return one sentence for each statement, and what all of them assume."""
        return [
            f"Guaranteed on new rows from the fitted rows alone, with {exact_percent(self.confidence)} % "
            f"confidence: every class accuracy is at least {at_least(self.worst_class_at_least)} %, COBias "
            f"at most {at_most(self.cobias_at_most)} points.",
            "This is weak, because the correction was chosen on these rows: held-out rows say far more. It "
            "assumes rows like these, drawn independently given their class.",
        ]


def certify_seen(fitted: FittedChoice, confidence: float = 0.95) -> SeenGuarantee:
    """Say what holds on new rows, without held-out rows.

    Parameters
    ----------
    fitted : FittedCorrection
        What a fit learned, ``debiaser.fitted_``.
    confidence : float, default=0.95
        Of all statements together.

    Returns
    -------
    SeenGuarantee
        Valid however the choice was searched for, also by a published schedule or by hand.

    Raises
    ------
    ParameterError
        The family is continuous, was fitted itself, or is not known, or rows have weights.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 2000)
    >>> first = 1 / (1 + np.exp(rng.normal(size=4000) - 2 + 2 * y))
    >>> X = np.column_stack([first, 1 - first])
    >>> certify_seen(WeightDebiaser().fit(X, y).fitted_).to_frame()[["low", "high"]].round(2)
           low  high
    class
    0      0.8  0.88
    1      0.8  0.88
    """
    check_confidence(confidence)
    _check_covered(fitted)
    correct, _, support = fitted.counts()[:3]
    changed = sum(not correction.is_identity for correction in fitted.corrections)
    return SeenGuarantee(
        classes=tuple(str(name) for name in fitted.classes),
        n=tuple(support.tolist()),
        correct=tuple(correct.tolist()),
        confidence=float(confidence),
        nats=nats_of_choice(len(fitted.corrections), changed, fitted.family_size),
    )


@dataclass(frozen=True)
class Regret:
    """How far the choice may be from the best of its family, on new rows.

    The loss is z without its information term: ``error * errors + cobias * COBias``, at the class mix of
    the fitted rows.

    Attributes
    ----------
    confidence : float
        Of the statement.
    gap : float
        How far z of the choice is above the best on the fitted rows, at most: proved.
    information : float
        How much the information term may have had to do with the choice.
    chance : float
        What so few rows cannot tell.
    family_size, n_classes, n_rows : int
        Corrections per class that were chosen from, classes, fitted rows.

    Notes
    -----
    Let f(c) be the loss on the fitted rows and F(c) that on new rows, N' the classes with rows, n_j
    their rows, M their sum and pi_j = n_j / M. One row of class j changes f by at most w_j / n_j, ``w_j =
    error pi_j + 2 cobias / N'``, as COBias(A) and COBias(B) differ by at most 2/N' times the sum of the
    differences of A_j and B_j. So McDiarmid's inequality applies with V = sum w_j^2 / n_j:

    1. f(c) is above E f(c) - sqrt(V (N ln R + ln(2/d)) / 2) for all R^N choices at once, except
       with a probability of d/2; and E f(c) is at least F(c), as COBias is convex.
    2. For the best choice c* on new rows, which does not depend on the fitted rows, f(c*) is at most
       E f(c*) + sqrt(V ln(2/d) / 2), except with a probability of d/2; and E f(c*) - F(c*) is at most
       cobias/N' sum n_j^(-1/2), since a_j differs from A_j by at most n_j^(-1/2) / 2 in the mean.
    3. f of the choice is at most f(c*) + gap + information, the latter being the weight of the information
       term times its value at the choice less the least that it can be.

    Together, F of the choice is at most F(c*) + gap + information + chance. This is less than the
    textbook gap + 2e with e the largest deviation over all choices, since c* needs no such allowance.
    """

    confidence: float
    gap: float
    information: float
    chance: float
    family_size: int
    n_classes: int
    n_rows: int

    @property
    def at_most(self) -> float:
        """The loss on new rows is at most so far above that of the best choice."""
        return self.gap + self.information + self.chance

    def sentence(self) -> str:
        """Return the statement."""
        term = f", {self.information:.3f} for its information term" if self.information else ""
        rows = counted(self.n_rows, "row")
        return (
            f"Guaranteed on new rows, with {exact_percent(self.confidence)} % confidence: the weighted sum "
            f"of error and COBias is at most {math.ceil(1000 * self.at_most) / 1000:.3f} above that of the "
            f"best of all {self.family_size}^{self.n_classes} choices ({self.gap:.3f} for the gap that was "
            f"proved on the fitted rows{term}, {self.chance:.3f} for the sampling error of {rows})."
        )


def regret(fitted: FittedChoice, confidence: float = 0.95) -> Regret:
    """Say how far a choice may be from the best of its family on new rows; this takes a proof.

    Parameters
    ----------
    fitted : FittedCorrection
        What a fit learned, ``debiaser.fitted_``.
    confidence : float, default=0.95
        Of this statement.

    Returns
    -------
    Regret

    Raises
    ------
    ParameterError
        No lower bound of the objective was proved, as by a published schedule or for a choice that was
        picked by hand; or the objective is not a plain Objective, or the rows chose it; or as
        in :func:`certify_seen`.

    Examples
    --------
    >>> from debias import Objective, WeightDebiaser
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 2000)
    >>> first = 1 / (1 + np.exp(rng.normal(size=4000) - 2 + 2 * y))
    >>> X = np.column_stack([first, 1 - first])
    >>> found = regret(WeightDebiaser(objective=Objective(pmi=0)).fit(X, y).fitted_)
    >>> found.gap, round(found.chance, 3)
    (0.0, 0.195)
    >>> regret(WeightDebiaser(search="annealing-3/6").fit(X, y).fitted_)
    Traceback (most recent call last):
    debias.errors.ParameterError: nothing is proved about this choice, so its distance from the best is
    unknown; use search='auto' or 'exact', and do not pick a row by hand.
    """
    check_confidence(confidence)
    _check_covered(fitted)
    objective, certificate = fitted.objective, fitted.certificate
    weights_of = objective.get_params(deep=False)
    others = [value for name, value in weights_of.items() if name not in COVERED]
    if not set(weights_of) >= COVERED or any(value is not None and value != 0 for value in others):
        raise ParameterError(
            "the distance from the best is known only for an objective of error, COBias and information, "
            "without bounds",
            parameter="objective",
            received=objective,
        )
    if fitted.settings_tried > 1:
        raise ParameterError(
            "the objective was chosen on these rows, so the distance from the best choice under another "
            "objective is unknown",
            parameter="settings",
            received=fitted.settings_tried,
        )
    if certificate is None or not math.isfinite(certificate.lower_bound):
        raise ParameterError(
            "nothing is proved about this choice, so its distance from the best is unknown",
            parameter="search",
            fix="use search='auto' or 'exact', and do not pick a row by hand",
        )
    counts, d = fitted.counts(), 1 - confidence
    n = counts[2][counts[2] > 0].astype(np.float64)
    weights = objective.error * n / n.sum() + 2 * objective.cobias / len(n)
    variance = float((weights**2 / n).sum())
    choices = len(fitted.corrections) * math.log(fitted.family_size)
    chance = (
        math.sqrt(variance * (choices + math.log(2 / d)) / 2)
        + math.sqrt(variance * math.log(2 / d) / 2)
        + objective.cobias / len(n) * float((n**-0.5).sum())
    )
    return Regret(
        confidence=float(confidence),
        gap=max(0.0, fitted.objective_value - certificate.lower_bound),
        information=_information(objective, counts),
        chance=chance,
        family_size=fitted.family_size,
        n_classes=len(fitted.corrections),
        n_rows=int(n.sum()),
    )


def _information(objective: Any, counts: tuple[IndexArray, IndexArray, IndexArray]) -> float:
    """Return how much the information term of the choice exceeds the least one, times its weight.

    No class right makes the joint terms least; predictions spread evenly make the marginal terms most,
    as the logarithm is concave.
    """
    if not objective.pmi:
        return 0.0
    support = counts[2]
    even = np.full(len(support), support.sum() / len(support))
    least = objective.pointwise_mutual_information(np.zeros_like(even), even, support)
    own = objective.pointwise_mutual_information(*counts[:3])
    return float(objective.pmi * (own.sum() - least.sum()))


def _check_covered(fitted: FittedChoice) -> None:
    """Refuse what a bound over all choices does not cover."""
    if not fitted.family_size:
        raise ParameterError(
            "a bound over all choices requires a finite family that was fixed before the rows were seen: "
            "not a continuous one (log-bias, polish), nor one on top of a map fitted on the same rows, nor "
            "one that an old file does not name",
            parameter="fitted",
            fix="certify it on held-out rows",
        )
    if fitted.n_labels != int(fitted.counts()[2].sum()):
        raise ParameterError(
            "rows with weights are not independent of each other",
            parameter="sample_weight",
            fix="certify it on held-out rows",
        )
