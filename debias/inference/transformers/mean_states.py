"""Turns texts or tokens into vectors: means of a model's last hidden states, weighted by position.

Here sequences are padded, as any model understands them, one that looks ahead included. Causal models
have passes that need no padding: see :mod:`debias.inference.transformers.passes.forward`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from debias.errors import EngineError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def mean_states(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    texts: Sequence[str],
    *,
    max_tokens: int,
    tokens_per_batch: int,
) -> NDArray[np.float32]:
    """Return a vector for every text: the mean over its tokens.

    Parameters
    ----------
    model : PreTrainedModel
        Used as it is, where it is; its projection on the vocabulary is not computed.
    tokenizer : PreTrainedTokenizerBase
    texts : sequence of str, length n
    max_tokens : int
        Longer texts are cut.
    tokens_per_batch : int
        Texts of about one length are passed together, so many tokens at a time, padding included.

    Returns
    -------
    float32 array, shape (n, n_dimensions)
        Zeros for a text without tokens.
    """
    encoded = (
        tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"] if len(texts) else []
    )
    weights = [np.full(len(tokens), 1 / max(1, len(tokens))) for tokens in encoded]
    return weighted_states(model, encoded, weights, tokens_per_batch=tokens_per_batch)


def weighted_states(
    model: "PreTrainedModel",
    sequences: Sequence[Sequence[int]],
    weights: Sequence[NDArray[np.float64]],
    *,
    tokens_per_batch: int,
) -> NDArray[np.float32]:
    """Return a vector for every sequence of tokens: the weighted sum of their last hidden states.

    Parameters
    ----------
    model : PreTrainedModel
        Used as it is, where it is; its projection on the vocabulary is not computed.
    sequences : sequence of n sequences of int
    weights : sequence of n float64 arrays
        One for each token of a sequence.
    tokens_per_batch : int
        Sequences of about one length are passed together, so many tokens at a time, padding included.

    Returns
    -------
    float32 array, shape (n, n_dimensions)
        Zeros for a sequence without tokens.

    Raises
    ------
    EngineError
        The model returns no hidden states.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    base = getattr(model, "base_model", model)
    order = np.argsort([len(tokens) for tokens in sequences], kind="stable")
    found: NDArray[np.float32] | None = None
    was_training = base.training
    base.eval()
    try:
        for rows in _batches([int(row) for row in order if len(sequences[row])], sequences, tokens_per_batch):
            device = next(base.parameters()).device
            ids = pad_sequence([torch.tensor(sequences[row]) for row in rows], batch_first=True)
            lengths = [len(sequences[row]) for row in rows]
            mask = (torch.arange(ids.shape[1]) < torch.tensor(lengths)[:, None]).long()
            with torch.inference_mode():
                output = base(input_ids=ids.to(device), attention_mask=mask.to(device))
                states = _last_states(output, model)
                own = torch.cat([one[:length] for one, length in zip(states, lengths, strict=True)])
                sums = weighted_sums(own.float(), [weights[row] for row in rows])
            found = np.zeros((len(sequences), sums.shape[1]), np.float32) if found is None else found
            found[rows] = sums
    finally:
        base.train(was_training)
    if found is None:
        return np.zeros((len(sequences), model.config.get_text_config().hidden_size), np.float32)
    return found


def weighted_sums(states: "torch.Tensor", weights: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Return the weighted sums of states, sequence after sequence.

    Parameters
    ----------
    states : float32 tensor, shape (n_tokens, n_dimensions)
        Of the tokens of all sequences.
    weights : sequence of n float64 arrays
        As many numbers in all as there are states.

    Returns
    -------
    float32 array, shape (n, n_dimensions)

    Examples
    --------
    >>> import torch
    >>> states = torch.tensor([[1.0, 0.0], [0.0, 1.0], [4.0, 8.0]])
    >>> weighted_sums(states, [np.array([0.25, 0.75]), np.array([1.0])])
    array([[0.25, 0.75],
           [4.  , 8.  ]], dtype=float32)
    """
    import torch

    factors = torch.from_numpy(np.concatenate(list(weights)).astype(np.float32)).to(states.device)
    sizes = [len(own) for own in weights]
    pairs = zip(torch.split(factors, sizes), torch.split(states, sizes), strict=True)
    sums: NDArray[np.float32] = torch.stack([own @ some for own, some in pairs]).cpu().numpy()
    return sums


def _last_states(output: object, model: "PreTrainedModel") -> "torch.Tensor":
    """Return the last hidden states of a model's output."""
    states: torch.Tensor | None = getattr(output, "last_hidden_state", None)
    if states is None:
        raise EngineError(
            f"{type(model).__name__} returns no hidden states",
            parameter="engine",
            received=type(model).__name__,
            fix="use another model, or vectors of another kind",
        )
    return states


def _batches(
    order: Sequence[int], encoded: Sequence[Sequence[int]], tokens_per_batch: int
) -> list[Sequence[int]]:
    """Cut rows, shortest first, into batches whose padded size stays within a number of tokens."""
    batches = []
    first = 0
    for place in range(1, len(order) + 1):
        full = place < len(order) and len(encoded[order[place]]) * (place + 1 - first) > tokens_per_batch
        if place == len(order) or full:
            batches.append(order[first:place])
            first = place
    return batches
