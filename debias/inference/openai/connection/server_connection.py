"""A connection to a server: each request is sent until it is answered well, at a limited rate and cost.

What may pass (too many requests, a server's own failure, a time limit, a cut connection, an answer
that cannot be read or cannot be right) is tried again after a growing, partly random wait. A server
that was never reached is not waited for, and no answer may take more memory than its question warrants.
The key is read from the environment when a connection is opened, and is stored nowhere else.
"""

import json
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from debias.errors import ContextLengthError, EngineError, MissingDependencyError, param
from debias.inference.openai.connection.budget import Budget
from debias.inference.openai.connection.rate_limit import RateLimit
from debias.inference.openai.connection.server_answers import WrongAnswerError, read_usage
from debias.inference.openai.connection.server_settings import ServerSettings

if TYPE_CHECKING:
    import httpx2
    import tenacity

Answer = TypeVar("Answer")
_PASSING = frozenset({408, 409, 425, 429})
_SHOWN = 200
_LARGEST_ANSWER = 8 << 20
_BYTES_PER_TOKEN = 1024
"""Room for a token with its probability and those of a few others, as JSON."""


class RefusedError(EngineError):
    """The server does not accept a request, and would not accept it again."""

    def __init__(self, status: int, subject: str, said: str, fix: str | None = None) -> None:
        super().__init__(f"{subject}: {said}", fix=fix)
        self.status, self.said = status, said


class UnusableError(EngineError):
    """The server gave no usable answer, however often it was asked."""

    def __init__(self, failure: str, subject: str, said: str) -> None:
        fix = f"check {param('base_url')}, and that the server runs" if failure == "no connection" else None
        super().__init__(f"{subject}: {said}", fix=fix)
        self.failure, self.said = failure, said


class StoppedError(EngineError):
    """The request was not sent, because another one failed."""


