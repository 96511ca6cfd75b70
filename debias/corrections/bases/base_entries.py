"""Bases in files: read back from plain data, every number checked."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from debias.corrections.bases.base import Base, Identity
from debias.corrections.bases.linear_maps import LinearMap
from debias.corrections.bases.quadratic_maps import FLAT, QuadraticMap
from debias.corrections.bases.trees import Tree, TreeBase
from debias.errors import CorrectionFileError

_LARGEST = 1e100
"""Largest size of a number: sums and products of a few of these are finite."""
_LINEAR = ("batch", "vector", "affine")
_KINDS = ("identity", *_LINEAR, "quadratic", "trees")


def base_from_dict(entry: object, n_classes: int) -> Base:
    """Read what ``to_dict`` of a base wrote.

    Parameters
    ----------
    entry : object
        Of a JSON file that was not checked yet.
    n_classes : int
        Classes of the correction.

    Returns
    -------
    Base

    Raises
    ------
    CorrectionFileError
        A part is missing, is no finite number, or has another shape.

    Examples
    --------
    >>> entry = {"kind": "batch", "bias": [0, 1], "spread": [1, 1], "matrix": [[1, 0], [0, 1]]}
    >>> base_from_dict(entry, 2).kind
    'batch'
    """
    if not isinstance(entry, Mapping) or entry.get("kind") not in _KINDS:
        raise CorrectionFileError(parameter="base", allowed="a base that debias fit wrote", received=entry)
    kind = str(entry["kind"])
    if kind == "identity":
        return Identity()
    if kind in _LINEAR:
        return _linear_map(entry, n_classes)
    if kind == "quadratic":
        linear = entry.get("linear")
        if not isinstance(linear, Mapping) or linear.get("kind") != "affine":
            raise CorrectionFileError(parameter="linear", allowed="an affine map", received=linear)
        straight = _linear_map(linear, n_classes)
        if ((straight.spread > 0) & (straight.spread < FLAT)).any():
            raise CorrectionFileError(
                parameter="spread", allowed=f"0, or at least {FLAT:g}", received=straight.spread.tolist()
            )
        return QuadraticMap(
            linear=straight,
            mean=_numbers(entry, "mean", (n_classes,)),
            curvature=_numbers(entry, "curvature", (n_classes, n_classes * (n_classes + 1) // 2)),
            strength=_strength(entry),
        )
    columns = _indices(entry, "columns", None, n_classes)
    if entry.get("n_classes") != n_classes or len(set(columns.tolist())) != len(columns) or not len(columns):
        raise CorrectionFileError(
            parameter="columns",
            allowed=f"different columns of {n_classes} classes",
            received=columns.tolist(),
        )
    first, rounds = _numbers(entry, "first", (len(columns),)), entry.get("trees")
    if not isinstance(rounds, list) or any(
        not isinstance(one, list) or len(one) != len(columns) for one in rounds
    ):
        raise CorrectionFileError(
            parameter="trees", allowed="a tree per class in every round", received=rounds
        )
    trees = tuple(tuple(_tree(tree, n_classes) for tree in of_round) for of_round in rounds)
    return TreeBase(n_classes, columns, first, trees)


def _linear_map(entry: Mapping[str, object], n_classes: int) -> LinearMap:
    """Read a linear map whose kind was checked."""
    spread = _numbers(entry, "spread", (n_classes,))
    if (spread < 0).any():
        raise CorrectionFileError(parameter="spread", allowed="0 or more", received=spread.tolist())
    return LinearMap(
        matrix=_numbers(entry, "matrix", (n_classes, n_classes)),
        bias=_numbers(entry, "bias", (n_classes,)),
        spread=spread,
        kind=str(entry["kind"]),
        strength=None if entry.get("strength") is None else _strength(entry),
    )


def _strength(entry: Mapping[str, object]) -> float:
    """Read a strength, which pulls, and never pushes."""
    strength = float(_numbers(entry, "strength", ()))
    if strength < 0:
        raise CorrectionFileError(parameter="strength", allowed="0 or more", received=strength)
    return strength


def _tree(entry: object, n_classes: int) -> Tree:
    """Read a tree, in which children come after their parents, so that every walk ends."""
    if not isinstance(entry, Mapping):
        raise CorrectionFileError(parameter="trees", allowed="objects", received=entry)
    value = _numbers(entry, "value", None)
    n_nodes = len(value)
    left, right = (_indices(entry, side, n_nodes, n_nodes) for side in ("left", "right"))
    own = np.arange(n_nodes)
    is_leaf = (left == own) & (right == own)
    if not n_nodes or not (is_leaf | ((left > own) & (right > own))).all():
        raise CorrectionFileError(
            parameter="left", allowed="nodes after their parent", received=left.tolist()
        )
    return Tree(
        _indices(entry, "feature", n_nodes, n_classes),
        _numbers(entry, "threshold", (n_nodes,)),
        left,
        right,
        value,
    )


def _numbers(
    entry: Mapping[str, object], name: str, shape: tuple[int, ...] | None
) -> npt.NDArray[np.float64]:
    """Return finite numbers of a shape; of any length where none is given."""
    try:
        values = np.asarray(entry[name])
    except ValueError as error:  # lists of unequal lengths
        raise CorrectionFileError(parameter=name, allowed="numbers", received=entry[name]) from error
    if values.dtype.kind not in "iuf" and values.size:  # text that looks like a number is none
        raise CorrectionFileError(parameter=name, allowed="numbers", received=entry[name])
    values = values.astype(np.float64)
    fits = values.ndim == 1 if shape is None else values.shape == shape
    if not fits or not (np.abs(values) <= _LARGEST).all():
        allowed = f"numbers up to {_LARGEST:g} of shape {'(n,)' if shape is None else shape}"
        raise CorrectionFileError(parameter=name, allowed=allowed, received=entry[name])
    return values


def _indices(entry: Mapping[str, object], name: str, length: int | None, below: int) -> npt.NDArray[np.int64]:
    """Return whole numbers from 0 to less than `below`."""
    values = _numbers(entry, name, None if length is None else (length,))
    if not ((values >= 0) & (values < below) & (values == np.floor(values))).all():
        raise CorrectionFileError(
            parameter=name, allowed=f"integers from 0 to {below - 1}", received=entry[name]
        )
    return values.astype(np.int64)
