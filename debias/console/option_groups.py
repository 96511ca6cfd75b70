"""Commands that take frozen dataclasses: each field of a :class:`~debias.settings.Settings` is an option."""

import inspect
import types
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from enum import StrEnum
from typing import Annotated, Union, get_args, get_origin, get_type_hints

import typer

from debias.settings import Settings


class Only:
    """The fields that are options of a command; the others keep their defaults.

    Parameters
    ----------
    *names : str
        Written beside the type: ``Annotated[SearchSettings, Only("n_starts")]``.
    """

    def __init__(self, *names: str) -> None:
        self.names = names


def takes_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function with plain parameters, from which typer makes a command.

    Parameters
    ----------
    function : callable
        Its parameters are those of a typer command, or are annotated with a :class:`Settings`.

    Returns
    -------
    callable
        It has one keyword for each field, assembles the settings, which check themselves, and calls
        the function. A field without help is no option.

    Raises
    ------
    ParameterError
        When it is called: a setting has a value that is not allowed.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from debias.settings import setting
    >>> @dataclass(frozen=True)
    ... class Oven(Settings):
    ...     degrees: int = setting(180, "How hot it is.", least=50)
    ...     mode: str = setting("fan", "What heats.", one_of=("fan", "grill"))
    >>> @takes_settings
    ... def bake(cake: str, oven: Oven) -> None:
    ...     print(f"{cake} at {oven.degrees}")
    >>> list(inspect.signature(bake).parameters)
    ['cake', 'degrees', 'mode']
    >>> bake(cake="bread", degrees=220, mode="fan")
    bread at 220
    >>> bake(cake="bread", degrees=20, mode="fan")
    Traceback (most recent call last):
    debias.errors.ParameterError: degrees must be an integer of at least 50, got 20.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, tuple[type[Settings], list[str]]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind, *extras = get_args(hints[name]) if get_origin(hints[name]) is Annotated else [hints[name]]
        if isinstance(kind, type) and issubclass(kind, Settings):
            only = next((extra.names for extra in extras if isinstance(extra, Only)), None)
            options = list(_options(kind, only))
            groups[name] = kind, [option.name for option in options]
            parameters += options
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))

    def command(**given: object) -> None:
        made: dict[str, object] = {}
        for name, (kind, names) in groups.items():
            made[name] = kind.of(**{field: _plain(given.pop(field)) for field in names})
        function(**given, **made)

    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def _options(kind: type[Settings], only: tuple[str, ...] | None) -> Iterator[inspect.Parameter]:
    """Yield the parameters that stand for the fields of a class."""
    hints = get_type_hints(kind)
    for one in fields(kind):
        if one.metadata.get("help") and (only is None or one.name in only):
            yield inspect.Parameter(
                one.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=one.default,
                annotation=Annotated[_typer_type(one, hints[one.name]), _option(one)],
            )


def _typer_type(one: "Field[object]", kind: object) -> object:
    """Return the type of a field as typer understands it: a choice is an enumeration."""
    if not one.metadata["one_of"]:
        return kind
    choice = StrEnum(one.name, {value: value for value in one.metadata["one_of"]})  # type: ignore[misc]
    optional = get_origin(kind) in (Union, types.UnionType)
    return choice | None if optional else choice


def _option(one: "Field[object]") -> object:
    """Return the option of a field; a switch that is off by default has no opposite."""
    switch = f"--{one.name.replace('_', '-')}" if one.default is False else None
    return typer.Option(
        *filter(None, [one.metadata["option"] or switch]),
        help=one.metadata["help"],
        metavar=one.metadata["metavar"],
        rich_help_panel=one.metadata["panel"],
    )


def _plain(value: object) -> object:
    """Return a choice as the string that it stands for."""
    return value.value if isinstance(value, StrEnum) else value
