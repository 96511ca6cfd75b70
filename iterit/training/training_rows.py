"""Makes training examples of records, batches of examples, and a sampler with the picks of a round.

The tokens are those that were scored: the same template, the same end of a turn; only answers count
in the loss.
"""

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from iterit.row_numbers import RowArray
from iterit.templates.encoding import IGNORED

FILLER = -1
"""An example without an answer: it fills up batches and counts in no loss."""

if TYPE_CHECKING:
    from iterit.templates.encoding import EncodedRecords


class RowLabels(list[int]):
    """Labels of a record, by which a collator tells its example from others, whatever is beside them."""


class TrainingRows(Dataset[dict[str, list[int]]]):
    """Records as examples for a trainer, by their rows.

    Parameters
    ----------
    encoded : EncodedRecords
        All records, in order.
    """

    def __init__(self, encoded: "EncodedRecords") -> None:
        self.encoded = encoded

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, row: int) -> dict[str, list[int]]:
        if row == FILLER:
            token = self.encoded[0].input_ids[:1] or [0]  # none where the template refuses the first record
            return {"input_ids": token, "attention_mask": [1], "labels": RowLabels([IGNORED])}
        one = self.encoded[int(row)]
        return {"input_ids": one.input_ids, "attention_mask": [1] * len(one), "labels": RowLabels(one.labels)}


class RoundSampler(Sampler[int]):
    """Yields the rows of the current round, or its packs; every round has the same number of them.

    Where several processes share batches, the last batches are filled up with examples that count in
    no loss; without them accelerate would train some rows twice.

    Parameters
    ----------
    n_items : int
        Rows or packs of a round.

    Attributes
    ----------
    rows : int64 array, or list of tuple
        In the order in which they are trained.
    multiple : int
        Examples that all processes take at once.

    Examples
    --------
    >>> sampler = RoundSampler(n_items=3)
    >>> sampler.rows, sampler.multiple = np.array([7, 5, 6]), 2
    >>> list(sampler), len(sampler)
    ([7, 5, 6, -1], 4)
    """

    def __init__(self, n_items: int) -> None:
        self.n_items, self.multiple = n_items, 1
        self.rows: RowArray | list[tuple[int, ...]] = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return math.ceil(self.n_items / self.multiple) * self.multiple

    def __iter__(self) -> Iterator[Any]:
        yield from self.rows.tolist() if isinstance(self.rows, np.ndarray) else self.rows
        yield from itertools.repeat(FILLER, len(self) - self.n_items)


def pad_token_of(tokenizer: object, n_known: int) -> int:
    """Return a token to pad shorter rows with: attention and loss omit it, so any token will do.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    n_known : int
        Tokens that the model knows; a tokenizer may name one that it does not.
    """
    for name in ("pad_token_id", "eos_token_id", "unk_token_id"):
        token = getattr(tokenizer, name, None)
        if token is not None and token < n_known:
            return int(token)
    return 0


class PaddedBatch:
    """Joins examples to a batch, padded at the right.

    Parameters
    ----------
    padding : int
        The token to pad with.

    Examples
    --------
    >>> row = {"input_ids": [5, 6], "attention_mask": [1, 1], "labels": [-100, 6]}
    >>> PaddedBatch(0)([row, {"input_ids": [7], "attention_mask": [1], "labels": [7]}])["labels"]
    tensor([[-100,    6],
            [   7, -100]])
    """

    def __init__(self, padding: int) -> None:
        self.fill = {"input_ids": padding, "attention_mask": 0, "labels": IGNORED}

    def __call__(self, rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Return a batch of tensors of shape (n_rows, longest)."""
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            name: pad([torch.tensor(row[name]) for row in rows], batch_first=True, padding_value=value)
            for name, value in self.fill.items()
        }
