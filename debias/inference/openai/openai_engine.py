"""The back end for OpenAI-compatible servers: vLLM, llama.cpp, and others across a network.

httpx2 and tenacity are imported when a server is asked, not with this file.
"""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from debias.errors import ParameterError
from debias.inference.engine import (
    SCORINGS,
    Engine,
    FloatArray,
    LabelScores,
    OnAnswer,
    check_label_texts,
    check_pairs,
    check_texts,
)
from debias.inference.openai.connection.concurrent_asking import ask_all
from debias.inference.openai.connection.server_connection import require_client
from debias.inference.openai.connection.server_settings import ServerSettings
from debias.inference.openai.label_words import check_first_words
from debias.inference.openai.openai_requests import Requests
from debias.inference.openai.served_answers import ServedAnswers
from debias.inference.openai.served_embeddings import embed_all
from debias.inference.openai.served_labels import ServedLabels
from debias.inference.openai.served_model import ServedModel
from debias.inference.tokenization import Tokenization
from debias.inference.votes.sampling import Asked, OnAnswers, Sampling
from debias.settings import check_choice, check_positive_integer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_STYLES = ("auto", "echo", "completions", "chat")
_UNLIMITED = 2**31 - 1
# Servers return up to 20 of the most probable tokens, older ones 5.
_TOPS = (20, 5)


