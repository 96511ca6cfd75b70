"""Connects to one model on a server, and keeps what is known of it after the first look."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from debias.errors import EngineError
from debias.inference.openai.connection.budget import Budget
from debias.inference.openai.connection.rate_limit import RateLimit
from debias.inference.openai.connection.server_connection import Call, RefusedError, ServerConnection
from debias.inference.openai.connection.server_settings import ServerSettings
from debias.inference.openai.openai_requests import Requests, ServerCapabilities
from debias.inference.openai.server_capabilities import (
    LOOK,
    ListedModel,
    find_server_capabilities,
    read_listed,
)
from debias.inference.tokenization import Tokenization

# While looking, an answer that cannot be right may mean that a server has no such ability.
LOOK_RETRIES = 2


@dataclass
class ServedModel:
    """Connects to a server, and finds out at first use what it can do.

    Parameters
    ----------
    settings : ServerSettings
    name : str
        The model's name on the server.
    tokens : Tokenization or None
    style : {"auto", "echo", "completions", "chat"}
    tops : sequence of int
        How many of the most probable tokens to ask for: the first that the server accepts.

    Attributes
    ----------
    budget : Budget
        What all requests cost so far.
    """

    settings: ServerSettings
    name: str
    tokens: Tokenization | None
    style: str
    tops: Sequence[int]
    _found: Requests | None = None
    _listing: ListedModel | None = None
    _echo: Requests | None = None

    def __post_init__(self) -> None:
        settings = self.settings
        self.budget = Budget(settings.max_requests, settings.max_tokens)
        self._rate_limit = RateLimit(settings.requests_per_minute)

    @property
    def capabilities(self) -> ServerCapabilities:
        """What the server can do, asked once."""
        return self._look().capabilities

    @property
    def answered_as(self) -> str | None:
        """The model's name in the server's answers."""
        return self._look().answered_as

    @property
    def listed(self) -> ListedModel:
        """What the server's list of models says: that alone is asked for, once."""
        if self._listing is None:
            with self.connection() as connection:
                self.listed_by(connection)
        assert self._listing is not None
        return self._listing

    @property
    def fingerprints(self) -> list[str]:
        """The server's names for its own state, as far as it gave any."""
        return sorted(self._found.fingerprints) if self._found else []

    def connection(self) -> ServerConnection:
        """Return a connection to be opened, for what needs no first look."""
        return ServerConnection(self.settings, self.budget, self._rate_limit)

    @contextmanager
    def connected(self) -> Iterator[Requests]:
        """Open a connection, having found out what the server can do."""
        with self.connection() as connection:
            if self._found is None:
                listed = self.listed_by(connection)
                first = Requests(
                    connection, self.name, ServerCapabilities(self.style), LOOK, wrong_retries=LOOK_RETRIES
                )
                found = find_server_capabilities(first, self.tokens, self.style, self.tops)
                said = min(found.fingerprints, default=None)
                self._listing = replace(listed, system_fingerprint=said)
                self._found = replace(found, wrong_retries=None, tokens=self.tokens)
            yield replace(self._found, connection=connection)

    def echoing(self, requests: Requests) -> Requests:
        """Return requests that echo prompts.

        Raises
        ------
        EngineError
            The server does not.
        """
        if requests.capabilities.style == "echo":
            return requests
        if self._echo is None:
            try:
                first = replace(requests, subject=LOOK, wrong_retries=LOOK_RETRIES)
                found = find_server_capabilities(first, self.tokens, "echo", self.tops)
            except EngineError as error:
                if type(error) is not EngineError:
                    raise
                raise EngineError(
                    f"this server cannot score given texts: {error.problem}", parameter="style"
                ) from None
            self._echo = replace(found, wrong_retries=None)
        return replace(self._echo, connection=requests.connection)

    def _look(self) -> Requests:
        """Return what is known of the server, having asked it once."""
        if self._found is None:
            with self.connected():
                pass
        assert self._found is not None
        return self._found

    def listed_by(self, connection: ServerConnection) -> ListedModel:
        """Return what the server's list says of the model, asked for once; servers need not have one."""
        if self._listing is None:
            self._listing = self._ask_list(connection)
        return self._listing

    def _ask_list(self, connection: ServerConnection) -> ListedModel:
        """Ask for the list of models."""

        def read(content: object) -> ListedModel:
            return read_listed(content, self.name, connection.server_time or time.time())

        try:
            return connection.send(Call("/models", read, "the list of models"))
        except RefusedError as error:
            if error.status in (401, 403):
                raise
            return ListedModel({})
