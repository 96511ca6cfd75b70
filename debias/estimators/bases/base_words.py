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
        said = [f"{said[0][:-1]}: how much evidence for a class counts depends on what else is likely."]
        return said + _moved_both_ways(base, names)
    if not isinstance(base, LinearMap):
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
            f"The slope changes most for {names[k]}: evidence for it is multiplied by {slopes[k]:.2f}.",
        ]
    moved = base.moved_evidence()
    for at in np.argsort(-np.abs(moved), axis=None, kind="stable")[:_LARGEST]:
        to, source = np.unravel_index(at, moved.shape)
        if abs(moved[to, source]) >= 0.01:
            said.append(_moved(names[source], names[to], float(moved[to, source]), to == source))
    return said


def _moved_both_ways(base: QuadraticMap, names: Sequence[object]) -> list[str]:
    """Say the largest effects of a usual step up from the mean row, and of one down."""
    said, up, down = [], base.moved_evidence(), base.moved_evidence(up=False)
    sizes = np.maximum(np.abs(up), np.abs(down))
    for at in np.argsort(-sizes, axis=None, kind="stable")[:_LARGEST]:
        to, source = np.unravel_index(at, sizes.shape)
        if sizes[to, source] < 0.01:
            continue
        higher, lower = float(up[to, source]), float(down[to, source])
        if higher * lower < 0:
            what = _headline(names[source], names[to], higher > 0, to == source)
        else:
            counts = "for" if higher + lower > 0 else "against"
            what = f"What is unusual for {names[source]}, high or low, counts {counts} {names[to]}"
        said.append(
            f"{what}: in an otherwise average row, a log-probability of {names[source]} that is a standard "
            f"deviation higher multiplies the odds of {names[to]} against the average class by a further "
            f"{np.exp(higher):.2f}, one that is as much lower by {np.exp(lower):.2f}."
        )
    return said


def _headline(source: object, to: object, rises: bool, own: bool) -> str:
    """Say what evidence for a class does to itself or to another class."""
    if own:
        return f"Evidence for {source} counts {'more' if rises else 'less'} than the model gives it"
    return f"Evidence for {source} counts {'for' if rises else 'against'} {to}"


def _moved(source: object, to: object, change: float, own: bool) -> str:
    """Say what the map adds to the effect of a usual step of evidence on the odds of a class."""
    what = _headline(source, to, change > 0, own)
    return (
        f"{what}: where the log-probability of {source} is a standard deviation higher, the map multiplies "
        f"the odds of {to} against the average class by a further {np.exp(change):.2f}."
    )
