"""Scores round 0 with a proxy: a small model that ranks records much as the one that is trained does.

Before it is used, both score a sample, and their rank correlation is printed and kept. The scores of a
proxy are on a scale of their own: the state of the rounds marks them, and no later round compares them
with those of the model.
"""

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from debias.console.progress import say_at_once
from debias.errors import ExcludedRowsWarning
from iterit.rounds.rank_agreement import LOW_AGREEMENT, RankAgreement, agreement_sample, rank_agreement
from iterit.row_numbers import RowArray
from iterit.training.distributed import everywhere, process_numbers
from iterit.training.rescoring import unchanged_randomness

if TYPE_CHECKING:
    from debias.inference.engine import Engine


@dataclass
class ProxyScorer:
    """Scores rows with a proxy; all processes share the rows.

    Parameters
    ----------
    engine : Engine
        In each process one of its own.
    score_rows : callable
        Scores rows with the engine: a DataFrame indexed by row.
    lengths : int64 array
        Length of every row, by which processes share the work.
    """

    engine: "Engine"
    score_rows: Callable[["Engine", RowArray], pd.DataFrame]
    lengths: RowArray

    def __call__(self, rows: RowArray) -> pd.DataFrame:
        """Score rows; one that only the proxy cannot take has no score.

        Returns
        -------
        DataFrame
            Indexed by row, in the order of ``rows``; the same in all processes.
        """
        with unchanged_randomness():
            parts = everywhere(lambda: self._own_share(rows))
        table = pd.concat(parts).loc[rows]
        return table.assign(status=table["status"].where(table["status"] != "refused", "empty"))

    def of_round(self, rows: RowArray) -> pd.DataFrame:
        """Score rows, and say how many of them have no score: no round picks those."""
        table = self(rows)
        n_missing = int(table["ifd"].isna().sum())
        if n_missing and process_numbers()[0] == 0:
            warnings.warn(
                f"{n_missing:,} of {len(table):,} records have no score of the proxy {self.name}, so they are"
                " not picked: its chat template cannot take them, or nothing of their answers fits into its"
                " context",
                ExcludedRowsWarning,
                stacklevel=2,
            )
        return table

    def _own_share(self, rows: RowArray) -> pd.DataFrame:
        index, count = process_numbers()
        own = rows[np.argsort(self.lengths[rows], kind="stable")][index::count]
        return self.score_rows(self.engine, np.sort(own))

    @property
    def name(self) -> str:
        """The name of its model."""
        return str(getattr(self.engine, "name", "") or type(self.engine).__name__)

    @property
    def fingerprint(self) -> str:
        """A digest of what decides its scores."""
        said = json.dumps(self.engine.fingerprint, sort_keys=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def compare(
        self, score: Callable[[RowArray], pd.DataFrame], rows: RowArray, seed: int
    ) -> tuple[RankAgreement, dict[str, object]]:
        """Score a sample with both models, say how they agree, and warn if it is little.

        Parameters
        ----------
        score : callable
            Scores rows with the model that is trained.
        rows : int64 array
            Rows that take part.
        seed : int

        Returns
        -------
        agreement : RankAgreement
        facts : dict
            The same for checkpoints and reports, JSON-able.
        """
        sample = agreement_sample(rows, seed)
        own, its = (table["ifd"].to_numpy(np.float64) for table in (score(sample), self(sample)))
        found = rank_agreement(own, its)
        if process_numbers()[0] == 0:
            say_at_once(f"proxy {self.name}: {found}")
            if found.is_low:
                warnings.warn(
                    f"the proxy {self.name} may rank records differently from the trained model: {found}; "
                    f"the lower end should be {LOW_AGREEMENT:g} or more, since round 0 picks by the proxy",
                    stacklevel=2,
                )
        facts = {
            "proxy": self.name,
            "proxy_sample": found.n_rows,
            "proxy_rank_correlation": round(found.correlation, 4),
            "proxy_rank_correlation_low": round(found.low, 4),
            "proxy_rank_correlation_high": round(found.high, 4),
        }
        return found, facts
