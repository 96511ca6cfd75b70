"""Serialization: corrections from plain data, all but functions of your own, which a file cannot hold."""

from collections.abc import Callable, Mapping
from dataclasses import fields

from debias.corrections.correction import Correction, Triangle, Weight
from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid
from debias.corrections.sloped_weights import SlopedWeight
from debias.errors import ParameterError

_SHAPES = {shape.kind: shape for shape in (Triangle, Weight, Trapezoid, Gaussian, Sigmoid, SlopedWeight)}


def correction_from_dict(
    description: object, read_other: Callable[[dict[str, object]], Correction] | None = None
) -> Correction:
    """Build a correction from plain data, the inverse of :meth:`Correction.to_dict`.

    Parameters
    ----------
    description : dict
        The result of ``to_dict``.
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
        raise ParameterError(parameter="correction", allowed="an object", received=description)
    kind = description.get("kind")
    if kind == Scaled.kind:
        return _read_scaled(description, read_other)
    if kind in _SHAPES:
        return _read_numbers(_SHAPES[kind], description)
    if read_other is not None:
        return read_other(description)
    raise ParameterError(parameter="kind", allowed=f"one of {sorted([*_SHAPES, Scaled.kind])}", received=kind)


def _read_numbers(
    shape: Callable[..., Correction],
    description: Mapping[str, object],
    needs_id: bool = True,
    **given: Correction,
) -> Correction:
    """Build a correction from its numbers, and what is given already."""
    number = description.get("id")
    readers = {one.name: _integer if one.type is int else _number for one in fields(shape)}  # type: ignore[arg-type]
    names = [name for name in readers if name != "id" and name not in given]
    try:
        values = {name: readers[name](description[name]) for name in names}
        own = None if number is None and not needs_id else _integer(number)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        problem = f"a saved {description['kind']} needs the numbers {sorted(names)} and an id: {error}"
        raise ParameterError(problem, parameter="correction", received=dict(description)) from error
    unknown = sorted(description.keys() - {"kind", "id", *names, *given})
    if unknown:  # a release that does not know a number would correct otherwise
        raise ParameterError(
            f"a saved {description['kind']} has no {unknown[0]!r}",
            parameter="correction",
            received=dict(description),
            fix="remove it, or install the release that wrote it",
        )
    return shape(**values, **given, id=own)


def _number(value: object) -> float:
    """Return a number of a file; a text or a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _integer(value: object) -> int:
    """Return an integer of a file; a fraction would be another number without its digits."""
    if _number(value) != int(value):  # type: ignore[call-overload]
        raise ValueError(f"{value!r} is not an integer")
    return int(value)  # type: ignore[call-overload]


def _read_scaled(
    description: dict[str, object], read_other: Callable[[dict[str, object]], Correction] | None
) -> Correction:
    """Build a correction times a factor; the inner one may have no id."""
    inner = description.get("correction")
    if not isinstance(inner, dict) or inner.get("kind") == Scaled.kind:  # however deep a file nests them
        raise ParameterError(
            parameter="correction", allowed="an object that is not itself scaled", received=inner
        )
    if inner.get("kind") in _SHAPES:
        correction = _read_numbers(_SHAPES[inner["kind"]], inner, needs_id=False)
    elif read_other is not None and inner.get("id") is None:
        return read_other(description)  # a family knows it as a whole
    else:
        correction = correction_from_dict(inner, read_other)
    return _read_numbers(Scaled, description, correction=correction)
