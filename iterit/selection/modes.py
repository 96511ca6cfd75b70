"""Names the ways to pick, and says what each one maximises."""

from types import MappingProxyType
from typing import NamedTuple

from debias.settings import check_choice


class Mode(NamedTuple):
    """One way to pick.

    Attributes
    ----------
    meaning : str
        What it maximises, in a line.
    greedy : bool
        Whether a pick changes what the next one is worth.
    needs : tuple of str
        Arguments of :func:`iterit.selection.selection.select` that it needs: "complexity", "counts",
        "embeddings".
    length_power : float
        The sum of a row's weights is divided by its number of n-grams to this power.
    """

    meaning: str
    greedy: bool
    needs: tuple[str, ...]
    length_power: float = 0.0


_NGRAMS = ("complexity", "counts")
MODES = MappingProxyType(
    {
        "published": Mode("complexity * sum of n-gram weights (IterIT)", True, _NGRAMS),
        "length_debiased": Mode("complexity * mean n-gram weight (very short answers)", True, _NGRAMS, 1.0),
        "length_neutral": Mode(
            "complexity * sum of n-gram weights / root of their number (nearly blind to length)",
            True, _NGRAMS, 0.5,
        ),
        "complexity": Mode("complexity", False, ("complexity",)),
        "diversity": Mode("sum of n-gram weights", True, ("counts",)),
        "random": Mode("nothing: a random sample, by the seed", False, ()),
        "longest": Mode("words in the response", False, ()),
        "facility_location": Mode(
            "complexity * how much nearer all rows come to a pick, by embeddings",
            True, ("complexity", "embeddings"),
        ),
    }
)  # fmt: skip
"""Every mode by its name."""


def mode_called(name: str) -> Mode:
    """Return a mode by its name.

    Raises
    ------
    ParameterError
        The name is unknown.

    Examples
    --------
    >>> mode_called("published").meaning
    'complexity * sum of n-gram weights (IterIT)'
    """
    check_choice("mode", name, MODES)
    return MODES[name]
