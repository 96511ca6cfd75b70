"""Logit biases: a correction that only adds a number to the logit of each label, for servers that take them.

The largest of w * p ** s, with one s for all classes, is the largest of log(p) + log(w) / s. A base that adds
a number to each log-probability, or multiplies all of them by one number, adds to it. With two classes, any
correction that gives a class the rows where it is probable enough is a bias, too.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log1p

import numpy as np

from debias.corrections.bases.base import SMALLEST, Identity
from debias.corrections.bases.linear_maps import LinearMap
from debias.corrections.correction import FloatArray
from debias.errors import LabelError, ParameterError
from debias.serving.exports.formulas import POINTS, POWER, Formula, formulas_of
from debias.serving.served_correction import ServedCorrection

LARGEST = 100.0
"""Servers of the OpenAI interface take biases from -100 to 100."""

_SAME = 1e-12
_OTHERS = (
    "fit with `debias fit --weights-only`, serve it with the logits processor for vLLM, or correct saved "
    "probabilities with `debias apply`"
)


@dataclass(frozen=True)
class LogitBias:
    """Biases of label tokens.

    Attributes
    ----------
    biases : dict of int to float
        What is added to the logit of each label's first token, by token id.
    shift : float
        What all labels got beside their correction, so that all biases are in range.
    clipped : tuple
        Labels whose bias is larger than it should be, since no shift brings all of them into range.
    longer : tuple
        Labels of several tokens: the server decides by their first token alone.
    reaches_below : bool
        Whether the correction can name a class whose probability is below 1e-6, which it takes for 1e-6. On
        such rows the bias, which knows no least probability, may decide otherwise.
    """

    biases: dict[int, float]
    shift: float
    clipped: tuple[object, ...]
    longer: tuple[object, ...]
    reaches_below: bool

    def to_json(self) -> str:
        """Return what is sent as ``logit_bias``: a JSON object of token ids and biases."""
        return json.dumps({str(token): bias for token, bias in self.biases.items()}, indent=2) + "\n"

    def describe(self) -> list[str]:
        """Say what is lost, if anything."""
        said = []
        if self.clipped:
            names = ", ".join(map(str, self.clipped))
            said.append(
                f"Biases are limited to the range from -{LARGEST:g} to {LARGEST:g}, but the correction would "
                f"lower {names} further."
            )
        if self.longer:
            names = ", ".join(map(str, self.longer))
            said.append(f"Labels of more than one token, of which only the first decides: {names}.")
        if self.reaches_below:
            said.append(
                f"Where the correction names a class of a probability below {SMALLEST:g}, which it takes for "
                f"{SMALLEST:g}, the server may not."
            )
        return said


def logit_bias(
    correction: ServedCorrection, label_tokens: Sequence[Sequence[int]], only_labels: bool = False
) -> LogitBias:
    """Return a correction as biases of the labels' first tokens.

    Parameters
    ----------
    correction : ServedCorrection
        What :func:`debias.serving.load` returned.
    label_tokens : sequence of sequences of int
        Token ids of each label after the prompt, in the order of ``correction.classes``.
    only_labels : bool, default=False
        Whether all labels are raised as far as the range allows, so that no other token is generated. By
        default the lowest bias is 0: no label becomes less probable than other tokens.

    Returns
    -------
    LogitBias

    Raises
    ------
    ParameterError
        The correction is no logit bias; the error names a class that shows it.
    LabelError
        Two labels have the same first token.

    Examples
    --------
    >>> from debias.corrections.correction import Triangle, Weight
    >>> half = ServedCorrection(("no", "yes"), (Weight(1, 2), Triangle(0, 1, 1)), Identity())
    >>> logit_bias(half, [[645], [9820]]).biases
    {645: 0.0, 9820: 0.6931471805599453}
    """
    biases = biases_of(correction)
    first = _first_tokens(correction.classes, label_tokens)
    spread = float(biases.max() - biases.min())
    if only_labels or spread > 2 * LARGEST:
        shift = LARGEST - biases.max()
    elif spread > LARGEST:
        shift = -LARGEST - biases.min()
    else:
        shift = -biases.min()
    shifted = np.clip(biases + shift, -LARGEST, LARGEST)
    labels = correction.classes
    is_clipped = biases + shift < -LARGEST - _SAME
    reach = spread - log(1 / (SMALLEST * len(labels)))
    return LogitBias(
        biases=dict(zip(first, shifted.tolist(), strict=True)),
        shift=float(shift),
        clipped=tuple(label for label, lost in zip(labels, is_clipped, strict=True) if lost),
        longer=tuple(label for label, ids in zip(labels, label_tokens, strict=True) if len(ids) > 1),
        reaches_below=not isinstance(correction.base, Identity) and reach > -0.01,
    )


def _first_tokens(labels: Sequence[object], label_tokens: Sequence[Sequence[int]]) -> list[int]:
    """Return the first token of every label; all must differ."""
    if len(label_tokens) != len(labels) or not all(len(tokens) for tokens in label_tokens):
        raise LabelError(
            parameter="label_tokens",
            allowed=f"one or more tokens for each of the {len(labels)} classes",
            received=[list(tokens) for tokens in label_tokens],
        )
    first = [int(tokens[0]) for tokens in label_tokens]
    for column, token in enumerate(first):
        if token in first[:column]:
            other = labels[first.index(token)]
            raise LabelError(
                f"labels {other!r} and {labels[column]!r} share their first token {token}, so no bias tells "
                "them apart",
                parameter="label_tokens",
                received=(other, labels[column]),
                fix="use other label words, or correct saved probabilities with `debias apply`",
            )
    return first


def biases_of(correction: ServedCorrection) -> FloatArray:
    """Return what a correction adds to each log-probability, if it is that simple.

    Parameters
    ----------
    correction : ServedCorrection
        What :func:`debias.serving.load` returned.

    Returns
    -------
    ndarray of shape (n_classes,)
        In nats; a number added to all of them changes nothing.

    Raises
    ------
    ParameterError
        It is no logit bias.

    Examples
    --------
    >>> from debias.corrections.correction import Triangle, Weight
    >>> flat = ServedCorrection(("no", "yes", "-"), (Triangle(0, 0, 1), *[Weight(1, 1)] * 2), Identity())
    >>> biases_of(flat)
    Traceback (most recent call last):
    debias.errors.ParameterError: column 'no': the correction is a membership function, not a weight, so ...
    """
    try:
        return _sum_of_biases(correction)
    except ParameterError:
        if len(correction.classes) == 2 and _is_monotone(correction):
            return _bias_of_two(correction)
        raise


def _sum_of_biases(correction: ServedCorrection) -> FloatArray:
    """Return the biases of weights, of powers with one slope, and of bases that add biases themselves."""
    formulas = [_as_power(formula) for formula in formulas_of(correction.corrections)]
    for label, formula in zip(correction.classes, formulas, strict=True):
        if formula.kind != POWER:
            what = "a membership function" if formula.kind == POINTS else "a curve"
            raise _refusal(f"the correction is {what}, not a weight, so it cannot be a logit bias", label)
    slope = formulas[0].numbers[1]
    for label, formula in zip(correction.classes, formulas, strict=True):
        if formula.numbers[1] != slope:
            problem = f"slopes differ ({slope:g} and {formula.numbers[1]:g}), so this is not a logit bias"
            raise _refusal(problem, label)
    weights = np.array([formula.numbers[0] for formula in formulas])
    factors = np.array([formula.factor for formula in formulas])
    own = (np.log(weights) + np.log(factors)) / slope
    if isinstance(correction.base, Identity):
        return np.asarray(own)
    if not isinstance(correction.base, LinearMap):
        raise _refusal(f"the base {correction.base.kind!r} is not a sum of biases", None)
    return np.asarray((own + correction.base.bias) / _common_slope(correction.base, correction.classes))


def _refusal(problem: str, label: object) -> ParameterError:
    return ParameterError(problem, parameter="correction", column=label, received=label, fix=_OTHERS)


def _as_power(formula: Formula) -> Formula:
    """Return lines that only rise from 0 within [0, 1] as the weight that they are there."""
    if formula.kind == POINTS and formula.numbers[0] == 0 and formula.numbers[1] >= 1:
        return Formula(POWER, (1 / formula.numbers[1], 1.0), formula.factor)
    return formula


def _common_slope(base: LinearMap, labels: Sequence[object]) -> float:
    """Return c of a matrix c * I + u, where u has equal rows and so moves all logits alike."""
    if base.kind == "batch":
        return 1.0
    moved = np.array([np.delete(base.matrix[:, k], k) for k in range(len(base.bias))])
    slopes = np.diag(base.matrix) - moved[:, 0]
    uneven = (np.abs(moved - moved[:, :1]) > _SAME).any(axis=1) | (np.abs(slopes - slopes[0]) > _SAME)
    if uneven.any() or slopes[0] <= 0:
        label = labels[int(np.argmax(uneven))]
        raise _refusal(
            "the base gives log-probabilities different slopes, so this is not a logit bias", label
        )
    return float(slopes[0])


def _is_monotone(correction: ServedCorrection) -> bool:
    """Tell whether of two classes a higher probability never takes a row from one."""
    if not all(one.is_monotone for one in correction.corrections):
        return False
    if isinstance(correction.base, Identity):
        return True
    if not isinstance(correction.base, LinearMap):
        return False
    (a, b), (c, d) = correction.base.matrix
    return bool(correction.base.kind == "batch" or (a >= c and d >= b))


def _bias_of_two(correction: ServedCorrection) -> FloatArray:
    """Return the biases of two classes from the least probability at which the first one is named."""
    low, high = 0.0, 1.0

    def names_first(p: float) -> bool:
        return int(correction.rule.decide(np.array([[p, 1 - p]]))[0]) == 0

    if names_first(low) or not names_first(high):
        label = correction.classes[int(names_first(low))]
        raise _refusal(f"class {label!r} is never predicted, which no finite bias can achieve", label)
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if names_first(middle) else (middle, high)
    return np.array([log1p(-low) - log(high), 0.0])
