"""Corrections from plain data: the kinds that a file can hold, which is all but functions of your own."""

from collections.abc import Callable
from typing import Any

from debias.corrections.correction import Correction, Triangle, Weight
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid
from debias.errors import ParameterError

_READERS: dict[str, tuple[type[Correction], dict[str, type]]] = {
    "membership": (Triangle, {"left": float, "peak": float, "right": float}),
    "weight": (Weight, {"steps": int, "of": int}),
    "trapezoid": (
        Trapezoid,
        {"left": float, "left_top": float, "right_top": float, "right": float},
    ),
    "gaussian": (Gaussian, {"mean": float, "deviation": float}),
    "sigmoid": (Sigmoid, {"center": float, "slope": float}),
}


def correction_from_dict(
    description: dict[str, Any], read_other: Callable[[dict[str, Any]], Correction] | None = None
) -> Correction:
    """Build a correction from plain data, the inverse of :meth:`Correction.to_dict`.

    Parameters
    ----------
    description : dict
        What ``to_dict`` gave.
    read_other : callable, optional
        Takes the description of a correction of another kind, also one that is scaled, and returns
        the correction.

    Raises
    ------
    ParameterError
        The kind is unknown, or a value is missing or not allowed.

    Examples
    --------
    >>> correction_from_dict({"kind": "weight", "id": 25, "steps": 7, "of": 30})
    Weight(id=25, steps=7, of=30)
    """
    if not isinstance(description, dict):
        raise ParameterError(f"a correction must be an object; got {description!r}.")
    kind = description.get("kind")
    if kind == Scaled.kind:
        return _read_scaled(description, read_other)
    if kind in _READERS:
        return _read_shape(description, int)
    if read_other is not None:
        return read_other(description)
    raise ParameterError(
        f"a saved correction is one of {sorted([*_READERS, Scaled.kind])}; got kind {kind!r}."
    )


def _read_shape(description: dict[str, Any], read_id: Callable[[Any], int | None]) -> Correction:
    """Read a correction whose parameters are numbers."""
    kind = description["kind"]
    build, parameters = _READERS[kind]
    try:
        values = {name: type_(description[name]) for name, type_ in parameters.items()}
        return build(**values, id=read_id(description["id"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ParameterError(f"a saved {kind} needs {sorted(parameters)} and id: {error!r}.") from error


def _read_scaled(
    description: dict[str, Any], read_other: Callable[[dict[str, Any]], Correction] | None
) -> Correction:
    """Read a correction times a factor; the one in it may be without an id."""
    inner = description.get("correction")
    if not isinstance(inner, dict):
        raise ParameterError(f"a saved scaled correction must hold a correction; got {inner!r}.")
    if inner.get("kind") == Scaled.kind:  # however deep a file nests them
        raise ParameterError("a saved scaled correction must not hold another one that is scaled.")
    if inner.get("kind") in _READERS:
        correction = _read_shape(inner, lambda number: None if number is None else int(number))
    elif read_other is not None and inner.get("id") is None:
        return read_other(description)  # a family knows it as a whole
    else:
        correction = correction_from_dict(inner, read_other)
    try:
        return Scaled(correction, float(description["factor"]), id=int(description["id"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ParameterError(f"a saved scaled correction needs factor and id: {error!r}.") from error
