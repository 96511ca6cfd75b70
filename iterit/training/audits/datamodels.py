"""Scores ways to score: by how well a sum of scores predicts what training a random subset gives.

The linear datamodel score is the rank correlation, over random subsets, between the sum of the scores of
a subset's records and what the model learnt from it (Park et al., "TRAK", ICML 2023; Ilyas et al.,
"Datamodels", ICML 2022). Interval: a percentile bootstrap over subsets.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from debias.errors import ParameterError
from iterit.row_numbers import RowArray

Floats = npt.NDArray[np.float64]

_RESAMPLES = 2000


def random_subsets(usable: RowArray, n_subsets: int, size: int, seed: int) -> list[RowArray]:
    """Draw subsets at random, each without repetition.

    Parameters
    ----------
    usable : int64 array
        Rows to draw from.
    n_subsets, size : int
    seed : int

    Raises
    ------
    ParameterError
        A subset would hold all rows, or more.

    Examples
    --------
    >>> random_subsets(np.arange(9), n_subsets=2, size=3, seed=0)
    [array([3, 7, 8]), array([2, 4, 8])]
    """
    if size >= len(usable):
        allowed = f"less than the {len(usable):,} usable records"
        raise ParameterError(parameter="subset_size", received=size, allowed=allowed)
    random = np.random.default_rng([seed, 3])
    return [np.sort(random.choice(usable, size, replace=False)) for _ in range(n_subsets)]


def datamodel_scores(
    subsets: Sequence[RowArray],
    learnt: Mapping[str, npt.ArrayLike],
    scores: Mapping[str, npt.ArrayLike],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how well each way to score predicts what subsets teach.

    Parameters
    ----------
    subsets : sequence of int64 array, length m
    learnt : mapping of str to array-like of shape (m,)
        What each subset taught, by the name of the measure: higher is better.
    scores : mapping of str to array-like of shape (n_records,)
        Of each record, by the name of the way to score; records without a score count as the mean.
    confidence : float, default=0.95
    seed : int, default=0
        Of the bootstrap.

    Returns
    -------
    DataFrame
        One row for each way and measure: score, measure, correlation (Spearman), low, high, n_subsets.

    Examples
    --------
    >>> subsets = [np.array([n, (n + 1) % 8]) for n in range(8)]
    >>> sums = [n + (n + 1) % 8 for n in range(8)]
    >>> table = datamodel_scores(subsets, {"gain": sums}, {"true": np.arange(8.0), "none": np.zeros(8)})
    >>> table[["score", "correlation"]].to_dict("records")
    [{'score': 'true', 'correlation': 1.0}, {'score': 'none', 'correlation': nan}]
    """
    random = np.random.default_rng([seed, len(subsets)])
    draws = random.integers(len(subsets), size=(_RESAMPLES, len(subsets)))
    tail = (1 - confidence) / 2
    rows = []
    for name, values in scores.items():
        known: Floats = np.asarray(values, dtype=np.float64)
        known = np.where(np.isnan(known), np.nanmean(known) if np.isfinite(known).any() else 0.0, known)
        predicted = np.array([known[rows].sum() for rows in subsets])
        for measure, found in learnt.items():
            measured: Floats = np.asarray(found, dtype=np.float64)
            resampled = np.array([_spearman(predicted[draw], measured[draw]) for draw in draws])
            resampled = resampled[np.isfinite(resampled)]
            low, high = np.quantile(resampled, [tail, 1 - tail]) if len(resampled) else (np.nan, np.nan)
            rows.append(
                {
                    "score": name,
                    "measure": measure,
                    "correlation": _spearman(predicted, measured),
                    "low": float(low),
                    "high": float(high),
                    "n_subsets": len(subsets),
                }
            )
    return pd.DataFrame(rows)


def _spearman(a: Floats, b: Floats) -> float:
    """Return the rank correlation, nan where a side is constant."""
    from scipy.stats import rankdata

    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(np.round(x @ y / norm, 12)) if norm else float("nan")
