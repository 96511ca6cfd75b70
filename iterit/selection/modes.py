"""The names of the ways to pick, and what each one maximises."""

from types import MappingProxyType
from typing import NamedTuple

from debias.errors import ParameterError


class Mode(NamedTuple):
    """One way to pick.

    Attributes
    ----------
    meaning : str
        What it does, in a line.
    greedy : bool
        Whether a pick changes what the next one is worth.
    needs : tuple of str
        What :func:`iterit.selection.selection.select` must be given: "complexity", "counts", "embeddings".
    length_power : float
        The sum of a row's weights is divided by its number of n-grams to this power.
    """

    meaning: str
    greedy: bool
    needs: tuple[str, ...]
    length_power: float = 0.0


MODES = MappingProxyType(
    {
        "published": Mode("complexity * sum of n-gram weights (IterIT)", True, ("complexity", "counts")),
        "length_debiased": Mode(
            "complexity * mean n-gram weight (picks very short answers)", True, ("complexity", "counts"), 1.0
        ),
        "length_neutral": Mode(
            "complexity * sum of n-gram weights / root of their number (nearly blind to length)",
            True,
            ("complexity", "counts"),
            0.5,
        ),
        "complexity": Mode("highest complexity", False, ("complexity",)),
        "diversity": Mode("sum of n-gram weights, whatever the complexity", True, ("counts",)),
        "random": Mode("at random, by the seed", False, ()),
        "longest": Mode("most words in the response", False, ()),
        "facility_location": Mode(
            "complexity * how much nearer all rows come to a picked one, by embeddings",
            True,
            ("complexity", "embeddings"),
        ),
    }
)
"""Every mode by its name."""


def mode_called(name: str) -> Mode:
    """Return a mode by its name.

    Raises
    ------
    ParameterError
        No such mode.

    Examples
    --------
    >>> mode_called("published").meaning
    'complexity * sum of n-gram weights (IterIT)'
    """
    if name not in MODES:
        raise ParameterError(f"mode is {name!r}; it must be one of {', '.join(MODES)}")
    return MODES[name]
