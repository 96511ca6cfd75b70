"""Scores a pool with the untrained model, for the parts of an audit that need scores."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from iterit.ngrams.ngram_counts import count_ngrams
from iterit.ngrams.ngram_weights import weigh
from iterit.records.instruction_records import Records
from iterit.scoring.complexity import score_complexity
from iterit.training.audits.subset_runs import SubsetRuns


def untrained_scores(runs: SubsetRuns, records: Records, cache: Path) -> pd.DataFrame:
    """Score records with the untrained model; what was scored once is not scored again.

    Parameters
    ----------
    runs : SubsetRuns
        Names the model, the template and the limit of tokens.
    records : Records
    cache : Path
        Folder in which scores are kept.
    """
    from debias.inference.models.loading import load_model
    from debias.inference.transformers.transformers_engine import TransformersEngine

    engine = TransformersEngine(*load_model(runs.model, None))
    return score_complexity(records, engine, template=runs.template, max_tokens=runs.max_tokens, cache=cache)


def pool_scores(runs: SubsetRuns, cache: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Return the ways to score a pool whose datamodel scores are measured, by name.

    Parameters
    ----------
    runs : SubsetRuns
    cache : Path
    """
    table = untrained_scores(runs, runs.pool, cache)
    sums = weigh(count_ngrams(runs.pool.responses)).sums()
    ifd = table["ifd"].to_numpy(dtype="float64")
    return {
        "IFD": ifd,
        "IFD * n-gram weights (published)": ifd * sums,
        "loss": table["conditional"].to_numpy(),
        "n-gram weights": sums,
        "answer tokens": runs.answer_tokens.astype("float64"),
    }
