"""The requests of the OpenAI protocol: prompts echoed with probabilities, next tokens, chats.

Each is sent through a connection, and its answer is checked before it is believed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from debias.errors import ContextLengthError, EngineError, param
from debias.inference.openai.connection.server_answers import (
    Token,
    TopTokens,
    WrongAnswerError,
    check_logprob,
    opens_with_space,
    read_answer,
    read_echo,
    read_prompt_tokens,
    read_text,
    read_top,
)
from debias.inference.openai.connection.server_connection import Call, ServerConnection
from debias.inference.tokenization import Tokenization

Answer = TypeVar("Answer")
Prompt = str | list[int]
TEXTS_AT_ONCE = 64
"""Texts in one request."""
# What a server adds to a text or a chat, in tokens, at the most.
_AROUND_TEXT, _AROUND_CHAT = 16, 512
# What a server may add to the name of a model that it was asked for.
_VERSION = re.compile(r"[-@:](latest|v?\d[\w.-]*)")
# Tokens that are named in one request: vLLM allows 128.
_IDS_AT_ONCE = 64
# Enough for a word that follows another one.
_SOME_TOKENS = 16
# A template may strip a message: a few tokens, and no more, are then missing.
_STRIPPED = 8


@dataclass(frozen=True)
class ServerCapabilities:
    """What a server can do.

    Parameters
    ----------
    style : {"echo", "completions", "chat"}
    top : int
        How many of the most probable tokens it returns.
    names_ids : bool
        Whether it names tokens by their ids.
    takes_ids : bool
        Whether prompts may be token ids.
    asks_ids : bool
        Whether it returns the probabilities of tokens that are named.
    echo_tokens : int
        Tokens that it must generate to echo a prompt.
    many : bool
        Whether one request may hold several prompts.
    keeps_spaces : bool
        Whether it shows the spaces that tokens begin with.
    length_name : str
        What it calls the number of tokens to generate in a chat.
    """

    style: str
    top: int = 20
    names_ids: bool = False
    takes_ids: bool = False
    asks_ids: bool = False
    echo_tokens: int = 0
    many: bool = True
    keeps_spaces: bool = True
    length_name: str = "max_tokens"

    @property
    def lookup(self) -> str:
        """How probabilities are found: what decides whether they are exact."""
        if self.style == "echo":
            return "echoed prompts"
        return "named tokens" if self.asks_ids else f"the {self.top} most probable tokens"


@dataclass
class Requests:
    """Asks one model on a server.

    Parameters
    ----------
    connection : ServerConnection
    model : str
    capabilities : ServerCapabilities
    subject : str
        What is asked about, for messages.
    answered_as : str or None
        What the server calls the model in its answers; "" as long as it gave none.
    wrong_retries : int, optional
        How often answers that cannot be right are asked for again; as anything else by default.
    fingerprints : set of str
        What the server called its own state.
    tokens : Tokenization, optional
        By which it is checked that the server has read a prompt whole.
    """

    connection: ServerConnection
    model: str
    capabilities: ServerCapabilities
    subject: str
    answered_as: str | None = ""
    wrong_retries: int | None = None
    fingerprints: set[str] = field(default_factory=set)
    tokens: Tokenization | None = None

    def with_capabilities(self, **changes: object) -> "Requests":
        """Return the same requests to a server with other capabilities."""
        return replace(self, capabilities=replace(self.capabilities, **changes))  # type: ignore[arg-type]

    def about(self, subject: str) -> "Requests":
        """Return the same requests about something else."""
        return replace(self, subject=subject)

    def echo(self, prompts: Sequence[Prompt]) -> list[list[Token]]:
        """Tokens of each prompt with their log-probabilities; the first of each has none.

        Parameters
        ----------
        prompts : sequence of str or of token ids

        Returns
        -------
        list of lists of Token
        """
        size = TEXTS_AT_ONCE if self.capabilities.many else 1
        starts = range(0, len(prompts), size)
        return [tokens for start in starts for tokens in self._echo(list(prompts[start : start + size]))]

    def _echo(self, batch: list[Prompt]) -> list[list[Token]]:
        generated = self.capabilities.echo_tokens
        body = self._body(batch if self.capabilities.many else batch[0])
        body |= {"echo": True, "max_tokens": generated, "logprobs": 1}

        def read(content: object) -> list[list[Token]]:
            choices = self._choices(content, len(batch))
            _check_count(content, batch)
            return [_echoed(choice, prompt, generated) for choice, prompt in zip(choices, batch, strict=True)]

        return self._complete(body, read, batch)

    def next_tokens(self, prompt: Prompt) -> TopTokens:
        """Return the most probable tokens after a prompt."""
        if self.capabilities.style == "chat":
            return self._chat(str(prompt))
        body = self._body(prompt) | {"max_tokens": 1, "logprobs": self.capabilities.top}

        def read(content: object) -> TopTokens:
            _check_count(content, [prompt])
            self._check_whole(content, prompt)
            return self._named(read_top(self._choices(content, 1)[0], self.capabilities.top))

        return self._complete(body, read, [prompt])

    def chosen(self, prompts: Sequence[list[int]], wanted: Sequence[int]) -> list[dict[int, float]]:
        """Log-probabilities of the tokens that are wanted after each prompt.

        Parameters
        ----------
        prompts : sequence of token ids
        wanted : sequence of int
            Token ids.

        Returns
        -------
        list of dict
            From token ids to log-probabilities, one for each prompt.
        """
        size = TEXTS_AT_ONCE if self.capabilities.many else 1
        answers: list[dict[int, float]] = []
        for start in range(0, len(prompts), size):
            batch = list(prompts[start : start + size])
            rows: list[dict[int, float]] = [{} for _ in batch]
            for first in range(0, len(wanted), _IDS_AT_ONCE):
                parts = self._chosen(batch, wanted[first : first + _IDS_AT_ONCE])
                for row, part in zip(rows, parts, strict=True):
                    row.update(part)
            answers += rows
        return answers

    def _chosen(self, batch: list[list[int]], wanted: Sequence[int]) -> list[dict[int, float]]:
        prompts: list[Prompt] = list(batch)
        body = self._body(prompts if self.capabilities.many else prompts[0])
        body |= {"max_tokens": 1, "logprobs": 1, "logprob_token_ids": sorted(set(wanted))}

        def read(content: object) -> list[dict[int, float]]:
            choices = self._choices(content, len(batch))
            _check_count(content, prompts)
            answers = []
            for choice in choices:
                top = self._named(read_top(choice, len(wanted)))
                found = {one.id: one.logprob for one in top.tokens}
                answers.append({one: check_logprob(found.get(one), f"token id {one}") for one in wanted})
            return answers

        return self._complete(body, read, batch)

    def prompt_tokens(self, prompt: str) -> int | None:
        """Count the tokens of a prompt; None where the server does not say."""
        body = self._body(prompt) | {"max_tokens": 1}

        def read(content: object) -> int | None:
            self._choices(content, 1)
            return read_prompt_tokens(content)

        return self._complete(body, read, [prompt])

    def drawn(self, prompt: str, count: int, settings: Mapping[str, object], max_tokens: int) -> list[str]:
        """Return what the server writes after a prompt.

        Parameters
        ----------
        prompt : str
        count : int
            Answers to be drawn.
        settings : mapping
            What the request says beside the model, the prompt and the number of tokens.
        max_tokens : int
        """
        is_chat = self.capabilities.style == "chat"
        body: dict[str, object] = {"model": self.model, **settings}
        body |= {"messages": [{"role": "user", "content": prompt}]} if is_chat else {"prompt": prompt}
        body[self.capabilities.length_name if is_chat else "max_tokens"] = max_tokens

        def read(content: object) -> list[str]:
            self._check_whole(content, prompt)
            return [read_text(choice, is_chat) for choice in self._choices(content, count)]

        cost = most_tokens(prompt) + count * max_tokens + (_AROUND_CHAT if is_chat else 0)
        return self._send("/chat/completions" if is_chat else "/completions", body, read, cost)

    def shows_spaces(self, prompt: str) -> bool:
        """Whether tokens that follow a prompt are shown with the spaces that they begin with."""
        body = self._body(prompt) | {"max_tokens": _SOME_TOKENS, "logprobs": self.capabilities.top}

        def read(content: object) -> bool:
            return opens_with_space(self._choices(content, 1)[0])

        return self._complete(body, read, [prompt], _SOME_TOKENS)

    def _chat(self, prompt: str) -> TopTokens:
        body: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": self.capabilities.top,
            self.capabilities.length_name: 1,
        }
        if self.capabilities.names_ids:
            body["return_tokens_as_token_ids"] = True

        def read(content: object) -> TopTokens:
            self._check_whole(content, prompt)
            return self._named(read_top(self._choices(content, 1)[0], self.capabilities.top))

        return self._send("/chat/completions", body, read, most_tokens(prompt) + _AROUND_CHAT)

    def _complete(
        self,
        body: Mapping[str, object],
        read: Callable[[object], Answer],
        prompts: Sequence[Prompt],
        generated: int = 0,
    ) -> Answer:
        return self._send("/completions", body, read, sum(map(most_tokens, prompts)) + generated)

    def _send(
        self, path: str, body: Mapping[str, object], read: Callable[[object], Answer], tokens: int
    ) -> Answer:
        return self.connection.send(Call(path, read, self.subject, body, tokens, self.wrong_retries))

    def _body(self, prompt: Prompt | list[Prompt]) -> dict[str, object]:
        """Return what all completions share; temperature 0 changes what is drawn, not its probability."""
        body: dict[str, object] = {"model": self.model, "prompt": prompt, "temperature": 0}
        if self.capabilities.names_ids:
            body["return_tokens_as_token_ids"] = True
        return body

    def _choices(self, content: object, count: int) -> list[Mapping[str, object]]:
        """Return the choices, having checked that the same model answered as before."""
        answer = read_answer(content, count, self.answered_as or None)
        if self.answered_as == "":
            self.answered_as = same_model(self.model, answer.model)
        if answer.system_fingerprint is not None:
            self.fingerprints.add(answer.system_fingerprint)
        return answer.choices

    def _check_whole(self, content: object, prompt: Prompt) -> None:
        """Raise ContextLengthError where a server has read less than a text: some cut it and say nothing."""
        count = read_prompt_tokens(content)
        if self.tokens is None or count is None or not isinstance(prompt, str):
            return
        sent = len(self.tokens.encode_plain([prompt])[0])
        if count < sent - (_STRIPPED if self.capabilities.style == "chat" else 0):
            raise ContextLengthError(
                f"{self.subject} has {sent} tokens, but the server counts {count}: it has cut the prompt",
                received=sent,
                fix=f"let it read longer prompts, or pass its {param('context_length')} and collect with "
                f"{param('too_long', repr('truncate'))}",
            )

    def _named(self, top: TopTokens) -> TopTokens:
        """Check that tokens are named as they were before: all by ids, or all by texts."""
        if any((one.id is not None) != self.capabilities.names_ids for one in top.tokens):
            raise WrongAnswerError("tokens are named differently than before: by ids, or by texts")
        return top


def same_model(asked: str, answered: object) -> str | None:
    """Return the name that answered, when it can be that of the model that was asked for.

    Parameters
    ----------
    asked : str
    answered : object
        What the server says; None where it says nothing.

    Returns
    -------
    str or None

    Raises
    ------
    EngineError
        It is another one.
    """
    if answered is None:
        return None
    if not isinstance(answered, str) or not answered:
        raise WrongAnswerError(f"the answering model is {answered!r}")
    ends = [name.rstrip("/").rpartition("/")[2] for name in (asked, answered)]
    if ends[0] == ends[1] or _VERSION.fullmatch(answered.removeprefix(asked)):
        return answered
    raise EngineError(
        f"model {asked!r} was requested, but {answered!r} answered",
        parameter="model",
        received=asked,
        fix=f"pass {param('model', repr(answered))} if that is the intended model",
    )


def most_tokens(prompt: Prompt) -> int:
    """Return the most tokens that a prompt and one more can have: a token is one byte at least.

    Parameters
    ----------
    prompt : str or list of int

    Returns
    -------
    int
    """
    return len(prompt.encode()) + _AROUND_TEXT if isinstance(prompt, str) else len(prompt) + 1


def _check_count(content: object, prompts: Sequence[Prompt]) -> None:
    """Raise when the server read other prompts than those sent as ids, a shortened one above all."""
    count = read_prompt_tokens(content)
    if count is None or any(isinstance(prompt, str) for prompt in prompts):
        return
    sent = sum(map(len, prompts))
    if count != sent:
        raise WrongAnswerError(f"{sent} tokens were sent, but the server counts {count}")


def _echoed(choice: Mapping[str, object], prompt: Prompt, generated: int) -> list[Token]:
    """Return the tokens of one prompt, having checked that they are those of what was sent."""
    tokens = read_echo(choice, generated)
    if isinstance(prompt, str):
        written = "".join(token.text for token in tokens)
        known = not any(token.id is not None or token.piece is None for token in tokens)
        text = choice.get("text")
        if known and not _squeezed(written).endswith(_squeezed(prompt)):
            raise WrongAnswerError(f"the echoed tokens are those of {written[-60:]!r}")
        if isinstance(text, str) and _squeezed(prompt) not in _squeezed(text):
            raise WrongAnswerError(f"the echoed text is {text[-60:]!r}")
    elif len(tokens) != len(prompt) or any(
        token.id is not None and token.id != sent for token, sent in zip(tokens, prompt, strict=True)
    ):
        raise WrongAnswerError(f"{len(prompt)} tokens were sent, and {len(tokens)} others were echoed")
    return tokens


def _squeezed(text: str) -> str:
    """Return a text without spaces, which tokenizers may leave out at its beginning."""
    return text.replace(" ", "")
