"""Asks the model that is trained about records and a query, anew in each round.

For the mode "influence", a copy of the model takes a step on the query, and the loss of each record is
taken before and after it; for "representation" records and query become vectors. Copies are in
float32: the drops of one small step are lost in the rounding of bfloat16.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debias.inference.transformers.transformers_engine import TransformersEngine
from iterit.records.instruction_records import Records
from iterit.row_numbers import RowArray
from iterit.scoring.answer_losses import answer_losses
from iterit.scoring.loss_drop import loss_drop
from iterit.scoring.representations import query_similarities, record_vectors
from iterit.templates.encoding import EncodedRecords
from iterit.templates.template import Template
from iterit.training.distributed import everywhere, process_numbers
from iterit.training.queries.query_steps import trained_on
from iterit.training.rescoring import Spent, model_to_score, unchanged_randomness
from iterit.training.trainer_parts import model_of, tokenizer_of

if TYPE_CHECKING:
    from transformers import Trainer

INFLUENCE = "influence"


@dataclass(frozen=True)
class QuerySignals:
    """Asks the model of a trainer about candidates and a query.

    Parameters
    ----------
    mode : {"influence", "representation"}
    records, query : Records
        What is picked from, and examples of what the model is to learn.
    encoded : EncodedRecords
        The records as tokens.
    template : Template
    max_tokens : int or None
        Longer records are cut.
    seed : int
        Of the adapter that takes the step.
    show_progress : bool, default=True
    """

    mode: str
    records: Records
    query: Records
    encoded: EncodedRecords
    template: Template
    max_tokens: int | None
    seed: int
    show_progress: bool = True

    def __call__(self, trainer: "Trainer", rows: RowArray, spent: Spent) -> dict[str, NDArray[np.float64]]:
        """Return what a selection is given; all processes call it and share the work.

        Parameters
        ----------
        trainer : transformers.Trainer
        rows : int64 array
            The candidates.
        spent : Spent
            Time and tokens are added to it.

        Returns
        -------
        dict
            ``values`` of shape (n_records,), or ``similarities`` of shape (n_records, n_query): NaN for
            records that are no candidates.
        """
        with spent.measured(), unchanged_randomness():
            parts = everywhere(lambda: self._own_share(trainer, rows))
        spent.tokens += sum(tokens for _, tokens in parts)
        found = pd.concat([table for table, _ in parts]).reindex(np.arange(len(self.records)))
        if self.mode == INFLUENCE:
            return {"values": found["value"].to_numpy(np.float64)}
        return {"similarities": found.to_numpy(np.float64)}

    def _own_share(self, trainer: "Trainer", rows: RowArray) -> tuple[pd.DataFrame, int]:
        """Ask about the rows of this process; each process takes the same step on the query."""
        index, count = process_numbers()
        own = np.sort(rows[np.argsort(self.encoded.lengths[rows], kind="stable")][index::count])
        with model_to_score(model_of(trainer), "float32") as model:
            engine = TransformersEngine(model, tokenizer_of(trainer))
            return self._influence(engine, own) if self.mode == INFLUENCE else self._near(engine, own)

    def _influence(self, engine: TransformersEngine, rows: RowArray) -> tuple[pd.DataFrame, int]:
        """Return by how much a step on the query lowers the loss of each row, and the tokens it took."""
        trained = trained_on(
            engine, self.query, template=self.template, max_tokens=self.max_tokens, seed=self.seed
        )
        before, after = (
            answer_losses(
                self.records, one, template=self.template, rows=rows, max_tokens=self.max_tokens,
                encoded=self.encoded, show_progress=self.show_progress,
            )
            for one in (engine, trained.engine)
        )  # fmt: skip
        tokens = engine.token_counts.tokens + trained.engine.token_counts.tokens
        return loss_drop(before, after)[["value"]], tokens

    def _near(self, engine: TransformersEngine, rows: RowArray) -> tuple[pd.DataFrame, int]:
        """Return the cosines of each row to each example of the query, and the tokens they took."""
        vectors = record_vectors(
            self.records, engine, template=self.template, rows=rows, max_tokens=self.max_tokens,
            encoded=self.encoded, show_progress=self.show_progress,
        )  # fmt: skip
        asked = record_vectors(
            self.query, engine, template=self.template, max_tokens=self.max_tokens, show_progress=False
        )
        return pd.DataFrame(query_similarities(vectors, asked), index=rows), engine.token_counts.tokens
