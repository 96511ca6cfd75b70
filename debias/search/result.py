"""What a search returns."""

from dataclasses import dataclass

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
    """

    best: Candidate
    n_evaluations: int
    seconds: float
    interrupted: bool = False
