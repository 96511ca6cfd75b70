"""The back end for OpenAI-compatible servers: vLLM, llama.cpp, and others across a network.

httpx2 and tenacity are imported when a server is asked, not with this file.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from debias.errors import ParameterError
from debias.inference.engine import Engine, FloatArray, LabelScores, OnAnswer, check_texts
from debias.inference.openai.connection.budget import Spending
from debias.inference.openai.connection.concurrent_asking import ask_all
from debias.inference.openai.connection.own_loop import run
from debias.inference.openai.connection.rate_limit import Pace
from debias.inference.openai.connection.server_connection import load_client
from debias.inference.openai.connection.server_settings import (
    DEFAULT_VARIABLE,
    ServerSettings,
    check_number,
    check_positive,
)
from debias.inference.openai.served_embeddings import embed_all
from debias.inference.openai.served_labels import ServedLabels
from debias.inference.openai.served_model import ServedModel
from debias.inference.openai.served_tokenizer import ServedTokenizer
from debias.inference.openai.server_capabilities import tops_to_try

_STYLES = ("auto", "echo", "completions", "chat")
_SCORINGS = ("label", "first-token")
_UNLIMITED = 2**31 - 1
# While looking, an answer that cannot be right may mean that a server has no such ability.
_PROBE_RETRIES = 2


class OpenAIEngine(Engine):
    """Score labels and texts with a model behind an OpenAI-compatible server.

    How the server is asked is found out by a few small requests at first use, or named by ``style``:

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
      labels of one token, or ``scoring="first-token"``. Without ``tokenizer``, a label that no
      returned token is all of gets a bound.

    "auto" prefers completions with named tokens, then echo, then completions, then chat.
    Equal prompts are asked once in a call.

    Parameters
    ----------
    base_url : str
        Where the server is, usually ending in ``/v1``; without user, password or query.
    model : str
        The model's name on the server.
    tokenizer : str, Path or tokenizer, optional
        The served model's tokenizer: a name, a folder, "demo", or an object of transformers.
    api_key_variable : str or None, default="OPENAI_API_KEY"
        The environment variable that holds the key; it is sent if the variable is set, and
        kept nowhere. None sends no key.
    style : {"auto", "echo", "completions", "chat"}, default="auto"
    scoring : {"label", "first-token"}, default="label"
        Whether a label's probability is that of all its tokens, or of the first one alone.
    top : int, optional
        How many of the most probable tokens to ask for: 20, or 5 where the server refuses that.
    concurrency : int, default=8
        Most requests under way at once.
    timeout : float, default=120
        Seconds for one request.
    retries : int, default=6
        How often a request is sent again after what may pass: 429, 5xx, no answer in time, a cut
        connection, an answer that cannot be right.
    longest_wait : float, default=120
        Most seconds between two attempts; a server that asks for more is given up.
    requests_per_minute : float, optional
        Most requests in any minute, sent at equal distances.
    max_requests, max_tokens : int, optional
        Caps for the life of the engine, first look and repetitions included. What a request may
        cost at most (a token for every byte of its prompt, or what ``tokenizer`` counts, and 512
        for the template of a chat) is set aside before it is sent, and what the server counts
        takes its place afterwards; a request that was not answered counts in full.
    context_length : int, optional
        Most tokens of a prompt and its label; what the server says when left out.

    Raises
    ------
    ParameterError
        When a parameter is not allowed.
    MissingDependencyError
        When httpx2 or tenacity is not installed.

    Notes
    -----
    Calls raise EngineError when the server gives no usable answer, SpendLimitError when a cap is
    reached, and ContextLengthError for a prompt that is too long; what was answered before has
    been handed to ``on_answer``. Inside of a running event loop (a notebook) the work is done in another
    thread, and ``on_answer`` is called from there.

    Examples
    --------
    >>> engine = OpenAIEngine("http://127.0.0.1:8000/v1", "my-model", requests_per_minute=600)
    >>> engine.label_logprobs(["The capital of France is"], [" Paris", " Rome"])  # doctest: +SKIP
    array([[-0.5, -6.5]])
    >>> OpenAIEngine("https://user:secret@example.org/v1", "my-model")
    Traceback (most recent call last):
    debias.errors.ParameterError: base_url holds a user or password; give the key in an ...
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        tokenizer: Any = None,
        api_key_variable: str | None = DEFAULT_VARIABLE,
        style: str = "auto",
        scoring: str = "label",
        top: int | None = None,
        concurrency: int = 8,
        timeout: float = 120.0,
        retries: int = 6,
        longest_wait: float = 120.0,
        requests_per_minute: float | None = None,
        max_requests: int | None = None,
        max_tokens: int | None = None,
        context_length: int | None = None,
    ) -> None:
        if not isinstance(model, str) or not model.strip():
            raise ParameterError(f"model is {model!r}; give the name that the server has for it")
        for name, text, allowed in (("style", style, _STYLES), ("scoring", scoring, _SCORINGS)):
            if text not in allowed:
                raise ParameterError(f"{name} is {text!r}; allowed are {', '.join(map(repr, allowed))}")
        for name, number in (("top", top), ("context_length", context_length)):
            if number is not None:
                check_number(name, number, 1)
        if requests_per_minute is not None:
            check_positive("requests_per_minute", requests_per_minute)
        load_client()
        self.name, self.style, self.scoring = model, style, scoring
        settings = ServerSettings(base_url, api_key_variable, timeout, retries, longest_wait, concurrency)
        spending, pace = Spending(max_requests, max_tokens), Pace(requests_per_minute)
        self._tokenizer = None if tokenizer is None else ServedTokenizer(tokenizer)
        self._served = ServedModel(settings, model, self._tokenizer, style, tops_to_try(top), spending, pace)
        self._given_length, self._concurrency = context_length, concurrency
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
    def tokenizer(self) -> Any:
        """The served model's tokenizer, None where it was not given."""
        return None if self._tokenizer is None else self._tokenizer.tokenizer

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Server, model and way of asking: what decides answers. Asks the server at first use."""
        abilities, served = self._served.abilities, self._served
        tokenizer = {"tokenizer": self._tokenizer.digest} if self._tokenizer else {}
        return {
            "engine": "openai",
            "base_url": self._served.settings.base_url,
            "model": self.name,
            "style": abilities.style,
            "lookup": abilities.lookup,
            "scoring": self.scoring,
            "served": {"answered_as": served.answered_as} | served.listed.facts,
        } | tokenizer

    def facts(self) -> dict[str, Any]:
        """Return how the server is asked, and what it said of itself at the first look."""
        abilities = self._served.abilities
        return {
            "style": abilities.style,
            "lookup": abilities.lookup,
            "exact": abilities.style == "echo" or abilities.asks_ids,
            "token_ids": abilities.takes_ids,
            "system_fingerprint": self._served.listed.system_fingerprint,
        }

    def usage(self) -> dict[str, Any]:
        """Return what it cost so far, and what had to be asked again and why.

        ``system_fingerprints`` are the server's names for its own state; more than one means that
        it was changed in between.
        """
        return {
            "requests": self._served.spending.requests,
            "tokens": self._served.spending.tokens,
            "asked_again": dict(sorted(self._served.failures.items())),
            "system_fingerprints": self._served.fingerprints,
        }

    def versions(self) -> dict[str, str]:
        """Versions of httpx2 and tenacity."""
        return {name: version(name) for name in ("httpx2", "tenacity")}

    def encode(self, texts: Sequence[str]) -> list[list[int]] | None:
        """Token ids of each text, or None without ``tokenizer``."""
        return self._tokenizer.encode(texts) if self._tokenizer else None

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
            Called with the position of a prompt and its answer, of shape (1, K), as soon as it is there.

        Returns
        -------
        LabelScores
            Natural logarithms, shape (n, K), not normalised over the labels.

        Raises
        ------
        EngineError
            When the server gives no usable answer; SpendLimitError when a cap is reached.
        LabelError
            When labels cannot be told apart in the way in which the server is asked.
        ContextLengthError
            When a prompt and its longest label do not fit into the context.
        """
        prompts, labels = check_texts(prompts, "prompts"), check_texts(labels, "labels")
        if not labels or "" in labels:
            raise ParameterError(f"labels is {labels!r}; give at least one label, none of them empty")
        _refuse_empty(prompts)
        places: dict[str, list[int]] = {}
        for position, prompt in enumerate(prompts):
            places.setdefault(prompt, []).append(position)
        unique = list(places)
        answer = LabelScores(
            np.full((len(prompts), len(labels)), np.nan),
            np.zeros((len(prompts), len(labels)), dtype=np.bool_),
        )

        def answered(row: int, scores: LabelScores) -> None:
            for position in places[unique[row]]:
                answer.logprobs[position] = scores.logprobs[0]
                if answer.is_bound is not None and scores.is_bound is not None:
                    answer.is_bound[position] = scores.is_bound[0]
                if on_answer is not None:
                    on_answer(position, scores)

        async def work() -> None:
            async with self._served.connected() as requests:
                scorer = ServedLabels(requests, self._tokenizer, self.scoring, self.context_length)
                await self._check(scorer, unique[0], labels)

                async def ask(row: int, prompt: str) -> LabelScores:
                    return await scorer.score(prompt, labels, _subject(places[prompt][0], prompt))

                await ask_all(requests.connection, unique, ask, answered, self._concurrency)

        if unique:
            run(work)
        return answer

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
            When the server cannot echo prompts, or gives no usable answer.
        ContextLengthError
            When a prompt and its continuation do not fit into the context.
        """
        prompts, continuations = check_texts(prompts, "prompts"), check_texts(continuations, "continuations")
        if len(prompts) != len(continuations):
            raise ParameterError(
                f"{len(prompts)} prompts for {len(continuations)} continuations; give one each"
            )
        _refuse_empty(prompts)
        answer: list[FloatArray] = [np.empty(0) for _ in prompts]

        async def work() -> None:
            async with self._served.connected() as requests:
                echoing = await self._served.echoing(requests)
                scorer = ServedLabels(echoing, self._tokenizer, self.scoring, self.context_length)

                async def ask(row: int, pair: tuple[str, str]) -> FloatArray:
                    return await scorer.continuation(*pair, _subject(row, pair[0]))

                pairs = list(zip(prompts, continuations, strict=True))
                await ask_all(requests.connection, pairs, ask, answer.__setitem__, self._concurrency)

        if prompts:
            run(work)
        return answer

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
            When the server has no vectors, or gives no usable ones; SpendLimitError when a cap is
            reached.
        """
        texts = check_texts(texts, "texts")
        rows = [row for row, text in enumerate(texts) if text.strip()]
        found = np.zeros((0, 0), dtype=np.float32)

        async def work() -> None:
            nonlocal found
            async with self._served.connection() as connection:
                filled = [texts[row] for row in rows]
                found = await embed_all(connection, self.name, filled, self._concurrency)

        if rows:
            run(work)
        vectors = np.zeros((len(texts), found.shape[1]), dtype=np.float32)
        vectors[rows] = found
        return vectors

    async def _check(self, scorer: ServedLabels, prompt: str, labels: Sequence[str]) -> None:
        """Check labels once for each set of them; counting their tokens costs requests."""
        known = self._checked.get(tuple(labels))
        if known is None:
            await scorer.check(prompt, labels)
            self._checked[tuple(labels)] = scorer.one_token_each
        else:
            scorer.one_token_each = known


def _subject(position: int, prompt: str) -> str:
    """Name a prompt in a message."""
    return f"prompts[{position}] (it ends {prompt[-60:]!r})"


def _refuse_empty(prompts: Sequence[str]) -> None:
    """Raise for an empty prompt: servers refuse it."""
    if "" in prompts:
        raise ParameterError(
            f"prompts[{list(prompts).index('')}] is empty; a server needs a prompt to go on from"
        )
