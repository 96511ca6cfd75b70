"""Compares, in each round, what the small model and the large one say of the same records.

Both score a sample. Their rank correlation has an interval; beside it stands how many records both would
pick of the sample. In the first round the adapter is untrained, and later it is that of the round.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debias.console.progress import say_at_once
from iterit.rounds.rank_agreement import LOW_AGREEMENT, agreement_sample, rank_agreement
from iterit.rounds.round_settings import RoundSettings
from iterit.row_numbers import RowArray
from iterit.training.distributed import process_numbers
from iterit.training.rescoring import Rescorer

if TYPE_CHECKING:
    from transformers import Trainer

_BY_COMPLEXITY = ("published", "length_debiased", "length_neutral", "complexity")
"""Modes whose picks of a sample can be computed from its scores."""


@dataclass
class SmallAndLarge:
    """Compares scores of a sample, when a round begins.

    Parameters
    ----------
    small, large : Rescorer
        Score rows with the model that is trained, and with the large one.
    responses : sequence of str
        Of all records, for the picks.
    sample : int, default=200
        Number of records that both score.
    """

    small: Rescorer
    large: Rescorer
    responses: Sequence[str]
    sample: int = 200

    def __call__(self, trainer: "Trainer", rows: RowArray, settings: RoundSettings) -> dict[str, float]:
        """Compare; all processes call it.

        Parameters
        ----------
        trainer : transformers.Trainer
        rows : int64 array
            Rows that take part.
        settings : RoundSettings

        Returns
        -------
        dict
            For the history of the round: large_sample, large_correlation, large_low, large_high, large_picks
            (of the sample, by each model) and large_shared (those of both).
        """
        own = agreement_sample(rows, settings.seed, self.sample)
        tables = [one(trainer, own) for one in (self.small, self.large)]
        ifd = [table["ifd"].to_numpy(np.float64) for table in tables]
        found = rank_agreement(ifd[0], ifd[1])
        n_picks = max(1, round(settings.n_picks / len(rows) * len(own)))
        texts = [self.responses[row] for row in own.tolist()]
        shared = shared_picks(tables, texts, n_picks, settings)
        if process_numbers()[0] == 0:
            say_at_once(
                f"small and large model: {found}; {shared} of {n_picks} picks of the sample are shared"
            )
            if found.is_low:
                warnings.warn(
                    f"the small model may rank records differently from the large one: {found}; the lower "
                    f"end should be {LOW_AGREEMENT:g} or more, or the large one should score",
                    stacklevel=2,
                )
        return {
            "large_sample": found.n_rows,
            "large_correlation": round(found.correlation, 4),
            "large_low": round(found.low, 4),
            "large_high": round(found.high, 4),
            "large_picks": n_picks,
            "large_shared": shared,
        }


def shared_picks(
    tables: Sequence[pd.DataFrame], texts: Sequence[str], n_picks: int, settings: RoundSettings
) -> int:
    """Return how many rows are picked by both of two tables of scores.

    Picks are by the mode of the settings, or by complexity where the mode needs more than scores and texts.

    Parameters
    ----------
    tables : two DataFrames
        Scores of the same rows, with the columns ifd and status.
    texts : sequence of str
        Their responses.
    n_picks : int
    settings : RoundSettings

    Examples
    --------
    >>> scores = pd.DataFrame({"ifd": np.float32([0.9, 0.5, 0.7]), "status": "ok"})
    >>> others = scores.assign(ifd=np.float32([0.9, 0.8, 0.2]))
    >>> shared_picks([scores, others], ["a b", "c d", "e f"], 2, RoundSettings(mode="complexity"))
    1
    """
    from iterit.ngrams.ngram_counts import count_ngrams
    from iterit.selection.selection import select

    counts = count_ngrams(texts, tokens=settings.tokens)
    mode = settings.mode if settings.mode in _BY_COMPLEXITY else "complexity"
    picked: list[set[int]] = []
    for table in tables:
        ifd: NDArray[np.float64] = table["ifd"].to_numpy(np.float64)
        usable = np.flatnonzero(np.isfinite(ifd) & (ifd < settings.max_ifd))
        k = min(n_picks, len(usable))
        if not k:
            return 0
        found = select(
            ifd, counts, k, candidates=usable, mode=mode, decay=settings.decay, max_ifd=settings.max_ifd
        )
        picked.append(set(found.rows.tolist()))
    return len(picked[0] & picked[1])
