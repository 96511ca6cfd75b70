"""Says what a fold takes from the fit that it is a part of."""

from typing import NamedTuple


class WholeFit(NamedTuple):
    """The fit that a fold is a part of: what depends on its labels and weights is in the fold as in the fit.

    Attributes
    ----------
    n_labels : int or None
        Labelled rows of the fit, of which a fold has fewer; None where a fold counts its own. (So it is where
        methods are compared: experiments/results/label_budgets.md is measured with that.)
    parts : int
        How many rows of the fold stand for a row of weight 1, where weights are fractions.
    weighted : bool
        Whether any weight is not 1.
    """

    n_labels: int | None = None
    parts: int = 1
    weighted: bool = False
