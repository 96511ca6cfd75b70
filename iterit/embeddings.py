"""Vectors of texts, for facility location: the n-grams' tf-idf in few dimensions, or any model's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from debias.errors import ModelError, ParameterError
from iterit.diversity import weigh
from iterit.ngrams import NgramCounts


def ngram_embeddings(
    counts: NgramCounts, n_dimensions: int = 128, *, n_ngrams: int = 20_000, seed: int = 0
) -> npt.NDArray[np.float32]:
    """Return texts as vectors without a model: truncated SVD of their tf-idf (latent semantic analysis).

    Parameters
    ----------
    counts : NgramCounts
    n_dimensions : int
        At most one less than the number of different n-grams.
    n_ngrams : int
        Only so many n-grams, those in most texts, are looked at: most of the others stand in one
        text and tell nothing of how near two texts are.
    seed : int
        Of the randomised SVD.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_dimensions)

    Raises
    ------
    ParameterError
        A number of dimensions that is not allowed.

    Examples
    --------
    >>> from iterit.ngrams import count_ngrams
    >>> counts = count_ngrams(["a good day", "good day to all", "what a night"])
    >>> vectors = ngram_embeddings(counts, n_dimensions=2)
    >>> float(vectors[0] @ vectors[1]) > 0.5 > float(vectors[0] @ vectors[2])
    True
    """
    from sklearn.decomposition import TruncatedSVD

    if not 1 <= n_dimensions < counts.n_columns:
        allowed = f"it must be from 1 to {counts.n_columns - 1}, one less than there are n-grams"
        raise ParameterError(f"n_dimensions is {n_dimensions!r}; {allowed}")
    frequencies = np.bincount(counts.indices, minlength=counts.n_columns)
    frequent = np.sort(np.argsort(-frequencies, kind="stable")[: max(n_ngrams, n_dimensions + 1)])
    matrix = weigh(counts).matrix[:, frequent]
    reduced = TruncatedSVD(n_dimensions, random_state=seed).fit_transform(matrix)
    return np.asarray(reduced, dtype=np.float32)


def sentence_embeddings(
    texts: Sequence[str],
    model: Any,
    tokenizer: Any = None,
    *,
    max_tokens: int = 256,
    tokens_per_batch: int = 8192,
) -> npt.NDArray[np.float32]:
    """Return texts as vectors by a transformers model: the mean of its last hidden states.

    Parameters
    ----------
    texts : sequence of str
    model : str or transformers.PreTrainedModel
        A name or folder, loaded by AutoModel, or a model, used as it is, where it is.
    tokenizer : optional
        Needed with a model that is not given by name.
    max_tokens : int
        Longer texts are cut.
    tokens_per_batch : int
        Texts of about one length are passed together, so many tokens at a time, padding included.

    Returns
    -------
    ndarray of float32, shape (n_texts, n_dimensions)
        Zeros for a text without tokens.

    Raises
    ------
    ModelError
        The model cannot be loaded.
    ParameterError
        A model without a tokenizer.
    """
    import torch

    model, tokenizer = _loaded(model, tokenizer)
    if not len(texts):
        return np.zeros((0, model.config.hidden_size), dtype=np.float32)
    base = getattr(model, "base_model", model)  # without the projection to the vocabulary
    encoded = tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"]
    order = np.argsort([len(ids) for ids in encoded], kind="stable")
    device = next(base.parameters()).device
    found: npt.NDArray[np.float32] | None = None
    was_training = base.training
    base.eval()
    try:
        for rows in _batches(order, encoded, tokens_per_batch):
            longest = max(1, len(encoded[rows[-1]]))
            ids = torch.zeros((len(rows), longest), dtype=torch.long)
            mask = torch.zeros((len(rows), longest), dtype=torch.long)
            for place, row in enumerate(rows):
                ids[place, : len(encoded[row])] = torch.tensor(encoded[row], dtype=torch.long)
                mask[place, : len(encoded[row])] = 1
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


def _loaded(model: Any, tokenizer: Any) -> tuple[Any, Any]:
    if not isinstance(model, str):
        if tokenizer is None:
            raise ParameterError("model is given without tokenizer; give the tokenizer it was trained with")
        return model, tokenizer
    from transformers import AutoModel, AutoTokenizer

    try:
        return AutoModel.from_pretrained(model), tokenizer or AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise ModelError(f"the model {model!r} cannot be loaded: {error}") from error


def _batches(
    order: npt.NDArray[np.int64], encoded: list[list[int]], tokens_per_batch: int
) -> list[npt.NDArray[np.int64]]:
    """Cut rows, shortest first, into batches whose padded size stays within a number of tokens."""
    batches = []
    first = 0
    for place in range(1, len(order) + 1):
        full = place < len(order) and len(encoded[order[place]]) * (place + 1 - first) > tokens_per_batch
        if place == len(order) or full:
            batches.append(order[first:place])
            first = place
    return batches
