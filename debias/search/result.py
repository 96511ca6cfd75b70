"""The result of a search: the best choice, what is proved of it, and the pairs that were met."""

from dataclasses import dataclass

from debias.search.certificate import Certificate
from debias.search.pareto import ParetoFronts
from debias.search.problem import Candidate
from debias.search.proof.near_ties import NearTies


@dataclass(frozen=True)
class SearchResult:
    """The best choice a search has met, and what it took.

    Attributes
    ----------
    best : Candidate
        Choice (indices into the family), its objective and how much it changes.
    n_evaluations : int
        Choices whose objective was computed.
    seconds : float
        Wall-clock time.
    interrupted : bool
        Whether the search was stopped before its end.
    met : tuple of Candidate
        The ends of the descents, which are worth knowing too.
    certificate : Certificate, optional
        What is proved of the best choice.
    pareto : ParetoFronts, optional
        The pairs of accuracy and COBias that were met.
    frontier_complete : bool
        Whether these are all that exist.
    near : NearTies, optional
        Choices that are nearly as good as the best, where they were asked for.
    """

    best: Candidate
    n_evaluations: int
    seconds: float
    interrupted: bool = False
    met: tuple[Candidate, ...] = ()
    certificate: Certificate | None = None
    pareto: ParetoFronts | None = None
    frontier_complete: bool = False
    near: NearTies | None = None
