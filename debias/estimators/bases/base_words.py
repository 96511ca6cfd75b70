"""A base in words: what it does to every class, and which class's evidence it moves to which."""

from collections.abc import Sequence

import numpy as np

from debias.corrections.bases.base import Base, Identity
from debias.corrections.bases.linear_maps import LinearMap
from debias.corrections.bases.quadratic_maps import QuadraticMap

NAMES = {
    "identity": "the probabilities of the model",
    "batch": "batch calibration",
    "vector": "vector scaling",
    "affine": "an affine map of the log-probabilities",
    "quadratic": "a quadratic map of the log-probabilities",
    "trees": "boosted trees on the log-probabilities",
}

_LARGEST = 3


def describe_base(base: Base, names: Sequence[object]) -> list[str]:
    r"""Say in sentences what a base does.

    Parameters
    ----------
    base : Base
        Fitted.
    names : sequence of length n_classes
        Class names, in the order of the columns.

    Returns
    -------
    list of str
        Nothing for the identity. The largest three entries of what an affine map moves, or a quadratic
        one from the mean row, are said as factors of odds, see
        :meth:`~debias.corrections.bases.linear_maps.LinearMap.moved_evidence`.

    Examples
    --------
    >>> matrix = np.array([[1.0, 0.9, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> base = LinearMap(matrix, np.zeros(3), np.ones(3), "affine")
    >>> print(*describe_base(base, ["Entity", "Person", "Number"])[:2], sep="\n")
    The base is an affine map of the log-probabilities.
    Evidence for Person counts for Entity: where the log-probability of Person is a standard deviation
    higher, the map multiplies the odds of Entity against the average class by a further 1.82.
    """
    if isinstance(base, Identity):
        return []
    said = [f"The base is {NAMES[base.kind]}."]
    if isinstance(base, QuadraticMap):
        said = [
            f"The base is {NAMES[base.kind]}: how much evidence for a class counts depends on what else is "
            "likely; from an average row, as follows."
        ]
    elif not isinstance(base, LinearMap):
        return said
    if base.kind == "batch":
        factors = np.exp(base.bias - base.bias.max())
        listed = ", ".join(f"{name} by {factor:.3g}" for name, factor in zip(names, factors, strict=True))
        return [f"The base is batch calibration, which uses no labels: it multiplies {listed}."]
    if base.kind == "vector":
        slopes = np.diag(base.matrix)
        k = int(np.argmax(np.abs(np.log(np.maximum(np.abs(slopes), 1e-9)))))
        return [
            *said,
            f"Evidence for {names[k]} counts {slopes[k]:.2f} times, the largest change of a slope.",
        ]
    moved = base.moved_evidence()
    for at in np.argsort(-np.abs(moved), axis=None, kind="stable")[:_LARGEST]:
        to, source = np.unravel_index(at, moved.shape)
        if abs(moved[to, source]) >= 0.01:
            said.append(_moved(names[source], names[to], float(moved[to, source]), to == source))
    return said


def _moved(source: object, to: object, change: float, own: bool) -> str:
    """Say what the map adds to the effect of a usual step of evidence on the odds of a class."""
    if own:
        what = f"Evidence for {source} counts {'more' if change > 0 else 'less'} than the model gives it"
    else:
        what = f"Evidence for {source} counts {'for' if change > 0 else 'against'} {to}"
    return (
        f"{what}: where the log-probability of {source} is a standard deviation higher, the map multiplies "
        f"the odds of {to} against the average class by a further {np.exp(change):.2f}."
    )
