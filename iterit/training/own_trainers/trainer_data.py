"""Gives a trainer its records, and joins them to batches by a collator that keeps their labels.

The trainer's own collator still joins all other examples, such as those of its evaluation. One that
would train other tokens than the answers is replaced where that is known to lose nothing, or refused.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from debias.errors import ParameterError, param
from iterit.templates.encoding import IGNORED
from iterit.training.packing.packed_batch import PackedRows, check_apart, packed_batch
from iterit.training.rescoring import unchanged_randomness
from iterit.training.trainer_parts import model_of, tokenizer_of
from iterit.training.training_rows import PaddedBatch, RowLabels, TrainingRows, pad_token_of

if TYPE_CHECKING:
    from transformers import Trainer

    from iterit.templates.encoding import EncodedRecords

Collator = Callable[[list[Any]], Mapping[str, Any]]


class RecordsCollator:
    """Joins records to a batch of their own kind, and all other examples as before.

    Parameters
    ----------
    of_records, of_others : callable
    """

    def __init__(self, of_records: Collator, of_others: Collator) -> None:
        self.of_records, self.of_others = of_records, of_others

    def __call__(self, examples: list[Any]) -> Mapping[str, Any]:
        """Return a batch."""
        first = examples[0]
        is_record = isinstance(first, Mapping) and isinstance(first.get("labels"), RowLabels)
        return self.of_records(examples) if is_record else self.of_others(examples)


def set_rows(trainer: "Trainer", encoded: "EncodedRecords", packed: bool = False) -> None:
    """Give a trainer its training data, and a collator for them where its own does not keep labels.

    Parameters
    ----------
    trainer : transformers.Trainer
    encoded : EncodedRecords
    packed : bool, default=False
        Whether packs of records are trained; no collator of the trainer is asked for them.

    Raises
    ------
    ParameterError
        The records have tokens that the model does not know, the trainer has a collator of another kind
        that does not keep labels, or the model does not keep packed records apart.
    """
    tokenizer = tokenizer_of(trainer)
    n_known = cast(torch.nn.Embedding, model_of(trainer).get_input_embeddings()).num_embeddings
    if (largest := encoded.largest_token) >= n_known:
        raise ParameterError(
            f"the tokenizer gives token {largest}, and the model knows tokens up to {n_known - 1}",
            parameter="processing_class",
            received=largest,
            allowed=f"a tokenizer of tokens up to {n_known - 1}",
            fix="call model.resize_token_embeddings(len(tokenizer)), or use the model's own tokenizer",
        )
    rows = PackedRows(encoded) if packed else TrainingRows(encoded)
    collator = cast(Collator, trainer.data_collator)
    if packed:
        check_apart(trainer)
        trainer.data_collator = RecordsCollator(packed_batch, collator)  # type: ignore[assignment]
    elif _is_replaced(collator):
        padded = PaddedBatch(pad_token_of(tokenizer, n_known))
        trainer.data_collator = RecordsCollator(padded, collator)  # type: ignore[assignment]
    else:
        check_collator(collator, rows, n_known)
    trainer.train_dataset = rows


def _is_replaced(collator: object) -> bool:
    """Tell whether a collator of transformers pads no labels, or makes them of all tokens."""
    from transformers import DataCollatorForLanguageModeling, DataCollatorWithPadding, DefaultDataCollator
    from transformers.data.data_collator import default_data_collator

    if type(collator) is DataCollatorForLanguageModeling:
        return not collator.mlm
    return collator is default_data_collator or type(collator) in (
        DataCollatorWithPadding, DefaultDataCollator,
    )  # fmt: skip


def check_collator(collator: Collator, rows: TrainingRows, n_known: int) -> None:
    """Refuse a collator that changes the tokens or labels of records: it is tried on two of them.

    Parameters
    ----------
    collator : callable
    rows : TrainingRows
    n_known : int
        Tokens that the model knows.

    Raises
    ------
    ParameterError
    """
    lengths = rows.encoded.lengths
    examples = [rows[int(np.argmin(lengths))], rows[int(np.argmax(lengths))]]
    try:
        tried = copy.deepcopy(collator)  # it may count what it sees
    except Exception:
        tried = collator
    for some in (examples[:1], examples):
        with unchanged_randomness():
            try:
                problem = _changes(tried([dict(one) for one in some]), some, n_known)
            except Exception as error:
                problem = f"fails: {(str(error).splitlines() or [type(error).__name__])[0][:200]}"
        if problem:
            raise ParameterError(
                f"{param('data_collator')} {problem}",
                parameter="data_collator",
                received=type(collator).__name__,
                allowed=f"one that keeps input_ids and labels, and pads labels with {IGNORED}",
                fix=f"omit {param('data_collator')}, or keep the labels that examples have",
            )


def _changes(batch: Mapping[str, Any], examples: Sequence[Mapping[str, list[int]]], n_known: int) -> str:
    """Say what a collator changed, if anything; rows may be in one line, and padded at any side."""
    tokens, labels = (torch.as_tensor(batch[name]).flatten() for name in ("input_ids", "labels"))
    given = [label for one in examples for label in one["labels"] if label != IGNORED]
    counts = labels != IGNORED
    if labels[counts].tolist() != given or tokens[counts].tolist() != given:
        return "changes labels: other tokens than those of the answers would be trained"
    if int(tokens.max()) >= n_known:
        return f"pads with token {int(tokens.max())}, and the model knows tokens up to {n_known - 1}"
    seen = batch.get("attention_mask")
    if seen is not None and torch.as_tensor(seen).shape == torch.as_tensor(batch["input_ids"]).shape:
        tokens = tokens[torch.as_tensor(seen).flatten() != 0]
        if tokens.tolist() != [token for one in examples for token in one["input_ids"]]:
            return "changes input_ids, or which of them attention sees"
    return ""
