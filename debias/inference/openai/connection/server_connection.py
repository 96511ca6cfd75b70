"""The way to a server: one request, sent until it is answered well, at a limited pace and cost.

What passes (too many requests, a server's own failure, a time limit, a cut connection, an answer that
cannot be read or cannot be right) is tried again after a growing, partly random wait.
The key is read from the environment when a connection is opened, and is kept nowhere.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, TypeVar

from debias.errors import ContextLengthError, EngineError, MissingDependencyError
from debias.inference.openai.connection.budget import Spending
from debias.inference.openai.connection.rate_limit import Pace
from debias.inference.openai.connection.server_answers import WrongAnswerError, read_usage
from debias.inference.openai.connection.server_settings import ServerSettings

Answer = TypeVar("Answer")
_PASSING = frozenset({408, 409, 425, 429})
_SHOWN = 300


class RefusedError(EngineError):
    """The server does not accept a request, and would not when asked again."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class UnusableError(EngineError):
    """The server gave no usable answer, however often it was asked."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class StoppedError(EngineError):
    """The request was not sent any more, because another one failed."""


class _PassingError(Exception):
    """What may be gone when the request is sent again."""

    def __init__(self, kind: str, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.kind, self.wait = kind, wait


@dataclass
class ServerConnection:
    """An open connection; use it with ``async with``.

    Parameters
    ----------
    settings : ServerSettings
    spending : Spending
    pace : Pace
    failures : Counter
        What went wrong and was tried again, by kind.
    """

    settings: ServerSettings
    spending: Spending
    pace: Pace
    failures: "Counter[str]" = field(default_factory=Counter)

    async def __aenter__(self) -> "ServerConnection":
        client = load_client()
        size = self.settings.concurrency
        limits = client.Limits(max_connections=size, max_keepalive_connections=size)
        self._client = client.AsyncClient(timeout=None, limits=limits)
        if self.settings.key():
            self._client.headers["Authorization"] = f"Bearer {self.settings.key()}"
        self._stopping = asyncio.Event()
        self.server_time: float | None = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    @property
    def stopping(self) -> bool:
        """Whether no further request is sent."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Send no further request; what is under way may still be answered."""
        self._stopping.set()

    async def get(self, path: str, read: Callable[[Any], Answer], *, subject: str) -> Answer:
        """Ask for ``path``, and read the answer; see :meth:`post`."""
        return await self._repeat("GET", path, None, read, 0, subject, None)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        read: Callable[[Any], Answer],
        *,
        tokens: int,
        subject: str,
        retries: int | None = None,
    ) -> Answer:
        """Send a request until its answer can be read.

        Parameters
        ----------
        path : str
            What follows the base URL.
        body : mapping
        read : callable
            From the parsed JSON to the answer; raises WrongAnswerError for one that cannot be right.
        tokens : int
            The most that it may cost.
        subject : str
            What is asked about, for messages.
        retries : int, optional
            How often an answer that cannot be right is asked for again; as anything else when left out.

        Returns
        -------
        whatever ``read`` returns

        Raises
        ------
        RefusedError, ContextLengthError
            When the server does not accept the request.
        SpendLimitError
            When a cap forbids it.
        UnusableError
            When it failed every time.
        """
        return await self._repeat("POST", path, body, read, tokens, subject, retries)

    async def _repeat(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        read: Callable[[Any], Answer],
        tokens: int,
        subject: str,
        wrong_retries: int | None,
    ) -> Answer:
        """Send until an answer can be read."""
        import tenacity

        limit = self.settings.retries

        def enough(state: Any) -> bool:
            error = state.outcome.exception()
            wrong = wrong_retries is not None and error.kind == "wrong answer"
            return self.stopping or state.attempt_number > (
                min(limit, wrong_retries or 0) if wrong else limit
            )

        attempts = tenacity.AsyncRetrying(
            sleep=self._sleep,
            stop=enough,
            wait=_Wait(self.settings.longest_wait),
            retry=tenacity.retry_if_exception_type(_PassingError),
            reraise=True,
        )
        number = 0
        try:
            async for attempt in attempts:
                with attempt:
                    number += 1
                    return await self._once(method, path, body, read, tokens, subject)
        except _PassingError as error:
            raise UnusableError(
                error.kind,
                f"{subject}: {method} {self.settings.base_url}{path} gave no usable answer in {number}"
                f" attempt{'s' if number > 1 else ''}; the last time {error}",
            ) from None
        raise AssertionError("unreachable")

    async def _once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        read: Callable[[Any], Answer],
        tokens: int,
        subject: str,
    ) -> Answer:
        """Send once; raise _PassingError for what may be better next time."""
        client = load_client()
        reservation = await self._reserve(tokens, subject)
        used: int | None = 0
        try:
            await self._sleep(self.pace.next_wait())
            self._refuse_when_stopping(subject)
            used = None
            try:
                async with asyncio.timeout(self.settings.timeout):
                    response = await self._client.request(method, self.settings.base_url + path, json=body)
            except (client.ConnectError, client.ConnectTimeout) as error:
                used = 0
                raise self._passing("no connection", f"it could not be reached ({_name(error)})") from None
            except (TimeoutError, client.TimeoutException):
                raise self._passing(
                    "timeout", f"it did not answer within {self.settings.timeout:g} seconds"
                ) from None
            except client.RequestError as error:
                raise self._passing("cut connection", f"the connection broke ({_name(error)})") from None
            self.server_time = _moment(response.headers.get("date"))
            if response.status_code != 200:
                used = 0 if response.status_code < 500 else None
                self._raise_for(response, subject)
            content = self._parse(response)
            used = read_usage(content)
            return self._read(read, content)
        finally:
            self.spending.settle(reservation, used)

    async def _reserve(self, tokens: int, subject: str) -> Any:
        """Set aside what the request may cost, waiting while others may turn out cheaper."""
        while True:
            self._refuse_when_stopping(subject)
            reservation = self.spending.reserve(tokens)
            if reservation is not None:
                return reservation
            await asyncio.sleep(0.01)

    def _refuse_when_stopping(self, subject: str) -> None:
        if self.stopping:
            raise StoppedError(f"{subject}: not asked any more, because another request failed")

    async def _sleep(self, seconds: float) -> None:
        """Wait, but not on when nothing is to be sent any more."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _read(self, read: Callable[[Any], Answer], content: Any) -> Answer:
        try:
            return read(content)
        except WrongAnswerError as error:
            raise self._passing("wrong answer", self._clean(str(error))) from None
        except EngineError as error:
            raise EngineError(self._clean(str(error))) from None

    def _parse(self, response: Any) -> Any:
        """Return what the JSON says."""
        try:
            return json.loads(response.content)
        except (ValueError, RecursionError):
            shown = self._clean(response.text)
            raise self._passing("malformed JSON", f"it was no JSON: {shown!r}") from None

    def _raise_for(self, response: Any, subject: str) -> None:
        """Raise for a status that is not 200."""
        status = response.status_code
        said = f"the server said {status}: {self._clean(response.text)!r}"
        if status in _PASSING or status >= 500:
            wait = _retry_after(response.headers.get("retry-after"))
            if wait > self.settings.longest_wait:
                raise EngineError(
                    f"{subject}: {said}; it asks to wait {wait:g} seconds, longest_wait is"
                    f" {self.settings.longest_wait:g}: run again later"
                )
            if status == 429:
                self.pace.hold(wait)
            raise self._passing(str(status), said, wait)
        if status in (401, 403):
            said += f"; the key is read from the environment variable {self.settings.api_key_variable}"
        if status == 404:
            said += "; base_url usually ends in /v1, and model must be a name that the server lists"
        if status == 400 and "context" in said and "length" in said:
            raise ContextLengthError(f"{subject}: {said}; shorten it, or give tokenizer and context_length")
        raise RefusedError(status, f"{subject}: {said}")

    def _passing(self, kind: str, message: str, wait: float = 0.0) -> _PassingError:
        self.failures[kind] += 1
        return _PassingError(kind, message, wait)

    def _clean(self, text: str) -> str:
        """Shorten a text of the server's, without the key should it repeat it."""
        key = self._client.headers.get("Authorization", "").removeprefix("Bearer ")
        text = text.replace(key, "[key]") if key else text
        return text if len(text) <= _SHOWN else text[:_SHOWN] + " ..."


