"""Options that take several values after one name: ``--test a b`` is read as ``--test a --test b``."""

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

Function = TypeVar("Function", bound=Callable[..., None])
_ATTRIBUTE = "several_values"
_UsageError: Any = typer.BadParameter.__base__  # typer brings its own click or uses another, by version


def several_values(*options: str) -> Callable[[Function], Function]:
    """Mark the options of a command that take several values; their type is a list.

    Parameters
    ----------
    *options : str
        Such as ``--test``.

    Returns
    -------
    callable
        A decorator.
    """

    def mark(function: Function) -> Function:
        setattr(function, _ATTRIBUTE, options)
        return function

    return mark


def command_class(function: Callable[..., None]) -> type[TyperCommand]:
    """Return the class of a command: one that reads the options that were marked.

    Parameters
    ----------
    function : callable

    Returns
    -------
    type
    """
    options: tuple[str, ...] = getattr(function, _ATTRIBUTE, ())
    return type("Command", (_SeveralValues,), {"options": options}) if options else TyperCommand


class _SeveralValues(TyperCommand):
    options: tuple[str, ...]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the name of an option before each of its values.

        Where that leaves too little for an argument, as in ``--test b a``, the words are read as they stand.
        """
        spread, args = spread_values(args, self.options), list(args)
        if spread != args:
            try:
                return super().parse_args(ctx, spread)
            except _UsageError:
                ctx.params.clear()
        return super().parse_args(ctx, args)


def spread_values(args: list[str], options: tuple[str, ...]) -> list[str]:
    """Return the words of a command line with the name of an option before each of its values.

    Examples
    --------
    >>> spread_values(["a", "b", "--test", "c", "d", "--seed", "1"], ("--test",))
    ['a', 'b', '--test', 'c', '--test', 'd', '--seed', '1']
    """
    found: list[str] = []
    option, n_values = "", 0
    for word in args:
        if word.startswith("-") and word != "-":
            option, n_values = word if word in options else "", 0
            found.append(word)
            continue
        if option and n_values:
            found.append(option)
        n_values += 1
        found.append(word)
    return found
