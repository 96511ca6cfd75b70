"""Lets a server write answers, whether or not it knows log-probabilities.

A few small requests find out whether it completes or chats, whether it draws several answers in one
request, and whether it takes a seed. The seed of an answer is that of its prompt plus its number: vLLM
counts the answers of one request on in the same way, so there they do not depend on how many are asked
together. Other servers promise less, or nothing, for a seed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from debias.errors import EngineError, param
from debias.inference.openai.connection.concurrent_asking import ask_all
from debias.inference.openai.connection.server_connection import RefusedError, ServerConnection, UnusableError
from debias.inference.openai.openai_requests import Requests, ServerCapabilities
from debias.inference.openai.served_model import LOOK_RETRIES, ServedModel
from debias.inference.openai.server_capabilities import LOOK, ListedModel
from debias.inference.votes.sampling import Asked, OnAnswers, Sampling, runs

_TEXT = "Question: What is the capital of France?\nAnswer:"
_MOST_AT_ONCE = 128
"""Answers in one request."""
_WHOLE: tuple[dict[str, float], ...] = (
    {"top_p": 1, "top_k": -1, "min_p": 0, "repetition_penalty": 1},
    {"top_p": 1},
    {},
)
"""Settings with which no token is left out, all those of servers and that of the protocol: vLLM and llama.cpp
have other defaults, those of the model or their own."""


@dataclass(frozen=True)
class Way:
    """How a server is asked for answers.

    Parameters
    ----------
    style : {"completions", "chat"}
    several : bool
        Whether one request may ask for several answers.
    takes_seed : bool
        Whether requests may have a seed.
    length_name : str
        What the server calls the number of tokens.
    whole : dict
        What keeps the server from leaving out tokens before it draws, as far as it accepts that.
    """

    style: str
    several: bool
    takes_seed: bool
    length_name: str = "max_tokens"
    whole: Mapping[str, float] = field(default_factory=dict)


class ServedAnswers:
    """Answers of one model on a server.

    Parameters
    ----------
    served : ServedModel
        Its list of models is asked; its way of asking for probabilities is not needed.
    """

    def __init__(self, served: ServedModel) -> None:
        self._served = served
        self._found: tuple[Requests, Way, ListedModel] | None = None

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Server, model and way of asking, as far as they decide answers; asks the server at first use."""
        requests, way, listed = self._look()
        return {
            "engine": "openai",
            "base_url": self._served.settings.base_url,
            "model": self._served.name,
            "style": way.style,
            "seeded": way.takes_seed,
            "whole": dict(way.whole),
            "served": {"answered_as": requests.answered_as} | listed.facts,
        }

    @property
    def fingerprints(self) -> set[str]:
        """The server's names for its own state, as far as it gave any with answers."""
        return self._found[0].fingerprints if self._found else set()

    def facts(self) -> dict[str, Any]:
        """Return how the server is asked, and what it said of itself at the first look."""
        _, way, listed = self._look()
        return {
            "style": way.style,
            "several_at_once": way.several,
            "seeded": way.takes_seed,
            "whole": dict(way.whole),
            "system_fingerprint": listed.system_fingerprint,
        }

    def draw(
        self,
        asked: Sequence[Asked],
        sampling: Sampling,
        on_answers: OnAnswers | None,
        subject: Callable[[int, str], str],
    ) -> list[list[str]]:
        """Return answers to prompts, asked in a few threads.

        Parameters
        ----------
        asked : sequence of Asked, length n
        sampling : Sampling
        on_answers : callable, optional
            Called with a position and its answers by their numbers, as soon as they have come.
        subject : callable
            From a position and a prompt to its name in messages.

        Returns
        -------
        list of n lists of str
        """
        found: list[dict[int, str]] = [{} for _ in asked]
        if not asked:
            return []
        with self._connected() as (requests, way):
            pieces = _pieces(asked, _MOST_AT_ONCE if way.several else 1)

            def ask(row: int, piece: _Piece) -> list[str]:
                own = requests.about(subject(piece.place, piece.prompt))
                seed = sampling.seed_of(piece.prompt, piece.first)
                settings = _settings(way, sampling.temperature, seed, piece.n_answers)
                return own.drawn(piece.prompt, piece.n_answers, settings, sampling.max_tokens)

            def answered(row: int, texts: list[str]) -> None:
                own = dict(enumerate(texts, start=pieces[row].first))
                found[pieces[row].place] |= own
                if on_answers is not None:
                    on_answers(pieces[row].place, own)

            ask_all(requests.connection, pieces, ask, answered)
        return [[own[number] for number in one.numbers] for one, own in zip(asked, found, strict=True)]

    @contextmanager
    def _connected(self) -> Iterator[tuple[Requests, Way]]:
        """Open a connection, having found out how answers are asked for."""
        with self._served.connection() as connection:
            if self._found is None:
                self._found = self._find(connection)
            requests, way, _ = self._found
            yield replace(requests, connection=connection), way

    def _look(self) -> tuple[Requests, Way, ListedModel]:
        """Return what is known, having asked the server once."""
        if self._found is None:
            with self._connected():
                pass
        assert self._found is not None
        return self._found

    def _find(self, connection: ServerConnection) -> tuple[Requests, Way, ListedModel]:
        """Try ways to ask, the one that says most first."""
        listed = self._served.listed_by(connection)
        refusals: list[str] = []
        missing: set[str] = set()
        for way in self._ways():
            if way.style in missing:
                continue
            capabilities = ServerCapabilities(way.style, length_name=way.length_name)
            requests = Requests(connection, self._served.name, capabilities, LOOK, wrong_retries=LOOK_RETRIES)
            count = 2 if way.several else 1
            try:
                requests.drawn(_TEXT, count, _settings(way, 1.0, 0, count), 2)
            except RefusedError as error:
                if error.status in (401, 403):
                    raise
                if error.status == 404:  # however it is asked
                    missing.add(way.style)
                refusals.append(error.said)
            except UnusableError as error:
                if error.failure != "wrong answer":
                    raise
                refusals.append(error.said)
            else:
                said = min(requests.fingerprints, default=None)
                found = replace(requests, wrong_retries=None, tokens=self._served.tokens)
                return found, way, replace(listed, system_fingerprint=said)
        raise EngineError(
            f"the server generates no answers ({param('style', repr(self._served.style))}): "
            + "; ".join(dict.fromkeys(refusals)),
            parameter="style",
            received=self._served.style,
        )

    def _ways(self) -> Iterator[Way]:
        """Yield ways to ask in the order in which they are tried."""
        given = self._served.style
        kinds: list[tuple[str, str]] = [("completions", "max_tokens")] if given != "chat" else []
        if given in ("auto", "chat"):
            kinds += [("chat", "max_tokens"), ("chat", "max_completion_tokens")]
        for style, length_name in kinds:
            for several, takes_seed in ((True, True), (False, True), (True, False), (False, False)):
                for whole in _WHOLE:
                    yield Way(style, several, takes_seed, length_name, whole)


class _Piece(NamedTuple):
    """What one request asks for: answers to a prompt, from a number on."""

    place: int
    prompt: str
    first: int
    n_answers: int


def _pieces(asked: Sequence[Asked], most: int) -> list[_Piece]:
    """Divide answers into requests of consecutive numbers, at most so many in one."""
    return [
        _Piece(place, one.prompt, start, min(most, first + count - start))
        for place, one in enumerate(asked)
        for first, count in runs(one.numbers)
        for start in range(first, first + count, most)
    ]


def _settings(way: Way, temperature: float, seed: int, count: int) -> dict[str, object]:
    """Return what a request says of how answers are drawn."""
    settings: dict[str, object] = {"temperature": temperature, **way.whole}
    if way.takes_seed:
        settings["seed"] = seed
    if count > 1:
        settings["n"] = count
    return settings
