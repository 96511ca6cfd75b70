"""One model on a server: connections to it, and what is known of it after the first look."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from debias.errors import EngineError
from debias.inference.openai.connection.budget import Spending
from debias.inference.openai.connection.own_loop import run
from debias.inference.openai.connection.rate_limit import Pace
from debias.inference.openai.connection.server_connection import RefusedError, ServerConnection
from debias.inference.openai.connection.server_settings import ServerSettings
from debias.inference.openai.openai_requests import Abilities, Requests
from debias.inference.openai.served_tokenizer import ServedTokenizer
from debias.inference.openai.server_capabilities import ListedModel, probe, read_listed

# While looking, an answer that cannot be right may mean that a server has no such ability.
_PROBE_RETRIES = 2


@dataclass
class ServedModel:
    """Connects to a server, and finds out at first use what it can do.

    Parameters
    ----------
    settings : ServerSettings
    name : str
        The model's name on the server.
    tokenizer : ServedTokenizer or None
    style : {"auto", "echo", "completions", "chat"}
    tops : sequence of int
        How many of the most probable tokens to ask for: the first that the server accepts.
    spending : Spending
    pace : Pace
    failures : Counter
        What had to be asked again, by kind.
    """

    settings: ServerSettings
    name: str
    tokenizer: ServedTokenizer | None
    style: str
    tops: Sequence[int]
    spending: Spending
    pace: Pace
    failures: "Counter[str]" = field(default_factory=Counter)
    _found: tuple[Requests, ListedModel] | None = None
    _echo: Requests | None = None

    @property
    def abilities(self) -> Abilities:
        """What the server can do, asked once."""
        return self._look()[0].abilities

    @property
    def answered_as(self) -> str | None:
        """The model's name in the server's answers."""
        return self._look()[0].answered_as

    @property
    def listed(self) -> ListedModel:
        """What the server's list of models says."""
        return self._look()[1]

    @property
    def fingerprints(self) -> list[str]:
        """The server's names for its own state, as far as it gave any."""
        return sorted(self._found[0].fingerprints) if self._found else []

    def connection(self) -> ServerConnection:
        """Return a connection to be opened, for what needs no first look."""
        return ServerConnection(self.settings, self.spending, self.pace, self.failures)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Requests]:
        """Open a connection, having found out what the server can do."""
        async with self.connection() as connection:
            if self._found is None:
                listed = await self._listed(connection)
                first = Requests(connection, self.name, Abilities(self.style), retries=_PROBE_RETRIES)
                found = await probe(first, self.tokenizer, self.style, self.tops)
                said = min(found.fingerprints, default=None)
                self._found = replace(found, retries=None), replace(listed, system_fingerprint=said)
            yield replace(self._found[0], connection=connection)

    async def echoing(self, requests: Requests) -> Requests:
        """Return requests that echo prompts.

        Raises
        ------
        EngineError
            When the server does not.
        """
        if requests.abilities.style == "echo":
            return requests
        if self._echo is None:
            try:
                first = replace(requests, retries=_PROBE_RETRIES)
                self._echo = replace(await probe(first, self.tokenizer, "echo", self.tops), retries=None)
            except EngineError as error:
                if type(error) is not EngineError:
                    raise
                raise EngineError(f"this server cannot score given texts: {error}") from None
        return replace(self._echo, connection=requests.connection)

    def _look(self) -> tuple[Requests, ListedModel]:
        """Return what is known of the server, having asked it once."""
        if self._found is None:

            async def work() -> None:
                async with self.connected():
                    pass

            run(work)
        assert self._found is not None
        return self._found

    async def _listed(self, connection: ServerConnection) -> ListedModel:
        """Return what the server's list says of the model; servers need not have one."""

        def read(content: Any) -> ListedModel:
            return read_listed(content, self.name, connection.server_time or time.time())

        try:
            return await connection.get("/models", read, subject="the list of models")
        except RefusedError as error:
            if error.status in (401, 403):
                raise
            return ListedModel({})