class OpenAIEngine(Engine):
    """Score labels and texts with a model behind an OpenAI-compatible server.

    A few small requests at first use find out how the server can be asked, unless ``style`` says so:

    - ``"completions"``: the next token after a prompt, and after each beginning that labels share.
      Exact where the server returns the probabilities of tokens that are named (vLLM does, and
      it needs ``tokenizer``); otherwise exact for labels among the ``top`` most probable tokens,
      and a bound for others: the smaller of the last returned one and of all that is left.
      Without ``tokenizer`` for labels of one token only.
    - ``"echo"``: each label read after its prompt. Exact for every label and for
      :meth:`continuation_logprobs`; the prompt is read once for each label, and once more where
      there is no ``tokenizer``.
    - ``"chat"``: the first token of a chat's answer. The server puts its chat template around the
      prompt, which is one message of the user, and labels stand at the beginning of the answer,
      without their outer spaces: these are other prompts than those of the other styles. For
      labels of one token, or ``scoring="first-token"``. Without ``tokenizer``, a label that is not
      exactly one of the returned tokens gets a bound.

    "auto" prefers completions with named tokens, then echo, then completions, then chat.
    Equal prompts are asked once in a call.

    Parameters
    ----------
    base_url : str
        The address of the server, usually ending in ``/v1``; without user, password or query.
    model : str
        The model's name on the server.
    tokenizer : str, Path or tokenizer, optional
        The served model's tokenizer: a name, a folder, "demo", or an object of transformers.
    style : {"auto", "echo", "completions", "chat"}, default="auto"
    scoring : {"label", "first-token"}, default="label"
        Whether a label's probability is that of all its tokens, or of the first one alone.
    top : int, optional
        How many of the most probable tokens to ask for: 20 by default, or 5 where the server
        refuses that.
    context_length : int, optional
        Most tokens of a prompt and its label; what the server says by default.
    **connection
        Any of these settings of the connection:

        - ``api_key_variable`` (str or None, default "OPENAI_API_KEY"): the environment variable that
          holds the key. The key is sent if the variable is set, and is stored nowhere.
          None sends no key.
        - ``concurrency`` (int, default 8): most requests at a time.
        - ``timeout`` (float, default 120): seconds that connecting may take, and that an answer may
          take to arrive.
        - ``retries`` (int, default 6): how often a request is sent again after a failure that may
          pass: 429, 5xx, no answer in time, a cut connection, an answer that cannot be right.
        - ``longest_wait`` (float, default 120): most seconds between two attempts; a server that
          asks for more is given up.
        - ``requests_per_minute`` (float, optional): most requests in any minute, sent at equal
          distances.
        - ``max_requests``, ``max_tokens`` (int, optional): caps for the life of the engine, first look
          and repetitions included. What a request may cost at most (a token for every byte of its
          prompt, or what ``tokenizer`` counts, and 512 for the template of a chat) is reserved
          before it is sent, and is replaced by what the server counts; a request that was not
          answered counts in full.

    Raises
    ------
    ParameterError
        A parameter is not allowed.
    MissingDependencyError
        httpx2 or tenacity is not installed.

    Notes
    -----
    Calls raise EngineError when the server gives no usable answer, SpendLimitError when a cap is
    reached, and ContextLengthError for a prompt that is too long. What was answered before has
    been handed to ``on_answer``, which is called in the thread of the caller; after Ctrl-C, too.

    Examples
    --------
    >>> engine = OpenAIEngine("http://127.0.0.1:8000/v1", "my-model", requests_per_minute=600)
    >>> engine.label_logprobs(["The capital of France is"], [" Paris", " Rome"])  # doctest: +SKIP
    array([[-0.5, -6.5]])
    >>> OpenAIEngine("https://user:secret@example.org/v1", "my-model")
    Traceback (most recent call last):
    debias.errors.ParameterError: base_url contains a user name or password; put the key into an environment
    ...
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        tokenizer: "str | Path | PreTrainedTokenizerBase | None" = None,
        style: str = "auto",
        scoring: str = "label",
        top: int | None = None,
        context_length: int | None = None,
        **connection: Any,
    ) -> None:
        if not isinstance(model, str) or not model.strip():
            raise ParameterError(
                parameter="model", allowed="the name of the model on the server", received=model
            )
        check_choice("style", style, _STYLES)
        check_choice("scoring", scoring, SCORINGS)
        for name, number in (("top", top), ("context_length", context_length)):
            check_positive_integer(name, number, or_none=True)
        require_client()
        self.name, self.style, self.scoring = model, style, scoring
        settings = ServerSettings.of(base_url=base_url, **connection)
        self._tokens = None if tokenizer is None else Tokenization.of(tokenizer)
        self._served = ServedModel(settings, model, self._tokens, style, _TOPS if top is None else (top,))
        self._answers = ServedAnswers(self._served)
        self._given_length = context_length
        self._checked: dict[tuple[str, ...], bool] = {}

    def __repr__(self) -> str:
        return f"OpenAIEngine({self._served.settings.base_url!r}, {self.name!r}, style={self.style!r})"

    @property
    def context_length(self) -> int:
        """Most tokens of a prompt and what follows it; a very large number where the server does not say."""
        if self._given_length is not None:
            return self._given_length
        return self._served.listed.context_length or _UNLIMITED

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase | None":
        """The served model's tokenizer, None where it was not given."""
        return None if self._tokens is None else self._tokens.tokenizer

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Server, model and way of asking: what decides answers. Asks the server at first use."""
        capabilities, served = self._served.capabilities, self._served
        tokenizer = {"tokenizer": self._tokens.digest} if self._tokens else {}
        return {
            "engine": "openai",
            "base_url": served.settings.base_url,
            "model": self.name,
            "style": capabilities.style,
            "lookup": capabilities.lookup,
            "scoring": self.scoring,
            "served": {"answered_as": served.answered_as} | served.listed.facts,
        } | tokenizer

    def facts(self) -> dict[str, Any]:
        """Return how the server is asked, and what it said of itself at the first look."""
        capabilities = self._served.capabilities
        return {
            "style": capabilities.style,
            "lookup": capabilities.lookup,
            "exact": capabilities.style == "echo" or capabilities.asks_ids,
            "token_ids": capabilities.takes_ids,
            "system_fingerprint": self._served.listed.system_fingerprint,
        }

    def usage(self) -> dict[str, Any]:
        """Return what it cost so far, and what had to be asked again and why.

        ``system_fingerprints`` are the server's names for its own state; more than one means that
        it was changed in between.
        """
        budget = self._served.budget
        return {
            "requests": budget.requests,
            "tokens": budget.tokens,
            "asked_again": dict(sorted(budget.failures.items())),
            "system_fingerprints": sorted({*self._served.fingerprints, *self._answers.fingerprints}),
        }

    def versions(self) -> dict[str, str]:
        """Versions of httpx2 and tenacity."""
        return {name: version(name) for name in ("httpx2", "tenacity")}

    def encode(self, texts: Sequence[str]) -> list[list[int]] | None:
        """Token ids of each text, or None without ``tokenizer``."""
        return self._tokens.encode(texts) if self._tokens else None

    def label_logprobs(self, prompts: Sequence[str], labels: Sequence[str]) -> FloatArray:
        """Log-probability of every label after every prompt; see :meth:`label_scores` for bounds."""
        return self.label_scores(prompts, labels).logprobs

    def label_scores(
        self, prompts: Sequence[str], labels: Sequence[str], on_answer: OnAnswer | None = None
    ) -> LabelScores:
        """Log-probability of every label after every prompt, and which of them are bounds only.

        Parameters
        ----------
        prompts : sequence of str, length n
        labels : sequence of str, length K
        on_answer : callable, optional
            Called with the position of a prompt and its answer, of shape (1, K), as soon as it has come.

        Returns
        -------
        LabelScores
            Natural logarithms, shape (n, K), not normalised over the labels.

        Raises
        ------
        EngineError
            The server gives no usable answer; SpendLimitError when a cap is reached.
        LabelError
            Labels cannot be told apart in the way in which the server is asked.
        ContextLengthError
            A prompt and its longest label do not fit into the context.
        """
        prompts, labels = check_texts(prompts, "prompts"), check_label_texts(labels)
        _refuse_empty(prompts)
        logprobs = np.full((len(prompts), len(labels)), np.nan)
        is_bound = np.zeros((len(prompts), len(labels)), dtype=np.bool_)
        if not prompts:
            return LabelScores(logprobs, is_bound)
        if self.style == "chat" and self._tokens is None:
            check_first_words(labels)
        places: dict[str, list[int]] = {}
        for position, prompt in enumerate(prompts):
            places.setdefault(prompt, []).append(position)
        unique = list(places)

        def answered(row: int, scores: LabelScores) -> None:
            for position in places[unique[row]]:
                logprobs[position], is_bound[position] = scores.logprobs[0], scores.is_bound
                if on_answer is not None:
                    on_answer(position, scores)

        with self._served.connected() as requests:
            is_known = self._check(requests, unique[0], labels)

            def ask(row: int, prompt: str) -> LabelScores:
                scorer = self._scorer(requests.about(_subject(places[prompt][0], prompt)), is_known)
                return scorer.score(prompt, labels)

            ask_all(requests.connection, unique, ask, answered)
        return LabelScores(logprobs, is_bound)

    def continuation_logprobs(self, prompts: Sequence[str], continuations: Sequence[str]) -> list[FloatArray]:
        """Log-probability of every token of each continuation, given its prompt: by echo only.

        Parameters
        ----------
        prompts, continuations : sequences of str, length n

        Returns
        -------
        list of n float64 arrays
            One natural-log probability per token of the continuation; an empty one has none.

        Raises
        ------
        EngineError
            The server cannot echo prompts, or gives no usable answer.
        ContextLengthError
            A prompt and its continuation do not fit into the context.
        """
        prompts, continuations = check_pairs(prompts, continuations)
        _refuse_empty(prompts)
        answer: list[FloatArray] = [np.empty(0) for _ in prompts]
        if not prompts:
            return answer
        with self._served.connected() as requests:
            echoing = self._served.echoing(requests)

            def ask(row: int, pair: tuple[str, str]) -> FloatArray:
                return self._scorer(echoing.about(_subject(row, pair[0]))).continuation(*pair)

            pairs = list(zip(prompts, continuations, strict=True))
            ask_all(requests.connection, pairs, ask, answer.__setitem__)
        return answer

    @property
    def sampling_fingerprint(self) -> dict[str, Any]:
        """Server, model and way of asking for answers. Asks the server at first use, for no probability."""
        return self._answers.fingerprint | ({"tokenizer": self._tokens.digest} if self._tokens else {})

    def sampling_facts(self) -> dict[str, Any]:
        """Return how the server is asked for answers, and what it said of itself at the first look."""
        return self._answers.facts()

    def sampled_answers(
        self, asked: Sequence[Asked], sampling: Sampling, on_answers: OnAnswers | None = None
    ) -> list[list[str]]:
        """Let the server write answers to prompts; no log-probability is needed.

        In the style "chat" a prompt is one message of the user, otherwise (by default where the server
        completes texts) the beginning of the text. Several answers to a prompt are one request where the
        server takes ``n``, and have the seeds of :meth:`Sampling.seed_of` where it takes a ``seed``.
        Raises as :meth:`label_scores` does.
        """
        _refuse_empty(check_texts([one.prompt for one in asked], "prompts"))
        return self._answers.draw(asked, sampling, on_answers, _subject)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return texts as vectors, as the server's ``/embeddings`` has them.

        Parameters
        ----------
        texts : sequence of str, length n

        Returns
        -------
        float32 array, shape (n, n_dimensions)
            Zeros for a text without words, which is not sent.

        Raises
        ------
        EngineError
            The server has no vectors, or gives no usable ones; SpendLimitError when a cap is reached.
        """
        texts = check_texts(texts, "texts")
        rows = [row for row, text in enumerate(texts) if text.strip()]
        if not rows:
            return np.zeros((len(texts), 0), dtype=np.float32)
        with self._served.connection() as connection:
            found = embed_all(connection, self.name, [texts[row] for row in rows])
        vectors = np.zeros((len(texts), found.shape[1]), dtype=np.float32)
        vectors[rows] = found
        return vectors

    def _scorer(self, requests: Requests, one_token_each: bool = False) -> ServedLabels:
        """Return what scores labels by some requests."""
        return ServedLabels(requests, self._tokens, self.scoring, self.context_length, one_token_each)

    def _check(self, requests: Requests, prompt: str, labels: Sequence[str]) -> bool:
        """Check labels once for each set of them, and return whether each is known to be one token."""
        if tuple(labels) not in self._checked:
            scorer = self._scorer(requests)
            scorer.check(prompt, labels)
            self._checked[tuple(labels)] = scorer.one_token_each
        return self._checked[tuple(labels)]


def _subject(position: int, prompt: str) -> str:
    """Name a prompt in a message."""
    return f"prompts[{position}] (it ends {prompt[-60:]!r})"


def _refuse_empty(prompts: Sequence[str]) -> None:
    """Raise for an empty prompt: servers refuse it."""
    if "" in prompts:
        raise ParameterError(
            parameter=f"prompts[{list(prompts).index('')}]", allowed="a non-empty text", received=""
        )
