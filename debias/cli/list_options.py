"""Options that take several values, as people write them: ``--seeds 0 1 2``, ``0,1,2``, or repeated."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperCommand

from debias.errors import ParameterError

PER_CLASS = "per-class"
_NUMBERS = r"\d+(,\d+)*"
_SHOTS = rf"(\d+|{PER_CLASS})(,(\d+|{PER_CLASS}))*"
LIST_OPTIONS = {"--seeds": _NUMBERS, "--shots": _SHOTS}


class SpelledLists(TyperCommand):
    """A command whose list options take all fitting values that follow them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line.

        Parameters
        ----------
        ctx : typer.Context
        args : list of str

        Returns
        -------
        list of str
            What is left.
        """
        return list(super().parse_args(ctx, repeated(args, LIST_OPTIONS)))


def repeated(args: Sequence[str], patterns: Mapping[str, str]) -> list[str]:
    """Return a command line in which a list option stands before each of its values.

    Parameters
    ----------
    args : sequence of str
    patterns : mapping of str to str
        By option: what a value after the first must look like, so that other arguments are none.

    Returns
    -------
    list of str

    Examples
    --------
    >>> repeated(["--seeds", "0", "1", "trec", "--limit", "5"], {"--seeds": "[0-9]+"})
    ['--seeds', '0', '--seeds', '1', 'trec', '--limit', '5']
    """
    out: list[str] = []
    option = ""
    for place, word in enumerate(args):
        if word == "--":
            return [*out, *args[place:]]
        follows_option = place > 0 and args[place - 1] == option
        if option and not follows_option and re.fullmatch(patterns[option], word):
            out.append(option)
        elif not follows_option:
            name = word.partition("=")[0]
            option = name if name in patterns else ""
        out.append(word)
    return out


def numbers(option: str, values: Sequence[str]) -> list[int]:
    """Return the numbers of a list option.

    Parameters
    ----------
    option : str
    values : sequence of str
        Each a number, or several between commas.

    Returns
    -------
    list of int

    Raises
    ------
    ParameterError
        One is no whole number.

    Examples
    --------
    >>> numbers("--seeds", ["0,1", "2"])
    [0, 1, 2]
    """
    words = [word.strip() for value in values for word in value.split(",")]
    for word in words:
        if not word.isdecimal() or int(word) >= 2**32:
            raise ParameterError(f"{option} must be whole numbers from 0 to {2**32 - 1}; got {word!r}.")
    return [int(word) for word in words]


def shots_of(values: Sequence[str]) -> list[int | str]:
    """Return the numbers of demonstrations asked for.

    Parameters
    ----------
    values : sequence of str
        Each a number or "per-class", or several between commas.

    Returns
    -------
    list of int or "per-class"

    Raises
    ------
    ParameterError
        One is neither.

    Examples
    --------
    >>> shots_of(["0,1", "per-class"])
    [0, 1, 'per-class']
    """
    words = [word.strip() for value in values for word in value.split(",")]
    for word in words:
        if word != PER_CLASS and not word.isdecimal():
            raise ParameterError(f"--shots must be a whole number or {PER_CLASS}; got {word!r}.")
    return [word if word == PER_CLASS else int(word) for word in words]
