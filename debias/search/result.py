"""What a search returns."""

from dataclasses import dataclass

from debias.search.certificate import Certificate
from debias.search.pareto import Fronts
from debias.search.problem import Candidate


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
        Other choices worth knowing: where descents ended.
    certificate : Certificate, optional
        What is proved of the best choice.
    fronts : Fronts, optional
        The pairs of accuracy and COBias that were met.
    frontier_complete : bool
        Whether these are all that exist.
    """

    best: Candidate
    n_evaluations: int
    seconds: float
    interrupted: bool = False
    met: tuple[Candidate, ...] = ()
    certificate: Certificate | None = None
    fronts: Fronts | None = None
    frontier_complete: bool = False
