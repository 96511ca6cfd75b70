"""Gives a trainer its records, and joins them to batches by a collator that keeps their labels.

The trainer's own collator still joins all other examples, such as those of its evaluation. One that
would train other tokens than the answers is replaced where that is known to lose nothing, or refused.
"""

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from debias.errors import ParameterError, param
from iterit.templates.encoding import IGNORED
from iterit.training.own_trainers.batch_changes import changes, is_joined
from iterit.training.own_trainers.batch_check import BatchCheck
from iterit.training.packing.packed_batch import PackedRows, check_apart, joined, packed_batch
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


def set_rows(trainer: "Trainer", encoded: "EncodedRecords", packed: bool = False) -> BatchCheck:
    """Give a trainer its training data, and a collator for them where its own does not keep labels.

    Parameters
    ----------
    trainer : transformers.Trainer
    encoded : EncodedRecords
    packed : bool, default=False
        Whether packs of records are trained; no collator of the trainer is asked for them.

    Returns
    -------
    BatchCheck
        Checks each batch while it trains.

    Raises
    ------
    ParameterError
        The records have tokens that the model does not know, the trainer has a collator of another kind
        that does not keep labels, or the model does not keep joined records apart.
    """
    rows = PackedRows(encoded) if packed else TrainingRows(encoded)
    n_known = set_collator(trainer, rows)
    trainer.train_dataset = rows
    return BatchCheck(rows, n_known)


def set_collator(trainer: "Trainer", rows: TrainingRows) -> int:
    """Give a trainer a collator of its training data, where its own does not keep their labels.

    Parameters
    ----------
    trainer : transformers.Trainer
    rows : TrainingRows

    Returns
    -------
    int
        Tokens that the model knows.

    Raises
    ------
    ParameterError
        As for :func:`set_rows`.
    """
    n_known = _known_tokens(trainer, rows.encoded.largest_token)
    collator = cast(Collator, trainer.data_collator)
    if isinstance(collator, RecordsCollator):
        return n_known
    if isinstance(rows, PackedRows):
        check_apart(trainer, lambda examples: packed_batch([joined(examples)]), "packing")
        trainer.data_collator = RecordsCollator(packed_batch, collator)  # type: ignore[assignment]
    elif _is_replaced(collator):
        padded = PaddedBatch(pad_token_of(tokenizer_of(trainer), n_known))
        trainer.data_collator = RecordsCollator(padded, collator)  # type: ignore[assignment]
    elif check_collator(collator, rows, n_known, trainer.args.train_batch_size):
        check_apart(trainer, collator, "data_collator")
    return n_known


def _known_tokens(trainer: "Trainer", largest: int) -> int:
    """Return how many tokens the model reads and predicts; refuse a tokenizer that has more."""
    model = model_of(trainer)
    n_known = cast(torch.nn.Embedding, model.get_input_embeddings()).num_embeddings
    n_predicted = getattr(model.get_output_embeddings(), "out_features", None) or n_known
    if largest < min(n_known, n_predicted):
        return n_known
    n_known = min(n_known, n_predicted)
    raise ParameterError(
        f"the tokenizer gives token {largest}, and the model knows tokens up to {n_known - 1}",
        parameter="processing_class",
        received=largest,
        allowed=f"a tokenizer of tokens up to {n_known - 1}",
        fix="call model.resize_token_embeddings(len(tokenizer)), or use the model's own tokenizer",
    )


def _is_replaced(collator: object) -> bool:
    """Tell whether a collator of transformers pads no labels, or makes them of all tokens."""
    from transformers import DataCollatorForLanguageModeling, DataCollatorWithPadding, DefaultDataCollator
    from transformers.data.data_collator import default_data_collator

    if type(collator) is DataCollatorForLanguageModeling:
        return not collator.mlm
    return collator is default_data_collator or type(collator) in (
        DataCollatorWithPadding, DefaultDataCollator,
    )  # fmt: skip


def check_collator(collator: Collator, rows: TrainingRows, n_known: int, batch_size: int = 2) -> bool:
    """Refuse a collator that changes the tokens or labels of records: it is tried on a few of them.

    Parameters
    ----------
    collator : callable
    rows : TrainingRows
    n_known : int
        Tokens that the model knows.
    batch_size : int, default=2
        Records of a batch that is trained.

    Returns
    -------
    bool
        Whether it joins records to lines, in which they could see each other.

    Raises
    ------
    ParameterError
    """
    try:
        tried = copy.deepcopy(collator)  # it may count what it sees
    except Exception:
        tried = collator
    joins = False
    for size in sorted({1, 2, batch_size}):
        examples = _examples(rows, size)
        with unchanged_randomness():
            try:
                batch = tried(copy.deepcopy(examples))  # it may change them in their place
                problem = changes(batch, examples, n_known)
                joins |= not problem and is_joined(batch, len(examples))
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
    return joins


def _examples(rows: TrainingRows, size: int) -> list[dict[str, list[int]]]:
    """Return so many records, from the shortest to the longest."""
    lengths = rows.encoded.lengths
    order = np.argsort(lengths, kind="stable")[np.count_nonzero(lengths == 0) :]
    places = np.linspace(0, len(order) - 1, min(size, len(order))).astype(int)
    return [rows[int(row)] for row in order[places]]