class _Wait:
    """Seconds until the next attempt: random below a growing limit, or what the server asked for."""

    def __init__(self, longest: float) -> None:
        import tenacity

        self._growing = tenacity.wait_random_exponential(multiplier=1, max=longest)

    def __call__(self, state: Any) -> float:
        asked = state.outcome.exception().wait
        growing = float(self._growing(state))
        # What the server asked for, and a little, so that not all come back at the same moment.
        return float(asked + growing / 4 if asked else growing)


def load_client() -> Any:
    """Return the HTTP library, or raise MissingDependencyError."""
    try:
        import httpx2
        import tenacity  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f'a server is asked with httpx2 and tenacity ({error}); run: pip install "debias-iterit[openai]"'
        ) from None
    return httpx2


def _retry_after(value: str | None) -> float:
    """Seconds that a Retry-After header asks for, 0 where it says nothing."""
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        moment = _moment(value)
        seconds = 0.0 if moment is None else moment - time.time()
    return max(0.0, seconds) if seconds == seconds else 0.0


def _moment(value: str | None) -> float | None:
    """Seconds since 1970 of a date in a header."""
    try:
        return parsedate_to_datetime(value).timestamp() if value else None
    except (ValueError, TypeError, OverflowError):
        return None


def _name(error: Exception) -> str:
    """Name of an error; its text may hold addresses and what was sent."""
    return type(error).__name__
