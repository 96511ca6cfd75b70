"""Makes vectors of texts for facility location: tf-idf of n-grams in few dimensions, or of any model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from debias.errors import ModelError, ParameterError
from debias.inference.engine import Engine
from iterit.ngrams.ngram_counts import NgramCounts
from iterit.ngrams.ngram_weights import weigh

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def ngram_embeddings(
    counts: NgramCounts, n_dimensions: int = 128, *, n_ngrams: int = 20_000, seed: int = 0
) -> npt.NDArray[np.float32]:
    """Return texts as vectors without a model: truncated SVD of their tf-idf (latent semantic analysis).

    Parameters
    ----------
    counts : NgramCounts
    n_dimensions : int
        Less than the number of different n-grams.
    n_ngrams : int
        Number of n-grams that count, those in most texts: most of the others occur in one text, and
        say nothing of how near two texts are.
    seed : int
        Seed of the randomised SVD.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_dimensions)

    Raises
    ------
    ParameterError
        The number of dimensions is not allowed.

    Examples
    --------
    >>> from iterit.ngrams.ngram_counts import count_ngrams
    >>> counts = count_ngrams(["a good day", "good day to all", "what a night"])
    >>> vectors = ngram_embeddings(counts, n_dimensions=2)
    >>> float(vectors[0] @ vectors[1]) > 0.5 > float(vectors[0] @ vectors[2])
    True
    """
    from sklearn.decomposition import TruncatedSVD

    if not 1 <= n_dimensions < counts.n_columns:
        allowed = f"an integer from 1 to {counts.n_columns - 1}, one less than there are n-grams"
        raise ParameterError(parameter="n_dimensions", received=n_dimensions, allowed=allowed)
    frequencies = np.bincount(counts.indices, minlength=counts.n_columns)
    frequent = np.sort(np.argsort(-frequencies, kind="stable")[: max(n_ngrams, n_dimensions + 1)])
    matrix = weigh(counts).matrix[:, frequent]
    reduced = TruncatedSVD(n_dimensions, random_state=seed).fit_transform(matrix)
    return np.asarray(reduced, dtype=np.float32)


def sentence_embeddings(
    texts: Sequence[str],
    model: object,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
    *,
    max_tokens: int = 256,
    tokens_per_batch: int = 8192,
) -> npt.NDArray[np.float32]:
    """Return texts as vectors, by any engine or model.

    Parameters
    ----------
    texts : sequence of str
    model : str, Path, or object
        - "demo", a GGUF file, a folder or a hub name, loaded by transformers, or a model of
          transformers with its tokenizer: the mean of its last hidden states;
        - an engine of debias: a TransformersEngine, or an OpenAIEngine whose server has vectors;
        - a SentenceTransformer, or any object with ``encode(texts)``;
        - a ``vllm.LLM(..., runner="pooling")``.
    tokenizer : optional
        Needed with a model of transformers that is not named.
    max_tokens : int
        Longer texts are cut, for models of transformers.
    tokens_per_batch : int
        Tokens of a batch of texts of similar length, padding included, for models of transformers.

    Returns
    -------
    ndarray of float32, shape (n_texts, n_dimensions)
        Zeros for a text without tokens.

    Raises
    ------
    EngineError
        An engine has no vectors, or failed.
    ModelError
        The model cannot be loaded.
    ParameterError
        A model of transformers has no tokenizer, or the object is of another kind.

    Examples
    --------
    >>> class Lengths:
    ...     def encode(self, texts):
    ...         return [[len(text), 1.0] for text in texts]
    >>> sentence_embeddings(["a", "bcd"], Lengths())
    array([[1., 1.],
           [3., 1.]], dtype=float32)
    >>> sentence_embeddings(["a"], None)
    Traceback (most recent call last):
        ...
    debias.errors.ParameterError: model must be a name, an engine, a model of transformers with its ...
    """
    from debias.inference.transformers.mean_states import mean_states

    if isinstance(model, str | Path):
        model, tokenizer = _loaded(model, tokenizer)
    elif isinstance(model, Engine):
        return model.embed(texts)
    elif not hasattr(model, "get_input_embeddings"):
        return _by_other(texts, model)
    elif tokenizer is None:
        raise ParameterError(parameter="tokenizer", received=None, allowed="the tokenizer of the model")
    return mean_states(
        cast("PreTrainedModel", model),
        tokenizer,
        texts,
        max_tokens=max_tokens,
        tokens_per_batch=tokens_per_batch,
    )


def _by_other(texts: Sequence[str], model: object) -> npt.NDArray[np.float32]:
    """Ask what is neither an engine nor a model of transformers."""
    if hasattr(model, "embed") and hasattr(model, "llm_engine"):  # vLLM
        vectors = [answer.outputs.embedding for answer in model.embed(list(texts), use_tqdm=False)]
    elif hasattr(model, "encode"):
        vectors = model.encode(list(texts))
    else:
        allowed = (
            "a name, an engine, a model of transformers with its tokenizer, an object with encode(texts), or"
            " a vllm.LLM(..., runner='pooling')"
        )
        raise ParameterError(parameter="model", received=model, allowed=allowed)
    array = np.asarray(vectors, dtype=np.float32)
    if len(array) != len(texts) or (len(texts) and array.ndim != 2):
        allowed = f"a model that gives one vector per text: {len(texts)} texts gave shape {array.shape}"
        raise ParameterError(parameter="model", received=model, allowed=allowed)
    return array


def _loaded(
    model: str | Path, tokenizer: "PreTrainedTokenizerBase | None"
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Load a model by its name: causal ones of debias by its loader, any others by AutoModel."""
    from transformers import AutoModel, AutoTokenizer

    from debias.inference.models.loading import load_model, quiet

    if str(model) == "demo" or Path(model).suffix.lower() == ".gguf":
        return load_model(model, tokenizer)
    try:
        with quiet():
            return AutoModel.from_pretrained(model).eval(), tokenizer or AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        problem = f"the model {str(model)!r} cannot be loaded: {error}"
        raise ModelError(problem, parameter="model", received=str(model)) from error
