"""Reads and checks answers of servers: a number that cannot be right never becomes a probability."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from debias.errors import EngineError

# Servers write a smallest number for what they do not know, or for a probability of zero.
_UNKNOWN = -9000.0
# A probability may exceed one by what 32-bit arithmetic rounds.
_ROUNDING = 1e-4
_NAMED_ID = re.compile(r"token_id:(\d+)")
PART = "\N{REPLACEMENT CHARACTER}"
"""What a server shows of a token that is a part of a letter."""


class WrongAnswerError(EngineError):
    """An answer that cannot be right: asked for again, never used."""


@dataclass(frozen=True)
class Token:
    """A token as a server names it.

    Parameters
    ----------
    logprob : float or None
        Natural logarithm; None for the first token of a text, which follows nothing.
    text : str
        What it reads as; "" where the server names its id.
    piece : bytes or None
        Its bytes; None where they cannot be known (a part of a letter).
    id : int or None
        Its id, where the server names it.
    """

    logprob: float | None
    text: str = ""
    piece: bytes | None = None
    id: int | None = None

    @property
    def name(self) -> int | str:
        """What tells it from others."""
        return self.text if self.id is None else self.id


@dataclass(frozen=True)
class TopTokens:
    """The most probable next tokens, as a server returned them.

    Parameters
    ----------
    tokens : tuple of Token
        By falling probability.
    asked : int
        How many were asked for.
    generated : int or str or None
        Name of the token that was drawn; servers list it though it may not be among the first.
    """

    tokens: tuple[Token, ...]
    asked: int
    generated: int | str | None = None

    def bound(self) -> float:
        """Return a log-probability that no token outside of these exceeds.

        It is neither more probable than the last of the first ``asked``, nor than all that is left.

        Examples
        --------
        >>> top = TopTokens((Token(math.log(0.6), "a"), Token(math.log(0.3), "b")), asked=2)
        >>> round(math.exp(top.bound()), 4)
        0.1
        """
        first = list(self.tokens[: self.asked])
        if len(first) > 1 and first[-1].name == self.generated:
            first.pop()
        left = 1.0 - sum(math.exp(token.logprob or 0.0) for token in self.tokens)
        return min(first[-1].logprob or 0.0, math.log(max(left, 0.0) + 1e-5))

    def most(self, own: Sequence[Token]) -> float:
        """Return a log-probability that no token exceeds that is one of some of these: what others leave.

        Examples
        --------
        >>> top = TopTokens((Token(math.log(0.6), "a"), Token(math.log(0.3), "b")), asked=2)
        >>> round(math.exp(top.most(top.tokens[1:])), 4)
        0.4
        """
        taken = sum(math.exp(token.logprob or 0.0) for token in self.tokens if token not in own)
        return min(0.0, math.log(max(1.0 - taken, 0.0) + 1e-5))


class ServerAnswer(NamedTuple):
    """An answer whose choices are those that were asked for.

    Parameters
    ----------
    choices : list of mapping
        In the order of the prompts.
    model : object
        What the server calls the model; None where it does not say.
    system_fingerprint : str or None
        What it calls its own state.
    """

    choices: list[Mapping[str, object]]
    model: object
    system_fingerprint: str | None


def read_usage(content: object) -> int | None:
    """Tokens that a request cost, as the server counts them; None when it does not say."""
    return _counted(content, "total_tokens") or read_prompt_tokens(content)


def read_prompt_tokens(content: object) -> int | None:
    """Tokens of the prompts of a request, as the server counts them; None when it does not say."""
    return _counted(content, "prompt_tokens")


def _counted(content: object, name: str) -> int | None:
    usage = content.get("usage") if isinstance(content, Mapping) else None
    count = usage.get(name) if isinstance(usage, Mapping) else None
    return count if isinstance(count, int) and count > 0 else None


def read_answer(content: object, count: int, model: str | None = None) -> ServerAnswer:
    """Read an answer.

    Parameters
    ----------
    content : parsed JSON
    count : int
        How many prompts were sent.
    model : str, optional
        The name that the server gave its model before.

    Returns
    -------
    ServerAnswer

    Raises
    ------
    WrongAnswerError
        Choices are missing, or another model answered.
    """
    if not isinstance(content, Mapping):
        raise WrongAnswerError(f"it was {content!r}, not an object with choices")
    if content.get("error"):
        raise WrongAnswerError(f"it was an error: {content['error']!r}")
    if model is not None and content.get("model") != model:
        raise WrongAnswerError(f"model {content.get('model')!r} answered, and {model!r} answered before")
    choices = content.get("choices")
    if not isinstance(choices, list):
        raise WrongAnswerError(f"it had no choices: {content!r}")
    if len(choices) != count or not all(isinstance(one, Mapping) for one in choices):
        raise WrongAnswerError(f"it had {len(choices)} choices instead of {count}")
    by_index = {str(one.get("index", place)): one for place, one in enumerate(choices)}
    if set(by_index) != set(map(str, range(count))):
        raise WrongAnswerError(f"the choices have the indices {', '.join(by_index)}, not 0 to {count - 1}")
    said = content.get("system_fingerprint")
    return ServerAnswer(
        [by_index[str(place)] for place in range(count)],
        content.get("model"),
        said if isinstance(said, str) else None,
    )


def check_logprob(value: object, where: str) -> float:
    """Return a log-probability, or raise WrongAnswerError for what cannot be one.

    Examples
    --------
    >>> check_logprob(-1.5, "token ' a'")
    -1.5
    >>> check_logprob(0.7, "token ' a'")
    Traceback (most recent call last):
    debias.inference.openai.connection.server_answers.WrongAnswerError: token ' a' has log-probability 0.7; it cannot be above 0.
    """  # noqa: E501
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongAnswerError(f"{where} has no log-probability: {value!r}")
    if math.isnan(value) or value > _ROUNDING:
        raise WrongAnswerError(f"{where} has log-probability {value!r}; it cannot be above 0")
    if value < _UNKNOWN:
        raise WrongAnswerError(f"{where} has log-probability {value!r}, which stands for an unknown one")
    return min(float(value), 0.0)


def read_echo(choice: Mapping[str, object], generated: int) -> list[Token]:
    """Return the tokens of an echoed prompt; the first has no log-probability.

    Parameters
    ----------
    choice : mapping
    generated : int
        Tokens after the prompt, to be omitted.

    Raises
    ------
    WrongAnswerError
        Tokens or log-probabilities are missing or cannot be right.
    """
    found = choice.get("logprobs")
    if not isinstance(found, Mapping):
        raise WrongAnswerError(f"it had no log-probabilities: logprobs is {found!r}")
    texts, values = found.get("tokens"), found.get("token_logprobs")
    if not isinstance(texts, list) or not isinstance(values, list) or len(texts) != len(values):
        raise WrongAnswerError("tokens and token_logprobs are missing or of different length")
    count = len(texts) - generated
    if count < 1 or not all(isinstance(text, str) for text in texts):
        raise WrongAnswerError(f"the prompt was not echoed: tokens is {texts!r}")
    checked = [
        None if place == 0 else check_logprob(value, f"token {place} ({text!r})")
        for place, (text, value) in enumerate(zip(texts[:count], values[:count], strict=True))
    ]
    return [_token(text, None, value) for text, value in zip(texts[:count], checked, strict=True)]


def read_top(choice: Mapping[str, object], asked: int) -> TopTokens:
    """Return the most probable first tokens of a completion or a chat answer.

    Parameters
    ----------
    choice : mapping
        With the older form of completions (``top_logprobs``: a mapping for each token), or the
        newer one of chats (``content``: a list).
    asked : int
        How many were asked for.

    Raises
    ------
    WrongAnswerError
        They are missing or cannot be right.
    """
    found = choice.get("logprobs")
    if not isinstance(found, Mapping):
        raise WrongAnswerError(f"it had no log-probabilities: logprobs is {found!r}")
    if found.get("content") is not None:
        listed, generated = _from_content(found["content"])
    else:
        listed, generated = _from_mapping(found)
    tokens = [
        _token(text, piece, check_logprob(value, f"token {text!r}"))
        for text, piece, value in listed
        if not _unknown(value)
    ]
    if not tokens:
        raise WrongAnswerError("no token had a log-probability")
    if sum(math.exp(token.logprob or 0.0) for token in tokens) > 1.0 + 1e-2:
        raise WrongAnswerError("the probabilities of the tokens add up to more than one")
    tokens.sort(key=lambda token: -(token.logprob or 0.0))
    return TopTokens(tuple(tokens), asked, None if generated is None else _token(generated, None, None).name)


def read_text(choice: Mapping[str, object], is_chat: bool) -> str:
    """Return what was written in one choice; "" where a chat's answer has no content, as in a refusal.

    Examples
    --------
    >>> read_text({"text": " yes"}, is_chat=False)
    ' yes'
    >>> read_text({"message": {"role": "assistant", "content": None, "refusal": "I cannot"}}, is_chat=True)
    ''
    """
    if not is_chat:
        text = choice.get("text")
    else:
        message = choice.get("message")
        if not isinstance(message, Mapping) or "content" not in message:
            raise WrongAnswerError(f"it had no message with content: message is {message!r}")
        text = "" if message["content"] is None else message["content"]
    if not isinstance(text, str):
        raise WrongAnswerError(f"the answer is {text!r}, not a text")
    return text


def opens_with_space(choice: Mapping[str, object]) -> bool:
    """Whether any token of a completion, drawn or only probable, begins with a space.

    Examples
    --------
    >>> opens_with_space({"logprobs": {"tokens": ["a"], "top_logprobs": [{"a": -0.1, " b": -3.0}]}})
    True
    """
    found = choice.get("logprobs")
    if not isinstance(found, Mapping):
        raise WrongAnswerError(f"it had no log-probabilities: logprobs is {found!r}")
    content = found.get("content")
    if isinstance(content, list):
        rows = [row for row in content if isinstance(row, Mapping)]
        texts = [one.get("token") for row in rows for one in [row, *(row.get("top_logprobs") or [])]]
    else:
        texts = [*(found.get("tokens") or [])]
        texts += [text for top in found.get("top_logprobs") or [] for text in top or {}]
    return any(isinstance(text, str) and text.startswith((" ", "▁", "Ġ")) for text in texts)


_Listed = list[tuple[str, bytes | None, object]]


def _from_content(content: object) -> tuple[_Listed, str | None]:
    """Read the newer form."""
    if not isinstance(content, list) or not content or not isinstance(content[0], Mapping):
        raise WrongAnswerError(f"it had no token: content is {content!r}")
    first = content[0]
    top = first.get("top_logprobs")
    if not isinstance(top, list) or not top or not all(isinstance(one, Mapping) for one in top):
        raise WrongAnswerError(f"top_logprobs is {top!r}")
    listed: _Listed = []
    for one in top:
        if not isinstance(one.get("token"), str):
            raise WrongAnswerError(f"a token is {one.get('token')!r}")
        listed.append((one["token"], _bytes(one.get("bytes")), one.get("logprob")))
    generated = first.get("token")
    return listed, generated if isinstance(generated, str) else None


def _from_mapping(found: Mapping[str, object]) -> tuple[_Listed, str | None]:
    """Read the older form."""
    top, tokens = found.get("top_logprobs"), found.get("tokens")
    if not isinstance(top, list) or not top or not isinstance(top[0], Mapping) or not top[0]:
        raise WrongAnswerError(f"top_logprobs is {top!r}")
    generated = tokens[0] if isinstance(tokens, list) and tokens and isinstance(tokens[0], str) else None
    return [(str(text), None, value) for text, value in top[0].items()], generated


def _unknown(value: object) -> bool:
    """Whether a value stands for a probability of zero, or one that is not known."""
    return isinstance(value, float | int) and not isinstance(value, bool) and value < _UNKNOWN


def _bytes(value: object) -> bytes | None:
    if isinstance(value, list) and all(isinstance(one, int) and 0 <= one < 256 for one in value):
        return bytes(value)
    return None


def _token(text: str, piece: bytes | None, logprob: float | None) -> Token:
    """Read a token's name: an id, or a text with its space in any of the usual spellings.

    A part of a letter is written as U+FFFD (by some servers in its bytes, too) or as half a surrogate pair.
    """
    named = _NAMED_ID.fullmatch(text)
    if named:
        return Token(logprob, id=int(named[1]))
    if text[:1] in ("▁", "Ġ"):
        text = " " + text[1:]
    text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    piece = text.encode() if piece is None else piece
    return Token(logprob, text, None if PART.encode() in piece else piece)
