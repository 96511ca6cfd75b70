"""Settings as frozen dataclasses: declared once, checked once, the same in Python, commands and files.

A field says what it is for and which values are allowed; :class:`Settings` checks them all when an
object is made, and :mod:`debias.console` makes options of a command from them.
"""

import difflib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

from debias.errors import ParameterError, in_python


def setting(
    default: Any,
    help: str,
    *,
    one_of: tuple[str, ...] = (),
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    excluded: tuple[object, ...] = (),
    metavar: str | None = None,
    panel: str | None = None,
    option: str | None = None,
) -> Any:
    """Return a field of a :class:`Settings`.

    Parameters
    ----------
    default : object
        Its value where none is given.
    help : str
        One line for ``--help``.
    one_of : tuple of str, optional
        The values that are allowed.
    least, above, most : float, optional
        The smallest value allowed, the value that it must be above, and the largest one allowed.
    excluded : tuple, optional
        Values that are not allowed.
    metavar, panel : str, optional
        How a command line names the value, and the panel of its help.
    option : str, optional
        The option of a command line, such as ``--jobs``, where it is not named like the field.

    Returns
    -------
    dataclasses.Field
    """
    metadata = {
        "help": help,
        "one_of": one_of,
        "least": least,
        "above": above,
        "most": most,
        "excluded": excluded,
        "metavar": metavar,
        "panel": panel,
        "option": option,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """Base of all settings: a frozen dataclass whose fields are checked when it is made.

    Raises
    ------
    ParameterError
        A value is not allowed: the error has the parameter, what was received and what is allowed.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Oven(Settings):
    ...     degrees: int = setting(180, "How hot it is.", least=50, most=250)
    ...     mode: str = setting("fan", "What heats.", one_of=("fan", "grill"))
    >>> Oven(degrees=200)
    Oven(degrees=200, mode='fan')
    >>> Oven(degrees=20)
    Traceback (most recent call last):
    debias.errors.ParameterError: degrees must be an integer from 50 to 250, got 20.
    >>> Oven.of(degree=200)
    Traceback (most recent call last):
    debias.errors.ParameterError: there is no parameter 'degree'; did you mean 'degrees'?
    """

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for one in fields(self):
            value = getattr(self, one.name)
            if one.metadata and not _is_allowed(value, kinds[one.name], one.metadata):
                raise ParameterError(
                    parameter=one.name, received=value, allowed=_allowed(kinds[one.name], one.metadata)
                )

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Return settings from names and values, such as the keywords of a function.

        Raises
        ------
        ParameterError
            A name is unknown, or a value is not allowed.
        """
        known = [one.name for one in fields(cls)]
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                fix = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
                raise ParameterError(
                    f"there is no parameter {name!r}", parameter=name, allowed=", ".join(known), fix=fix
                )
        return cls(**given)


def check_choice(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raise ParameterError for a value that is not one of those allowed.

    Examples
    --------
    >>> check_choice("scoring", "last", ("label", "first-token"))
    Traceback (most recent call last):
    debias.errors.ParameterError: scoring must be one of 'label', 'first-token', got 'last'.
    """
    words = tuple(allowed)
    if value not in words:
        raise ParameterError(parameter=name, allowed=f"one of {', '.join(map(repr, words))}", received=value)


def check_positive_integer(name: str, value: object, or_none: bool = False) -> None:
    """Raise ParameterError for a value that is not a positive integer, or None where that is allowed.

    Examples
    --------
    >>> check_positive_integer("rounds", 0)
    Traceback (most recent call last):
    debias.errors.ParameterError: rounds must be a positive integer, got 0.
    """
    is_positive = isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1
    if not (is_positive or (or_none and value is None)):
        allowed = f"a positive integer{in_python(' or None') if or_none else ''}"
        raise ParameterError(parameter=name, allowed=allowed, received=value)


def check_seed(seed: object, name: str = "seed") -> None:
    """Raise ParameterError for a seed that is not an integer of at least 0: None would draw anew each time.

    Examples
    --------
    >>> check_seed(-1)
    Traceback (most recent call last):
    debias.errors.ParameterError: seed must be an integer of at least 0, got -1.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or int(seed) < 0:
        raise ParameterError(parameter=name, allowed="an integer of at least 0", received=seed)


def check_list(
    name: str, values: object, allowed: str = "a list, an array of one dimension or a Series"
) -> list[Any]:
    """Return what a caller passes as a list, in its order: the index of a Series does not count.

    Raises
    ------
    ParameterError
        It has no order, or is a text, a mapping or a frame, whose items are not what is meant.

    Examples
    --------
    >>> import pandas as pd
    >>> check_list("texts", pd.Series(["a", "b"], index=[1, 0]))
    ['a', 'b']
    >>> check_list("texts", pd.DataFrame({"text": ["a", "b"]}))
    Traceback (most recent call last):
    debias.errors.ParameterError: texts must be a list, an array of one dimension or a Series, got ...
    """
    is_frame = hasattr(values, "columns") or getattr(values, "ndim", 1) != 1
    is_other = isinstance(values, str | bytes | Mapping | set | frozenset)
    if is_frame or is_other or not isinstance(values, Iterable):
        received = f"<{type(values).__name__}>" if is_frame else values
        raise ParameterError(parameter=name, allowed=allowed, received=received)
    return list(values)


def _kinds(kind: Any) -> tuple[Any, ...]:
    """Return the alternatives of a type."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _is_allowed(value: Any, kind: Any, rule: Any) -> bool:
    """Tell whether a value is of the type of its field and within its bounds."""
    if value is None:
        return type(None) in _kinds(kind)
    if value in rule["excluded"]:
        return False
    if rule["one_of"]:
        return isinstance(value, str) and value in rule["one_of"]
    plain = {int: Integral, float: Real, bool: bool, str: str}
    expected = [plain[one] for one in _kinds(kind) if one in plain]
    others = [one for one in _kinds(kind) if one not in plain and one is not type(None)]
    if expected and not others:
        is_flag = isinstance(value, bool) and bool not in expected
        if is_flag or not isinstance(value, tuple(expected)):
            return False
    if not isinstance(value, Real):
        return True
    if value != value:  # NaN would pass as a bound that bounds nothing
        return False
    return (
        (rule["least"] is None or value >= rule["least"])
        and (rule["above"] is None or value > rule["above"])
        and (rule["most"] is None or value <= rule["most"])
    )


def _allowed(kind: Any, rule: Any) -> str:
    """Say in words what is allowed."""
    names = {int: "an integer", float: "a number", bool: "True or False", str: "a string"}
    if rule["one_of"]:
        words = "one of " + ", ".join(map(repr, rule["one_of"]))
    else:
        kinds = [one for one in _kinds(kind) if one is not type(None)]
        words = " or ".join(names.get(one) or f"a {getattr(one, '__name__', one)}" for one in kinds)
        least, above, most = rule["least"], rule["above"], rule["most"]
        if (least, kinds, most) == (1, [int], None):
            words = "a positive integer"
        elif least is not None and most is not None:
            words += f" from {least:g} to {most:g}"
        elif above is not None:
            words += f" above {above:g}" + ("" if most is None else f" and at most {most:g}")
        elif least is not None:
            words += f" of at least {least:g}"
        elif most is not None:
            words += f" of at most {most:g}"
    if rule["excluded"]:
        words += f" other than {', '.join(map(repr, rule['excluded']))}"
    return words + in_python(" or None") if type(None) in _kinds(kind) else words
