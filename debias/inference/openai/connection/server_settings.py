"""The settings of a connection to a server: its address, its patience, its limits, and where the key is."""

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from debias.errors import ParameterError, param
from debias.settings import Settings, setting

DEFAULT_VARIABLE = "OPENAI_API_KEY"
_DAY = 86_400


@dataclass(frozen=True)
class ServerSettings(Settings):
    """The settings of a connection to a server.

    Parameters
    ----------
    base_url : str
        The address, without user, password or query.
    api_key_variable : str or None, default="OPENAI_API_KEY"
        Environment variable that holds the key; None sends no key.
    timeout : float, default=120
        Seconds that connecting may take, and that an answer may take to arrive.
    retries : int, default=6
        How often a request is sent again.
    longest_wait : float, default=120
        Most seconds between two attempts; a server that asks for more is given up.
    concurrency : int, default=8
        Most simultaneous requests.
    requests_per_minute : float, optional
        Most requests in any minute, sent at equal distances.
    max_requests, max_tokens : int, optional
        Caps for the life of an engine.

    Raises
    ------
    ParameterError
        A value is not allowed, or the environment variable that is named is not set.

    Examples
    --------
    >>> ServerSettings("http://127.0.0.1:8000/v1/", None).base_url
    'http://127.0.0.1:8000/v1'
    >>> ServerSettings("127.0.0.1:8000", None)
    Traceback (most recent call last):
    debias.errors.ParameterError: base_url must be an address such as http://127.0.0.1:8000/v1, got '127.0.0.1:8000'.
    """  # noqa: E501

    base_url: str
    api_key_variable: str | None = DEFAULT_VARIABLE
    timeout: float = setting(120.0, "Timeout of a request in seconds.", above=0, most=_DAY)
    retries: int = setting(6, "Number of times a request is retried.", least=0)
    longest_wait: float = setting(
        120.0, "Maximum number of seconds between two attempts.", above=0, most=_DAY
    )
    concurrency: int = setting(8, "Maximum number of simultaneous requests.", least=1)
    requests_per_minute: float | None = setting(None, "Maximum number of requests per minute.", above=0)
    max_requests: int | None = setting(None, "Stop before this number of requests is exceeded.", least=1)
    max_tokens: int | None = setting(None, "Stop before this number of tokens is exceeded.", least=1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", _checked_url(self.base_url))
        super().__post_init__()
        if self.api_key_variable not in (None, DEFAULT_VARIABLE) and not self.key():
            raise ParameterError(
                f"there is no environment variable {self.api_key_variable}",
                parameter="api_key_variable",
                received=self.api_key_variable,
                fix=f"set it, or pass {param('api_key_variable', 'None')} for a server without keys",
            )

    def key(self) -> str:
        """Return the key from the environment, "" where there is none; it is stored nowhere."""
        value = os.environ.get(self.api_key_variable, "").strip() if self.api_key_variable else ""
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise ParameterError(
                f"the environment variable {self.api_key_variable} does not hold a key: it has spaces or "
                "characters that cannot be sent",
                parameter="api_key_variable",
                received=self.api_key_variable,
            )
        return value


def _checked_url(url: object) -> str:
    """Return the address without its last slash; never show what may be a password."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        host, secret = parts.hostname, parts.username is not None or parts.password is not None
    except ValueError:
        parts, host, secret = None, None, False
    if secret or "@" in str(url):
        raise ParameterError(
            "base_url contains a user name or password",
            parameter="base_url",
            fix=f"put the key into an environment variable, and pass its name as {param('api_key_variable')}",
        )
    if parts and (parts.query or parts.fragment):
        raise ParameterError(
            "base_url has a query, which may contain a key",
            parameter="base_url",
            fix="pass the address alone",
        )
    if not isinstance(url, str) or not parts or parts.scheme not in ("http", "https") or not host:
        raise ParameterError(
            parameter="base_url", allowed="an address such as http://127.0.0.1:8000/v1", received=url
        )
    return url.rstrip("/")