class _PassingError(Exception):
    """What may not happen again when the request is sent again."""

    def __init__(self, kind: str, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.kind, self.wait = kind, wait


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One question to a server.

    Parameters
    ----------
    path : str
        What follows the base URL.
    read : callable
        From the parsed JSON to the answer; raises WrongAnswerError for one that cannot be right.
    subject : str
        What is asked about, for messages.
    body : mapping, optional
        What is sent as JSON; None makes it a GET request.
    tokens : int, default=0
        The most that it may cost.
    wrong_retries : int, optional
        How often it is sent again after an answer that cannot be right; `retries` by default.
    """

    path: str
    read: Callable[[object], Answer]
    subject: str
    body: Mapping[str, object] | None = None
    tokens: int = 0
    wrong_retries: int | None = None


class ServerConnection:
    """An open connection, for any number of threads; use it in a ``with`` block.

    Parameters
    ----------
    settings : ServerSettings
    budget : Budget
    rate_limit : RateLimit

    Attributes
    ----------
    server_time : float or None
        Seconds since 1970 by the server's clock, as of its last answer.
    stopping : threading.Event
        Set when no further request is to be sent; what is under way may still be answered.
    threads : list of threading.Thread
        Those that use the connection.
    """

    def __init__(self, settings: ServerSettings, budget: Budget, rate_limit: RateLimit) -> None:
        self.settings, self.budget, self.rate_limit = settings, budget, rate_limit
        self.server_time: float | None = None
        self.stopping = threading.Event()
        self.threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        import httpx2

        size = self.settings.concurrency
        self._key = self.settings.key()
        self._client = httpx2.Client(
            timeout=self.settings.timeout,
            limits=httpx2.Limits(max_connections=size, max_keepalive_connections=size),
            headers={"Accept-Encoding": "gzip"}
            | ({"Authorization": f"Bearer {self._key}"} if self._key else {}),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        # After Ctrl-C nobody waits for what is under way: its threads end with the program or the answer.
        if kind is None or issubclass(kind, Exception):
            for thread in self.threads:
                thread.join()
            self._client.close()

    def send(self, call: Call[Answer]) -> Answer:
        """Send a request until its answer can be read.

        Raises
        ------
        RefusedError, ContextLengthError
            The server does not accept the request.
        SpendLimitError
            A cap forbids it.
        UnusableError
            It failed every time.
        """
        import tenacity

        limit = self.settings.retries

        def enough(state: "tenacity.RetryCallState") -> bool:
            error = _failure(state)
            if error.kind == "no connection" and not self.budget.answers:
                return True  # a wrong address, or a server that is not up
            most = limit
            if call.wrong_retries is not None and error.kind == "wrong answer":
                most = min(limit, call.wrong_retries)
            return self.stopping.is_set() or state.attempt_number > most

        attempts = tenacity.Retrying(
            sleep=self._sleep,
            stop=enough,
            wait=_waiting(self.settings.longest_wait),
            before_sleep=self._say_that_it_is_gone,
            retry=tenacity.retry_if_exception_type(_PassingError),
            reraise=True,
        )
        try:
            return attempts(self._once, call)
        except _PassingError as error:
            count = attempts.statistics["attempt_number"]
            raise UnusableError(
                error.kind,
                call.subject,
                f"{self.settings.base_url}{call.path} gave no usable answer in {count} "
                f"attempt{'s' if count > 1 else ''}; the last time {error}",
            ) from None

    def _say_that_it_is_gone(self, state: "tenacity.RetryCallState") -> None:
        """Warn that a server that answered before cannot be reached, and when it is tried again."""
        if _failure(state).kind == "no connection" and state.next_action is not None:
            warnings.warn(
                f"{self.settings.base_url} can no longer be reached; attempt {state.attempt_number + 1} of "
                f"{self.settings.retries + 1} follows in {state.next_action.sleep:.0f} seconds.",
                UserWarning,
                stacklevel=2,
            )

    def _once(self, call: Call[Answer]) -> Answer:
        """Send once; raise _PassingError for what may be better next time."""
        import httpx2

        self._reserve(call)
        used: int | None = 0
        try:
            self._sleep(self.rate_limit.next_wait())
            self._refuse_when_stopping(call)
            used = None
            try:
                response, content = self._exchange(call)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                used = 0
                raise self._passing("no connection", f"it could not be reached ({_name(error)})") from None
            except httpx2.TimeoutException:
                seconds = f"{self.settings.timeout:g} seconds"
                raise self._passing("timeout", f"it did not answer within {seconds}") from None
            except httpx2.RequestError as error:
                raise self._passing("cut connection", f"the connection broke ({_name(error)})") from None
            self.budget.answers += 1
            self.server_time = _moment(response.headers.get("date"))
            if response.status_code != 200:
                used = 0 if response.status_code < 500 else None
                self._raise_for(response, content, call)
            parsed = self._parse(content)
            used = read_usage(parsed)
            return self._read(call, parsed)
        finally:
            self.budget.settle(call.tokens, used)

    def _exchange(self, call: Call[Answer]) -> "tuple[httpx2.Response, bytes]":
        """Send a request and read the whole answer, in time."""
        import httpx2

        deadline = time.monotonic() + self.settings.timeout
        method = "GET" if call.body is None else "POST"
        largest = _LARGEST_ANSWER + _BYTES_PER_TOKEN * call.tokens
        parts, size = [], 0
        with self._client.stream(method, self.settings.base_url + call.path, json=call.body) as response:
            unpack = _unpacking(response.headers.get("content-encoding", ""))
            for raw in response.iter_raw():
                try:
                    part = unpack(raw, largest + 1 - size)
                except zlib.error as error:
                    raise httpx2.DecodingError(str(error)) from error
                size += len(part)
                if size > largest:
                    raise EngineError(
                        f"{call.subject}: the answer is too large, more than {largest >> 20} MiB",
                        parameter="base_url",
                        received=self.settings.base_url,
                        fix=f"check that {param('base_url')} is the address of a model server",
                    )
                parts.append(part)
                if time.monotonic() > deadline:
                    raise httpx2.ReadTimeout("the answer came too slowly")
        content = b"".join(parts)
        # A server may repeat the key; from here on it is in no text.
        return response, content.replace(self._key.encode(), b"[key]") if self._key else content

    def _reserve(self, call: Call[Answer]) -> None:
        """Reserve what the request may cost, waiting while others may turn out cheaper."""
        self._refuse_when_stopping(call)
        while not self.budget.reserve(call.tokens):
            self._sleep(0.01)
            self._refuse_when_stopping(call)

    def _refuse_when_stopping(self, call: Call[Answer]) -> None:
        if self.stopping.is_set():
            raise StoppedError(f"{call.subject}: not asked, because another request failed")

    def _sleep(self, seconds: float) -> None:
        """Wait, but no longer than until nothing is to be sent any more."""
        if seconds > 0:
            self.stopping.wait(seconds)

    def _read(self, call: Call[Answer], content: object) -> Answer:
        try:
            return call.read(content)
        except WrongAnswerError as error:
            raise self._passing("wrong answer", _shown(str(error))) from None

    def _parse(self, content: bytes) -> object:
        """Return what the JSON says."""
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise self._passing("malformed JSON", f"it was not JSON: {_shown(_text(content))!r}") from None

    def _raise_for(self, response: "httpx2.Response", content: bytes, call: Call[Answer]) -> None:
        """Raise for a status that is not 200."""
        status = response.status_code
        text = _text(content)
        said = f"the server said {status}: {_shown(text)!r}"
        if status in _PASSING or status >= 500:
            wait = retry_after(response.headers.get("retry-after"))
            if wait > self.settings.longest_wait:
                raise EngineError(
                    f"{call.subject}: {said}; it asks to wait {wait:g} seconds, {param('longest_wait')} is "
                    f"{self.settings.longest_wait:g}",
                    parameter="longest_wait",
                    received=self.settings.longest_wait,
                    fix="rerun later",
                )
            if status == 429:
                self.rate_limit.hold(wait)
            raise self._passing(str(status), said, wait)
        if status == 400 and "context" in text and "length" in text:
            raise ContextLengthError(
                f"{call.subject}: {said}",
                fix=f"shorten it, or pass {param('tokenizer')} and {param('context_length')}",
            )
        fixes = {
            404: f"{param('base_url')} usually ends in /v1, and model must be a name that the server lists"
        }
        fixes |= dict.fromkeys(
            (401, 403), f"the key is read from the environment variable {self.settings.api_key_variable}"
        )
        raise RefusedError(status, call.subject, said, fixes.get(status))

    def _passing(self, kind: str, message: str, wait: float = 0.0) -> _PassingError:
        self.budget.count_failure(kind)
        return _PassingError(kind, message, wait)


def require_client() -> None:
    """Raise MissingDependencyError where httpx2 or tenacity is not installed."""
    try:
        import httpx2  # noqa: F401
        import tenacity  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"servers need httpx2 and tenacity ({error})", fix='run: pip install "debias-iterit[openai]"'
        ) from None


def _unpacking(encoding: str) -> Callable[[bytes, int], bytes]:
    """Return what unpacks the parts of an answer to so many bytes at the most."""
    if encoding.strip().lower() in ("", "identity"):
        return lambda raw, most: raw
    if encoding.strip().lower() in ("gzip", "x-gzip"):
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress
    raise EngineError(
        f"the answer is compressed as {encoding[:_SHOWN]!r}, but gzip was requested",
        parameter="base_url",
        received=encoding[:_SHOWN],
    )


def _failure(state: "tenacity.RetryCallState") -> _PassingError:
    """Return what the last attempt raised."""
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, _PassingError)
    return error


def _waiting(longest: float) -> "Callable[[tenacity.RetryCallState], float]":
    """Seconds until the next attempt: random below a growing limit, or what the server asked for."""
    import tenacity

    growing = tenacity.wait_random_exponential(multiplier=1, max=longest)
    gone = tenacity.wait_exponential(multiplier=2, max=longest) + tenacity.wait_random(0, 1)

    def wait(state: "tenacity.RetryCallState") -> float:
        error = _failure(state)  # six waits for a server that is gone take two minutes: it may start again
        usual = (gone if error.kind == "no connection" else growing)(state)
        # What the server asked for, and a little, so that not all come back at the same moment.
        return error.wait + usual / 4 if error.wait else usual

    return wait


def retry_after(value: str | None) -> float:
    """Seconds that a Retry-After header asks for, 0 where it says nothing."""
    try:
        seconds = float(value or 0)
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


def _text(content: bytes) -> str:
    """Return what was sent as a text, whatever it is."""
    return content.decode("utf-8", "replace")


def _shown(text: str) -> str:
    """Shorten a text of the server."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " ..."


def _name(error: Exception) -> str:
    """Name of an error; its text may hold addresses and what was sent."""
    return type(error).__name__
