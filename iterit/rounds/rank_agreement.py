"""Measures whether a proxy model ranks rows as the model that is trained does: Spearman, with an interval.

The interval is that of Bonett and Wright (Psychometrika, 2000): Fisher's transformation, with a
variance that holds for ranks.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LOW_AGREEMENT = 0.5
"""A rank correlation whose interval begins below this is warned of."""
SAMPLE = 200
"""Rows that both models score before a proxy is used."""
_SALT = 4271


class RankAgreement(NamedTuple):
    """How two models rank the same rows.

    Attributes
    ----------
    correlation : float
        Spearman's rank correlation; 0 where it is not defined, such as for equal scores.
    low, high : float
        Ends of its interval; -1 and 1 for fewer than four rows.
    n_rows : int
        Rows that both models scored.
    """

    correlation: float
    low: float
    high: float
    n_rows: int

    @property
    def is_low(self) -> bool:
        """Whether the agreement may be worse than a proxy should have."""
        return self.low < LOW_AGREEMENT

    def __str__(self) -> str:
        return (
            f"rank correlation {self.correlation:.2f} (95 %: {self.low:.2f} to {self.high:.2f}) on"
            f" {self.n_rows:,} records that both scored"
        )


def rank_agreement(
    one: NDArray[np.float64], other: NDArray[np.float64], level: float = 0.95
) -> RankAgreement:
    """Measure how two models rank the same rows.

    Parameters
    ----------
    one, other : ndarray of float64, shape (n,)
        Scores of the rows; NaN where there is none.
    level : float, default=0.95
        Of the interval.

    Examples
    --------
    >>> scores = np.arange(20.0)
    >>> print(rank_agreement(scores, scores**2))
    rank correlation 1.00 (95 %: 1.00 to 1.00) on 20 records that both scored
    >>> rank_agreement(scores, -scores).is_low
    True
    """
    from scipy.stats import norm, spearmanr

    both = np.isfinite(one) & np.isfinite(other)
    n = int(both.sum())
    is_constant = n < 2 or np.ptp(one[both]) == 0 or np.ptp(other[both]) == 0
    found = 0.0 if is_constant else float(spearmanr(one[both], other[both]).statistic)
    if n < 4:
        return RankAgreement(found, -1.0, 1.0, n)
    # rows in the same order still may be few: the interval is that of half a step below 1
    within = math.copysign(min(abs(found), 1 - 6 / (n * (n * n - 1))), found)
    half = float(norm.ppf((1 + level) / 2)) * math.sqrt((1 + within**2 / 2) / (n - 3))
    low, high = (math.tanh(math.atanh(within) + side) for side in (-half, half))
    return RankAgreement(found, min(low, found), max(high, found), n)


def agreement_sample(rows: NDArray[np.int64], seed: int, size: int = SAMPLE) -> NDArray[np.int64]:
    """Draw the rows that both models score, ascending.

    Examples
    --------
    >>> agreement_sample(np.array([4, 2, 9]), 0).tolist()
    [2, 4, 9]
    """
    source = np.random.default_rng([seed, _SALT])
    return np.sort(source.choice(rows, min(size, len(rows)), replace=False))
