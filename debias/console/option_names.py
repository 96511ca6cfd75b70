"""What the library says, in the words of the command line: options in place of parameters."""

import re
from collections.abc import Mapping

_ALIASES = {"jobs": "n_jobs", "opt_rows": "n_opt", "test_rows": "n_test"}
"""Parameters of the library by the options that set them, where names differ."""


def with_options(message: str, options: Mapping[str, str]) -> str:
    """Return a message with the options of a command where it names parameters.

    Parameters
    ----------
    message : str
        Of one of the project's errors.
    options : mapping of str to str
        Options of the command by the names of their parameters.

    Returns
    -------
    str
        The message; parameters that the command lacks stay as they are.

    Examples
    --------
    >>> options = {"normalise": "--normalise", "too_long": "--too-long", "n_starts": "--n-starts"}
    >>> with_options("row 3 sums to 2; pass normalise=True to divide each row by its sum", options)
    'row 3 sums to 2; pass --normalise to divide each row by its sum'
    >>> with_options("the text is too long: collect with too_long='truncate'", options)
    'the text is too long: collect with --too-long truncate'
    >>> with_options("n_starts must be an integer of at least 1; got 0.", options)
    '--n-starts must be an integer of at least 1; got 0.'
    """
    of_objective = re.match(r"(Objective|Constrained): ", message)
    message = message.removeprefix(of_objective[0]) if of_objective else message
    for name, option in options.items():
        for word in filter(None, (name, _ALIASES.get(name))):
            message = re.sub(rf"(?<![\w.-]){word}=(True\b|\.\.\.|\[\.\.\.\])", option, message)
            message = re.sub(rf"(?<![\w.-]){word}='([^']*)'", rf"{option} \1", message)
            where = r"(?<![\w.(-])" if of_objective else r"(^|(?<=: ))"
            message = re.sub(rf"{where}{word}(?= (must|is|needs|and|are|>)\b|,| >)", option, message)
    return message
