"""Turns texts into vectors: the mean of a model's last hidden states over a text's tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def mean_states(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    texts: Sequence[str],
    *,
    max_tokens: int,
    tokens_per_batch: int,
) -> NDArray[np.float32]:
    """Return a vector for every text.

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
    import torch
    from torch.nn.utils.rnn import pad_sequence

    base = getattr(model, "base_model", model)
    if not len(texts):
        return np.zeros((0, model.config.hidden_size), dtype=np.float32)
    encoded = tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"]
    order = np.argsort([len(ids) for ids in encoded], kind="stable")
    device = next(base.parameters()).device
    found: NDArray[np.float32] | None = None
    was_training = base.training
    base.eval()
    try:
        for rows in _batches(order, encoded, tokens_per_batch):
            some = [torch.tensor(encoded[row] or [0]) for row in rows]
            ids = pad_sequence(some, batch_first=True)
            lengths = torch.tensor([len(encoded[row]) for row in rows])
            mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
            seen = torch.where(mask.any(1, keepdim=True), mask, 1)  # nothing to see gives no number
            with torch.inference_mode():
                hidden = base(input_ids=ids.to(device), attention_mask=seen.to(device))[0].float().cpu()
            mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
            if found is None:
                found = np.zeros((len(encoded), mean.shape[1]), dtype=np.float32)
            found[rows] = mean.numpy()
    finally:
        base.train(was_training)
    assert found is not None
    return found


def _batches(
    order: NDArray[np.int64], encoded: list[list[int]], tokens_per_batch: int
) -> list[NDArray[np.int64]]:
    """Cut rows, shortest first, into batches whose padded size stays within a number of tokens."""
    batches = []
    first = 0
    for place in range(1, len(order) + 1):
        full = place < len(order) and len(encoded[order[place]]) * (place + 1 - first) > tokens_per_batch
        if place == len(order) or full:
            batches.append(order[first:place])
            first = place
    return batches
