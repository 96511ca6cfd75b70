"""Compares losses of held-out records under picks and under random draws, with intervals for new ones.

Both the held-out records and the draws (with their training seeds) are samples. A difference is a mean
over both; its variance is bounded by the sum of the variances of its means over each of them (Owen,
"The pigeonhole bootstrap", Annals of Applied Statistics 2007). From five seeds on, the degrees of freedom are
those of Satterthwaite. With fewer, such intervals are too narrow (with two they miss up to 12 % instead of
5 %), and those of Banerjee (Journal of the Royal Statistical Society B, 1961) are used: they never miss more.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError

Floats = npt.NDArray[np.float64]

_LEAST_FREEDOM = 4
"""Degrees of freedom that each variance needs for Satterthwaite's approximation."""


class Difference(NamedTuple):
    """A mean difference with its interval.

    Attributes
    ----------
    mean, low, high : float
        In nats; positive where the picks have the lower loss.
    n_seeds, n_records : int
    """

    mean: float
    low: float
    high: float
    n_seeds: int
    n_records: int

    @property
    def verdict(self) -> str:
        """What the interval says: "better", "worse" or "unclear"."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "unclear"


def gain(
    picked: Sequence[pd.DataFrame],
    drawn: Sequence[pd.DataFrame],
    by: str = "token",
    confidence: float = 0.95,
) -> Difference:
    """Return how much lower the loss is under picks than under random draws.

    Parameters
    ----------
    picked, drawn : sequence of DataFrame
        Losses of the same held-out records, one table for each seed, with columns row, loss and n_tokens;
        the tables of one place are a pair.
    by : {"token", "record"}
        Whether long answers weigh more.
    confidence : float, default=0.95

    Returns
    -------
    Difference

    Raises
    ------
    ParameterError
        The tables are not of the same records, or are no pairs.

    Examples
    --------
    >>> random = [pd.DataFrame({"row": [0, 1], "loss": [2.0, 1.0], "n_tokens": [9, 1]}) for _ in range(5)]
    >>> better = [one.assign(loss=one["loss"] - [0.2, 0.1]) for one in random]
    >>> gain(better, random, "token").mean.__round__(3), gain(better, random, "record").mean.__round__(3)
    (0.19, 0.15)
    """
    differences, tokens = _paired(picked, drawn)
    weights = tokens / tokens.mean() if by == "token" else np.ones_like(tokens)
    by_seed = (differences * weights).mean(axis=1)
    mean = float(by_seed.mean())
    # the ratio of two sums over records, as a mean of one value for each record
    by_record = (differences.mean(axis=0) - mean) * weights
    return mean_difference(by_seed, by_record, confidence)


def mean_difference(by_seed: Floats, by_record: Floats, confidence: float = 0.95) -> Difference:
    """Return a mean difference with its interval.

    Parameters
    ----------
    by_seed : float array, shape (n_seeds,)
        The difference of each pair of runs.
    by_record : float array, shape (n_records,)
        First-order change of the mean over pairs with each held-out record.
    confidence : float, default=0.95

    Returns
    -------
    Difference

    Examples
    --------
    >>> found = mean_difference(np.array([0.2, 0.3, 0.25]), np.array([0.1, -0.1, 0.0]))
    >>> found.mean.__round__(2), found.low < 0.25 < found.high
    (0.25, True)
    """
    parts, freedoms = [], []
    for values in (by_seed, by_record):
        if len(values) > 1:
            parts.append(float(np.var(values, ddof=1)) / len(values))
            freedoms.append(len(values) - 1)
    return _interval(float(by_seed.mean()), parts, freedoms, confidence, (len(by_seed), len(by_record)))


def _interval(
    mean: float, parts: Sequence[float], freedoms: Sequence[int], confidence: float, shape: tuple[int, int]
) -> Difference:
    """Return a t interval, by Satterthwaite or, where a variance has few degrees of freedom, by Banerjee."""
    from scipy.stats import t

    total = sum(parts)
    if not total:
        return Difference(mean, mean, mean, *shape)
    tail = 0.5 + confidence / 2
    if min(freedoms) < _LEAST_FREEDOM:
        squares = (float(t.ppf(tail, freedom)) ** 2 for freedom in freedoms)
        half = sum(square * part for square, part in zip(squares, parts, strict=True)) ** 0.5
    else:
        below = sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
        half = float(t.ppf(tail, total**2 / below)) * total**0.5
    return Difference(mean, mean - half, mean + half, *shape)


def _paired(picked: Sequence[pd.DataFrame], drawn: Sequence[pd.DataFrame]) -> tuple[Floats, Floats]:
    """Return differences, shape (n_seeds, n_records), and the tokens of each record."""
    if not picked or len(picked) != len(drawn):
        allowed = f"as many tables of random draws as of picks, {len(picked)}"
        raise ParameterError(parameter="drawn", received=len(drawn), allowed=allowed)
    first = picked[0]
    for table in (*picked, *drawn):
        if not np.array_equal(table["row"], first["row"]):
            raise ParameterError(parameter="drawn", allowed="tables of the same held-out records")
    losses = [np.array([one["loss"].to_numpy() for one in side]) for side in (drawn, picked)]
    return losses[0] - losses[1], first["n_tokens"].to_numpy().astype(np.float64)
