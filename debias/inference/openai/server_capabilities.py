"""Finds out what a server can do: a few small requests, once, before the first answer.

The ways to ask, best first: tokens that are named (exact, one request per step of the label
tree), echoed prompts (exact, each label read after the whole prompt), the most probable next tokens
(exact for those, bounds for others), a chat (the same, and the server rewrites the prompt).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from debias.errors import EngineError, param
from debias.inference.openai.connection.server_answers import TopTokens
from debias.inference.openai.connection.server_connection import RefusedError, UnusableError
from debias.inference.openai.openai_requests import Requests
from debias.inference.tokenization import Tokenization

Answer = TypeVar("Answer")
Question = ParamSpec("Question")
_TEXT = "Question: What is the capital of France?\nAnswer:"
LOOK = "the first request to the server"
"""The subject of the requests that find out what a server can do."""
_OTHER_TOKENIZER = "pass the tokenizer of the served model"
# Two computations of one number may differ by what 16-bit models round, and not by more.
_NEAR = 0.25


@dataclass(frozen=True)
class ListedModel:
    """What a server's list of models says of one.

    Parameters
    ----------
    facts : dict
        Those that decide answers: where the model comes from, and when it was made.
    context_length : int or None
    system_fingerprint : str or None
        What the server calls its own state.
    """

    facts: dict[str, object]
    context_length: int | None = None
    system_fingerprint: str | None = None


def read_listed(content: object, model: str, now: float) -> ListedModel:
    """Read a server's list of models; nothing is known where it has none.

    Servers that know no date of making give the time of asking, by their own clock; it is omitted.
    """
    rows = content.get("data") if isinstance(content, Mapping) else None
    rows = rows if isinstance(rows, list) else []
    found = next((row for row in rows if isinstance(row, Mapping) and row.get("id") == model), {})
    facts: dict[str, object] = {
        key: found[key]
        for key in ("root", "parent", "created")
        if isinstance(found.get(key), str | int) and not isinstance(found.get(key), bool)
    }
    created = facts.get("created")
    if isinstance(created, int) and created > now - 60:
        del facts["created"]
    length = found.get("max_model_len")
    return ListedModel(facts, length if isinstance(length, int) and length > 0 else None)


def find_server_capabilities(
    requests: Requests, tokenizer: Tokenization | None, style: str, tops: Sequence[int]
) -> Requests:
    """Find out what the server can do, and return the requests with its capabilities.

    Parameters
    ----------
    requests : Requests
    tokenizer : Tokenization or None
    style : {"auto", "echo", "completions", "chat"}
    tops : sequence of int
        How many of the most probable tokens to ask for: the first that the server accepts.

    Raises
    ------
    EngineError
        The server can be asked in no way, or not in the one that was named.
    """
    refusals: list[str] = []
    if style in ("auto", "completions"):
        found = _completions(requests, tokenizer, tops, refusals)
        if found and (style == "completions" or found.capabilities.asks_ids):
            return found
        exact = _echo(found or requests, tokenizer, refusals) if style == "auto" else None
        if exact or found:
            return exact or found or requests
    if style == "echo":
        exact = _echo(requests, tokenizer, refusals)
        if exact:
            return exact
    if style in ("auto", "chat"):
        chat = _chat(requests, tokenizer, tops, refusals)
        if chat:
            return chat
    raise EngineError(
        f"the server cannot provide probabilities ({param('style', repr(style))}): "
        + "; ".join(dict.fromkeys(refusals)),
        parameter="style",
        received=style,
    )


def _completions(
    requests: Requests, tokenizer: Tokenization | None, tops: Sequence[int], refusals: list[str]
) -> Requests | None:
    """Ask for the most probable tokens."""
    for top in tops:
        # Ids are of use only where labels have some.
        for names_ids in (True, False) if tokenizer else (False,):
            found = requests.with_capabilities(style="completions", top=top, names_ids=names_ids)
            answer = _tried(refusals, found.next_tokens, _TEXT)
            if answer is not None:
                found = _by_ids(found, tokenizer, answer) if tokenizer else found
                if not names_ids:
                    spaces = found.shows_spaces(_TEXT)
                    found = found.with_capabilities(keeps_spaces=spaces)
                requests.answered_as = found.answered_as
                return found
    return None


def _by_ids(requests: Requests, tokenizer: Tokenization, expected: TopTokens) -> Requests:
    """Find out whether prompts may be ids, and whether tokens can be named by theirs."""
    ids = tokenizer.encode([_TEXT])[0]
    count = _tried([], requests.prompt_tokens, _TEXT)
    if count is not None and count != len(ids):
        raise EngineError(
            f"the server splits a text into {count} tokens, but the tokenizer into {len(ids)}",
            parameter="tokenizer",
            fix=_OTHER_TOKENIZER,
        )
    taking = requests.with_capabilities(takes_ids=True)
    answer = _tried([], taking.next_tokens, ids)
    if answer is None:
        return requests
    first, second = expected.tokens[0], answer.tokens[0]
    if not _near(first.logprob, second.logprob):
        raise EngineError(
            f"the server's answers to a text and to its token ids differ (log-probabilities {first.logprob} "
            f"and {second.logprob})",
            parameter="tokenizer",
            fix=_OTHER_TOKENIZER,
        )
    if not requests.capabilities.names_ids or first.id is None:
        return taking
    for many in (True, False):
        named = taking.with_capabilities(asks_ids=True, many=many)
        exact = _tried([], named.chosen, [ids, ids[:-1]], [first.id, ids[-1]])
        if exact and _near(exact[0][first.id], first.logprob):
            return named
    return taking


def _echo(requests: Requests, tokenizer: Tokenization | None, refusals: list[str]) -> Requests | None:
    """Ask for an echoed prompt, in the ways that servers have."""
    longer = _TEXT + " Paris"
    for length, many, names_ids in ((0, True, True), (0, True, False), (1, True, False), (1, False, False)):
        found = requests.with_capabilities(
            style="echo", echo_tokens=length, many=many, names_ids=names_ids, takes_ids=False
        )
        answer = _tried(refusals, found.echo, [_TEXT, longer])
        if answer is None:
            continue
        requests.answered_as = found.answered_as
        if tokenizer:
            ids = tokenizer.encode([_TEXT, longer])
            taking = found.with_capabilities(takes_ids=True)
            same = _tried([], taking.echo, list(ids))
            if same is not None and _near(same[1][-1].logprob, answer[1][-1].logprob):
                return taking
        return found
    return None


def _chat(
    requests: Requests, tokenizer: Tokenization | None, tops: Sequence[int], refusals: list[str]
) -> Requests | None:
    """Ask for the first token of a chat's answer."""
    ways = [(False, "max_tokens"), (False, "max_completion_tokens")]
    if tokenizer:
        ways.insert(0, (True, "max_tokens"))
    for top in tops:
        for names_ids, length_name in ways:
            found = requests.with_capabilities(
                style="chat", top=top, names_ids=names_ids, length_name=length_name
            )
            if _tried(refusals, found.next_tokens, _TEXT) is not None:
                return found
    return None


def _tried(
    refusals: list[str], ask: Callable[Question, Answer], *args: Question.args, **options: Question.kwargs
) -> Answer | None:
    """Return an answer, or None when the server has none of this kind."""
    try:
        return ask(*args, **options)
    except (RefusedError, UnusableError) as error:
        is_final = (
            error.status in (401, 403) if isinstance(error, RefusedError) else error.failure != "wrong answer"
        )
        if is_final:
            raise
        refusals.append("; ".join(filter(None, [error.said, error.fix])))
    return None


def _near(a: float | None, b: float | None) -> bool:
    """Whether two log-probabilities can be the same one."""
    return a is not None and b is not None and math.isclose(a, b, rel_tol=0.02, abs_tol=_NEAR)
