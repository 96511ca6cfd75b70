"""Settings to tune: the objective to minimise, and the family to choose from.

The published grid (DCS, arXiv 2503.05157) is 76 objectives times four scales of weights: 304.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from debias.corrections.families import FAMILY_NAMES, Family, family_of
from debias.errors import ParameterError
from debias.search.objective import WEIGHTS, Objective

FAMILIES = FAMILY_NAMES
"""Names that a family of a setting may have."""

PUBLISHED_N_WEIGHTS = (30, 50, 70, 90)

_ERROR, _COBIAS, _PMI = (0.0, 0.5, 1.0, 2.0), (0.5, 1.0, 2.7, 3.0, 10.0), (0.0, 0.2, 1.0, 5.0)


@dataclass(frozen=True)
class Setting:
    """One way to fit a debiaser.

    Attributes
    ----------
    family : {"ensemble", "weights", "memberships", "wide"}
        The corrections to choose from.
    n_weights : int or None
        Steps of the scale of weights; None for memberships, which have none.
    objective : Objective
        What is minimised.

    Examples
    --------
    >>> print(Setting("ensemble", 30, Objective(1.0, 2.7, 0.2)))
    ensemble with 30 weights, error 1, COBias 2.7, PMI 0.2
    """

    family: str
    n_weights: int | None
    objective: Objective

    def corrections(self) -> Family:
        """Return the corrections to choose from."""
        return family_of(self.family) if self.n_weights is None else family_of(self.family, self.n_weights)

    def __str__(self) -> str:
        z = self.objective
        scale = "" if self.n_weights is None else f"{self.n_weights} "
        mixed = self.family in ("ensemble", "wide")
        name = f"{self.family} with {scale}weights" if mixed else f"{scale}{self.family}"
        further = {key: value for key, value in z.used_params().items() if key in WEIGHTS[3:]}
        more = [f"{key.replace('_', ' ')} {value:g}" for key, value in further.items()]
        more += [] if z.costs is None else ["costs"]
        return ", ".join([f"{name}, error {z.error:g}, COBias {z.cobias:g}, PMI {z.pmi:g}", *more])


def published_objectives(smoothing: float = 4000.0) -> list[Objective]:
    """Return the 76 published objectives.

    Error {0, .5, 1, 2} times COBias {.5, 1, 2.7, 3, 10} times PMI {0, .2, 1, 5}; where only
    COBias counts, its size does not matter, so five of them are the same.

    Parameters
    ----------
    smoothing : float, default=4000.0
        Additive smoothing of the PMI term.

    Returns
    -------
    list of Objective
        The one that looks at COBias alone comes first.

    Examples
    --------
    >>> len(published_objectives()), published_objectives()[0]
    (76, Objective(error=0.0, pmi=0.0))
    """
    triples = [
        (error, cobias, pmi)
        for error, cobias, pmi in product(_ERROR, _COBIAS, _PMI)
        if error or pmi or cobias == 1.0
    ]
    only_cobias = (0.0, 1.0, 0.0)
    ordered = [only_cobias, *(triple for triple in triples if triple != only_cobias)]
    return [Objective(*triple, smoothing) for triple in ordered]


def combine(
    objectives: Sequence[Objective], n_weights: int | Sequence[int], families: str | Sequence[str]
) -> list[Setting]:
    """Return every objective with every family and scale.

    Parameters
    ----------
    objectives : sequence of Objective
        Without bounds.
    n_weights : int or sequence of int
        Steps of the scale of weights.
    families : str or sequence of str
        Names out of :data:`FAMILIES`.

    Returns
    -------
    list of Setting
        By family, scale and objective, in the orders given.

    Raises
    ------
    ParameterError
        A list is empty, or a value is not allowed.

    Examples
    --------
    >>> len(combine(published_objectives(), (30, 50, 70, 90), "ensemble"))
    304
    >>> [str(setting) for setting in combine([Objective(pmi=0)], 30, ("weights", "memberships"))]
    ['30 weights, error 1, COBias 1, PMI 0', 'memberships, error 1, COBias 1, PMI 0']
    """
    names, scales, objectives = _listed(families), _listed(n_weights), _listed(objectives)
    if not names or not all(isinstance(name, str) and name in FAMILIES for name in names):
        raise ParameterError(parameter="families", allowed=f"one or more of {FAMILIES}", received=families)
    if not scales or not all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 1 for n in scales
    ):
        allowed = "a positive integer, or several"
        raise ParameterError(parameter="n_weights", allowed=allowed, received=n_weights)
    if not len(objectives) or not all(isinstance(objective, Objective) for objective in objectives):
        allowed = "one Objective or more, without bounds"
        raise ParameterError(parameter="settings", allowed=allowed, received=objectives)
    for objective in objectives:
        objective.validate()
    kinds = [
        (name, scale)
        for name in dict.fromkeys(names)
        for scale in ([None] if name == "memberships" else dict.fromkeys(map(int, scales)))
    ]
    return [Setting(name, scale, objective) for name, scale in kinds for objective in objectives]


def _listed(values: Any) -> list[Any]:
    """Return several values as a list, and one by itself as a list of one; a string is one value."""
    return [values] if isinstance(values, str) or not isinstance(values, Iterable) else list(values)
