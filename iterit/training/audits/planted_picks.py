"""Shows what ways to pick do with records of known worth, without training: see iterit.records.planting."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from iterit.records.planting.planted_pool import KINDS, SOUND, PlantedPool
from iterit.row_numbers import RowArray


def planted_shares(planted: PlantedPool, picks: Mapping[str, RowArray]) -> pd.DataFrame:
    """Return the share of each planted kind among the records of the pool and among picks.

    Parameters
    ----------
    planted : PlantedPool
    picks : mapping of str to int64 array
        Rows of the planted pool by the name of what picked them.

    Returns
    -------
    DataFrame
        Indexed by name, the pool first: n_records, and a column for each kind.
    """
    groups = {"pool": np.arange(len(planted.records)), **picks}
    rows = [{"n_records": len(own), **planted.shares(own)} for own in groups.values()]
    return pd.DataFrame(rows, index=pd.Index(list(groups), name="picks"))


def planted_scores(planted: PlantedPool, scores: pd.DataFrame) -> pd.DataFrame:
    """Return how hard the model finds records of each planted kind.

    Parameters
    ----------
    planted : PlantedPool
    scores : DataFrame
        Of its records, from :func:`iterit.scoring.complexity.score_complexity`.

    Returns
    -------
    DataFrame
        Indexed by kind, sound records first: n_records, median_ifd, at_least_one (share with an IFD of 1 or
        more, which the usual bound excludes) and mean_loss (nats per token).
    """
    rows = []
    for kind in (SOUND, *KINDS):
        own = scores.loc[np.flatnonzero(planted.kinds == kind)]
        known = own["ifd"].dropna()
        rows.append(
            {
                "n_records": len(own),
                "median_ifd": float(known.median()),
                "at_least_one": float((known >= 1).mean()),
                "mean_loss": float(own["conditional"].mean()),
            }
        )
    return pd.DataFrame(rows, index=pd.Index(["as it was", *KINDS], name="kind"))
