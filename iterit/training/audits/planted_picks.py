"""Shows what ways to pick do with records of known worth, without training: see iterit.records.planting."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from iterit.ngrams.ngram_counts import count_ngrams
from iterit.records.planting.planted_pool import KINDS, SOUND, PlantedPool, PlantingSettings, plant
from iterit.rounds.round_state import n_picks_of
from iterit.row_numbers import RowArray
from iterit.selection.selection import select
from iterit.training.audits.pool_scores import untrained_scores
from iterit.training.audits.subset_runs import SubsetRuns

MODES = (
    "published", "length_neutral", "length_debiased", "complexity", "banded", "diversity", "longest",
    "random",
)  # fmt: skip
"""Modes that need IFD and n-grams alone."""


def planted_by_modes(
    runs: SubsetRuns, cache: Path, ratio: float, seed: int
) -> tuple[PlantedPool, dict[str, RowArray], pd.DataFrame]:
    """Plant records in a copy of the pool, score it, and pick from it by each mode.

    Parameters
    ----------
    runs : SubsetRuns
    cache : Path
        Folder in which scores are kept.
    ratio : float
        Share of the copy that each mode picks.
    seed : int

    Returns
    -------
    planted : PlantedPool
    picks : dict of str to int64 array
        Rows of the copy, by mode.
    scores : DataFrame
        Of the copy.
    """
    planted = plant(runs.pool, PlantingSettings(seed=seed))
    scores = untrained_scores(runs, planted.records, cache)
    counts, k = count_ngrams(planted.records.responses), n_picks_of(ratio, len(planted.records))
    picks = {mode: select(scores, counts, k, mode=mode, seed=seed).rows for mode in MODES}
    return planted, picks, scores


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
