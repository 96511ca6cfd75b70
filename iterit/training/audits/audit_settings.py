"""Holds what an audit does: how much it trains, on how many seeds, and what else it measures."""

from dataclasses import dataclass

from debias.settings import Settings, setting


@dataclass(frozen=True)
class AuditSettings(Settings):
    """What an audit of picks does.

    Parameters
    ----------
    n_seeds : int, default=5
        Pairs of a run on picks and a run on a random draw of the same lengths.
    answer_tokens : int, default=6000
        Most answer tokens of a run. Of picks that have more, each seed trains a random part.
    n_held_out : int, default=200
        Held-out records, where they are drawn from the pool.
    n_more_random : int, default=1
        Runs in which what selection cost is spent on more random records instead; 0 omits them.
    n_subsets : int, default=0
        Random subsets for the linear datamodel score; 60 tell ways to score apart, 0 omits them.
    subset_size : int, default=100
        Records of each.
    confidence : float, default=0.95
        Of the intervals.
    seed : int, default=0

    Raises
    ------
    ParameterError
        A value is not allowed.

    Examples
    --------
    >>> AuditSettings(n_seeds=3).answer_tokens
    6000
    """

    n_seeds: int = setting(
        5,
        "Number of pairs of runs: one on picks, one on random records of the same lengths.",
        least=2,
        option="--seeds",
    )
    answer_tokens: int = setting(6000, "Maximum number of answer tokens that a run trains on.", least=1)
    n_held_out: int = setting(
        200, "Number of held-out records, if they are sampled from the pool.", least=2, option="--n-held-out"
    )
    n_more_random: int = setting(
        1,
        "Number of runs that spend the cost of selection on more random records.",
        least=0,
        option="--more-random",
    )
    n_subsets: int = setting(
        0,
        "Number of random subsets for the datamodel score of each scoring method; 60 are enough.",
        option="--subsets",
        least=0,
    )
    subset_size: int = setting(100, "Number of records in each of these subsets.", least=1)
    confidence: float = setting(0.95, "Confidence level of the intervals.", above=0.5, most=0.999)
    seed: int = setting(0, "Random seed.", least=0)
