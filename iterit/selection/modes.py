"""Names the ways to pick, and says what each one maximises."""

from types import MappingProxyType
from typing import NamedTuple

from debias.errors import ParameterError
from debias.settings import check_choice

DIVERSITIES = ("ngrams", "vectors", "none")
"""What rows are compared by: weights of n-grams, embeddings, or nothing."""

_COMPARED_BY = {"ngrams": ("counts",), "vectors": ("embeddings",), "none": ()}


class Mode(NamedTuple):
    """One way to pick.

    Attributes
    ----------
    meaning : str
        What it maximises, in a line.
    needs : tuple of str
        Arguments of :func:`iterit.selection.selection.select` that it needs: "complexity", "values",
        "similarities". Diversity by n-grams also needs "counts", by vectors "embeddings".
    diversity : {"ngrams", "vectors", "none"}
        What rows are compared by, so that a pick changes what the next one is worth.
    is_open : bool
        Whether the setting `diversity` may change that.
    length_power : float
        The sum of a row's weights is divided by its number of n-grams to this power.
    """

    meaning: str
    needs: tuple[str, ...]
    diversity: str = "none"
    is_open: bool = False
    length_power: float = 0.0


_IFD = ("complexity",)
MODES = MappingProxyType(
    {
        "published": Mode("complexity * sum of n-gram weights (IterIT)", _IFD, "ngrams"),
        "length_debiased": Mode(
            "complexity * mean n-gram weight (very short answers)", _IFD, "ngrams", length_power=1.0
        ),
        "length_neutral": Mode(
            "complexity * sum of n-gram weights / root of their number (nearly blind to length)",
            _IFD, "ngrams", length_power=0.5,
        ),
        "complexity": Mode("complexity", _IFD),
        "diversity": Mode("sum of n-gram weights", (), "ngrams"),
        "random": Mode("nothing: a random sample, by the seed", ()),
        "longest": Mode("words in the response", ()),
        "facility_location": Mode(
            "complexity * how much nearer all rows come to a pick, by embeddings", _IFD, "vectors"
        ),
        "banded": Mode(
            "as length_neutral, of the rows whose complexity is in the middle (the highest is often noise)",
            _IFD, "ngrams", True, 0.5,
        ),
        "influence": Mode(
            "value: how much a record lowers the loss on examples of a query",
            ("values",), "none", True, 0.5,
        ),
        "learnable": Mode(
            "value: how much of a record's loss training takes away, * n-gram weights as length_neutral",
            ("values",), "ngrams", True, 0.5,
        ),
        "representation": Mode("similarity to examples of a query, each in turn", ("similarities",)),
    }
)  # fmt: skip
"""Every mode by its name."""


def mode_called(name: str, diversity: str | None = None) -> Mode:
    """Return a mode by its name.

    Parameters
    ----------
    name : str
    diversity : {"ngrams", "vectors", "none"}, optional
        What rows are compared by, for the modes that leave it open; the mode's own by default.

    Raises
    ------
    ParameterError
        The name is unknown, or the mode's diversity is fixed.

    Examples
    --------
    >>> mode_called("published").meaning
    'complexity * sum of n-gram weights (IterIT)'
    >>> mode_called("influence", "vectors").diversity
    'vectors'
    >>> mode_called("published", "vectors")
    Traceback (most recent call last):
    debias.errors.ParameterError: diversity must be omitted for the mode 'published', got 'vectors'; it is ...
    """
    check_choice("mode", name, MODES)
    mode = MODES[name]
    if diversity is None or diversity == mode.diversity:
        return mode
    check_choice("diversity", diversity, DIVERSITIES)
    if not mode.is_open:
        may = ", ".join(repr(one) for one, other in MODES.items() if other.is_open)
        raise ParameterError(
            parameter="diversity",
            received=diversity,
            allowed=f"omitted for the mode {name!r}",
            fix=f"it is for the modes {may}",
        )
    return mode._replace(diversity=diversity)


def needs_of(mode: Mode) -> tuple[str, ...]:
    """Return all arguments of :func:`iterit.selection.selection.select` that a mode needs.

    Examples
    --------
    >>> needs_of(mode_called("published"))
    ('complexity', 'counts')
    """
    return mode.needs + _COMPARED_BY[mode.diversity]
